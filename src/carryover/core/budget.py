"""How much of coding agents' logs is kept: a plan of what goes first, made of what is held and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from carryover.core.clock import DAY_MS, Time

# How a piece of a log is kept, each with less than the one before it: as it was read; the same bytes packed tighter;
# without records of progress; without what a record says twice; with long outputs of tools cut; not at all.
Tier = Literal["full", "tight", "progress", "duplicates", "outputs", "gone"]
TIERS: tuple[Tier, ...] = get_args(Tier)
Pass = Literal["age", "soft", "hard"]
PASSES: tuple[Pass, ...] = get_args(Pass)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many bytes the archive of a tenant may take, packed; `distilled_cap_bytes` of what was made of it."""

    raw_soft_cap_bytes: int
    raw_hard_cap_bytes: int
    raw_max_age_days: int | None = None
    distilled_cap_bytes: int | None = None

    def target(self, name: Pass) -> int | None:
        """The size at which the pass ends; None for one that goes through to its end."""
        return {"age": None, "soft": self.raw_soft_cap_bytes, "hard": self.raw_hard_cap_bytes}[name]


@dataclass(frozen=True, slots=True)
class Held:
    """A log, as it was before it was rewritten (`superseded`) or as it is; `at` is when it was last written.

    `tier` is that of its fullest piece, `bytes` what its pieces take. It is `digested` when every session in it has
    a digest of all that was read.
    """

    path: str
    generation: int
    flavor: str
    at: Time
    bytes: int
    tier: Tier = "full"
    digested: bool = False
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """A log is to be kept in this tier; at most `bytes` come free, and `loses` says that no digest tells of it."""

    within: Pass
    log: Held
    tier: Tier
    reason: str
    loses: bool = False

    @property
    def bytes(self) -> int:
        return self.log.bytes


@dataclass(frozen=True, slots=True)
class Eviction:
    """Of a log so many pieces are kept in this tier now, why, and how many packed bytes that freed."""

    path: str
    generation: int
    tier: Tier
    reason: str
    pieces: int
    bytes: int


@dataclass(slots=True)
class Evicted:
    """What a run did: packed bytes that came free, the size of the archive now, and what went, by pass.

    `data_loss` are logs that lost something before all of their sessions had been digested.
    """

    freed: int = 0
    final_usage: int = 0
    evictions: dict[Pass, list[Eviction]] = field(default_factory=dict[Pass, list[Eviction]])
    data_loss: list[Eviction] = field(default_factory=list[Eviction])
    alarms: list[str] = field(default_factory=list[str])


def plan(held: Iterable[Held], budget: Budget, now: Time) -> Iterator[Drop]:
    """What goes, in this order, each pass until its target is met (`Budget.target`): whoever carries it out counts.

    First what is too old. Then nothing is lost as long as packing tighter is enough; then what was rewritten goes, and
    of logs that were digested one thing after the other, the oldest log first, at last all of it. Logs that were not
    digested come last, and only where the hard cap would be passed.
    """
    logs = sorted(held, key=lambda log: (log.at, log.path, log.generation))
    digested = [log for log in logs if log.digested]
    if budget.raw_max_age_days is not None:
        since = now - budget.raw_max_age_days * DAY_MS
        for log in digested:
            if log.at < since:
                yield Drop("age", log, "gone", f"older than {budget.raw_max_age_days} days")
    for log in logs:
        if log.tier == "full":
            yield Drop("soft", log, "tight", "packed tighter")
    for log in digested:
        if log.superseded:
            yield Drop("soft", log, "gone", "rewritten since")
    for tier, reason in _TAKEN:
        for log in digested:
            if TIERS.index(log.tier) < TIERS.index(tier):
                yield Drop("soft", log, tier, reason)
    for log in sorted(logs, key=lambda log: not log.superseded):
        if not log.digested:
            yield Drop("hard", log, "gone", "not digested, and the hard cap is reached", loses=True)


_TAKEN: tuple[tuple[Tier, str], ...] = (
    ("progress", "records of progress"),
    ("duplicates", "what records say twice"),
    ("outputs", "long outputs of tools"),
    ("gone", "digested, and the oldest"),
)
