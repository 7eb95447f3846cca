"""Gemini CLI: what a message says, and the older of its two forms, a session a JSON document.

Messages are written again when they change, under their id: a step's uid is made of the id, the time and what is
said, so what stays equal is one step, and of what changed the later step of the same `record` counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import Form, Part, Reading, first_text, session_id, table
from carryover.coding.adapters.messages import (
    REFUSED,
    arguments,
    call,
    entries,
    first_record,
    message,
    moment,
    number,
    plain,
    record_of,
    remember,
    result,
    texts,
)
from carryover.coding.tools import canonical
from carryover.core.clock import Time
from carryover.core.step import Flavor, Spend, StepKind, StepStatus, Supply, uid

flavor: Flavor = "gemini-cli"
form: Form = "document"
supplies: frozenset[Supply] = frozenset({"times", "errors", "tokens", "tree", "models"})
places: tuple[str, ...] = ("$GEMINI_CLI_HOME/.gemini/tmp", "~/.gemini/tmp")
files: tuple[str, ...] = ("session-*.json", "*.jsonl")

_MESSAGES = re.compile(rb'"(?:messages|history)"\s*:\s*\[')
_OURS = re.compile(rb'"projectHash"|"type"\s*:\s*"gemini"|"role"\s*:\s*"gemini"')
_EXIT = re.compile(r"(?:^|\n|\\n)Exit Code: (-?\d+)")  # some logs hold their line ends escaped twice
_SUMMARY = "<state_snapshot>"
# What the program says to the model in the user's name.
_INJECTED = ("<session_context>", "System: Please continue", "This is the Gemini CLI. We are setting up")
_STATUS: dict[str, StepStatus] = {"success": "ok", "error": "error", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class _Message:
    session: str
    id: str
    at: Time | None
    record: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, ...]:
        return ("gemini", self.id, "" if self.at is None else str(self.at))


def claims(head: bytes, path: Path) -> bool:
    """Whether it is a document of Gemini CLI; its lines are the other form's."""
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") or is_log(head):
        return False
    return _MESSAGES.search(head) is not None and _OURS.search(head) is not None


def is_log(head: bytes) -> bool:
    """Whether the first line is the header of the newer form: a whole record that more of them follow, or may."""
    header = first_record(head)
    if "sessionId" not in header or "projectHash" not in header:
        return False
    return "messages" not in header or head.strip().partition(b"\n")[2].lstrip().startswith(b"{")


def read(reading: Reading, line: bytes) -> None:
    """The whole session was read."""
    record = record_of(line)
    reading.saw(None, "session", known="messages" in record or "history" in record)
    session = session_id(first_text(record.get("sessionId"), reading.path.stem))
    headed(reading, session, record)
    told_all(reading, session, record.get("messages") or record.get("history"), session)


def finish(reading: Reading) -> None:
    """Nothing waits for the end."""


def headed(reading: Reading, session: str, record: Mapping[str, Any]) -> None:
    """What is said of the session as a whole is known."""
    about = reading.of(session).about
    for name in ("startTime", "start_time", "lastUpdated"):
        about.saw(moment(record.get(name)))
    about.title = first_text(record.get("summary")) or about.title
    folder = reading.path.parent
    if record.get("kind") == "subagent":
        about.kind = "subagent"
        about.parent = session_id(folder.name) if folder.parent.name == "chats" else about.parent
    about.cwd = _folder(reading.path, record) or about.cwd


def told_all(reading: Reading, session: str, messages: Any, where: str) -> None:
    """The messages are among the session's steps; `where` makes ids for those that lack one."""
    for index, inner in enumerate(entries(messages)):
        told(reading, session, inner, f"{where}/{index}")


def told(reading: Reading, session: str, record: Mapping[str, Any], fallback: str) -> None:
    """The message is among the session's steps; `fallback` stands for an id that it lacks."""
    type = first_text(record.get("type"), record.get("role"))
    teller = _TELLERS.get(type)
    reading.saw(None, type or "?", known=teller is not None)
    if teller is not None:
        at = moment(record.get("timestamp")) or moment(record.get("ts"))
        teller(reading, reading.of(session), _Message(session, first_text(record.get("id"), fallback), at, record))


