"""The queue of background work: one row per tenant, kind and subject; its due time is the lock.

A lease is a fence: whatever a worker saves, it saves in the transaction that ends its lease, or not at all.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

from carryover.core.errors import LeaseLost, NotFound
from carryover.core.job import Job, State
from carryover.core.scope import EVERY_TENANT
from carryover.core.text import clean
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
    fixed: dict[str, Any] = {"tenant": tx.tenant, "revision": 1, "attempt": 0, "waiting": False}
    # In one order, so that two transactions never wait for each other.
    rows: list[dict[str, Any]] = [
        {**fixed, "kind": kind, "subject": subject, "due": due, "push": push}
        for kind, subject, due, push in sorted(items)
    ]
    if rows:
        hot.write(tx.conn, _arming(tx.dialect), rows)
        tx.due.update(row["kind"] for row in rows if row["push"] and row["due"] <= tx.now)


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


@dataclass(frozen=True, slots=True)
class Due:
    """A tenant that has jobs to be claimed: since when the oldest waits, and how many there are."""

    tenant: str
    since: int
    jobs: int


def tenants_due(tx: Tx, kinds: Sequence[str], limit: int) -> list[Due]:
    """The tenants that have claimable jobs of these kinds, the one that waits longest first.

    In `EVERY_TENANT` it looks at all of them, in one walk along the index of due times; else at its own.
    """
    since = sa.func.min(jobs.c.due).label("since")
    wanted = sa.select(jobs.c.tenant, since, sa.func.count()).where(*_of(tx), *_claimable(tx, kinds))
    wanted = wanted.group_by(jobs.c.tenant).order_by(since).limit(limit)
    return [Due(*row) for row in tx.conn.execute(wanted, {"at": tx.now})]


def claim(tx: Tx, kinds: Sequence[str], *, lease_ms: int, subject: str | None = None) -> Job | None:
    """The tenant's job that has been due longest, leased to the caller; None when nothing is due."""
    return next(iter(claim_batch(tx, kinds, lease_ms=lease_ms, most=1, subject=subject)), None)


def claim_batch(tx: Tx, kinds: Sequence[str], *, lease_ms: int, most: int, subject: str | None = None) -> list[Job]:
    """At most `most` of the tenant's jobs that have been due longest, oldest first, leased to the caller."""
    asked = [jobs.c.tenant == tx.tenant, *_claimable(tx, kinds)]
    if subject is not None:
        asked.append(jobs.c.subject == subject)
    first = (
        sa.select(jobs.c.kind, jobs.c.subject)
        .where(*asked)
        .order_by(jobs.c.due)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte("first")
        .prefix_with("MATERIALIZED")
    )
    take = (
        jobs.update()
        .where(jobs.c.tenant == tx.tenant, jobs.c.kind == first.c.kind, jobs.c.subject == first.c.subject)
        .values(lease=_new_lease(tx), leased_until=tx.now + lease_ms, attempt=jobs.c.attempt + 1, waiting=False)
        .returning(*_COLUMNS)
    )
    return sorted((_job(row) for row in tx.conn.execute(take, {"at": tx.now})), key=lambda job: job.due)


def _claimable(tx: Tx, kinds: Sequence[str]) -> tuple[sa.ColumnElement[bool], ...]:
    return (jobs.c.due <= tx.now, jobs.c.kind.in_(kinds), jobs.c.dead_at.is_(None), _FREE)


def _new_lease(tx: Tx) -> str:
    """Who holds it, since when, and what makes it one of its kind."""
    return f"{socket.gethostname()}:{os.getpid()}/{tx.now}/{secrets.token_hex(6)}"


def free_orphans(tx: Tx) -> int:
    """Jobs that processes of this machine held which are no more can be claimed at once; how many there were.

    A process that was killed lets go of nothing: without this, who comes after it waits for the lease to lapse.
    """
    held = sa.select(jobs.c.kind, jobs.c.subject, jobs.c.lease).where(
        jobs.c.tenant == tx.tenant, jobs.c.leased_until > tx.now, jobs.c.lease.startswith(f"{socket.gethostname()}:")
    )
    orphans = [row for row in tx.conn.execute(held) if not _lives(row.lease)]
    for kind, subject, lease in orphans:
        here = (jobs.c.tenant == tx.tenant, jobs.c.kind == kind, jobs.c.subject == subject, jobs.c.lease == lease)
        tx.conn.execute(jobs.update().where(*here).values(leased_until=tx.now))
    return len(orphans)


