"""Items of OpenAI's Responses API, as the OpenAI Agents SDK keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from carryover.core.session import Draft, Role
from carryover.core.text import plain
from carryover.strategies.formats import pieces as reading
from carryover.strategies.formats.pairs import Apart, led_on
from carryover.strategies.formats.pieces import (
    Native,
    Part,
    Piece,
    arguments_text,
    data_of,
    is_remote,
    label,
    legal,
    listed,
    members,
    parts_of,
    said_in_json,
    says,
    text_of,
)

FORMAT = "openai"

# Calls whose results are items of their own, and where the arguments of each are.
_CALLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "function_call": ("function_call_output", ("arguments",)),
    "custom_tool_call": ("custom_tool_call_output", ("input",)),
    "shell_call": ("shell_call_output", ("action",)),
    "local_shell_call": ("local_shell_call_output", ("action",)),
    "apply_patch_call": ("apply_patch_call_output", ("operation",)),
    "computer_call": ("computer_call_output", ("action", "actions")),
    "tool_search_call": ("tool_search_output", ("arguments",)),
    "program": ("program_output", ("code",)),
    "mcp_approval_request": ("mcp_approval_response", ("arguments",)),
}
_RESULTS = {result: call for call, (result, _) in _CALLS.items()}
_IDS_OF_OTHERS = ("item_reference", "local_shell_call_output", "mcp_approval_request")  # that name another item or call
_ROLES: dict[Any, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_LONGEST_ID = 60  # of 64, with room for what tells two calls of one id apart
_LONGEST_NAME = 64


def drafts(items: Sequence[Mapping[str, Any]]) -> list[Draft]:
    """A draft for each item, which is its content as it is."""
    return [_draft(dict(item)) for item in items]


def _draft(item: Native) -> Draft:
    piece = pieces(item)[0]
    return Draft(piece.role, [item], piece.kind, label(piece.name), label(piece.call_id), metadata={"format": FORMAT})


def joined(contents: Sequence[tuple[Native, Mapping[str, Any]]]) -> list[Native]:
    """The items that drafts with these contents and metadata were made of: each is one."""
    return [item for item, _ in contents]


def pieces(item: Native) -> list[Piece]:
    """What an item says. What no result follows, and what is unknown, is taken for a message of the assistant's."""
    kind = text_of(item.get("type")) or ("message" if "role" in item else "")
    if kind in _CALLS and (call_id := _call_id(item)):
        return [_call(item, kind, call_id)]
    if kind in _RESULTS:
        return [_result(item, kind)]
    if kind == "reasoning":
        return [Piece("reasoning", "assistant", native=item)]
    role = _ROLES.get(text_of(item.get("role")), "assistant")
    if kind == "message":
        return [reading.message(role, item.get("content"), native=item)]
    return [Piece("message", role, native=item, abroad=_hosted(item) if kind == "mcp_call" else ())]


def _call_id(item: Mapping[str, Any]) -> str | None:
    """What joins a call and its result; not every kind calls it so."""
    kind = item.get("type")
    if kind == "mcp_approval_request":
        return text_of(item.get("id"))
    if kind == "mcp_approval_response":
        return text_of(item.get("approval_request_id"))
    own = text_of(item.get("call_id"))
    return text_of(item.get("id")) if own is None and kind == "local_shell_call_output" else own


def _call(item: Native, kind: str, call_id: str) -> Piece:
    given: Any = next((item[key] for key in _CALLS[kind][1] if key in item), None)
    if kind == "program":
        given = {"code": given}
    elif isinstance(given, list):
        given = {"actions": listed(given)}
    name = text_of(item.get("name")) or kind.removesuffix("_call")
    arguments = given if isinstance(given, str) else said_in_json(given or {})
    return Piece("tool_call", "assistant", name=name, call_id=call_id, arguments=arguments, native=item)


def _result(item: Native, kind: str) -> Piece:
    call_id, name = _call_id(item), text_of(item.get("name"))
    if call_id is None and kind == "tool_search_output":
        return Piece("message", "assistant", native=item, abroad=())  # the provider searched by itself
    parts = parts_of(item.get("output", item.get("result")))
    if kind == "mcp_approval_response":
        said = "approved" if item.get("approve") is True else "not approved"
        parts = (Part("text", ": ".join(filter(None, (said, text_of(item.get("reason")))))),)
    elif kind == "tool_search_output":
        names = (text_of(members(tool).get("name")) for tool in listed(item.get("tools")))
        parts = (Part("text", ", ".join(filter(None, names))),)
    elif kind == "shell_call_output":
        parts = tuple(Part("text", said) for chunk in listed(item.get("output")) if (said := _printed(chunk)))
    failed = item.get("status") == "failed"
    return Piece("tool_result", "tool", parts, name, call_id, failed=failed, native=item)


