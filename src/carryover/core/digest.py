"""A coding session on one page, and what in it was a problem or a success."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from carryover.core.clock import Time
from carryover.core.session import Source
from carryover.core.step import Flavor, Spend

# verified: what was done was shown to work (tests went green, or it was committed, pushed, merged).
Outcome = Literal["verified", "unverified", "errored", "abandoned", "unknown"]
SessionKind = Literal["main", "subagent", "fork", "headless"]
DIGEST_VERSION = 1  # raised when the same steps make another digest: all of them are then made anew


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of problem or success in one session.

    `key` says what it is about, without what changes from session to session, so that sessions with the same kind and
    key can be counted together. It happened `count` times; `of` is how often it could have (None: not countable).
    `sources` quote the first few turns that show it.
    """

    kind: str
    key: str
    text: str
    count: int
    of: int | None = None
    good: bool = False
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolUse:
    """How a tool fared: `errors` is None where the flavor does not tell them."""

    calls: int
    errors: int | None = None
    rejected: int | None = None


@dataclass(frozen=True, slots=True)
class Tests:
    """Runs of tests, in the order in which they ended: `arc` is like `red green`, repeated results told once."""

    runs: int = 0
    failed: int | None = None
    arc: str = ""


@dataclass(frozen=True, slots=True)
class FileUse:
    """A file that the session touched, by its path in the repository."""

    path: str
    reads: int = 0
    edits: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """A deterministic account of one coding session: the same steps and the same `version` make the same bytes.

    What the flavor cannot tell is None, and named in `unknown`. Turns, calls and tokens that are copies of another
    session's (`replayed`) count there, not here. `because` are the turns that decided the outcome.
    """

    agent_id: str
    session_id: str
    flavor: Flavor
    version: int
    source_hash: str
    kind: SessionKind = "main"
    parent: str | None = None
    repo: str = ""
    domain: str | None = None
    cwd: str | None = None
    branch: str | None = None
    versions: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    started_at: Time | None = None
    ended_at: Time | None = None
    active_s: int | None = None
    title: str = ""
    goal: str = ""
    result: str = ""
    outcome: Outcome = "unknown"
    confidence: float = 0.0
    because: tuple[Source, ...] = ()
    steps: int = 0
    replayed: int = 0
    prompts: int = 0
    corrections: int = 0
    interrupts: int | None = None
    rejections: int | None = None
    compactions: int | None = None
    tools: Mapping[str, ToolUse] = field(default_factory=dict[str, ToolUse])
    files: tuple[FileUse, ...] = ()
    tests: Tests = Tests()
    commands: tuple[str, ...] = ()
    errors: tuple[Source, ...] = ()
    tokens: Spend | None = None
    peak_tokens: int | None = None
    subagents: int | None = None
    signals: tuple[Signal, ...] = ()
    unknown: tuple[str, ...] = ()
