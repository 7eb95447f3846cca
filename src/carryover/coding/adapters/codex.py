"""OpenAI Codex: rollouts, one file a thread, in all the shapes they had since 2025, packed ones too.

Reading order: here (whose file it is, its session and its turns), `codex_record` (identity, and what is said twice),
`codex_items` and `codex_events` (what happened), `codex_prompt`, `codex_output`, `codex_patch`, `codex_tokens`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from carryover.coding.adapters.base import Form, Reading, first_text, session_id, table
from carryover.coding.adapters.codex_events import read_event
from carryover.coding.adapters.codex_items import compacted, read_item
from carryover.coding.adapters.codex_prompt import note, text_of
from carryover.coding.adapters.codex_record import UNIQUE, Record, begun, turn_began
from carryover.coding.adapters.messages import remember
from carryover.coding.lines import bare, decoded
from carryover.core.step import Flavor, Supply, uid

flavor: Flavor = "codex"
form: Form = "lines"
supplies: frozenset[Supply] = frozenset({"times", "errors", "tokens", "tree", "models", "versions", "branches"})
places: tuple[str, ...] = (
    "$CODEX_HOME/sessions",
    "$CODEX_HOME/archived_sessions",
    "~/.codex/sessions",
    "~/.codex/archived_sessions",
)
files: tuple[str, ...] = ("rollout-*.jsonl", "rollout-*.jsonl.zst")

_ENVELOPES = (
    "session_meta",
    "turn_context",
    "response_item",
    "event_msg",
    "compacted",
    "world_state",
    "inter_agent_communication",
    "inter_agent_communication_metadata",
)
_Kind = Literal["main", "subagent", "fork", "headless"]
_FIRST = re.compile(rb'\A\s*\{"timestamp"\s*:\s*"[^"]*",\s*(?:"ordinal"\s*:\s*\d+,\s*)?"type"\s*:\s*"([a-z_]+)"')
_BARE = ("message", "reasoning", "function_call", "function_call_output", "local_shell_call", "custom_tool_call")


def claims(head: bytes, path: Path) -> bool:
    """An envelope of a known type, or what the shapes before it had; items of theirs only under a rollout's name."""
    lines = [line for line in (bare(line) for line in head.split(b"\n", 4)[:4]) if line]
    for line in lines:
        if (found := _FIRST.match(line)) is not None and found[1].decode() in _ENVELOPES and b'"payload"' in line:
            return True
        try:
            record = table(decoded(line))
        except ValueError:
            continue
        if record.get("type") in _ENVELOPES and isinstance(record.get("payload"), dict):
            return True
        if "record_type" in record or {"id", "timestamp", "instructions"} <= set(record):
            return True
        if path.name.startswith("rollout-") and record.get("type") in _BARE:
            return True
        if _is_flat(record):
            return True
    return False


def read(reading: Reading, line: bytes) -> None:
    """One record of a rollout became steps, spends, and what is known of its session."""
    said = table(decoded(line))
    if not said:
        raise ValueError("no record of a rollout")
    kind = first_text(said.get("type"))
    payload = table(said.get("payload")) if kind in _ENVELOPES else None
    session = reading.state.get("session")
    if session is None:
        session = reading.state["session"] = _session(reading.path, line, kind, payload or said)
    record = begun(reading, said, session)
    name, known = _bare(record, said) if payload is None else _enveloped(record, kind, payload)
    reading.saw(reading.state.get("version"), name, known=known)


def finish(reading: Reading) -> None:
    """A rollout tells nothing by its end."""


def _is_flat(record: Mapping[str, Any]) -> bool:
    """Whether it is a row of the flat shape: a prompt that names its model, or a call of a function by its name."""
    if not {"timestamp", "created_at"} & set(record) or {"id", "session_id", "sessionId"} & set(record):
        return False
    called = record.get("type") in ("tool_call", "function_call") and "name" in table(record.get("function"))
    return called or (record.get("role") == "user" and "model" in record)


