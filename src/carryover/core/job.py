"""One unit of background work."""

from __future__ import annotations

from dataclasses import dataclass

from carryover.core.clock import Time
from carryover.core.scope import Scope


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the queue as a worker claimed it: one per tenant, kind and subject.

    `revision` counts how often the job was armed: when it moved on while a worker thought, the row stays.
    """

    tenant: str
    kind: str
    subject: str
    due: Time
    revision: int
    attempt: int = 0
    lease: str | None = None
    leased_until: Time | None = None
    dead_at: Time | None = None
    reason: str | None = None  # why it failed last, is dead, or waits

    @property
    def scope(self) -> Scope:
        return Scope(self.tenant)

    @property
    def agent_id(self) -> str:
        return self.subject.partition("/")[0]

    @property
    def session_id(self) -> str:
        return self.subject.partition("/")[2]


def subject_of(agent_id: str, session_id: str) -> str:
    """The subject of a session's jobs; ids hold no slash."""
    return f"{agent_id}/{session_id}"
