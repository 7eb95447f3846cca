"""What carryover told, where it comes back in somebody's turn: as part of a prompt, or pasted, or forged.

It is nobody's word there, and nothing is learned of it. Otherwise what is remembered once would be said again in every
session that was told of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from carryover.core.headings import CLOSING, HEADINGS
from carryover.core.session import Turn, to_json
from carryover.guard.visible import visible

OPENINGS = ("<memory> Notes", '<memory advisory="true">')  # of contexts, and of what other sessions settled
_MARKS = (*OPENINGS, CLOSING, *HEADINGS)


def said(turns: Iterable[Turn]) -> list[Turn]:
    """The turns, those of users without what carryover told in them."""
    return [_said(turn) if turn.role == "user" else turn for turn in turns]


def _said(turn: Turn) -> Turn:
    text = turn.text
    own = without_ours(text)
    return turn if own is text else replace(turn, body=to_json(own))


def without_ours(text: str) -> str:
    """The text without the lines that carryover told; what is left stands as it stood.

    Those are what stands between our delimiters, and from a heading of ours to the first paragraph that is no list.
    """
    if not any(mark in visible(text) for mark in _MARKS):
        return text
    lines = text.split("\n")
    shown = [visible(line).strip() for line in lines]
    # A block that does not end is a list under a heading, and an end without a beginning is nothing.
    last = max((n for n, line in enumerate(shown) if CLOSING in line), default=-1)
    is_stray = not any("<memory" in line for line in shown)
    kept: list[str] = []
    inside = listed = False
    for n, (line, seen) in enumerate(zip(lines, shown, strict=True)):
        if inside or (seen.startswith(OPENINGS) and n <= last):
            inside = CLOSING not in seen
            continue
        if seen in HEADINGS or seen.startswith(OPENINGS):
            listed = True
        elif seen and not seen.startswith(("#", "-", "*")) and not (n and shown[n - 1]):
            listed = False
        if not listed and not (is_stray and seen == CLOSING):
            kept.append(line)
    return "\n".join(kept)
