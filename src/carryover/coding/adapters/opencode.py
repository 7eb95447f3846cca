"""OpenCode: what its sessions, messages and parts say, and the newer of its two forms, a SQLite database.

Parts are edited in place, and a fork copies them under new ids with their times as they were: a step's uid is made of
its message's and its own time and what is said. What stays equal is one step, of what changed the later one counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from carryover.coding.adapters.base import Form, Part, Reading, first_text, session_id, table
from carryover.coding.adapters.messages import (
    REFUSED,
    arguments,
    call,
    entries,
    message,
    moment,
    number,
    record_of,
    remember,
    result,
    texts,
)
from carryover.coding.lines import decoded
from carryover.core.clock import Time
from carryover.core.step import Flavor, Spend, StepKind, StepStatus, Supply, uid
from carryover.store import foreign

flavor: Flavor = "opencode"
form: Form = "rows"
supplies: frozenset[Supply] = frozenset({"times", "errors", "tokens", "cost", "tree", "models", "versions"})
places: tuple[str, ...] = ("$XDG_DATA_HOME/opencode", "~/.local/share/opencode")
files: tuple[str, ...] = ("opencode*.db",)

_BILLIONTHS = 1_000_000_000
_STATUS: dict[str, StepStatus] = {"completed": "ok", "success": "ok", "error": "error"}
_SILENT = ("step-start", "snapshot")  # parts that say nothing of what happened


@dataclass(frozen=True, slots=True)
class Within:
    """The message that a part is of; `at` is None where it is not known, and so is `role` then."""

    session: str
    role: str | None = None
    at: Time | None = None
    model: str | None = None


def claims(head: bytes, path: Path) -> bool:
    """Whether it is a database with OpenCode's tables."""
    return head.startswith(foreign.MAGIC) and {"session", "message", "part"} <= foreign.tables(path)


def rows(path: Path) -> Iterator[bytes]:
    """All sessions, then their messages in order, each before its parts; a part says what its message does.

    Raises Invalid where the database cannot be read.
    """
    with foreign.opened(path) as database:
        for session in database.rows("SELECT * FROM session ORDER BY id"):
            yield _line("session", session)
        every = database.rows("SELECT * FROM part WHERE typeof(message_id) = 'text' ORDER BY message_id, id")
        part = next(every, None)
        for said in database.rows("SELECT * FROM message WHERE typeof(id) = 'text' ORDER BY id"):
            while part is not None and part["message_id"] < said["id"]:
                yield _line("part", part)  # its message is gone
                part = next(every, None)
            mine: list[dict[str, Any]] = []
            while part is not None and part["message_id"] == said["id"]:
                mine.append(part)
                part = next(every, None)
            data = _json(said.get("data"))
            finished = sum(table(_json(one.get("data"))).get("type") == "step-finish" for one in mine)
            yield _line("message", said, finished=finished)
            about = {name: data[name] for name in ("role", "time", "modelID", "model") if name in data}
            for one in mine:
                yield _line("part", one, message=about)
        while part is not None:
            yield _line("part", part)
            part = next(every, None)


def read(reading: Reading, line: bytes) -> None:
    """A row of one of the tables was read."""
    row = record_of(line)
    data = {**table(row.get("data")), "id": row.get("id")}
    session = session_id(first_text(row.get("session_id"), row.get("id"), reading.path.stem))
    if row.get("table") == "session":
        told_session(reading, session, row)
    elif row.get("table") == "message":
        told_message(reading, session, data, spent=not row.get("finished"))
    else:
        told_part(reading, within(session, table(row.get("message"))), data)


def finish(reading: Reading) -> None:
    """Nothing waits for the end."""


def within(session: str, said: Mapping[str, Any]) -> Within:
    """The message of a part, from the message itself."""
    return Within(session, first_text(said.get("role")) or None, _created(said), _model(said))


