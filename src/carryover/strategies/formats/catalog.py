"""The wires that turns are read from and written to, and what is asked of each.

A native item is a turn whose content is the item as it came and whose metadata name its format, so that it goes back
to its provider as it was. To another wire it is told in that one's words, as far as it says something there:
reasoning, and what only its provider can read, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal, Protocol

from carryover.core.session import Draft, Turn
from carryover.core.strategy import Format, Item
from carryover.strategies.formats import anthropic, completions, generic, responses
from carryover.strategies.formats.pairs import paired
from carryover.strategies.formats.pieces import Native, Piece, listed, members


class Wire(Protocol):
    """What the file of a wire offers."""

    def drafts(self, items: Sequence[Mapping[str, Any]], /) -> list[Draft]:
        """The items as drafts."""
        ...

    def joined(self, contents: Sequence[tuple[Native, Mapping[str, Any]]], /) -> list[Native]:
        """The items that drafts with these contents and metadata were made of."""
        ...

    def pieces(self, item: Native, /) -> list[Piece]:
        """What an item says."""
        ...

    def wire_id(self, piece: Piece, /) -> str:
        """The id of a call, as the wire takes it."""
        ...

    def composed(self, pieces: Sequence[Piece], /, *, whole: bool) -> list[Native]:
        """The items that say it: a whole conversation as the provider takes it, or a part of one."""
        ...

    def replaced(self, item: Mapping[str, Any], what: Literal["input", "output"], text: str, /) -> Native | None:
        """The item with a placeholder for its output or its arguments."""
        ...


_WIRES: dict[Format, Wire] = {"openai": responses, "openai-chat": completions, "anthropic": anthropic}


def drafts_of(format: Format, items: Sequence[Mapping[str, Any]]) -> list[Draft]:
    """The items as turns, in order; `native_of` gives them back exactly."""
    return generic.drafts(items) if format == "generic" else _WIRES[format].drafts(items)


def native_of(format: Format, turns: Sequence[Turn | Draft]) -> list[Native]:
    """The items that turns of this format were made of, exactly; other turns are told in the format's words.

    Left out is only what the format has no words for, as retractions; nothing is moved.
    """
    entries = [(turn, _metadata(turn)) for turn in turns if turn.kind != "retraction" or format == "generic"]
    items = [generic.item_of(turn, _format(metadata)) for turn, metadata in entries]
    if format == "generic":
        return [generic.native(item, metadata) for item, (_, metadata) in zip(items, entries, strict=True)]
    wire, made = _WIRES[format], list[Native]()
    natives = [_native(item) if item.format == format else None for item in items]
    for own, group in groupby(range(len(items)), lambda n: natives[n] is not None):
        if own:
            made += wire.joined([(native, entries[n][1]) for n in group if (native := natives[n]) is not None])
        else:
            pieces = [piece for n in group for piece in _pieces(format, items[n])]
            made += wire.composed(paired(pieces, wire.wire_id, whole=False), whole=False)
    return made


def written(format: Format, items: Sequence[Item]) -> tuple[Native, ...]:
    """What the items say, as the wire wants it: calls with their results, ids and roles as it takes them."""
    if format == "generic":
        return tuple(generic.written(item) for item in items)
    return tuple(_WIRES[format].composed(_paired(format, items), whole=True))


def system_of(items: Sequence[Item]) -> list[Native]:
    """The system turns that the items begin with, as blocks of text; `written("anthropic", ...)` leaves them out."""
    return anthropic.system(_paired("anthropic", items))


def replaced(format: Format, native: Mapping[str, Any], what: Literal["input", "output"], text: str) -> Native | None:
    """The native item with a placeholder for its output or arguments; None where it has no place for one.

    Type, ids and name stay as they are, and arguments stay valid JSON.
    """
    return generic.replaced(native, what, text) if format == "generic" else _WIRES[format].replaced(native, what, text)


def _paired(format: Format, items: Sequence[Item]) -> list[Piece]:
    return paired([piece for item in items for piece in _pieces(format, item)], _WIRES[format].wire_id)


def _pieces(format: Format, item: Item) -> list[Piece]:
    """What the item says, as far as it says it to this wire."""
    native = _native(item)
    if native is None or item.format is None:
        found = generic.pieces(item)
    else:
        found = _WIRES[item.format].pieces(native)
        if item.format == format:
            return [replace(piece, seq=item.seq) for piece in found]
    told = [piece for own in found for piece in ((own,) if own.abroad is None else own.abroad)]
    return [replace(piece, seq=item.seq, native=None) for piece in told if piece.kind != "reasoning"]


def _native(item: Item) -> Native | None:
    """The provider's item that the item holds, if it does."""
    content: Any = json.loads(item.body) if item.format else None
    parts = listed(content)
    return members(parts[0]) if len(parts) == 1 and isinstance(parts[0], dict) else None


def _format(metadata: Mapping[str, Any]) -> Format | None:
    return next((format for format in _WIRES if format == metadata.get("format")), None)


def _metadata(turn: Turn | Draft) -> dict[str, Any]:
    told: Any = turn.metadata
    return members(json.loads(told) if isinstance(told, str) else told)
