"""Reading what a model proposes: only what the cited turns bear out is let through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from carryover.core.session import Turn
from carryover.core.snapshot import FINDING_KINDS, Closed, Found
from carryover.core.text import clean
from carryover.memory import ground

LONGEST_TEXT = 600  # characters of a statement or a quote
LONGEST_LABEL = 120  # of a subject or a reason


@dataclass(frozen=True, slots=True)
class Proposals:
    """What stands of an answer; `dropped` counts what does not."""

    found: tuple[Found, ...]
    closed: tuple[Closed, ...]
    summary: str
    dropped: int


def read(answer: dict[str, Any], turns: Sequence[Turn], known: Mapping[str, int | None]) -> Proposals:
    """The proposals of an answer whose quotes stand in the turns that they cite.

    Only what is `known` can be closed: an earlier finding, or one that has a place in the same extraction.
    """
    offered = [_items(answer, name) for name in ("found", "closed")]
    found = [kept for kept in (_found(item, turns) for item in offered[0]) if kept is not None]
    closed = [kept for kept in (_closed(item, turns, known) for item in offered[1]) if kept is not None]
    dropped = sum(map(len, offered)) - len(found) - len(closed)
    return Proposals(tuple(found), tuple(closed), _line(answer.get("summary")), dropped)


def _items(answer: dict[str, Any], name: str) -> list[object]:
    items = answer.get(name)
    return cast("list[object]", items) if isinstance(items, list) else []


def _found(item: object, turns: Sequence[Turn]) -> Found | None:
    if not isinstance(item, dict):
        return None
    given = cast("dict[str, Any]", item)
    kind, text, cited = given.get("kind"), _line(given.get("text")), _cited(given, turns)
    if kind not in FINDING_KINDS or not 0 < len(text) <= LONGEST_TEXT or cited is None:
        return None
    quote, first, last = cited
    run = [turn for turn in turns if first <= turn.seq <= last]
    if ground.unsupported(text, run):
        return None
    # Only the user's own words can bind the assistant: what a tool or a page says is never pinned.
    by_user = any(turn.role == "user" and turn.kind == "message" and quote in turn.text for turn in run)
    salience = given.get("salience")
    return Found(
        kind=kind,
        text=text,
        quote=quote,
        first=first,
        last=last,
        subject=_line(given.get("subject")).lower()[:LONGEST_LABEL],
        salience=float(min(1.0, max(0.0, salience))) if isinstance(salience, (int, float)) else 0.5,
        pinned=given.get("pinned") is True and by_user,
    )


def _closed(item: object, turns: Sequence[Turn], known: Mapping[str, int | None]) -> Closed | None:
    if not isinstance(item, dict):
        return None
    given = cast("dict[str, Any]", item)
    id, status, cited = given.get("id"), given.get("status"), _cited(given, turns)
    if not isinstance(id, str) or id not in known or status not in ("done", "superseded") or cited is None:
        return None
    place = known[id]
    reason = _line(given.get("reason"))[:LONGEST_LABEL]
    return Closed(id if place is None else "", status, *cited, reason=reason, found=place)


def _cited(given: dict[str, Any], turns: Sequence[Turn]) -> tuple[str, int, int] | None:
    """The quote as it stands in the turns, and which turns; None where it does not stand there."""
    quote, first, last = given.get("quote"), given.get("first"), given.get("last")
    if not (isinstance(quote, str) and isinstance(first, int) and isinstance(last, int)):
        return None
    if not turns[0].seq <= first <= last <= turns[-1].seq or len(quote) > LONGEST_TEXT:
        return None
    stands = ground.verbatim(quote, turns, first, last)
    return None if stands is None else (stands, first, last)


def _line(value: object) -> str:
    return " ".join(clean(value).split()) if isinstance(value, str) else ""
