"""How the extractors of a tenant stand: the one that its memory is made with, and those that would take its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from carryover.core.clock import Time

# A `candidate` is being compared with the one that is promoted now; `former` was promoted once. `away` was, too: it
# could not be had any more, and takes its place back when it can.
Standing = Literal["promoted", "candidate", "refused", "former", "away"]
Decision = Literal["promote", "refuse", "try"]


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one snapshot: which questions it answers, which details of the turns it keeps, and how many it made up."""

    asked: int = 0
    answered: int = 0
    said: int = 0  # details (numbers, names, dates, identifiers) in what people and agents said
    kept: int = 0
    unsupported: int = 0  # details that the turns of their finding lack

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.asked + other.asked,
            self.answered + other.answered,
            self.said + other.said,
            self.kept + other.kept,
            self.unsupported + other.unsupported,
        )

    @property
    def score(self) -> float | None:
        """The share of questions that it answers; None where there are none to ask."""
        return self.answered / self.asked if self.asked else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two snapshots of each of so many sessions: as it is (`before`), and as the candidate makes it (`after`)."""

    sessions: int = 0
    before: Tally = Tally()
    after: Tally = Tally()


@dataclass(frozen=True, slots=True)
class ExtractorState:
    """An extractor by its name with its version, as `rules/2`, and how it stands with the tenant since when.

    `score` is the share of questions that its snapshots answer, `against` the one that it was compared with.
    """

    name: str
    state: Standing
    since: Time
    score: float | None
    against: str
    reason: str
    comparison: Comparison