def _session(path: Path, line: bytes, kind: str, first: Mapping[str, Any]) -> str:
    """Whose file it is: its first record says so, else its name, else nothing but what it holds."""
    if kind == "session_meta" or "instructions" in first:
        named = first_text(first.get("id"), first.get("session_id"))
        if named:
            return named
    found = UNIQUE.findall(path.name)
    if found:
        return found[-1]
    stem = path.name.removesuffix(".zst").removesuffix(".jsonl")
    return f"{stem}-{uid(line)[:8]}"


def _enveloped(record: Record, kind: str, payload: Mapping[str, Any]) -> tuple[str, bool]:
    """What the payload says; its type for the count, and whether it is known."""
    inner = first_text(payload.get("type")) or ("message" if "role" in payload else "?")
    if kind == "response_item":
        return f"{kind}.{inner}", read_item(record, payload)
    if kind == "event_msg":
        return f"{kind}.{inner}", read_event(record, payload)
    if kind == "session_meta":
        _meta(record, payload)
    elif kind == "turn_context":
        _turn(record, payload)
    elif kind == "compacted":
        compacted(record, "record", first_text(payload.get("message")), window=payload.get("window_number"))
    elif kind == "world_state":
        _world(record, payload)
    elif kind == "inter_agent_communication":
        text = "\n".join(text_of(payload.get("content", payload.get("message"))))
        note(record, text, "agent", sender=payload.get("author"), receiver=payload.get("recipient"))
    return kind, True


def _bare(record: Record, said: Mapping[str, Any]) -> tuple[str, bool]:
    """A record of the first rollouts, which had no envelope: a header, a state, an item, or an error."""
    if "record_type" in said:
        return f"record_type.{first_text(said['record_type'])}", True
    kind = first_text(said.get("type")) or ("message" if "role" in said else "")
    if not kind and "id" in said:
        _meta(record, said)
        return "header", True
    record.answers_as(first_text(said.get("model")))
    if kind == "error":
        return "error", read_event(record, said)
    return kind or "?", read_item(record, said)


def _meta(record: Record, meta: Mapping[str, Any]) -> None:
    """The first of a file is its own; those behind it came with what was copied into it."""
    if record.state.get("met"):
        return
    record.state["met"] = True
    about = record.part.about
    git, source = table(meta.get("git")), meta.get("source")
    about.cwd = first_text(meta.get("cwd")) or about.cwd
    about.branch = first_text(git.get("branch")) or about.branch
    about.remote = first_text(git.get("repository_url")) or about.remote
    about.entry = first_text(source, meta.get("originator")) or about.entry
    version = first_text(meta.get("cli_version"))
    record.state["version"] = version
    remember(about.versions, version)
    spawn = table(table(table(source).get("subagent")).get("thread_spawn"))
    parents = spawn.get("parent_thread_id"), meta.get("parent_thread_id"), meta.get("forked_from_id")
    parent = first_text(*parents)
    about.parent, about.kind = session_id(parent) if parent else None, _kind(meta, source)
    _instructions(record, first_text(meta.get("instructions")))


def _kind(meta: Mapping[str, Any], source: Any) -> _Kind:
    if table(source).get("subagent") is not None or meta.get("thread_source") == "subagent":
        return "subagent"
    if first_text(meta.get("forked_from_id")):
        return "fork"
    if first_text(meta.get("parent_thread_id")):
        return "subagent"
    return "headless" if source == "exec" or meta.get("originator") == "codex_exec" else "main"


def _turn(record: Record, turn: Mapping[str, Any]) -> None:
    turn_began(record, turn.get("turn_id"))
    record.answers_as(first_text(turn.get("model")))
    about = record.part.about
    about.cwd = about.cwd or first_text(turn.get("cwd")) or None
    _instructions(record, first_text(turn.get("user_instructions")))


def _world(record: Record, world: Mapping[str, Any]) -> None:
    state = table(world.get("state"))
    record.answers_as(first_text(state.get("model")))
    _instructions(record, first_text(table(state.get("agents_md")).get("text")))


def _instructions(record: Record, text: str) -> None:
    """What the project tells the agent was put before it: a note each time that it differs."""
    key = uid(text)[:12]
    if text.strip() and record.state.get("instructions") != key:
        record.state["instructions"] = key
        note(record, text, "instructions")
