"""Removing a session from every table that holds a word of it or about it."""

from __future__ import annotations

import sqlalchemy as sa

from carryover.store import chunks, counters, queue
from carryover.store import tiers as tier_store
from carryover.store.store import Tx
from carryover.store.tables import (
    bodies,
    events,
    findings,
    links,
    sessions,
    snapshots,
    sources,
    tiers,
    turns,
    usages,
    verdicts,
    watermarks,
)


def erase(tx: Tx, agent: str, session: str) -> dict[str, int]:
    """Nothing of the session is left; how many rows went, by table. A second call finds nothing and counts zeros.

    What later sessions had closed of its findings goes too; what it had closed of earlier sessions' findings is
    open again. Its usage stays on the account, without naming it.
    """
    own = sa.select(findings.c.id).where(
        findings.c.tenant == tx.tenant, findings.c.agent == agent, findings.c.session == session
    )
    tables = (
        (sources, sa.or_(_here(sources, agent, session), sources.c.finding.in_(own))),
        (links, sa.or_(_here(links, agent, session), links.c.finding.in_(own))),
        *(
            (table, _here(table, agent, session))
            for table in (verdicts, tiers, findings, snapshots, watermarks, events, bodies, turns, sessions)
        ),
    )
    # Jobs before counters, as everywhere: two that lock in one order never wait for each other.
    jobs = queue.cancel(tx, f"{agent}/{session}")
    _reopen(tx, agent, session)
    tier_store.unfold(tx, agent, session)
    counts = dict(chunks.erase(tx, agent, session))
    for table, doomed in tables:
        gone = tx.conn.execute(table.delete().where(table.c.tenant == tx.tenant, doomed))
        counts[table.name] = gone.rowcount
    counts["jobs"] = jobs
    unnamed = usages.update().where(usages.c.tenant == tx.tenant, _here(usages, agent, session)).values(session="")
    counts["usages"] = tx.conn.execute(unnamed).rowcount
    counters.bump(tx, "erasures")
    return counts


def _reopen(tx: Tx, agent: str, session: str) -> None:
    """The sessions whose findings this one had closed are indexed again: those findings can be found from now on."""
    closed = (
        sa.select(findings.c.agent, findings.c.session)
        .join(links, sa.and_(links.c.tenant == findings.c.tenant, links.c.finding == findings.c.id))
        .where(links.c.tenant == tx.tenant, findings.c.tenant == tx.tenant, _here(links, agent, session))
        .distinct()
    )
    tier_store.retell(tx, [(row[0], row[1]) for row in tx.conn.execute(closed)])


def _here(table: sa.Table, agent: str, session: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.agent == agent, table.c.session == session)
