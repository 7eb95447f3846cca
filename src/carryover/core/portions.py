"""Turns in portions that a model can read in one call, however long one of them is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from carryover.core.session import Turn
from carryover.core.text import count_tokens

Marked = Callable[[Turn, str], str]  # a turn, or a part of its text, between its marks


def portions(turns: Sequence[Turn], text_of: Callable[[Turn], str], marked: Marked, most: int) -> Iterator[list[str]]:
    """The turns as they are shown, in runs of at most `most` tokens; a longer turn is split."""
    portion: list[str] = []
    left = most
    for turn in turns:
        for part in _split(turn, text_of(turn), marked, most):
            cost = count_tokens(part)
            if cost > left and portion:
                yield portion
                portion, left = [], most
            portion.append(part)
            left -= cost
    if portion:
        yield portion


def _split(turn: Turn, text: str, marked: Marked, most: int) -> Iterator[str]:
    """The turn between its marks, in as many parts as it takes; cut at a space where there is one."""
    shown = marked(turn, text)
    if count_tokens(shown) <= most or len(text) < 2:
        yield shown
        return
    middle = len(text) // 2
    at = text.rfind(" ", middle // 2, middle) + 1 or middle
    yield from _split(turn, text[:at], marked, most)
    yield from _split(turn, text[at:], marked, most)
