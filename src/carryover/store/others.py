"""What the other sessions of a user have come to, as it was known at a moment: their summaries, or their snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.core.snapshot import Snapshot
from carryover.store import sealed, snapshots, summaries, verdicts
from carryover.store.parts import parts
from carryover.store.sessions import Head
from carryover.store.store import Tx
from carryover.store.strategy_tables import summaries as summary_rows
from carryover.store.tables import links
from carryover.store.tables import snapshots as snapshot_rows

MOST = 200  # rows of each kind that are looked at, the newest ones


@dataclass(frozen=True, slots=True)
class Other:
    """What may stand for a session: a summary by its id, of its first turns up to `last`, or a version of its snapshot.

    Of a summary `version` is that of the log when its turns were read.
    """

    agent: str
    session: str
    made_at: Time
    version: int
    summary: str | None = None
    last: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.agent, self.session

    @property
    def source(self) -> str:
        told = f"snapshot:{self.version}" if self.summary is None else f"summary:{self.summary}"
        return f"{self.agent}/{self.session}/{told}"


def known(tx: Tx, head: Head, *, agent: str | None, at: Time) -> list[tuple[Other, ...]]:
    """What was made by then of the other sessions of the same user (None: that name no user), the newest session first.

    Of each session the summaries, the one that reaches furthest first, and then the newest snapshot. `agent` None
    reaches over all agents, whether the scope admits them or not: the caller sees to that.
    """
    found: dict[tuple[str, str], list[Other]] = {}
    for other in (*_summaries(tx, head, agent, at), *_snapshots(tx, head, agent, at)):
        found.setdefault(other.key, []).append(other)
    found.pop((head.agent, head.session), None)
    return sorted((tuple(those) for those in found.values()), key=lambda those: (-those[0].made_at, those[0].key))


def holds(tx: Tx, other: Other) -> bool:
    """Whether nothing that it stands for was taken back since."""
    return other.summary is None or summaries.holding(tx, other.agent, other.session, [other]) != []


def text_of(tx: Tx, other: Other) -> str:
    """The text of the summary that stands for the session; "" where it was erased."""
    wanted = sa.select(summary_rows).where(
        summary_rows.c.tenant == tx.tenant,
        summary_rows.c.agent == other.agent,
        summary_rows.c.session == other.session,
        summary_rows.c.id == other.summary,
    )
    found = sealed.opened(tx, summary_rows, tx.conn.execute(wanted))
    return next((text for _, (text,) in found), "")


def snapshot_of(tx: Tx, other: Other, at: Time) -> Snapshot:
    """The snapshot that stands for the session, with what no other session had closed by then."""
    snapshot = snapshots.get(tx, other.agent, other.session, other.version)
    ids = [finding.id for finding in snapshot.findings]
    gone = verdicts.failing(tx, ids)
    for part in parts(ids):
        closed = sa.select(links.c.finding).where(
            links.c.tenant == tx.tenant, links.c.finding.in_(part), links.c.at <= at
        )
        gone |= set(tx.conn.execute(closed).scalars())
    return replace(snapshot, findings=tuple(f for f in snapshot.findings if f.id not in gone))


def _summaries(tx: Tx, head: Head, agent: str | None, at: Time) -> list[Other]:
    columns = [summary_rows.c[name] for name in ("agent", "session", "created_at", "version", "id", "last")]
    wanted = sa.select(*columns).where(summary_rows.c.status == "ready", *_of(tx, summary_rows, head, agent, at))
    rows = tx.conn.execute(wanted.order_by(summary_rows.c.created_at.desc(), summary_rows.c.id).limit(MOST))
    return sorted((Other(*row) for row in rows), key=lambda other: (other.last, other.summary), reverse=True)


def _snapshots(tx: Tx, head: Head, agent: str | None, at: Time) -> list[Other]:
    """The newest of each session."""
    columns = [snapshot_rows.c[name] for name in ("agent", "session", "created_at", "version")]
    wanted = sa.select(*columns).where(*_of(tx, snapshot_rows, head, agent, at))
    order = (snapshot_rows.c.created_at.desc(), snapshot_rows.c.version.desc())
    newest: dict[tuple[str, str], Other] = {}
    for row in tx.conn.execute(wanted.order_by(*order, *columns[:2]).limit(MOST)):
        newest.setdefault((row.agent, row.session), Other(*row))
    return list(newest.values())


def _of(tx: Tx, table: sa.Table, head: Head, agent: str | None, at: Time) -> Sequence[sa.ColumnElement[bool]]:
    mine = [table.c.tenant == tx.tenant, table.c.created_at <= at]
    mine.append(table.c.user.is_(None) if head.user is None else table.c.user == head.user)
    return mine if agent is None else [*mine, table.c.agent == agent]