def _printed(chunk: Any) -> str:
    printed = members(chunk)
    return "\n".join(filter(None, (text_of(printed.get("stdout")), text_of(printed.get("stderr"))))) or plain(chunk)


def _hosted(item: Native) -> tuple[Piece, ...]:
    """A call that the provider made itself, with its result, as others are told it."""
    asked = reading.call(item, call_id=text_of(item.get("id")))
    answer = Piece("tool_result", "tool", parts_of(item.get("output") or item.get("error")), call_id=asked.call_id)
    return asked, replace(answer, failed=bool(item.get("error")))


def wire_id(piece: Piece) -> str:
    if piece.native is not None and piece.call_id:
        return piece.call_id
    return legal(piece.call_id or f"call_{piece.seq or 0}", longest=_LONGEST_ID)


def composed(pieces: Sequence[Piece], *, whole: bool) -> list[Native]:
    """The items that say it; a call and its result are both of one kind."""
    calls = {piece.call_id: _type(piece) for piece in pieces if piece.kind == "tool_call"}
    results = {piece.call_id: _type(piece) for piece in pieces if piece.kind == "tool_result"}
    apart = {own for own in calls.keys() & results.keys() if _CALLS[calls[own]][0] != results[own]}
    told = [piece for piece in pieces if says(piece)]
    made = [
        _own(piece) if piece.native is not None and piece.call_id not in apart else _made(piece)
        for piece in (led_on(told) if whole else told)
    ]
    return _once(made) if whole else made


def _once(items: Sequence[Native]) -> list[Native]:
    """The items, each under an id of its own: what was logged twice would be refused."""
    ids = Apart()
    return [item | {"id": ids.of(item["id"])} if _has_own_id(item) else item for item in items]


def _has_own_id(item: Native) -> bool:
    """Whether its id is no other item's, and none that the Agents SDK gives to all that came without one."""
    given = text_of(item.get("id"))
    return given is not None and not given.startswith("__") and item.get("type") not in _IDS_OF_OTHERS


def _type(piece: Piece) -> str:
    neutral = "function_call" if piece.kind == "tool_call" else "function_call_output"
    return str((piece.native or {}).get("type", neutral))


def _own(piece: Piece) -> Native:
    """The item as it came, but under the id that its call has here."""
    item = piece.native or {}
    if piece.call_id is None or piece.call_id == _call_id(item):
        return item
    kind = item.get("type")
    if kind == "mcp_approval_response":
        return item | {"approval_request_id": piece.call_id}
    by_id = kind == "mcp_approval_request" or (kind == "local_shell_call_output" and not item.get("call_id"))
    return item | {"id" if by_id else "call_id": piece.call_id}


def _made(piece: Piece) -> Native:
    if piece.kind == "tool_call":
        return {
            "type": "function_call",
            "call_id": piece.call_id,
            "name": legal(piece.name or "tool", longest=_LONGEST_NAME),
            "arguments": arguments_text(piece),
        }
    if piece.kind == "tool_result":
        return {"type": "function_call_output", "call_id": piece.call_id, "output": _content(piece)}
    return {"role": piece.role, "content": _content(piece)}


def _content(piece: Piece) -> str | list[Native]:
    """One text where it is all text, or where the wire takes no other."""
    if piece.role in ("assistant", "system") or all(part.kind == "text" for part in piece.parts):
        return piece.text
    return [_part(part) for part in piece.parts]


def _part(part: Part) -> Native:
    if (data_of(part) or is_remote(part)) and part.kind == "image":
        return {"type": "input_image", "image_url": part.url, "detail": "auto"}
    if part.kind == "file" and is_remote(part):
        return {"type": "input_file", "file_url": part.url}
    if part.kind == "file" and data_of(part):
        return {"type": "input_file", "filename": part.text or "file", "file_data": part.url}
    return {"type": "input_text", "text": part.note}


def replaced(item: Mapping[str, Any], what: Literal["input", "output"], text: str) -> Native | None:
    """The item with a placeholder; None where its kind has no place for a text."""
    kind = item.get("type")
    if what == "input":
        if kind == "function_call":
            return {**item, "arguments": said_in_json({"input": text})}
        return {**item, "input": text} if kind == "custom_tool_call" else None
    if kind == "program_output":
        return {**item, "result": text}
    if kind == "shell_call_output":
        chunks = listed(item.get("output"))
        outcome = members(chunks[0]).get("outcome") if chunks else None
        ended = outcome or {"type": "exit", "exit_code": 0}
        return {**item, "output": [{"stdout": text, "stderr": "", "outcome": ended}]}
    texts = ("function_call_output", "custom_tool_call_output", "local_shell_call_output", "apply_patch_call_output")
    return {**item, "output": text} if kind in texts else None