def told_session(reading: Reading, session: str, said: Mapping[str, Any]) -> None:
    """What is said of the session as a whole is known."""
    version = first_text(said.get("version")) or None
    reading.saw(version, "session")
    about = reading.of(session).about
    about.cwd = first_text(said.get("directory")) or about.cwd
    about.title = first_text(said.get("title")) or about.title
    remember(about.versions, version)
    time = table(said.get("time"))
    for at in (time.get("created"), time.get("updated"), said.get("time_created"), said.get("time_updated")):
        about.saw(moment(at))
    if parent := first_text(said.get("parent_id"), said.get("parentID")):
        about.parent, about.kind = session_id(parent), "subagent"


def told_message(reading: Reading, session: str, said: Mapping[str, Any], *, spent: bool) -> None:
    """The message is known; `spent` says that no part of it tells what its calls of a model consumed."""
    role, model, at = first_text(said.get("role")), _model(said), _created(said)
    reading.saw(None, f"message/{role or '?'}", known=role in ("user", "assistant"))
    part = reading.of(session)
    part.about.saw(at)
    part.about.saw(moment(table(said.get("time")).get("completed")))
    remember(part.about.models, model)
    path = said.get("path")
    part.about.cwd = part.about.cwd or first_text(table(path).get("cwd"), path) or None
    if error := table(said.get("error")):
        name = first_text(error.get("name"), "error")
        kind: StepKind = "interrupt" if "Abort" in name else "failure"
        text = first_text(table(error.get("data")).get("message"), error.get("message"))
        at_end = moment(table(said.get("time")).get("completed")) or at
        part.add(message(reading, kind, _of(said, at), f"{name}: {text}".rstrip(": "), at_end, model=model))
    if spent:
        _spent(part, said, ("opencode", str(at or said.get("id")), model or ""), at, model)
    for inner in entries(said.get("parts")):  # the oldest versions kept them in the message
        told_part(reading, within(session, said), inner)


