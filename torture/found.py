"""What a memory holds after all of it, read by the verbs that its users have."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa

from carryover.core.scope import DEFAULT
from carryover.core.session import Session
from carryover.log import read, stream
from carryover.memory import history
from carryover.runtime import Carryover
from carryover.store import check, queue
from carryover.store.tables import turns

_PAGE = 1000


@dataclass(frozen=True)
class Row:
    """A turn in the log."""

    seq: int
    id: str
    key: str | None
    text: str


@dataclass(frozen=True)
class Cited:
    """One source of a finding: the run of turns, and what is quoted from it."""

    session: str
    first: int
    last: int
    quote: str


@dataclass(frozen=True)
class Snap:
    """A snapshot, and what its findings cite."""

    version: int
    through: int
    cited: tuple[Cited, ...] = ()


@dataclass
class Found:
    """Logs, heads, snapshots and events by session; `events` are (action, detail) in the order of the commits."""

    rows: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])
    versions: dict[str, int] = field(default_factory=dict[str, int])
    snapshots: dict[str, list[Snap]] = field(default_factory=dict[str, list[Snap]])
    events: dict[str, list[tuple[str, dict[str, int]]]] = field(
        default_factory=dict[str, list[tuple[str, dict[str, int]]]]
    )
    stored: int = 0  # turns that lie in the table, whoever they belong to
    left: list[str] = field(default_factory=list[str])  # jobs that are due or running though all is quiet
    dead: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])


def look(memory: Carryover) -> Found:
    """All that is judged; nobody writes meanwhile."""
    found, store, scope = Found(), memory.engine.store, memory.scope
    for head in _sessions(memory):
        name = head.session_id
        found.versions[name] = head.version
        # One turn more than the head tells would be found as well.
        log = read.every(store, scope, DEFAULT, name, head.version + 1)
        found.rows[name] = [Row(turn.seq, turn.id, turn.idempotency_key, str(turn.content)) for turn in log]
        found.snapshots[name] = [_snap(memory, name, version) for version in _versions(memory, name)]
    after = 0
    while events := stream.after(store, scope, DEFAULT, after, limit=_PAGE):
        for event in events:
            found.events.setdefault(event.session_id, []).append((event.action, event.detail))
        after = events[-1].id
    with store.read(scope) as tx:
        counted = sa.select(sa.func.count()).select_from(turns).where(turns.c.tenant == tx.tenant)
        found.stored = tx.conn.execute(counted).scalar_one()
        for job in queue.listed(tx, limit=_PAGE):
            told = f"{job.kind} {job.subject}: {job.reason or 'no reason'}"
            if job.dead_at is not None:
                found.dead.append(told)
            elif job.due <= tx.now:
                found.left.append(told)
    found.faults = [f"{fault.check}: {fault.detail}" for fault in check.check(store)]
    return found


def settled(memory: Carryover, timeout_s: float = 90) -> None:
    """All sessions are closed, and what was due has been done, or is dead; or the time is over.

    The memory must be working.
    """
    for head in _sessions(memory):
        if head.status != "closed":
            memory.close_session(head.session_id)
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        memory.engine.worker.wake()
        with memory.engine.store.read(memory.scope) as tx:
            counts = queue.counts(tx)
            soon = any(job.due <= tx.now + 60_000 for job in queue.listed(tx, "armed"))
        if counts["due"] == counts["running"] == 0 and not soon:
            return
        time.sleep(0.05)


def _sessions(memory: Carryover) -> Iterator[Session]:
    cursor = None
    while True:
        page, cursor = memory.sessions(limit=100, cursor=cursor)
        yield from page
        if cursor is None:
            return


def _versions(memory: Carryover, session: str) -> list[int]:
    return sorted(snap.version for snap in memory.snapshots(session, limit=_PAGE))


def _snap(memory: Carryover, session: str, version: int) -> Snap:
    snap = history.snapshot(memory.engine.store, memory.scope, DEFAULT, session, version)
    sources = [source for finding in snap.findings for source in finding.sources]
    return Snap(version, snap.through, tuple(Cited(s.session_id, s.first, s.last, s.quote) for s in sources))
