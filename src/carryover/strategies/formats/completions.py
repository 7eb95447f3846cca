"""Messages of OpenAI's chat completions, which many servers speak.

An assistant's message is cut so that each of its calls is a turn; every part is a message of its own, and the first
one has all that the whole had besides its other calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal

from carryover.core.session import Draft, Role
from carryover.strategies.formats import pieces as reading
from carryover.strategies.formats.pairs import arranged, led_on
from carryover.strategies.formats.parts import drafts_of_parts, joined_parts
from carryover.strategies.formats.pieces import (
    Native,
    Part,
    Piece,
    arguments_text,
    data_of,
    is_remote,
    legal,
    listed,
    members,
    parts_of,
    said_in_json,
    says,
    text_of,
)

FORMAT = "openai-chat"

_ROLES: dict[str, Role] = {"user": "user", "system": "system", "developer": "system"}
_LONGEST_ID = 36  # of 40, with room for what tells two calls of one id apart
_LONGEST_NAME = 64


def drafts(messages: Sequence[Mapping[str, Any]]) -> list[Draft]:
    """A draft for each message; an assistant's has one more for each call that it makes besides what it says."""
    return [draft for message in messages for draft in drafts_of_parts(FORMAT, _cut(dict(message)), _piece)]


def joined(contents: Sequence[tuple[Native, Mapping[str, Any]]]) -> list[Native]:
    """The messages that drafts with these contents and metadata were made of."""
    return joined_parts(contents, _with_calls)


def _with_calls(message: Native, more: Native) -> Native:
    return message | {"tool_calls": [*listed(message.get("tool_calls")), *listed(more.get("tool_calls"))]}


def _cut(message: Native) -> list[Native]:
    """The message in its parts; only one if there is nothing to part."""
    given = message.get("tool_calls")
    calls = listed(given)
    if message.get("role") != "assistant" or not isinstance(given, list) or not all(map(members, calls)):
        return [message]
    first = [] if _says(message) else calls[:1]
    if len(calls) == len(first):
        return [message]
    rest = calls[len(first) :]
    return [message | {"tool_calls": first}, *({"role": "assistant", "tool_calls": [made]} for made in rest)]


def _says(message: Mapping[str, Any]) -> bool:
    """Whether it is more than calls."""
    return any(message.get(key) for key in ("content", "refusal", "audio", "function_call"))


def pieces(message: Native) -> list[Piece]:
    """What a message says."""
    return [_piece(native) for native in _cut(message)]


def _piece(native: Native) -> Piece:
    """What a message says that cannot be parted further."""
    role, content = text_of(native.get("role")) or "", native.get("content")
    if role == "tool":
        return replace(reading.result(native), parts=parts_of(content), native=native)
    if role == "function":
        return Piece("tool_result", "tool", parts_of(content), text_of(native.get("name")), native=native)
    calls = [] if _says(native) else listed(native.get("tool_calls"))
    if role == "assistant" and len(calls) == 1 and members(calls[0]):
        found = members(calls[0])
        asked = reading.call(found | members(found.get("custom")), call_id=text_of(found.get("id")))
        return replace(asked, native=native)
    said = reading.message(_ROLES.get(role, "assistant"), [*listed(content), *_refusal(native)], native=native)
    if role == "assistant" and (asked := members(native.get("function_call"))):
        made = reading.call(asked)
        abroad = (replace(said, native=None), made) if said.parts else (made,)
        return replace(made, parts=said.parts, native=native, abroad=abroad)
    return said


def _refusal(message: Mapping[str, Any]) -> list[Any]:
    refused = text_of(message.get("refusal"))
    return [{"type": "refusal", "refusal": refused}] if refused else []


def wire_id(piece: Piece) -> str:
    if piece.native is not None and piece.call_id:
        return piece.call_id
    return legal(piece.call_id or f"call_{piece.seq or 0}", longest=_LONGEST_ID)


