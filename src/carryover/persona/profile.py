"""The profile: every line that there is of a user, shown or not, and where it came from.

What is told is decided where the persona is made, and only shown here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from carryover.core.persona import (
    FACETS,
    Choice,
    Code,
    Edits,
    Label,
    Line,
    Polarity,
    Preference,
    Profile,
    Quote,
    line_id,
)
from carryover.persona.book import Codebook, choices, current
from carryover.persona.decode import forwarded, lines_of, made_of
from carryover.persona.lines import sentence
from carryover.persona.votes import SAME

MOST_QUOTES = 5  # of a line: the newest
_POLARITIES: tuple[Polarity, ...] = ("like", "avoid")


def profile(
    user: str, version: int, edits: Edits, code: Code, book: Codebook, preferences: Sequence[Preference]
) -> Profile:
    """What the user sees of themselves: the persona as every model is told it, and all lines with their quotes."""
    labels = book.labels
    lines = lines_of(code, labels, edits)
    quotes = _quotes(code, labels, preferences)
    shown = [replace(line, votes=round(line.votes, 2), quotes=quotes.get(line.id, ())) for line in lines]
    return Profile(
        user_id=user,
        version=version,
        persona=made_of(lines, user=user, version=version),
        lines=tuple(sorted(shown, key=_place)),
        edits=forwarded(edits, labels),
        book_version=book.version,
        sessions=code.sessions,
        preferences=code.preferences,
    )


def own_lines(code: Code) -> set[str]:
    """The ids of the user's lines of their own words."""
    return {line_id(vote.polarity, phrase=vote.phrase) for vote in code.votes if vote.phrase is not None}


def offered(book: Codebook) -> list[Choice]:
    """The lines that a user may pin though nothing was noticed, in the order of a persona."""
    return [
        Choice(line_id(polarity, label=label.id), label.facet, polarity, text)
        for label in choices(book)
        for polarity in _POLARITIES
        if (text := sentence(label, polarity))
    ]


def _quotes(code: Code, labels: Mapping[int, Label], preferences: Sequence[Preference]) -> dict[str, tuple[Quote, ...]]:
    """By line, where it was said: the newest first, each once."""
    phrases = [(vote.polarity, vote.phrase) for vote in code.votes if vote.phrase is not None]
    said = {(one.polarity, one.value): one for one in preferences}
    found: dict[str, list[Quote]] = {}
    for one in sorted(preferences, key=lambda one: (one.said_at, one.quote.seq, one.id), reverse=True):
        label = current(labels, one.label)
        phrase = None if label is not None else _phrase(one, phrases, said)
        if label is not None or phrase is not None:
            id = line_id(one.polarity, label=None if label is None else label.id, phrase=phrase)
            here, quote = found.setdefault(id, []), replace(one.quote, said_at=one.said_at)
            if len(here) < MOST_QUOTES and quote not in here:
                here.append(quote)
    return {id: tuple(here) for id, here in found.items()}


def _phrase(
    one: Preference,
    phrases: Sequence[tuple[str, str]],
    said: Mapping[tuple[str, str], Preference],
) -> str | None:
    """The phrase that counts what was said: the same words, or others for the same."""
    if (one.polarity, one.value) in phrases:
        return one.value
    near = (phrase for polarity, phrase in phrases if polarity == one.polarity and (polarity, phrase) in said)
    return next((phrase for phrase in near if _same(said[one.polarity, phrase], one)), None)


def _same(one: Preference, other: Preference) -> bool:
    if one.vector is None or other.vector is None or one.space != other.space:
        return False
    return float(np.frombuffer(one.vector, "<f4") @ np.frombuffer(other.vector, "<f4")) >= SAME


def _place(line: Line) -> tuple[bool, int, str, bool, float, str]:
    """Labels before own words; facets in their order, then a tenant's own; what is told first, then by votes.

    Texts come last, as the user wrote them one after the other.
    """
    if line.origin == "text":
        return True, len(FACETS) + 1, "", False, 0.0, ""
    known = line.facet in FACETS
    place = FACETS.index(line.facet) if known else len(FACETS)
    return line.origin != "label", place, "" if known else line.facet, not line.shown, -line.votes, line.id
