"""One unit of background work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from carryover.core.clock import Time
from carryover.core.scope import Scope

# `armed` is due later; `waiting` for a cap to be renewed; `stuck` is held far too long, or ends every process.
State = Literal["armed", "due", "running", "waiting", "dead", "stuck"]
LONG_MS = 3_600_000  # no job should need as long
CRASHES = 3  # attempts whose process ended before it could say anything


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
    lease: str | None = None  # host:pid/time/random, see `queue.claim_batch`
    leased_until: Time | None = None
    dead_at: Time | None = None
    reason: str | None = None  # why it failed last, is dead, or waits
    waiting: bool = False  # for a daily cap to be renewed

    @property
    def holder(self) -> str | None:
        """Who has the lease: `host:pid`."""
        return None if self.lease is None else self.lease.split("/")[0]

    @property
    def claimed_at(self) -> Time | None:
        """When its lease was given out: a lease that is renewed keeps its name."""
        return None if self.lease is None else int(self.lease.split("/")[1])

    def state(self, now: Time) -> State:
        """What has become of it by now."""
        if self.dead_at is not None:
            return "dead"
        if self.lease is not None and self.leased_until is not None and self.leased_until > now:
            return "stuck" if (self.claimed_at or now) < now - LONG_MS else "running"
        if self.lease is not None and self.attempt >= CRASHES:
            return "stuck"
        if self.due <= now:
            return "due"
        return "waiting" if self.waiting else "armed"

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
