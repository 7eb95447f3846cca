"""The records of Claude Code, typed as far as steps are made of them; the rest of their bytes is passed over."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from carryover.coding.adapters.base import table
from carryover.coding.lines import decoded
from carryover.core.clock import Time, parse_time
from carryover.core.errors import Invalid

_NOTHING = Raw()
_PLAIN_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)(?:\.(\d{3}))?Z")


class Within(msgspec.Struct):
    """What a progress record is about."""

    type: str | None = None


class Record(msgspec.Struct, rename="camel"):
    """One line: who wrote it when, and a message whose bytes wait to be read (`message_of`)."""

    type: str | None = None
    uuid: str | None = None
    parent_uuid: str | None = None
    session_id: str | None = None
    stream_session: str | None = msgspec.field(default=None, name="session_id")
    agent_id: str | None = None
    is_sidechain: bool | None = None
    timestamp: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    entrypoint: str | None = None
    request_id: str | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    is_api_error_message: bool | None = None
    prompt_source: str | None = None
    origin: dict[str, Any] | None = None
    source_tool_use: str | None = msgspec.field(default=None, name="sourceToolUseID")
    tool_denial_kind: str | None = None
    plan_content: str | None = None
    data: Within | None = None
    message: Raw = _NOTHING
    tool_use_result: Raw = _NOTHING


class Piece(msgspec.Struct):
    """A piece of a tool's result: text, or something that is only named."""

    type: str | None = None
    text: str | None = None


class Block(msgspec.Struct):
    """A part of a message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = _NOTHING
    tool_use_id: str | None = None
    content: str | list[Piece] | None = None
    is_error: bool | None = None


class Tokens(msgspec.Struct):
    """What one call of the model consumed, as far as it was known when the record was written."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class Message(msgspec.Struct):
    """What was said, by a person, the model, or a tool."""

    id: str | None = None
    role: str | None = None
    model: str | None = None
    content: str | list[Block] | None = None
    usage: Tokens | None = None


class AgentResult(msgspec.Struct, rename="camel"):
    """What only the copy of a sub-agent's result tells: which sub-agent it was, and what it took."""

    agent_id: str | None = None
    status: str | None = None
    total_tokens: int | None = None
    total_duration_ms: int | None = None
    total_tool_use_count: int | None = None


_RECORD = msgspec.json.Decoder(Record)
_MESSAGE = msgspec.json.Decoder(Message)
_AGENT_RESULT = msgspec.json.Decoder(AgentResult)
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def record_of(line: bytes) -> Record:
    """The record of a line. What has another type in it than it always had counts as absent.

    Raises ValueError for what is no JSON object.
    """
    try:
        return _RECORD.decode(line)
    except (ValueError, RecursionError):
        said = decoded(line)
    if not isinstance(said, dict):
        raise ValueError("a record is a JSON object")
    return _lenient(Record, said)  # pyright: ignore[reportUnknownArgumentType]


def message_of(raw: Raw) -> Message:
    """The message of a record; an empty one where something else stands."""
    if not bytes(raw):
        return Message()
    try:
        return _MESSAGE.decode(raw)
    except (ValueError, RecursionError):
        said = table(decoded(bytes(raw)))
    message, content = _lenient(Message, said), said.get("content")
    if message.content is None and isinstance(content, list):
        message.content = [
            _lenient(Block, each) if isinstance(each, dict) else Block("text", each)  # pyright: ignore[reportUnknownArgumentType]
            for each in content  # pyright: ignore[reportUnknownVariableType]
            if isinstance(each, str | dict)
        ]
    return message


def agent_result(raw: Raw) -> dict[str, Any] | None:
    """Which sub-agent it was, and what it took; None where the bytes do not say."""
    try:
        said = _AGENT_RESULT.decode(raw)
    except (ValueError, RecursionError):
        return None
    if said.agent_id is None:
        return None
    told = {
        "agent": said.agent_id,
        "status": said.status,
        "tokens": said.total_tokens,
        "duration_ms": said.total_duration_ms,
        "calls": said.total_tool_use_count,
    }
    return {name: value for name, value in told.items() if value is not None}


def arguments(raw: Raw) -> dict[str, Any]:
    """The arguments of a call; what is no table stands under `value`."""
    data = bytes(raw)
    if not data:
        return {}
    said = decoded(data)
    return said if isinstance(said, dict) else {"value": said}  # pyright: ignore[reportUnknownVariableType]


def time_of(text: Any) -> Time | None:
    """The time of a record; None for what is none."""
    if not isinstance(text, str):
        return None
    # Nearly all are written alike; the general way takes ten times as long.
    if plain := _PLAIN_TIME.fullmatch(text):
        minute = _minute(plain[1])
        return None if minute is None else minute + int(plain[2]) * 1000 + int(plain[3] or 0)
    try:
        return parse_time(text)
    except Invalid:
        return None


@lru_cache(256)
def _minute(text: str) -> Time | None:
    try:
        return parse_time(f"{text}:00Z")
    except Invalid:
        return None


def _lenient(kind: type[_Struct], said: Any) -> _Struct:
    """As much of what was said as has the type that it should have."""
    made = kind()
    for field in msgspec.structs.fields(kind):
        value = said.get(field.encode_name)
        if value is None:
            continue
        try:
            kept = Raw(json.dumps(value).encode()) if field.type is Raw else msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            continue
        setattr(made, field.name, kept)
    return made
