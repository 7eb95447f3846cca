"""Messages that are logged as several turns: each turn holds a small message, and knows which part it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from carryover.core.session import Draft
from carryover.core.strategy import Format
from carryover.strategies.formats.pieces import Native, Piece, label, listed


def drafts_of_parts(format: Format, parts: Sequence[Native], piece_of: Callable[[Native], Piece]) -> list[Draft]:
    """A draft for each part of one message."""
    made: list[Draft] = []
    for n, native in enumerate(parts):
        piece = piece_of(native)
        metadata: dict[str, Any] = {"format": format} | ({"part": [n, len(parts)]} if len(parts) > 1 else {})
        made.append(Draft(piece.role, [native], piece.kind, label(piece.name), label(piece.call_id), metadata=metadata))
    return made


def joined_parts(
    contents: Sequence[tuple[Native, Mapping[str, Any]]], join: Callable[[Native, Native], Native]
) -> list[Native]:
    """The messages that drafts with these contents and metadata were made of."""
    made: list[Native] = []
    last: Any = None
    for message, metadata in contents:
        part = metadata.get("part")
        if _follows(last, part):
            made[-1] = join(made[-1], message)
        else:
            made.append(message)
        last = part
    return made


def _follows(last: Any, part: Any) -> bool:
    """Whether a turn marked `part` goes on with the message that the turn marked `last` is of."""
    before, after = listed(last), listed(part)
    if len(before) != 2 or len(after) != 2 or not all(isinstance(n, int) for n in (*before, *after)):
        return False
    return before[1] == after[1] and before[0] + 1 == after[0]
