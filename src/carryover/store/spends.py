"""What calls of coding agents' models consumed: each call once, however many records and sessions repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from carryover.core.clock import DAY_MS, Time
from carryover.core.step import Spend, uid
from carryover.core.text import clean
from carryover.store import hot, origins
from carryover.store.coding_tables import spends
from carryover.store.dialect import Dialect
from carryover.store.store import Tx

WEEK_MS = 7 * DAY_MS
_LONGEST_MODEL = 200  # characters of a model's name
_TO_MONDAY = 3 * DAY_MS  # the first of January 1970 was a Thursday
_NUMBERS = ("input", "cache_read", "cache_write", "output", "reasoning")
_PERHAPS = ("cost", "window")
_FIELDS = ("at", "model", *_NUMBERS, *_PERHAPS)
_mine, _all = spends.alias("mine"), spends.alias("every")


@dataclass(frozen=True, slots=True)
class Week:
    """What calls of one model consumed in the week that begins `at`; `cost` is None where no log tells it."""

    at: Time
    model: str
    calls: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    cost: int | None


def put(tx: Tx, spent: Sequence[tuple[str, str, Spend]]) -> None:
    """Each (agent, session, spend) is known; of two records of one call the most of each number counts."""
    rows: dict[tuple[bytes, str, str], dict[str, Any]] = {}
    for agent, session, spend in spent:
        row = {name: getattr(spend, name) for name in _FIELDS}
        at = key_of(spend), agent, session
        row |= {"tenant": tx.tenant, "key": at[0], "agent": agent, "session": session}
        row["model"] = None if spend.model is None else clean(spend.model)[:_LONGEST_MODEL]
        known = rows.get(at)
        rows[at] = row if known is None else _most(known, row)
    if rows:  # in one order, so that two transactions never wait for each other
        hot.write(tx.conn, _putting(tx.dialect), [rows[at] for at in sorted(rows)])


def key_of(spend: Spend) -> bytes:
    """What tells the call apart from all others."""
    return bytes.fromhex(uid(spend.key))


def of_session(tx: Tx, agent: str, session: str) -> list[Spend]:
    """What the session itself spent, in the order of its calls; what an earlier one did and it repeats is left out.

    Keys are hashes of those that were given.
    """
    wanted = sa.select(_all.c.key, _all.c.agent, _all.c.session, *(_all.c[name] for name in _FIELDS)).where(
        _mine.c.tenant == tx.tenant,
        _mine.c.agent == agent,
        _mine.c.session == session,
        _all.c.tenant == _mine.c.tenant,
        _all.c.key == _mine.c.key,
    )
    by_key: dict[bytes, list[Any]] = {}
    for row in tx.conn.execute(wanted):
        by_key.setdefault(bytes(row.key), []).append(row)
    ranks = origins.ranks(tx, sorted({(row.agent, row.session) for rows in by_key.values() for row in rows}))
    found: list[Spend] = []
    for key, rows in by_key.items():
        if min(ranks[row.agent, row.session] for row in rows) != ranks[agent, session]:
            continue
        merged = {name: getattr(rows[0], name) for name in _FIELDS}
        for row in rows[1:]:
            merged = _most(merged, {name: getattr(row, name) for name in _FIELDS})
        found.append(Spend(key.hex(), **merged))
    return sorted(found, key=lambda spend: (spend.at is None, spend.at or 0, spend.key))


def by_week(tx: Tx) -> list[Week]:
    """What all sessions together spent, each call once, by week and model, the oldest first; calls without a time
    stand in week 0.
    """
    call = (
        sa.select(
            sa.func.min(spends.c.at).label("at"),
            sa.func.coalesce(sa.func.max(spends.c.model), "").label("model"),
            *(sa.func.max(spends.c[name]).label(name) for name in (*_NUMBERS, "cost")),
        )
        .where(spends.c.tenant == tx.tenant)
        .group_by(spends.c.key)
        .subquery()
    )
    week = (sa.func.coalesce(call.c.at, 0) + _TO_MONDAY) // WEEK_MS
    sums = (sa.func.sum(call.c[name]) for name in (*_NUMBERS, "cost"))
    wanted = sa.select(week, call.c.model, sa.func.count(), *sums).group_by(week, call.c.model)
    found: list[Week] = []
    for row in sorted(tuple(row) for row in tx.conn.execute(wanted)):
        weeks, model, calls, input, read, write, output, reasoning, cost = row
        at = max(0, int(weeks) * WEEK_MS - _TO_MONDAY)
        numbers = (int(number) for number in (input, read, write, output, reasoning))
        found.append(Week(at, str(model), calls, *numbers, cost=None if cost is None else int(cost)))
    return found


def _most(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    made = {**one, **{name: max(one[name], other[name]) for name in _NUMBERS}}
    for name in _PERHAPS:
        made[name] = max((value for value in (one[name], other[name]) if value is not None), default=None)
    made["at"] = min((value for value in (one["at"], other["at"]) if value is not None), default=None)
    made["model"] = max(one["model"] or "", other["model"] or "") or None
    return made


@lru_cache(maxsize=8)
def _putting(dialect: Dialect) -> Any:
    new = dialect.insert(spends)
    old, come = spends.c, new.excluded
    kept: dict[str, Any] = {name: sa.case((old[name] < come[name], come[name]), else_=old[name]) for name in _NUMBERS}
    for name in (*_PERHAPS, "model"):
        known = sa.func.coalesce(old[name], come[name])
        kept[name] = sa.case((old[name] < come[name], come[name]), else_=known)
    kept["at"] = sa.case((old["at"] > come["at"], come["at"]), else_=sa.func.coalesce(old["at"], come["at"]))
    return new.on_conflict_do_update(index_elements=["tenant", "key", "agent", "session"], set_=kept)
