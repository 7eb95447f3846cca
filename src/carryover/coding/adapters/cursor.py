"""Cursor: the transcripts of its agents, a message a line, without times, ids or versions.

What a line is known by is where it stands: transcripts only grow. The database of the command line's sessions is
`cursor_store`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import Form, Part, Reading, first_text, session_id, table
from carryover.coding.adapters.messages import (
    REFUSED,
    arguments,
    awaited,
    call,
    entries,
    first_record,
    message,
    plain,
    record_of,
    remember,
    result,
    wait_for,
)
from carryover.core.step import Flavor, StepKind, StepStatus, Supply

flavor: Flavor = "cursor"
form: Form = "lines"
supplies: frozenset[Supply] = frozenset({"tree"})
places: tuple[str, ...] = ("~/.cursor/projects",)
files: tuple[str, ...] = ("*.jsonl",)

_ROLES = ("user", "assistant", "tool", "system")
_LONG = re.compile(rb'\{"role":\s*"(?:user|assistant)",\s*"message":\s*\{"content":[^\n]*\Z')  # a line beyond the head
_TYPED = re.compile(r"<user_query>\s*(.*?)\s*</user_query>", re.DOTALL)
# What the program says in the user's name, without anything that was typed.
_ADDED = re.compile(r"\s*<([a-z_]+)>.*</[a-z_]+>\s*", re.DOTALL)
_CALLS = ("tool_use", "tool_call", "tool-call")
_RESULTS = ("tool_result", "tool-result")
_THOUGHTS = ("thinking", "reasoning")
_ATTACHED = ("image", "document", "file", "redacted-reasoning", "redacted_thinking")
_ENDS: dict[str, StepKind] = {"aborted": "interrupt", "cancelled": "interrupt", "error": "failure", "failed": "failure"}


def claims(head: bytes, path: Path) -> bool:
    """Whether its first line is a message in a wrapper that says no more than the role."""
    first = first_record(head)
    if not first:
        return _LONG.match(head.lstrip()) is not None
    return first.get("role") in _ROLES and "content" in table(first.get("message")) and "type" not in first


def read(reading: Reading, line: bytes) -> None:
    """A message was read."""
    record = record_of(line)
    part = reading.of(session_id(session_of(reading.path)))
    if _is_child(reading.path):
        part.about.kind, part.about.parent = "subagent", session_id(_parent(reading.path))
    role = first_text(record.get("role"))
    if role in _ROLES:
        reading.saw(None, role)
        told(reading, part, role, table(record.get("message")).get("content"), str(reading.start))
    elif record.get("type") == "turn_ended":
        reading.saw(None, "turn_ended")
        status = first_text(record.get("status"))
        if kind := _ENDS.get(status):
            text = first_text(record.get("error"), record.get("message"), f"turn ended: {status}")
            part.add(message(reading, kind, ("cursor", session_of(reading.path), str(reading.start)), text))
    else:
        reading.saw(None, first_text(record.get("type"), "?"), known=False)


def finish(reading: Reading) -> None:
    """Nothing waits for the end."""


def session_of(path: Path) -> str:
    """The session's id: the file's name, or its folder's where all such files have one name."""
    return path.parent.name if path.stem in ("transcript", "store") else path.stem


def told(reading: Reading, part: Part, role: str, content: Any, where: str) -> None:
    """The message's blocks are among the session's steps; `where` tells it from the session's other ones."""
    blocks = entries(content) or [{"type": "text", "text": plain(content)}]
    for index, block in enumerate(blocks):
        type = first_text(block.get("type"))
        identity = ("cursor", session_of(reading.path), where, str(index))
        if type == "text":
            _text(reading, part, role, plain(block), identity)
        elif type in _THOUGHTS:
            part.add(message(reading, "thinking", identity, first_text(block.get("thinking"), block.get("text"))))
        elif type in _CALLS:
            _called(reading, part, block, identity)
        elif type in _RESULTS:
            _answered(reading, part, block, identity)
        else:
            known = type in _ATTACHED
            reading.saw(None, f"{role}/{type or '?'}", known=known)
            if not known and (text := plain(block)):
                part.add(message(reading, "note", identity, text, detail={"type": type}))


def _text(reading: Reading, part: Part, role: str, text: str, identity: tuple[str, ...]) -> None:
    kind: StepKind = "prompt" if role == "user" else "text" if role == "assistant" else "note"
    if role == "user" and (typed := _TYPED.findall(text)):
        text = "\n".join(typed)  # around it stands what the program adds: rules, open files, the date
    elif role == "user" and _ADDED.fullmatch(text):
        kind = "note"
    if text.strip():
        if kind == "prompt":
            awaited(reading).clear()  # what was asked for before is not answered any more
        part.add(message(reading, kind, identity, text))


def _called(reading: Reading, part: Part, block: Mapping[str, Any], identity: tuple[str, ...]) -> None:
    name = first_text(block.get("name"), block.get("toolName"), "?")
    own = first_text(block.get("id"), block.get("toolCallId"))
    call_id = own or "/".join(identity[2:])
    input = arguments(block.get("input", block.get("args")))
    wait_for(reading, call_id, name)
    part.about.cwd = part.about.cwd or _folder(reading.path, input)
    part.add(call(reading, identity, call_id, name, input))


def _answered(reading: Reading, part: Part, block: Mapping[str, Any], identity: tuple[str, ...]) -> None:
    """A result names its call, or is that of the call that has waited longest: calls of transcripts have no ids."""
    waiting = awaited(reading)
    own = first_text(block.get("tool_use_id"), block.get("toolCallId"))
    nameless = next((id for id in waiting if "/" in id), None)
    call_id = own if own in waiting or nameless is None else nameless
    name = waiting.pop(call_id, None) or first_text(block.get("name"), block.get("toolName")) or None
    text = plain(block.get("content")) or plain(block.get("result"))
    failed = block.get("is_error", block.get("isError"))
    status: StepStatus = "error" if failed is True else "ok" if failed is False else "unknown"
    status = "rejected" if REFUSED.search(text[:500]) else status
    part.add(result(reading, identity, call_id or "/".join(identity[2:]), name, text, status))


def _is_child(path: Path) -> bool:
    return path.parent.name == "subagents"


def _parent(path: Path) -> str:
    """The session whose folder it is in, or the only one beside that folder."""
    folder = path.parent.parent
    others = sorted(folder.glob("*.jsonl"))
    if len(others) == 1 and not (folder / f"{folder.name}.jsonl").exists():
        return others[0].stem
    return folder.name


def _folder(path: Path, input: Mapping[str, Any]) -> str | None:
    """The folder worked in: one above a path that a call names, if the project's folder is named after it."""
    parents = path.parents
    named = next((one.parent.name for one in parents if one.name == "agent-transcripts"), None)
    hashed = parents[1].name if path.name == "store.db" and len(parents) > 1 else None
    found: list[str] = []
    for name in ("working_directory", "path", "file_path", "target_file", "target_directory"):
        remember(found, input.get(name))
    for text in found if named or hashed else ():
        for folder in map(str, (Path(text), *Path(text).parents)):
            by_name = re.sub(r"[^A-Za-z0-9]+", "-", folder).strip("-")
            if by_name == named or hashlib.md5(folder.encode("utf-8"), usedforsecurity=False).hexdigest() == hashed:
                return folder
    return None
