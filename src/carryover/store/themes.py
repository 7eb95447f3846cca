"""What sessions were about, as their snapshots tell it, and what of it a later session replaced."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.core.snapshot import Finding, Snapshot
from carryover.store.parts import parts
from carryover.store.snapshots import heads_of
from carryover.store.states import findings_of
from carryover.store.store import Tx
from carryover.store.tables import findings, links, snapshots, sources, turns

Place = tuple[str, str, int]  # agent, session, seq


def of(tx: Tx, named: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], tuple[Snapshot, Time]]:
    """These versions (agent, session, version), without their findings, and when the last turn of each was said."""
    found: dict[tuple[str, str], tuple[Snapshot, Time]] = {}
    for part in parts(named):
        columns = sa.column("agent", sa.Text), sa.column("session", sa.Text), sa.column("version", sa.BigInteger)
        asked = sa.values(*columns, name="asked").data(list(part)).cte()
        heads, ends = (snapshots.c.tenant == tx.tenant,), (turns.c.tenant == tx.tenant,)
        heads += tuple(snapshots.c[name] == asked.c[name] for name in ("agent", "session", "version"))
        ends += tuple(turns.c[name] == snapshots.c[name] for name in ("agent", "session"))
        wanted = (
            sa.select(snapshots, turns.c.created_at.label("said_at"))
            .join_from(asked, snapshots, sa.and_(*heads))
            .join(turns, sa.and_(*ends, turns.c.seq == snapshots.c.through), isouter=True)
        )
        for row, head in heads_of(tx, tx.conn.execute(wanted)):
            found[row.agent, row.session] = head, row.created_at if row.said_at is None else row.said_at
    return found


def replaced(tx: Tx, keys: Sequence[tuple[str, str]]) -> list[Finding]:
    """Findings of these sessions that were replaced, by their own session or a later one."""
    rows: dict[str, Any] = {}
    for part in parts(keys):
        here = sa.tuple_(findings.c.agent, findings.c.session).in_(list(part))
        wanted = sa.select(findings).where(findings.c.tenant == tx.tenant, findings.c.until.is_(None), here)
        linked = sa.and_(links.c.tenant == findings.c.tenant, links.c.finding == findings.c.id)
        closed = wanted.join(links, linked).where(links.c.tenant == tx.tenant, links.c.status == "superseded")
        for query in (wanted.where(findings.c.status == "superseded"), closed):
            rows |= {row.id: row for row in tx.conn.execute(query)}
    return findings_of(tx, list(rows.values()))


def overtaken(tx: Tx, places: Collection[Place]) -> dict[Place, str | None]:
    """Those of the turns that a finding stands on which was replaced since, and the id of what replaced it."""
    if not places:
        return {}
    here = sa.or_(
        *(
            sa.and_(
                sources.c.agent == agent, sources.c.session == session, sources.c.first <= seq, sources.c.last >= seq
            )
            for agent, session, seq in sorted(places)
        )
    )
    columns = sources.c.agent, sources.c.session, sources.c.first, sources.c.last
    own = (findings.c.tenant == sources.c.tenant, findings.c.id == sources.c.finding, findings.c.until.is_(None))
    theirs = (links.c.tenant == sources.c.tenant, links.c.finding == sources.c.finding)
    mine = sources.c.tenant == tx.tenant
    found: dict[Place, str | None] = {}
    for table, joined in ((findings, own), (links, theirs)):
        wanted = sa.select(*columns, table.c.superseded_by).join(table, sa.and_(*joined))
        for row in tx.conn.execute(wanted.where(mine, table.c.status == "superseded", here)):
            for agent, session, seq in places:
                if (agent, session) == (row.agent, row.session) and row.first <= seq <= row.last:
                    found[agent, session, seq] = row.superseded_by
    return found
