"""Everything that was derived from one turn."""

from __future__ import annotations

from dataclasses import dataclass

from carryover.core.chunk import ChunkKind
from carryover.core.clock import Time
from carryover.core.context import Reach
from carryover.core.session import Kind, Role
from carryover.core.snapshot import Finding
from carryover.core.usage import Usage
from carryover.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Derived:
    """A finding that stands on the turn, as it is known now, and the first snapshot that held it with this source."""

    finding: Finding
    snapshot: int
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Covered:
    """The snapshot that was the first to take the turn in, and what that run consumed (None: not to be seen)."""

    version: int
    through: int
    created_at: Time
    by: str
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Indexed:
    """A chunk of the turn, or of a finding that stands on it; `spaces` are those in which it has a vector."""

    kind: ChunkKind
    ref: str
    part: int
    parts: int
    spaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A turn and what became of it. `text` is its beginning; without a `turn_id` its content is gone.

    `closed` are findings that this turn ended, in its own session or another. `indexed` says whether the text index
    has come as far as this turn. `in_reach` names the scopes in which a context of the same agent and user draws on
    the session now.
    """

    session_id: str
    agent_id: str
    seq: int
    turn_id: str | None
    role: Role | None
    kind: Kind | None
    name: str | None
    said_at: Time | None
    text: str
    covered: Covered | None
    findings: tuple[Derived, ...]
    closed: tuple[Finding, ...]
    indexed: bool
    chunks: tuple[Indexed, ...]
    in_reach: tuple[Reach, ...]