def composed(pieces: Sequence[Piece], *, whole: bool) -> list[Native]:
    """The messages that say it: the calls of one answer in one message, and their results after it."""
    told = [piece for piece in pieces if says(piece)]
    told = _calls_last(arranged(led_on(told) if whole else told))
    functions = _functions(told)
    made: list[Native] = []
    open_to_calls = False
    for piece in told:
        own = piece.native is not None and (piece.call_id in functions or not _is_function(piece))
        message = _own(piece) if own else _made(piece)
        if piece.kind == "tool_call" and open_to_calls and "tool_calls" in message:
            made[-1] = _with_calls(made[-1], message)
            continue
        made.append(message)
        open_to_calls = message.get("role") == "assistant" and ("tool_calls" in message or not own)
    for message in made:
        if message.get("tool_calls") == []:
            del message["tool_calls"]
    return [
        message for message in made if message.get("role") != "assistant" or "tool_calls" in message or _says(message)
    ]


def _calls_last(pieces: Sequence[Piece]) -> list[Piece]:
    """The same pieces; in each answer what is said goes before what is called, since a message has it so."""
    answers = groupby(pieces, lambda piece: piece.role == "assistant")
    return [piece for _, group in answers for piece in sorted(group, key=lambda piece: piece.kind == "tool_call")]


def _functions(pieces: Sequence[Piece]) -> set[str | None]:
    """The ids of calls in the way of before there were tools: one in an answer, and its result in the same way."""
    answers = groupby(pieces, lambda piece: piece.role == "assistant")
    calls = [[piece for piece in group if piece.kind == "tool_call"] for _, group in answers]
    alone = {made[0].call_id for made in calls if len(made) == 1 and _is_function(made[0])}
    results = {piece.call_id: _is_function(piece) for piece in pieces if piece.kind == "tool_result"}
    return {call for call in alone if results.get(call, True)}


def _is_function(piece: Piece) -> bool:
    native = piece.native or {}
    return "function_call" in native if piece.kind == "tool_call" else native.get("role") == "function"


def _own(piece: Piece) -> Native:
    """The message as it came, but under the id that its call has here."""
    message = dict(piece.native or {})
    if piece.kind == "tool_result" and message.get("role") == "tool" and message.get("tool_call_id") != piece.call_id:
        return message | {"tool_call_id": piece.call_id}
    if piece.kind == "tool_call" and "tool_calls" in message:
        asked = members(listed(message["tool_calls"])[0])
        if asked.get("id") != piece.call_id:
            return message | {"tool_calls": [asked | {"id": piece.call_id}]}
    return message


def _made(piece: Piece) -> Native:
    if piece.kind == "tool_call":
        function = {"name": legal(piece.name or "tool", longest=_LONGEST_NAME), "arguments": arguments_text(piece)}
        asked = {"id": piece.call_id, "type": "function", "function": function}
        return {"role": "assistant", "content": piece.text or None, "tool_calls": [asked]}
    if piece.kind == "tool_result":
        return {"role": "tool", "tool_call_id": piece.call_id, "content": piece.text}
    if piece.role != "user" or all(part.kind == "text" for part in piece.parts):
        return {"role": piece.role, "content": piece.text}
    return {"role": piece.role, "content": [_part(part) for part in piece.parts]}


def _part(part: Part) -> Native:
    if part.kind == "image" and (data_of(part) or is_remote(part)):
        return {"type": "image_url", "image_url": {"url": part.url}}
    if part.kind == "file" and data_of(part):
        return {"type": "file", "file": {"filename": part.text or "file", "file_data": part.url}}
    return {"type": "text", "text": part.note}


def replaced(message: Mapping[str, Any], what: Literal["input", "output"], text: str) -> Native | None:
    """The message with a placeholder for its result or the arguments of its one call; None where it has no such."""
    if what == "output":
        return {**message, "content": text} if message.get("role") in ("tool", "function") else None
    if legacy := members(message.get("function_call")):
        return {**message, "function_call": legacy | {"arguments": said_in_json({"input": text})}}
    calls = listed(message.get("tool_calls"))
    asked = members(calls[0]) if len(calls) == 1 else {}
    if function := members(asked.get("function")):
        return {
            **message,
            "tool_calls": [asked | {"function": function | {"arguments": said_in_json({"input": text})}}],
        }
    if custom := members(asked.get("custom")):
        return {**message, "tool_calls": [asked | {"custom": custom | {"input": text}}]}
    return None