def _user(reading: Reading, part: Part, said: _Message) -> None:
    text = plain(said.record.get("displayContent")) or _content(said.record)
    if not text.strip():
        return  # results of tools, which their calls hold as well
    kind: StepKind = "note" if text.lstrip().startswith(_INJECTED) else "prompt"
    kind = "compaction" if _SUMMARY in text else kind
    part.add(message(reading, kind, said.identity, text, said.at, detail={"record": said.id}))


def _model(reading: Reading, part: Part, said: _Message) -> None:
    model = first_text(said.record.get("model")) or None
    remember(part.about.models, model)
    for thought in entries(said.record.get("thoughts")):
        text = ": ".join(filter(None, (plain(thought.get("subject")), plain(thought.get("description")))))
        if text:
            part.add(message(reading, "thinking", said.identity, text, moment(thought.get("timestamp")) or said.at))
    text = _content(said.record)
    if text.strip():
        part.add(message(reading, "text", said.identity, text, said.at, model=model, detail={"record": said.id}))
    for index, called in enumerate(entries(said.record.get("toolCalls"))):
        _called(reading, part, said, called, first_text(called.get("id"), f"{said.id}/{index}"))
    _spent(part, said, model)


def _called(reading: Reading, part: Part, said: _Message, called: Mapping[str, Any], call_id: str) -> None:
    name = first_text(called.get("name"), "?")
    at = moment(called.get("timestamp")) or said.at
    part.add(call(reading, said.identity, call_id, name, arguments(called.get("args")), said.at))
    status = _STATUS.get(first_text(called.get("status")))
    if status is None:
        return  # still waiting, or under way
    text = _output(called)
    exit_code = None
    if canonical(name) == "shell" and (codes := _EXIT.findall(text)):
        exit_code = int(codes[-1])
        status = "error" if exit_code and status == "ok" else status
    if status != "ok" and REFUSED.search(text):
        status = "rejected"
    part.add(result(reading, said.identity, call_id, name, text, status, at, exit_code=exit_code))


def _output(called: Mapping[str, Any]) -> str:
    found = [plain(called.get("result"))]
    for inner in entries(called.get("result")):
        response = table(table(inner.get("functionResponse")).get("response"))
        found.append(first_text(response.get("error"), response.get("output"), plain(response.get("content"))))
    shown = called.get("resultDisplay")
    return "\n".join(filter(None, found)) or (shown if isinstance(shown, str) else "")


def _spent(part: Part, said: _Message, model: str | None) -> None:
    tokens = table(said.record.get("tokens"))
    if not tokens:
        return
    cached, thoughts = number(tokens.get("cached")), number(tokens.get("thoughts"))
    part.spends.append(
        Spend(
            uid("gemini", said.session, said.id),
            said.at,
            model,
            input=max(0, number(tokens.get("input")) - cached) + number(tokens.get("tool")),
            cache_read=cached,
            output=number(tokens.get("output")) + thoughts,
            reasoning=thoughts,
        )
    )


def _info(reading: Reading, part: Part, said: _Message) -> None:
    text = _content(said.record)
    kind: StepKind = "interrupt" if text.strip().lower().startswith("request cancelled") else "note"
    part.add(message(reading, kind, said.identity, text, said.at))


def _warning(reading: Reading, part: Part, said: _Message) -> None:
    part.add(message(reading, "note", said.identity, _content(said.record), said.at, detail={"level": "warning"}))


def _error(reading: Reading, part: Part, said: _Message) -> None:
    part.add(message(reading, "failure", said.identity, _content(said.record), said.at))


def _content(record: Mapping[str, Any]) -> str:
    content = record.get("content")
    if content is None:
        content = record.get("parts")
    parts = entries(content)
    return plain([one for one in parts if not one.get("thought")] if parts else content)


def _folder(path: Path, record: Mapping[str, Any]) -> str | None:
    """Where the session worked, if what stands beside it says so and the project's hash agrees."""
    known: list[str] = []
    remember(known, next(iter(texts(record.get("directories"))), None))
    for project in path.parents[1:3]:
        try:
            remember(known, (project / ".project_root").read_text("utf-8").strip())
        except (OSError, ValueError):
            continue
    hash = record.get("projectHash")
    return next((folder for folder in known if hashlib.sha256(folder.encode("utf-8")).hexdigest() == hash), None)


_TELLERS: dict[str, Callable[[Reading, Part, _Message], None]] = {
    "user": _user,
    "gemini": _model,
    "model": _model,
    "info": _info,
    "warning": _warning,
    "error": _error,
}
