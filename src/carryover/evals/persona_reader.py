"""What a reader of a persona understands, and how much of it is true of the user.

A reader sees the text alone: a line is known for a value by the words for that value, and for something to avoid by
the words that say so. What no value is read in counts as stated, and as wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from carryover.core.persona import Polarity
from carryover.evals.persona_world import User, Want, words

ENOUGH = 2.0  # a statement, or two hints: what a persona should have understood
_NOT = re.compile(
    r"\b(?:avoid\w*|no|not|never|without|dislik\w+|refrain\w*|skip\w*|omit\w*|leav\w+ out|stop\w*|hates?|unwanted)\b"
    r"|\b(?:do|does|is|are|must|should)(?:n't|n’t)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"“([^”]*)”")


@dataclass(frozen=True, slots=True)
class Score:
    """How a persona did, in counts: of facets, lines and wants."""

    facets: int = 0  # of which the user said enough
    hits: int = 0  # whose first line is true
    lines: int = 0
    true: int = 0
    wants: int = 0
    told: int = 0  # of them, those that the user spoke of at all
    stated: int = 0  # of them, those that a line states
    unread: int = 0  # lines that no value is read in

    def plus(self, other: Score) -> Score:
        return Score(
            self.facets + other.facets,
            self.hits + other.hits,
            self.lines + other.lines,
            self.true + other.true,
            self.wants + other.wants,
            self.told + other.told,
            self.stated + other.stated,
            self.unread + other.unread,
        )


def lines(text: str) -> list[str]:
    """The lines of a persona without its heading."""
    return [line.removeprefix("- ") for line in text.split("\n") if line.startswith("- ")]


def wording(line: str) -> str:
    """What the line quotes, or else all of it."""
    quoted = _QUOTED.search(line)
    return quoted.group(1) if quoted else line


def is_refusal(line: str) -> bool:
    """Whether the line says, outside of what it quotes, that something is not wanted."""
    return _NOT.search(_QUOTED.sub(" ", line)) is not None


@cache
def read(line: str) -> Want | None:
    """What the line says that the user wants or does not want; None where no value is read in it."""
    quoted = _QUOTED.search(line)
    told = quoted.group(1) if quoted else line
    best, span = None, (0, 0)
    for value in words().values.values():
        for found in value.reads.finditer(told):
            if found.end() - found.start() > span[1] - span[0]:
                best, span = value, found.span()
    if best is None:
        return None
    around = f"{line[: quoted.start()]} {line[quoted.end() :]}" if quoted else f"{told[: span[0]]} {told[span[1] :]}"
    polarity: Polarity = "avoid" if _NOT.search(around) else "like"
    return Want(best.facet, best.key, polarity)


def scores(user: User, told: Iterable[str]) -> dict[str, Score]:
    """The score of these lines by facet; lines in which nothing is read are under no facet, the empty name."""
    readings = [read(line) for line in told]
    said = user.told()
    found: dict[str, Score] = {}
    if "" in (of := ["" if one is None else one.facet for one in readings]):
        found[""] = Score(lines=of.count(""), unread=of.count(""))
    for facet in dict.fromkeys([*(want.facet for want in user.wants), *filter(None, of)]):
        wants = [want for want in user.wants if want.facet == facet]
        here = [one for one in readings if one is not None and one.facet == facet]
        facets, hits = _hits(said, wants, here)
        found[facet] = Score(
            facets,
            hits,
            len(here),
            sum(one in wants for one in here),
            len(wants),
            sum(said[want] > 0 for want in wants),
            sum(want in here for want in wants),
        )
    return found


def _hits(said: Mapping[Want, float], wants: Sequence[Want], here: Sequence[Want]) -> tuple[int, int]:
    facets = hits = 0
    for polarity in ("like", "avoid"):
        if any(want.polarity == polarity and said[want] >= ENOUGH for want in wants):
            first = next((one for one in here if one.polarity == polarity), None)
            facets += 1
            hits += first in wants
    return facets, hits
