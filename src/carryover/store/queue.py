"""The queue of background work: one row per tenant, kind and subject; its due time is the lock.

A lease is a fence: whatever a worker saves, it saves in the transaction that ends its lease, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from carryover.core.errors import LeaseLost, NotFound
from carryover.core.ids import new_id
from carryover.core.job import Job
from carryover.store import hot
from carryover.store.dialect import Dialect
from carryover.store.store import Tx
from carryover.store.tables import jobs

_KEY = ["tenant", "kind", "subject"]
_ARMED = (*_KEY, "due", "revision", "attempt", "waiting")
_FREE = sa.or_(jobs.c.leased_until.is_(None), jobs.c.leased_until <= sa.bindparam("at", type_=sa.BigInteger))


def arm(tx: Tx, items: Iterable[tuple[str, str, int]], *, push: bool = True) -> None:
    """Each (kind, subject, due) will run at `due`; a dead job lives again.

    With `push` the due time moves to `due` whatever it was: that is how an append keeps a session from being
    consolidated. Without, the earlier of the two stays, and a job that is backing off keeps backing off.
    """
    arm_mixed(tx, [(*item, push) for item in items])


def arm_mixed(tx: Tx, items: Iterable[tuple[str, str, int, bool]]) -> None:
    """As `arm`, in one statement for items of both sorts: (kind, subject, due, push)."""
    fixed = {"tenant": tx.tenant, "revision": 1, "attempt": 0, "waiting": False}
    rows = [{**fixed, "kind": kind, "subject": subject, "due": due, "push": push} for kind, subject, due, push in items]
    if rows:
        hot.write(tx.conn, _arming(tx.dialect), rows)


@lru_cache(maxsize=8)
def _arming(dialect: Dialect) -> Any:
    new = dialect.insert(jobs).values({name: sa.bindparam(name) for name in _ARMED})
    push = sa.bindparam("push", type_=sa.Boolean)
    later = sa.or_(jobs.c.attempt > 0, jobs.c.due < new.excluded.due)
    return new.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "revision": jobs.c.revision + 1,
            "due": sa.case((push, new.excluded.due), (later, jobs.c.due), else_=new.excluded.due),
            "attempt": sa.case((sa.or_(push, jobs.c.dead_at.is_not(None)), 0), else_=jobs.c.attempt),
            "dead_at": None,
            "waiting": sa.and_(sa.not_(push), jobs.c.waiting),
            "reason": sa.case((push, None), else_=jobs.c.reason),
        },
    )


def postpone(tx: Tx, kind: str, subject: str, due: int) -> None:
    """The job runs at `due` if it is armed; where it is not, nothing is armed."""
    tx.conn.execute(
        jobs.update().where(*_is(tx, kind, subject)).values(due=due, waiting=False, revision=jobs.c.revision + 1)
    )


def claim(
    tx: Tx, kinds: Sequence[str], *, lease_ms: int, tenant: str | None = None, subject: str | None = None
) -> Job | None:
    """The job that has been due longest, leased to the caller; None when nothing is due.

    Unless it is told a tenant, the one statement that looks at all of them: a worker serves whoever waits.
    """
    asked = [
        column == value for column, value in ((jobs.c.tenant, tenant), (jobs.c.subject, subject)) if value is not None
    ]
    first = (
        sa.select(jobs.c.tenant, jobs.c.kind, jobs.c.subject)
        .where(jobs.c.due <= tx.now, jobs.c.kind.in_(kinds), jobs.c.dead_at.is_(None), _FREE, *asked)
        .order_by(jobs.c.due)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = tx.conn.execute(first, {"at": tx.now}).first()
    if found is None:
        return None
    take = (
        jobs.update()
        .where(jobs.c.tenant == found.tenant, jobs.c.kind == found.kind, jobs.c.subject == found.subject)
        .values(lease=new_id("lease"), leased_until=tx.now + lease_ms, attempt=jobs.c.attempt + 1, waiting=False)
        .returning(*_COLUMNS)
    )
    return _job(tx.conn.execute(take).one())


def any_due(tx: Tx, kinds: Sequence[str]) -> bool:
    """Whether some tenant has a job of these kinds that could be claimed now."""
    wanted = sa.select(jobs.c.kind).where(jobs.c.due <= tx.now, jobs.c.kind.in_(kinds), jobs.c.dead_at.is_(None), _FREE)
    return tx.conn.execute(wanted.limit(1), {"at": tx.now}).first() is not None


def renew(tx: Tx, job: Job, *, lease_ms: int) -> None:
    """The lease lasts until now + `lease_ms`. Raises LeaseLost when it is not the caller's any more."""
    _only_mine(tx, job, jobs.update().values(leased_until=tx.now + lease_ms))


