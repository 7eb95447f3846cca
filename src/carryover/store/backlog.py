"""How much background work there is, of all tenants together: what whoever runs the server watches."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from carryover.core.clock import DAY_MS
from carryover.store.store import Tx
from carryover.store.tables import jobs

MOST = 10_000  # rows that are counted, the first by due time: counts stop growing there


@dataclass(frozen=True, slots=True)
class Backlog:
    """Jobs by state, and for how long the one that has been due longest has waited for a worker."""

    jobs: dict[str, int]
    oldest_ms: int


def backlog(tx: Tx) -> Backlog:
    """The queue of all tenants: due, running, dead, or waiting for a cap, all that is due by tomorrow.

    One statement; the first `MOST` rows by due time are counted.
    """
    near = (
        sa.select(jobs.c.due, jobs.c.leased_until, jobs.c.dead_at, jobs.c.waiting)
        .where(jobs.c.due <= tx.now + DAY_MS)
        .order_by(jobs.c.due)
        .limit(MOST)
        .subquery()
    )
    oldest = (
        sa.select(jobs.c.due)
        .where(jobs.c.due <= tx.now, jobs.c.dead_at.is_(None), _is_free(jobs.c.leased_until, tx.now))
        .order_by(jobs.c.due)
        .limit(1)
        .scalar_subquery()
    )
    alive, free = near.c.dead_at.is_(None), _is_free(near.c.leased_until, tx.now)
    states = {
        "due": sa.and_(alive, free, near.c.due <= tx.now),
        "running": sa.and_(alive, sa.not_(free)),
        "dead": sa.not_(alive),
        "waiting": sa.and_(alive, near.c.waiting),
    }
    counted = [sa.func.count(sa.case((is_so, 1))) for is_so in states.values()]
    *counts, since = tx.conn.execute(sa.select(*counted, oldest)).one()
    return Backlog(dict(zip(states, counts, strict=True)), 0 if since is None else tx.now - since)


def _is_free(leased_until: sa.ColumnElement[int], now: int) -> sa.ColumnElement[bool]:
    # Without a lease the comparison alone would say neither yes nor no.
    return sa.func.coalesce(leased_until, 0) <= now
