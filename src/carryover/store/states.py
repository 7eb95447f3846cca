"""States of findings with their sources: rows as they are written, and findings as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa

from carryover.core.session import Source
from carryover.core.snapshot import Finding, FindingKind, FindingStatus, Snapshot
from carryover.store import sealed
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import findings, sources


def add(tx: Tx, snapshot: Snapshot, user: str | None, changed: Sequence[Finding], until: int | None) -> None:
    """The findings have these states from the snapshot on, up to the version `until` (None: still)."""
    rows = [
        {
            "tenant": tx.tenant,
            "id": f.id,
            "since": snapshot.version,
            "until": until,
            "agent": snapshot.agent_id,
            "session": snapshot.session_id,
            "user": user,
            "kind": f.kind,
            "text": f.text,
            "status": f.status,
            "subject": f.subject,
            "salience": f.salience,
            "pinned": f.pinned,
            "learned_at": f.learned_at,
            "valid_from": f.valid_from,
            "valid_to": f.valid_to,
            "by": f.by,
            "superseded_by": f.superseded_by,
            "reason": f.reason,
        }
        for f in changed
    ]
    if rows := sealed.closed(tx, findings, rows):
        tx.conn.execute(sa.insert(findings), rows)


def add_sources(tx: Tx, snapshot: Snapshot, changed: Sequence[Finding]) -> None:
    """A finding keeps the sources it had, also while no snapshot held it, and gains new ones at the end."""
    known: dict[str, tuple[int, int]] = {}
    for part in parts([f.id for f in changed]):
        counted = (
            sa.select(sources.c.finding, sa.func.count(), sa.func.max(sources.c.n) + 1)
            .where(sources.c.tenant == tx.tenant, sources.c.finding.in_(part))
            .group_by(sources.c.finding)
        )
        known |= {row[0]: (row[1], row[2]) for row in tx.conn.execute(counted)}
    rows = [
        {
            "tenant": tx.tenant,
            "finding": f.id,
            "n": n,
            "agent": snapshot.agent_id,
            "session": source.session_id,
            "first": source.first,
            "last": source.last,
            "quote": source.quote,
            "since": snapshot.version,
        }
        for f in changed
        for held, first in (known.get(f.id, (0, 0)),)
        for n, source in enumerate(f.sources[held:], first)
    ]
    if rows := sealed.closed(tx, sources, rows):
        tx.conn.execute(sa.insert(sources), rows)


def findings_of(tx: Tx, rows: Sequence[Any], version: int | None = None) -> list[Finding]:
    """The findings of these rows, each with its sources, as of a version where one is given.

    Those whose keys were dropped are left out.
    """
    cited: dict[str, list[Source]] = {}
    for part in parts([row.id for row in rows]):
        wanted = sa.select(sources).where(sources.c.tenant == tx.tenant, sources.c.finding.in_(part))
        if version is not None:
            wanted = wanted.where(sources.c.since <= version)
        found = tx.conn.execute(wanted.order_by(sources.c.finding, sources.c.n))
        for row, (quote,) in sealed.opened(tx, sources, found):
            cited.setdefault(row.finding, []).append(Source(row.session, row.first, row.last, quote))
    return [
        Finding(
            id=row.id,
            kind=cast("FindingKind", row.kind),
            text=text,
            status=cast("FindingStatus", row.status),
            learned_at=row.learned_at,
            sources=tuple(cited.get(row.id, ())),
            by=row.by,
            agent_id=row.agent,
            session_id=row.session,
            subject=subject,
            salience=row.salience,
            pinned=row.pinned,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            superseded_by=row.superseded_by,
            reason=reason,
        )
        for row, (text, subject, reason) in sealed.opened(tx, findings, rows)
    ]