def finish(tx: Tx, job: Job) -> None:
    """The job is over; if it was armed again meanwhile, it stays and will run again.

    Raises LeaseLost when the lease is not the caller's any more: then nothing of the transaction may be saved.
    """
    over = jobs.delete().where(*_mine(tx, job), jobs.c.revision == job.revision)
    if tx.conn.execute(over).rowcount == 0:
        _only_mine(tx, job, jobs.update().values(lease=None, leased_until=None, attempt=0, reason=None))


def fail(tx: Tx, job: Job, reason: str, *, due: int | None) -> None:
    """The job is tried again at `due`, or is dead (None) and keeps its reason until someone arms it again.

    Where that happened while it ran, it lives on.
    """
    unarmed = jobs.c.revision == job.revision
    state: dict[str, Any] = {"dead_at": sa.case((unarmed, tx.now))} if due is None else {"due": due}
    _only_mine(tx, job, jobs.update().values(lease=None, leased_until=None, reason=reason, **state))


def wait(tx: Tx, job: Job, reason: str, *, until: int) -> None:
    """The job waits for a cap to be renewed; that is no failed attempt."""
    _only_mine(
        tx,
        job,
        jobs.update().values(lease=None, leased_until=None, attempt=0, waiting=True, due=until, reason=reason),
    )


def release(tx: Tx) -> None:
    """Jobs of any tenant that wait for a cap are due now: those that would still pass it will wait again."""
    tx.conn.execute(jobs.update().where(jobs.c.waiting, jobs.c.lease.is_(None)).values(due=tx.now, waiting=False))


def cancel(tx: Tx, subject: str) -> int:
    """No job of this subject is left; how many there were."""
    return tx.conn.execute(jobs.delete().where(jobs.c.tenant == tx.tenant, jobs.c.subject == subject)).rowcount


def get(tx: Tx, kind: str, subject: str) -> Job | None:
    row = tx.conn.execute(_GET, {"tenant": tx.tenant, "kind": kind, "subject": subject}).first()
    return None if row is None else _job(row)


def subjects(tx: Tx, kind: str, *, limit: int) -> set[str]:
    """The subjects of at most `limit` jobs of this kind that are due or running."""
    alive = sa.and_(jobs.c.tenant == tx.tenant, jobs.c.kind == kind, jobs.c.dead_at.is_(None), jobs.c.due <= tx.now)
    return set(tx.conn.execute(sa.select(jobs.c.subject).where(alive).order_by(jobs.c.due).limit(limit)).scalars())


def dead(tx: Tx, limit: int = 100) -> list[Job]:
    """Jobs that gave up, newest first, with their reasons."""
    wanted = sa.select(*_COLUMNS).where(jobs.c.tenant == tx.tenant, jobs.c.dead_at.is_not(None))
    return [_job(row) for row in tx.conn.execute(wanted.order_by(jobs.c.dead_at.desc()).limit(limit))]


def revive(tx: Tx, kind: str, subject: str) -> None:
    """A dead job is due now. Raises NotFound when there is none."""
    done = jobs.update().where(*_is(tx, kind, subject), jobs.c.dead_at.is_not(None))
    if tx.conn.execute(done.values(dead_at=None, attempt=0, due=tx.now, reason=None)).rowcount == 0:
        raise NotFound(f"there is no dead job {kind} of {subject!r}; list them with `carryover doctor`")


def counts(tx: Tx) -> dict[str, int]:
    """How many jobs of the tenant are due, running, dead, or waiting for a cap."""
    # A lease of NULL compares as NULL; coalesce makes that "not running".
    running = sa.func.coalesce(jobs.c.leased_until > tx.now, False)
    alive = jobs.c.dead_at.is_(None)
    states = {
        "due": sa.and_(alive, sa.not_(running), jobs.c.due <= tx.now),
        "running": sa.and_(alive, running),
        "dead": sa.not_(alive),
        "waiting": sa.and_(alive, jobs.c.waiting),
    }
    columns = [sa.func.count(sa.case((is_so, 1))).label(name) for name, is_so in states.items()]
    row = tx.conn.execute(sa.select(*columns).where(jobs.c.tenant == tx.tenant)).one()
    return dict(zip(states, row, strict=True))


_COLUMNS = [jobs.c[name] for name in Job.__dataclass_fields__]
_GET = sa.select(*_COLUMNS).where(*(jobs.c[name] == sa.bindparam(name) for name in _KEY))


def _is(tx: Tx, kind: str, subject: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (jobs.c.tenant == tx.tenant, jobs.c.kind == kind, jobs.c.subject == subject)


def _mine(tx: Tx, job: Job) -> tuple[sa.ColumnElement[bool], ...]:
    return (*_is(tx, job.kind, job.subject), jobs.c.lease == job.lease)


def _only_mine(tx: Tx, job: Job, change: sa.Update) -> None:
    if tx.conn.execute(change.where(*_mine(tx, job))).rowcount == 0:
        raise LeaseLost(f"another worker holds {job.kind} of {job.subject!r} now; this result was dropped")


def _job(row: Any) -> Job:
    return Job(*row)
