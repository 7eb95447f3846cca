"""Turns and items in our own JSON: role, kind and content, with a name, ids and origin where they have them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from carryover.core.session import KINDS, ROLES, Draft, Turn, to_json
from carryover.core.strategy import FORMATS, Format, Item
from carryover.strategies.formats import pieces as reading
from carryover.strategies.formats.pieces import Native, Piece, label, listed, members, parts_of, said_in_json, text_of

FORMAT = "generic"


def written(item: Item) -> Native:
    """The item as our own JSON. Of an item that came in a provider's wire, `format` says in which one."""
    made: Native = {"role": item.role, "kind": item.kind, "content": json.loads(item.body)}
    optional = {
        "name": item.name,
        "call_id": item.call_id,
        "seq": item.seq,
        "format": item.format,
        "replaced": item.replaced or None,
        "about": item.about,
    }
    return made | {key: value for key, value in optional.items() if value is not None}


def drafts(items: Sequence[Mapping[str, Any]]) -> list[Draft]:
    """A draft for each item; what a turn has no place for is kept in its metadata."""
    return [_draft(dict(item)) for item in items]


def _draft(item: Native) -> Draft:
    role, kind, content = item.get("role"), item.get("kind", "message"), item.get("content")
    if role not in ROLES or kind not in KINDS or not isinstance(content, (str, list)):
        return Draft(role if role in ROLES else "user", [item], metadata={"format": FORMAT})
    name, call_id = label(item.get("name")), label(item.get("call_id"))
    draft = Draft(role, cast("str | list[Any]", content), kind, name, call_id)
    metadata: dict[str, Any] = {}
    if item.get("format") in FORMATS and len(parts := listed(content)) == 1 and isinstance(parts[0], dict):
        metadata["format"] = item["format"]
    if said_in_json(written(item_of(draft))) != said_in_json(item):
        metadata["generic"] = item | {"content": None}
    return replace(draft, metadata=metadata or None)


def native(item: Item, metadata: Mapping[str, Any]) -> Native:
    """The item that a turn was made of."""
    content: Any = json.loads(item.body)
    if metadata.get("format") == FORMAT and len(parts := listed(content)) == 1 and isinstance(parts[0], dict):
        return members(parts[0])
    if given := members(metadata.get("generic")):
        return given | {"content": content}
    return written(replace(item, seq=None))


def item_of(turn: Turn | Draft, format: Format | None = None) -> Item:
    """The turn, or what is to become one, as an item."""
    if isinstance(turn, Turn):
        return Item(turn.role, turn.kind, turn.body, turn.tokens, turn.seq, turn.name, turn.call_id, format)
    body = to_json(turn.content)
    return Item(turn.role, turn.kind, body, 0, None, turn.name, turn.call_id, format)


def pieces(item: Item) -> list[Piece]:
    """What an item says that came in no provider's wire."""
    content: Any = json.loads(item.body)
    if item.kind == "message":
        return _message(item, content)
    if item.kind == "tool_call":
        return [_call(item, content)]
    if item.kind == "tool_result":
        return [_result(item, content)]
    return [Piece("reasoning", "assistant")] if item.kind == "reasoning" else []


def _message(item: Item, content: Any) -> list[Piece]:
    if item.role == "tool":
        if item.call_id is not None:
            return [_result(item, content)]
        named = f' name="{item.name}"' if item.name else ""
        said = "\n".join(part.note for part in parts_of(content))
        return [reading.message("user", f"<tool_output{named}>\n{said}\n</tool_output>")]
    return reading.spoken(item.role, content)


def _call(item: Item, content: Any) -> Piece:
    """The call: its arguments are the content as text, or the one part of it that describes them."""
    described = [members(part) for part in listed(content)]
    name, call_id = item.name, item.call_id
    if len(described) == 1 and described[0] and text_of(described[0].get("text")) is None:
        return reading.call(described[0], name, call_id)
    said = "\n".join(part.note for part in parts_of(content))
    return Piece("tool_call", "assistant", name=name, call_id=call_id, arguments=said)


def _result(item: Item, content: Any) -> Piece:
    described = [members(part) for part in listed(content)]
    found = reading.embedded(described[0]) if len(described) == 1 else None
    if found is None or found.kind != "tool_result":
        return Piece("tool_result", "tool", parts_of(content), item.name, item.call_id)
    return Piece(
        "tool_result", "tool", found.parts, item.name or found.name, item.call_id or found.call_id, failed=found.failed
    )


def replaced(item: Mapping[str, Any], what: Literal["input", "output"], text: str) -> Native | None:
    """The item with a placeholder as its content; None where it has no such thing."""
    if item.get("kind") != ("tool_call" if what == "input" else "tool_result"):
        return None
    return {**item, "content": text, "replaced": True}
