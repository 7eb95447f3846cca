"""Usage: what was consumed, and what is reserved against the daily caps."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

import sqlalchemy as sa

from carryover.core.clock import DAY_MS, day_of
from carryover.core.errors import OverBudget
from carryover.core.ids import new_id
from carryover.core.job import Job
from carryover.core.usage import Cap, Group, Usage, UsageTotal
from carryover.store import counters
from carryover.store.store import Tx
from carryover.store.tables import jobs, usages

SOON_MS = 30_000
_NANO = Decimal(10) ** 9
_SUMS = ("calls", "tokens_in", "tokens_out", "cache_read", "cache_write", "money", "turns_covered", "tokens_saved")


def reserve(tx: Tx, job: Job, estimate: Usage, cap: Cap) -> str:
    """The estimate is held against the tenant's caps of this UTC day; the reservation's id.

    What is settled and what is reserved are added in one write transaction, so no number of workers can pass a
    cap together. Raises OverBudget when this job would, with `until`: the next UTC midnight, or soon where only the
    reservations of jobs that run now are in the way, which mostly hold more than those jobs will use.
    """
    counters.bump(tx, "reservations")  # whoever else reserves for the tenant waits here until this is committed
    settled, held = _today(tx)
    today = settled.plus(held)
    tomorrow, soon = day_of(tx.now) + DAY_MS, tx.now + SOON_MS
    if cap.tokens is not None and today.tokens + estimate.tokens > cap.tokens:
        until = soon if settled.tokens + estimate.tokens <= cap.tokens else tomorrow
        state = f"{today.tokens} used or held, {estimate.tokens} needed"
        raise _over(job, f"{cap.tokens} tokens", state, until, never=estimate.tokens > cap.tokens)
    if cap.money is not None and today.money + estimate.money > cap.money:
        until = soon if settled.money + estimate.money <= cap.money else tomorrow
        state = f"${today.money} used or held, ${estimate.money} needed"
        raise _over(job, f"${cap.money}", state, until, never=estimate.money > cap.money)
    return _add(tx, job, estimate, settled=False, saved=False)


def record(tx: Tx, job: Job, usage: Usage, *, reservation: str | None = None, saved: bool = True) -> None:
    """What the job consumed is on the tenant's account, in place of its reservation and on the day of it.

    A job that consumed nothing and covered nothing leaves no row.
    """
    # Settled once: a save whose outcome was unknown may have done it already, and then was right.
    mine = (usages.c.tenant == tx.tenant, usages.c.id == reservation, usages.c.settled.is_(False))
    if not any(_values(usage).values()):
        tx.conn.execute(usages.delete().where(*mine))
    elif reservation is None:
        _add(tx, job, usage, settled=True, saved=saved)
    else:
        # The row keeps the session it names: an erasure meanwhile has taken the name away.
        settled = {"settled": True, "saved": saved, "model": usage.model, **_values(usage)}
        tx.conn.execute(usages.update().where(*mine).values(settled))


def of_run(tx: Tx, agent: str, session: str, at: int) -> Usage | None:
    """What the consolidation of the session consumed that was saved at this time.

    Runs of one session follow each other, so of those that came to something it is the last that had begun by then.
    """
    columns = [usages.c.model, *(usages.c[name] for name in _SUMS)]
    mine = (usages.c.tenant == tx.tenant, usages.c.agent == agent, usages.c.session == session)
    wanted = sa.select(*columns).where(*mine, usages.c.kind == "consolidate", usages.c.saved, usages.c.at <= at)
    row = tx.conn.execute(wanted.order_by(usages.c.at.desc()).limit(1)).first()
    return None if row is None else _usage(row[0], row[1:])


def spent(tx: Tx, at: int) -> Usage:
    """Settled usage of the UTC day that `at` lies in."""
    return _sum(tx, day_of(at), day_of(at) + DAY_MS, settled=True)


def reserved(tx: Tx, at: int) -> Usage:
    """Reservations of that day: of jobs that run now, and of workers that died and may have made their calls."""
    return _sum(tx, day_of(at), day_of(at) + DAY_MS, settled=False)


def totals(tx: Tx, since: int, until: int, group: Group) -> list[UsageTotal]:
    """Usage of the period that came to something, by group, largest first."""
    by: dict[Group, sa.Column[Any]] = {"tenant": usages.c.tenant, "agent": usages.c.agent, "job": usages.c.kind}
    column = by[group]
    wanted = (
        sa.select(column, sa.func.count().label("jobs"), sa.func.max(usages.c.model).label("model"), *_summed())
        .where(
            usages.c.tenant == tx.tenant, usages.c.at >= since, usages.c.at < until, usages.c.settled, usages.c.saved
        )
        .group_by(column)
        .order_by(sa.func.sum(usages.c.money).desc(), sa.func.count().desc(), column)
    )
    if tx.scope.agent is not None:
        wanted = wanted.where(usages.c.agent == tx.scope.agent)
    return [UsageTotal(group=row[0], jobs=row[1], usage=_usage(row[2], row[3:])) for row in tx.conn.execute(wanted)]


def forget_reservations(tx: Tx, *, before: int) -> None:
    """Reservations of any tenant that were made before then are gone."""
    tx.conn.execute(
        usages.delete().where(usages.c.tenant.is_not(None), usages.c.at < before, usages.c.settled.is_(False))
    )


def waiting(tx: Tx) -> int:
    """How many jobs wait because they would pass a cap."""
    wanted = sa.select(sa.func.count()).where(jobs.c.tenant == tx.tenant, jobs.c.waiting)
    return tx.conn.execute(wanted).scalar_one()


def _over(job: Job, cap: str, state: str, until: int, *, never: bool) -> OverBudget:
    """`never`: it alone needs more than the whole day may."""
    waits = "it waits until the cap is higher" if never else "it waits until midnight UTC or a higher cap"
    return OverBudget(
        f"{job.kind} of {job.subject!r} would pass the cap of {cap} a day ({state}); {waits}", until=until
    )


def _today(tx: Tx) -> tuple[Usage, Usage]:
    """What is settled and what is reserved, in one look: a job that settles meanwhile is in one of the two."""
    since = day_of(tx.now)
    wanted = sa.select(usages.c.settled, *_summed()).where(
        usages.c.tenant == tx.tenant, usages.c.at >= since, usages.c.at < since + DAY_MS
    )
    by = {row[0]: _usage("", row[1:]) for row in tx.conn.execute(wanted.group_by(usages.c.settled))}
    return by.get(True, Usage()), by.get(False, Usage())


def _sum(tx: Tx, since: int, until: int, *, settled: bool) -> Usage:
    wanted = sa.select(*_summed()).where(
        usages.c.tenant == tx.tenant, usages.c.at >= since, usages.c.at < until, usages.c.settled == settled
    )
    return _usage("", tx.conn.execute(wanted).one())


def _summed() -> list[Any]:
    return [sa.func.coalesce(sa.func.sum(usages.c[name]), 0).label(name) for name in _SUMS]


def _usage(model: str, row: Sequence[Any]) -> Usage:
    values = {name: int(value) for name, value in zip(_SUMS, row, strict=True)}
    return Usage(model=model, money=Decimal(values.pop("money")) / _NANO, **values)


def _add(tx: Tx, job: Job, usage: Usage, *, settled: bool, saved: bool) -> str:
    id = new_id("use")
    row = {
        "tenant": tx.tenant,
        "id": id,
        "at": tx.now,
        "settled": settled,
        "saved": saved,
        "kind": job.kind,
        "agent": job.agent_id,
        "session": job.session_id,
        "model": usage.model,
        **_values(usage),
    }
    tx.conn.execute(sa.insert(usages).values(row))
    return id


def _values(usage: Usage) -> dict[str, int]:
    # Rounded up: what is reserved is never less than what was asked for.
    billionths = (usage.money * _NANO).to_integral_value(ROUND_CEILING)
    return {name: getattr(usage, name) for name in _SUMS} | {"money": int(billionths)}
