"""Patterns: what recurs over coding sessions, what was decided about it, where it was told, and whether it helped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from carryover.core.clock import Time

PatternState = Literal["candidate", "approved", "rejected", "distributed", "measured", "withdrawn"]
PATTERN_STATES: tuple[PatternState, ...] = get_args(PatternState)
Decision = Literal["approve", "reject"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
LEAST = 3  # sessions that show what recurs, unless another number is asked for
Verdict = Literal["helped", "no evidence", "underpowered", "harmful"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Turns of one session that show the pattern, quoted."""

    agent_id: str
    session_id: str
    first: int
    last: int
    quote: str
    repo: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """So many sessions out of so many that could have shown it; it happened `count` times in them."""

    sessions: int
    of: int
    count: int = 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """A cluster of signals over sessions; each change of it is a version, by somebody and for a reason.

    `lesson` is what agents are told once it is distributed. `flavors` and `repos` count sessions over those at risk.
    """

    id: str
    version: int
    state: PatternState
    signal: str
    key: str
    title: str
    lesson: str
    good: bool = False
    cross_flavor: bool = False
    score: float = 0.0
    total: Share = Share(0, 0)
    flavors: Mapping[str, Share] = field(default_factory=dict[str, Share])
    repos: Mapping[str, Share] = field(default_factory=dict[str, Share])
    first_seen: Time | None = None
    last_seen: Time | None = None
    by: str = "detect"
    at: Time = 0
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Exposure:
    """A version of a pattern stands in a file that agents read, since then and (None: still) until then."""

    pattern: str
    version: int
    path: str
    repo: str
    flavor: str
    since: Time
    until: Time | None = None
    block: str = ""  # the hash of what was written
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Effect:
    """What a pattern that was distributed changed, with the interval that holds it; `missing` sessions would tell."""

    pattern: str
    version: int
    at: Time
    verdict: Verdict
    design: str
    measure: str
    before: Share
    after: Share
    estimate: float
    low: float
    high: float
    missing: int = 0
    notes: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a file that agents read, or would: `diff` shows it, `patterns` are those that it tells then.

    There was no room for those `left_out`; those `held_back` are not told in this repository, so that it can be
    compared with those where they are.
    """

    path: str
    repo: str
    state: Literal["new", "changed", "unchanged", "removed"]
    diff: str
    patterns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    held_back: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where a pattern is told over the API (no `repos`: in all that the settings name), and how.

    `lines` and `tokens` bound each block. With a `share` below 1 it is told in that share of the repositories, drawn by
    `seed`. `effect` is the smallest change of interest, measured for `days` at most. A `dry_run` writes nothing.
    """

    repos: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    skill: str | None = None
    all_flavors: bool = False
    seen_here: bool = False
    lines: int = 24
    tokens: int = 800
    share: float = 1.0
    seed: int = 0
    effect: float = 0.5
    days: int = 90
    force: bool = False
    dry_run: bool = False