def _lives(lease: str) -> bool:
    """Whether the process that took the lease is there; one that cannot be told is taken to be."""
    try:
        os.kill(int(lease.partition("/")[0].rpartition(":")[2]), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True
    return True


def any_due(tx: Tx, kinds: Sequence[str]) -> bool:
    """Whether the tenant has a job of these kinds that could be claimed now; looking takes no lock."""
    wanted = sa.select(jobs.c.kind).where(jobs.c.tenant == tx.tenant, *_claimable(tx, kinds))
    return tx.conn.execute(wanted.limit(1), {"at": tx.now}).first() is not None


def renew(tx: Tx, held: Iterable[Job], *, lease_ms: int) -> list[Job]:
    """These leases last until now + `lease_ms`; which of them are not the caller's any more."""
    change = jobs.update().values(leased_until=tx.now + lease_ms)
    return [job for job in held if tx.conn.execute(change.where(*_mine(tx, job))).rowcount == 0]


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
    _only_mine(tx, job, jobs.update().values(lease=None, leased_until=None, reason=clean(reason), **state))


def wait(tx: Tx, job: Job, reason: str, *, until: int) -> None:
    """The job waits for a cap to be renewed; that is no failed attempt."""
    _only_mine(
        tx,
        job,
        jobs.update().values(lease=None, leased_until=None, attempt=0, waiting=True, due=until, reason=clean(reason)),
    )


def put_back(tx: Tx, held: Iterable[Job]) -> None:
    """These jobs are as if they had not been claimed, where they are still the caller's: others may have them now."""
    change = jobs.update().values(lease=None, leased_until=None, attempt=jobs.c.attempt - 1)
    for job in held:
        tx.conn.execute(change.where(*_mine(tx, job)))


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
    return listed(tx, "dead", limit)


def listed(tx: Tx, state: State | None = None, limit: int = 100) -> list[Job]:
    """Jobs in this state (None: in any), of the tenant or in `EVERY_TENANT` of all: the dead newest first, then
    those that have been due longest.
    """
    wanted = sa.select(*_COLUMNS).where(*_of(tx)).order_by(jobs.c.dead_at.desc().nulls_last(), jobs.c.due)
    if state is not None:
        wanted = wanted.where(_states(tx.now)[state])
    if state == "stuck":
        found = (_job(row) for row in tx.conn.execute(wanted))
        return list(islice((job for job in found if job.state(tx.now) == "stuck"), limit))
    return [_job(row) for row in tx.conn.execute(wanted.limit(limit))]


def revive(tx: Tx, kind: str, subject: str) -> None:
    """A dead job is due now. Raises NotFound when there is none."""
    if _revived(tx, *_is(tx, kind, subject)) == 0:
        raise NotFound(f"there is no dead job {kind} of {subject!r}; list them with `carryover queue dead`")


def revive_all(tx: Tx) -> int:
    """All dead jobs of the tenant, or in `EVERY_TENANT` of all tenants, are due now; how many there were."""
    return _revived(tx, *_of(tx))


def _revived(tx: Tx, *which: sa.ColumnElement[bool]) -> int:
    living = jobs.update().where(*which, jobs.c.dead_at.is_not(None))
    return tx.conn.execute(living.values(dead_at=None, attempt=0, due=tx.now, reason=None)).rowcount


def counts(tx: Tx) -> dict[str, int]:
    """How many jobs of the tenant are due, running, dead, or waiting for a cap."""
    states = _states(tx.now)
    shown = ("due", "running", "dead", "waiting")
    columns = [sa.func.count(sa.case((states[name], 1))).label(name) for name in shown]
    row = tx.conn.execute(sa.select(*columns).where(jobs.c.tenant == tx.tenant)).one()
    return dict(zip(shown, row, strict=True))


def _states(now: int) -> dict[State, sa.ColumnElement[bool]]:
    # A lease of NULL compares as NULL; coalesce makes that "not running".
    running = sa.func.coalesce(jobs.c.leased_until > now, False)
    alive = jobs.c.dead_at.is_(None)
    return {
        "armed": sa.and_(alive, sa.not_(running), jobs.c.due > now, sa.not_(jobs.c.waiting)),
        "due": sa.and_(alive, sa.not_(running), jobs.c.due <= now),
        "running": sa.and_(alive, running),
        "dead": sa.not_(alive),
        "waiting": sa.and_(alive, jobs.c.waiting),
        "stuck": sa.and_(alive, jobs.c.lease.is_not(None)),  # and more, that only `Job.state` can tell
    }


_COLUMNS = [jobs.c[name] for name in Job.__dataclass_fields__]
_GET = sa.select(*_COLUMNS).where(*(jobs.c[name] == sa.bindparam(name) for name in _KEY))


def _is(tx: Tx, kind: str, subject: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (jobs.c.tenant == tx.tenant, jobs.c.kind == kind, jobs.c.subject == subject)


def _of(tx: Tx) -> tuple[sa.ColumnElement[bool], ...]:
    """The rows that the transaction is about: its tenant's, or everybody's."""
    return () if tx.scope == EVERY_TENANT else (jobs.c.tenant == tx.tenant,)


def _mine(tx: Tx, job: Job) -> tuple[sa.ColumnElement[bool], ...]:
    return (*_is(tx, job.kind, job.subject), jobs.c.lease == job.lease)


def _only_mine(tx: Tx, job: Job, change: sa.Update) -> None:
    if tx.conn.execute(change.where(*_mine(tx, job))).rowcount == 0:
        raise LeaseLost(f"another worker holds {job.kind} of {job.subject!r} now; this result was dropped")


def _job(row: Any) -> Job:
    return Job(*row)
