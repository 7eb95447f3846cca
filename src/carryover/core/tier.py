"""How much of a finding is told: the tiers of memory, and the steps between them. The log and the snapshots stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from carryover.core.clock import Time

# `full` as it was found, `compressed` to its core, `summarised` in the gist of its period or not at all.
Tier = Literal["full", "compressed", "summarised"]
TIERS: tuple[Tier, ...] = ("full", "compressed", "summarised")


@dataclass(frozen=True, slots=True)
class Held:
    """A live finding that memory still tells, and what weighs for it. `since` numbers its state.

    `told` is what is told of it now, `period` whose gist that is in; `at` is when it counts as said: last, or restored.
    """

    id: str
    since: int
    agent_id: str
    session_id: str
    kind: str
    text: str
    salience: float
    pinned: bool
    said: int  # how many sources it has
    at: Time
    tier: Tier = "full"
    told: str = ""
    period: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """From now on the finding is told as `text` ("" is not at all); `freed` is how many bytes of text that is less.

    `at` is when it counts as said, `period` whose gist tells it, `twin` the finding that says the same and is told
    instead.
    """

    id: str
    since: int
    agent_id: str
    session_id: str
    tier: Tier
    text: str
    at: Time
    freed: int
    period: str = ""
    twin: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How much memory tells of one user with one agent (of those who name none: together).

    Standing wishes and open tasks count, and never move.
    """

    findings: int = 2_000  # told one by one at most
    full: int = 1_000  # of them in full
    full_ms: int | None = None  # said longer ago than this, a finding is compressed however few there are


@dataclass(frozen=True, slots=True)
class Gist:
    """The one line that tells the summarised findings of a month or a year: the strongest of them, as (id, text)."""

    period: str
    parts: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return "; ".join(text.rstrip(" .;") for _, text in self.parts)


@dataclass(frozen=True, slots=True)
class TierCounts:
    """How many findings of a tenant are in each tier, in how many gists, and how many bytes of text that freed."""

    full: int = 0
    compressed: int = 0
    summarised: int = 0
    gists: int = 0
    freed: int = 0
