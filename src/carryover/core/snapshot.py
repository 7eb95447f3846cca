"""What is derived from a session: findings, and the snapshots that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from carryover.core.clock import Time
from carryover.core.session import Role, Source
from carryover.core.verdict import Verdict

FindingKind = Literal["decision", "fact", "task"]
FindingStatus = Literal["open", "done", "active", "superseded"]
FINDING_KINDS: tuple[FindingKind, ...] = ("decision", "fact", "task")


@dataclass(frozen=True, slots=True)
class Finding:
    """One extracted statement. Tasks are open, then done; decisions and facts are active, then superseded.

    `subject` names what it is about, in normal form: a later finding of the same kind and subject replaces it.
    `pinned` marks what must not be lost from a context: standing instructions and preferences of the user.
    """

    id: str
    kind: FindingKind
    text: str
    status: FindingStatus
    learned_at: Time
    sources: tuple[Source, ...]
    by: str
    agent_id: str = ""
    session_id: str = ""
    subject: str = ""
    salience: float = 0.0
    pinned: bool = False
    valid_from: Time | None = None
    valid_to: Time | None = None
    superseded_by: str | None = None
    reason: str | None = None  # why its status is no longer the first one

    @property
    def live(self) -> bool:
        return self.status in ("open", "active")


@dataclass(frozen=True, slots=True)
class Found:
    """A statement that an extractor proposes, not yet merged; `quote` stands in turn `first`..`last`."""

    kind: FindingKind
    text: str
    quote: str
    first: int
    last: int
    subject: str = ""
    salience: float = 0.0
    pinned: bool = False
    valid_from: Time | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A finding that later turns closed: a task done or dropped, a fact or decision that no longer holds.

    It is an earlier one by its id, or, where `finding_id` is "", the one at place `found` of the same extraction;
    `replaced_by` is the place of the statement that stands instead.
    """

    finding_id: str
    status: FindingStatus
    quote: str
    first: int
    last: int
    reason: str
    found: int | None = None
    replaced_by: int | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extractor makes of a run of turns; `dropped` counts proposals whose quote was not in the turns."""

    found: tuple[Found, ...] = ()
    closed: tuple[Closed, ...] = ()
    summary: str = ""
    by: str = "rules"
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Theme:
    """A word or two that people say in a session, and in how many turns."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All findings of a session as of turn `through`, and its themes; immutable, versioned from 1.

    `by` is the name of the extractor that made it, `extractor` which version of it ("" where nobody wrote it down).
    """

    session_id: str
    agent_id: str
    version: int
    through: int
    created_at: Time
    by: str
    summary: str
    findings: tuple[Finding, ...] = ()
    extractor: str = ""
    themes: tuple[Theme, ...] = ()

    def of(self, kind: FindingKind) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.kind == kind)


def nothing(agent_id: str, session_id: str) -> Snapshot:
    """What is known before the first snapshot: version 0, through turn 0."""
    return Snapshot(session_id, agent_id, version=0, through=0, created_at=0, by="", summary="")


@dataclass(frozen=True, slots=True)
class Change:
    """How one finding differs between two snapshots: `added`, `changed` (with why) or `removed`."""

    change: Literal["added", "changed", "removed"]
    finding: Finding
    before: FindingStatus | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed from snapshot `a` to snapshot `b` of one session, and why."""

    session_id: str
    a: int
    b: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Cited:
    """A source, the turn in which its quote stands, and what stands around the quote there.

    `seq` is None where no turn of the source says it, or what it said is gone.
    """

    source: Source
    seq: int | None = None
    role: Role | None = None
    name: str | None = None
    said_at: Time | None = None
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class FindingDetail:
    """A finding with what it replaced and what replaced it.

    `cited` shows each of its sources in its turn, `ended` the turn that closed it. `chain` is all that it replaced and
    was replaced by, over sessions, itself included, oldest first. Without a `verdict` it was not checked yet.
    """

    finding: Finding
    supersedes: tuple[Finding, ...]
    superseded_by: Finding | None
    why: str
    cited: tuple[Cited, ...] = ()
    ended: Cited | None = None
    chain: tuple[Finding, ...] = ()
    verdict: Verdict | None = None
