"""Any agent's log, brought into the one form that others can be turned into: a message a line.

A line is a JSON object with a `role` and a `content`, as chat APIs have them. docs/howto/import-logs.md is about it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import Form, Part, Reading, first_text, session_id, table
from carryover.coding.adapters.messages import (
    REFUSED,
    arguments,
    awaited,
    call,
    entries,
    message,
    moment,
    number,
    plain,
    record_of,
    remember,
    result,
    wait_for,
)
from carryover.coding.lines import bare
from carryover.core.clock import Time
from carryover.core.step import Flavor, Spend, StepKind, StepStatus, Supply, uid

flavor: Flavor = "jsonl"
form: Form = "lines"
supplies: frozenset[Supply] = frozenset({"times", "tokens", "models"})
places: tuple[str, ...] = ()
files: tuple[str, ...] = ("*.jsonl",)

_KINDS: dict[str, StepKind] = {
    "user": "prompt",
    "human": "prompt",
    "assistant": "text",
    "ai": "text",
    "system": "note",
    "developer": "note",
    "tool": "result",
    "function": "result",
}
_LOOKED_AT = 5  # records by which a log is known
# Names that say nothing of the session; its folder's is taken then.
_COMMON = ("chat", "conversation", "events", "history", "log", "messages", "session", "transcript")
_TEXTS = ("text", "input_text", "output_text", "refusal")
_THOUGHTS = ("thinking", "reasoning")
_ATTACHED = ("image", "image_url", "input_image", "file", "input_file", "document", "audio", "input_audio")
# A line that is longer than what a log is known by.
_ROLE = rb'"role"\s*:\s*"(?:user|human|assistant|ai|system|developer)"'
_LONG = re.compile(rb"\{\s*" + _ROLE + rb'\s*,\s*"content"\s*:\s*["\[][^\n]*\Z')


@dataclass(frozen=True, slots=True)
class _Line:
    identity: tuple[str, ...]
    where: str
    role: str
    at: Time | None
    model: str | None
    record: Mapping[str, Any]


def claims(head: bytes, path: Path) -> bool:
    """Whether each of the first lines is a message: anything else is of a format that is not known."""
    lines = [bare(line) for line in head.split(b"\n")]
    whole = [line for line in (lines if head.endswith(b"\n") or len(lines) == 1 else lines[:-1]) if line]
    if len(lines) == 1 and _LONG.match(head.lstrip()):
        return True
    try:
        return bool(whole) and all(_fits(record_of(line)) for line in whole[:_LOOKED_AT])
    except ValueError:
        return False


def read(reading: Reading, line: bytes) -> None:
    """A message was read."""
    record = record_of(line)
    role = first_text(record.get("role"))
    known = _fits(record)
    reading.saw(None, role or first_text(record.get("type"), "?"), known=known)
    if not known:
        return
    session = session_id(first_text(record.get("session_id"), record.get("sessionId"), _named(reading.path)))
    part = reading.of(session)
    beside = table(record.get("metadata"))
    at = next(filter(None, (moment(record.get(name)) for name in ("timestamp", "created_at", "time"))), None)
    model = first_text(record.get("model"), beside.get("model")) or None
    remember(part.about.models, model)
    part.about.cwd = part.about.cwd or first_text(record.get("cwd")) or None
    part.about.title = part.about.title or first_text(record.get("title")) or None
    own = first_text(*(record.get(name) for name in ("id", "uuid", "message_id")))
    where = own or str(reading.start)
    said = _Line(("jsonl", session, where, "" if at is None else str(at)), where, role, at, model, record)
    if _KINDS[role] == "result":
        _answer(reading, part, said, record, first_text(record.get("tool_call_id"), where))
    else:
        _content(reading, part, said)
    for index, called in enumerate(entries(record.get("tool_calls"))):
        function = table(called.get("function")) or called
        _call(reading, part, said, function, first_text(called.get("id"), f"{where}/{index}"))
    _spent(part, said, table(record.get("usage")) or table(beside.get("usage")))


def finish(reading: Reading) -> None:
    """Nothing waits for the end."""


def _fits(record: Mapping[str, Any]) -> bool:
    content = record.get("content")
    said = isinstance(content, str | list) or (content is None and bool(entries(record.get("tool_calls"))))
    return first_text(record.get("role")) in _KINDS and said


def _named(path: Path) -> str:
    return path.parent.name if path.stem.lower() in _COMMON and path.parent.name else path.stem


def _content(reading: Reading, part: Part, said: _Line) -> None:
    content = said.record.get("content")
    blocks = entries(content) or [{"type": "text", "text": plain(content)}]
    reasoning = plain(said.record.get("reasoning_content"))
    if reasoning:
        part.add(message(reading, "thinking", said.identity, reasoning, said.at, model=said.model))
    for index, block in enumerate(blocks):
        type = first_text(block.get("type"), "text")
        where = f"{said.where}/{index}"
        if type in _TEXTS:
            _text(reading, part, said, first_text(block.get("text"), block.get("refusal")), str(index))
        elif type in _THOUGHTS:
            text = first_text(block.get("thinking"), block.get("text"), block.get("content"))
            part.add(message(reading, "thinking", (*said.identity, str(index)), text, said.at, model=said.model))
        elif type == "tool_use":
            _call(reading, part, said, block, first_text(block.get("id"), where))
        elif type == "tool_result":
            _answer(reading, part, said, block, first_text(block.get("tool_use_id"), where))
        else:
            reading.saw(None, f"{said.role}/{type}", known=type in _ATTACHED)


def _text(reading: Reading, part: Part, said: _Line, text: str, index: str) -> None:
    kind = _KINDS[said.role]
    if text.strip():
        model = said.model if kind == "text" else None
        part.add(message(reading, kind, (*said.identity, index), text, said.at, model=model))


def _call(reading: Reading, part: Part, said: _Line, called: Mapping[str, Any], call_id: str) -> None:
    name = first_text(called.get("name"), "?")
    wait_for(reading, call_id, name)
    input = arguments(called.get("arguments", called.get("input")))
    part.add(call(reading, said.identity[:3], call_id, name, input, said.at, model=said.model))


def _answer(reading: Reading, part: Part, said: _Line, answered: Mapping[str, Any], call_id: str) -> None:
    name = awaited(reading).pop(call_id, None) or first_text(answered.get("name")) or None
    text = plain(answered.get("content"))
    failed = answered.get("is_error")
    status: StepStatus = "error" if failed is True else "ok" if failed is False else "unknown"
    code = answered.get("exit_code")
    exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
    if exit_code is not None:
        status = "error" if exit_code else "ok"
    status = "rejected" if REFUSED.search(text[:500]) else status
    part.add(result(reading, said.identity[:3], call_id, name, text, status, said.at, exit_code=exit_code))


def _spent(part: Part, said: _Line, usage: Mapping[str, Any]) -> None:
    """OpenAI counts what the cache gave with the input, Anthropic beside it."""
    if not usage:
        return
    of_input, of_output = table(usage.get("prompt_tokens_details")), table(usage.get("completion_tokens_details"))
    inside = number(of_input.get("cached_tokens"))
    read = number(usage.get("cache_read_input_tokens", usage.get("cache_read_tokens"))) or inside
    write = number(usage.get("cache_creation_input_tokens", usage.get("cache_creation_tokens")))
    asked = number(usage.get("input_tokens", usage.get("prompt_tokens")))
    reasoning = number(of_output.get("reasoning_tokens"))
    output = max(number(usage.get("output_tokens", usage.get("completion_tokens"))), reasoning)
    spend = Spend(uid(*said.identity), said.at, said.model, max(0, asked - inside), read, write, output, reasoning)
    part.spends.append(spend)
