"""What leads from a turn to what was derived from it, and from the beginning of an id to a finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from carryover.core.trace import Indexed
from carryover.store import sealed, vectors
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import chunks, findings, links, snapshots, sources
from carryover.store.tables import vectors as rows


def beginning(tx: Tx, start: str, limit: int) -> list[str]:
    """The ids of at most so many findings of the scope that begin like this."""
    wanted = (
        sa.select(findings.c.id, findings.c.agent, findings.c.user)
        .where(findings.c.tenant == tx.tenant, findings.c.id.startswith(start, autoescape=True))
        .order_by(findings.c.id)
        .distinct()
    )
    mine = [findings.c[name] == only for name, only in (("agent", tx.scope.agent), ("user", tx.scope.user)) if only]
    rows = tx.conn.execute(wanted.where(*mine).limit(limit))
    return [row[0] for row in rows if row[0].startswith(start)]


def citing(tx: Tx, agent: str, session: str, seq: int) -> dict[str, int]:
    """The findings that stand on the turn, each with the first snapshot that says so."""
    wanted = (
        sa.select(sources.c.finding, sa.func.min(sources.c.since))
        .where(*_here(tx, sources, agent, session), sources.c.first <= seq, sources.c.last >= seq)
        .group_by(sources.c.finding)
    )
    return {row[0]: row[1] for row in tx.conn.execute(wanted)}


def ends(tx: Tx, agent: str, session: str) -> list[tuple[str, str, str | None]]:
    """What the session ended, its own findings and others': their ids, the reason given, and what stands instead."""
    own = sa.select(findings).where(*_here(tx, findings, agent, session), findings.c.reason.is_not(None))
    theirs = sa.select(links).where(*_here(tx, links, agent, session))
    mine = sealed.opened(tx, findings, tx.conn.execute(own), "reason")
    found = {(row.id, reason, row.superseded_by) for row, (reason,) in mine}
    others = sealed.opened(tx, links, tx.conn.execute(theirs), "reason")
    found |= {(row.finding, reason, row.superseded_by) for row, (reason,) in others}
    return sorted(found, key=lambda end: end[:2])


def closed_in(tx: Tx, id: str) -> tuple[str, str] | None:
    """The agent and session that first closed a finding of another session; None where none did."""
    wanted = sa.select(links.c.agent, links.c.session).where(links.c.tenant == tx.tenant, links.c.finding == id)
    row = tx.conn.execute(wanted.order_by(links.c.at).limit(1)).first()
    return None if row is None else (row[0], row[1])


def covering(tx: Tx, agent: str, session: str, seq: int) -> tuple[int, int, int, str] | None:
    """Version, last turn, time and maker of the first snapshot that covers the turn."""
    wanted = (
        sa.select(snapshots.c.version, snapshots.c.through, snapshots.c.created_at, snapshots.c.by)
        .where(*_here(tx, snapshots, agent, session), snapshots.c.through >= seq)
        .order_by(snapshots.c.version)
        .limit(1)
    )
    row = tx.conn.execute(wanted).first()
    return None if row is None else (row[0], row[1], row[2], row[3])


def indexed(tx: Tx, agent: str, session: str, seq: int, refs: Sequence[str]) -> list[Indexed]:
    """The chunks of the turn and of these findings, in the order of their numbers, each with its vectors' spaces."""
    found: list[Any] = []
    columns = [chunks.c[name] for name in ("n", "kind", "ref", "part", "parts")]
    turn = sa.and_(chunks.c.kind == "turn", chunks.c.first == seq)
    found += tx.conn.execute(sa.select(*columns).where(*_here(tx, chunks, agent, session), turn)).all()
    for part in parts(refs):
        found += tx.conn.execute(sa.select(*columns).where(chunks.c.tenant == tx.tenant, chunks.c.ref.in_(part))).all()
    spaces = _spaces_of(tx, [row.n for row in found])
    found.sort(key=lambda row: row.n)
    return [Indexed(row.kind, row.ref, row.part, row.parts, tuple(spaces.get(row.n, ()))) for row in found]


def _spaces_of(tx: Tx, ns: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for space in vectors.spaces(tx):
        for part in parts(ns):
            here = (rows.c.tenant == tx.tenant, rows.c.space == space, rows.c.n.in_(part))
            wanted = sa.select(rows.c.n).where(*here)
            for n in tx.conn.execute(wanted).scalars():
                found.setdefault(n, []).append(space)
    return found


def _here(tx: Tx, table: sa.Table, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.tenant == tx.tenant, table.c.agent == agent, table.c.session == session)
