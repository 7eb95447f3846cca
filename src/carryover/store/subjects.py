"""What is kept of a user or an agent beside their sessions, and its removal."""

from __future__ import annotations

import sqlalchemy as sa

from carryover.store import holds, profiles, queue
from carryover.store.coding_tables import evidence
from carryover.store.persona_tables import noticed, persona_codes, personas_shown
from carryover.store.persona_tables import preferences as said
from carryover.store.persona_tables import profiles as told
from carryover.store.store import Tx
from carryover.store.strategy_tables import strategies
from carryover.store.tables import counters, events, jobs, keys, usages

# The job that holds the tenant's codebook against what is said by now.
FIT, TENANT = "fit", "persona//"
_OF_USER = (said, told, persona_codes, personas_shown, events, keys)
_OF_AGENT = (strategies, evidence, noticed, personas_shown, events)


def exists(tx: Tx, *, agent: str | None = None, user: str | None = None) -> bool:
    """Whether anything is kept of the user, or the agent, beside their sessions."""
    doomed = [(table, table.c.user == user) for table in _OF_USER if user is not None]
    doomed += [(table, table.c.agent == agent) for table in _OF_AGENT if agent is not None]
    return any(
        tx.conn.execute(sa.select(sa.literal(1)).select_from(t).where(t.c.tenant == tx.tenant, which).limit(1)).first()
        for t, which in doomed
    )


def erase_user(tx: Tx, user: str) -> dict[str, int]:
    """No row names the user any more, where their sessions are gone; how many went, by table.

    API keys that were narrowed to them go too. The user's data key is dropped apart from this.
    """
    cancelled = _cancel(tx, jobs.c.subject.endswith(f"//{user}", autoescape=True))  # what is done over all of theirs
    counts = {**profiles.erase(tx, user), "jobs": cancelled}
    for table in (events, keys):
        counts[table.name] = tx.conn.execute(table.delete().where(*_is(tx, table, "user", user))).rowcount
    holds.clear(tx, agent=None, session=None, user=user)
    refit(tx)
    return counts


def erase_agent(tx: Tx, agent: str) -> dict[str, int]:
    """No row tells of the agent any more, where its sessions are gone; how many went, by table."""
    cancelled = _cancel(tx, jobs.c.subject.startswith(f"{agent}/", autoescape=True))
    counts = {t.name: tx.conn.execute(t.delete().where(*_is(tx, t, "agent", agent))).rowcount for t in _OF_AGENT}
    last = counters.c.name == f"event:{agent}"  # of its events; those to come have higher ids, as time goes on
    tx.conn.execute(counters.delete().where(counters.c.tenant == tx.tenant, last))
    counts["jobs"] = cancelled
    unnamed = usages.update().where(*_is(tx, usages, "agent", agent)).values(session="")
    counts["usages"] = tx.conn.execute(unnamed).rowcount
    holds.clear(tx, agent=agent, session=None, user=None)
    refit(tx)
    return counts


def refit(tx: Tx) -> None:
    """The tenant's codebook is fitted to what is left as soon as a worker comes by; a fit of before saves nothing."""
    queue.cancel(tx, TENANT)
    queue.arm(tx, [(FIT, TENANT, tx.now)])


def _cancel(tx: Tx, which: sa.ColumnElement[bool]) -> int:
    return tx.conn.execute(jobs.delete().where(jobs.c.tenant == tx.tenant, which)).rowcount


def _is(tx: Tx, table: sa.Table, name: str, value: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.tenant == tx.tenant, table.c[name] == value