def told_part(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    """The part is among the session's steps."""
    type = first_text(said.get("type"))
    teller = _TELLERS.get(type)
    reading.saw(None, f"part/{type or '?'}", known=teller is not None or type in _SILENT)
    if teller is not None:
        teller(reading, inside, said)


def _text(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    text = first_text(said.get("text"))
    kind: StepKind = "prompt" if inside.role == "user" else "text"
    if said.get("synthetic") or said.get("ignored"):
        kind = "note"
    if text.strip():
        model = inside.model if kind == "text" else None
        _say(reading, inside, said, kind, text, model=model, detail={"record": first_text(said.get("id"))})


def _reasoning(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    if text := first_text(said.get("text")):
        _say(reading, inside, said, "thinking", text, model=inside.model)


def _tool(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    state, time = table(said.get("state")), table(table(said.get("state")).get("time"))
    input = arguments(state.get("input"))
    name = first_text(said.get("tool"), "?")
    call_id = first_text(said.get("callID"), said.get("id"), name)
    status = _STATUS.get(first_text(state.get("status")))
    if status is None and not input:
        return  # what it is called with is not there yet
    known = table(state.get("metadata"))
    child = first_text(known.get("sessionId"), known.get("sessionID"))
    meant = first_text(input.get("tool"), name) if name == "invalid" else name
    identity, started = ("opencode", str(inside.at or "")), moment(time.get("start")) or inside.at
    part = reading.of(inside.session)
    detail = {"session": session_id(child)} if child else None
    part.add(call(reading, identity, call_id, meant, input, started, model=inside.model, detail=detail))
    if status is None:
        return
    text = first_text(state.get("error"), state.get("output"), table(state.get("error")).get("message"))
    code = known.get("exit")
    exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
    # A tool that is not known, and a command that failed, are "completed".
    status = "error" if exit_code or name == "invalid" else status
    if status == "error" and exit_code is None:
        status = "rejected" if REFUSED.search(text) else "cancelled" if _aborted(state, text) else status
    ended = moment(time.get("end")) or started
    part.add(result(reading, identity, call_id, meant, text, status, ended, exit_code=exit_code, detail=detail))


def _aborted(state: Mapping[str, Any], text: str) -> bool:
    return state.get("reason") in ("aborted", "shutdown") or text.startswith("Tool execution aborted")


def _finished(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    # It has no time and, in a fork, another id: what it says is what it is known by.
    says = json.dumps([said.get("tokens"), said.get("cost")], sort_keys=True)
    key = ("opencode", str(inside.at or said.get("id")), says)
    _spent(reading.of(inside.session), said, key, inside.at, inside.model)


def _file(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    url = first_text(said.get("url"))
    detail = {"mime": said.get("mime"), "url": None if url.startswith("data:") else url}
    _say(reading, inside, said, "note", f"file: {first_text(said.get('filename'), url[:200])}", detail=detail)


def _patch(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    changed = texts(said.get("files"))
    detail = {"files": list(changed), "hash": said.get("hash")}
    _say(reading, inside, said, "note", f"changed: {', '.join(changed)}", detail=detail)


def _agent(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    text = first_text(said.get("prompt"), said.get("description"), said.get("name"))
    _say(reading, inside, said, "note", f"agent {first_text(said.get('agent'), said.get('name'))}: {text}")


def _compaction(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    how = "automatic" if said.get("auto") else "asked for"
    _say(reading, inside, said, "compaction", f"context compacted ({how})", detail={"auto": bool(said.get("auto"))})


def _retry(reading: Reading, inside: Within, said: Mapping[str, Any]) -> None:
    error = table(said.get("error"))
    text = first_text(table(error.get("data")).get("message"), error.get("message"), error.get("name"))
    _say(reading, inside, said, "failure", text, detail={"attempt": said.get("attempt")})


def _say(reading: Reading, inside: Within, said: Mapping[str, Any], kind: StepKind, text: str, **more: Any) -> None:
    time = table(said.get("time"))
    start = moment(time.get("start")) or moment(time.get("created"))
    identity = (*_of(said, inside.at), str(start or ""))
    reading.of(inside.session).add(message(reading, kind, identity, text, start or inside.at, **more))


def _of(said: Mapping[str, Any], at: Time | None) -> tuple[str, str]:
    return ("opencode", str(at) if at is not None else first_text(said.get("id")))


def _spent(part: Part, said: Mapping[str, Any], key: tuple[str, ...], at: Time | None, model: str | None) -> None:
    tokens = table(said.get("tokens"))
    cache = table(tokens.get("cache"))
    read, write = number(cache.get("read")), number(cache.get("write"))
    input, output, reasoning = (number(tokens.get(name)) for name in ("input", "output", "reasoning"))
    if not any((input, output, reasoning, read, write)):
        return
    # Whether reasoning is part of the output differs between versions; the total tells.
    if number(tokens.get("total")) != input + output + read + write:
        output += reasoning
    output = max(output, reasoning)
    part.spends.append(Spend(uid(*key), at, model, input, read, write, output, reasoning, _cost(said.get("cost"))))


def _cost(said: Any) -> int | None:
    """In billionths of a US dollar; 0 is what it writes of models that it knows no price of."""
    dollars = table(said).get("usd") if isinstance(said, dict) else said
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not 0 < dollars < 1_000_000:
        return None
    return round(dollars * _BILLIONTHS)


def _created(said: Mapping[str, Any]) -> Time | None:
    return moment(table(said.get("time")).get("created"))


def _model(said: Mapping[str, Any]) -> str | None:
    return first_text(said.get("modelID"), table(said.get("model")).get("modelID")) or None


def _json(text: Any) -> Mapping[str, Any]:
    try:
        return table(decoded(str(text).encode("utf-8", "replace")))
    except ValueError:
        return {}


def _line(name: str, row: Mapping[str, Any], **more: Any) -> bytes:
    known = {**row, "data": _json(row["data"]) or row["data"]} if "data" in row else row
    return msgspec.json.encode({"table": name, **known, **more})


_TELLERS: dict[str, Callable[[Reading, Within, Mapping[str, Any]], None]] = {
    "text": _text,
    "reasoning": _reasoning,
    "tool": _tool,
    "step-finish": _finished,
    "file": _file,
    "patch": _patch,
    "agent": _agent,
    "subtask": _agent,
    "compaction": _compaction,
    "retry": _retry,
}
