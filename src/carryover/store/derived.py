"""Whether what was derived from a log still lies inside it: findings, summaries, and what is kept of views."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from carryover.store.store import Tx
from carryover.store.strategy_tables import summaries, views
from carryover.store.tables import findings, sessions, snapshots, sources

_SHOWN = 20  # faults of one kind that are told one by one


def same(a: sa.FromClause, b: sa.FromClause, *, seq: bool = False) -> sa.ColumnElement[bool]:
    """Rows of the two are of one session, or with `seq` of one turn."""
    names = ("tenant", "agent", "session", *(("seq",) if seq else ()))
    return sa.and_(*(a.c[name] == b.c[name] for name in names))


def name_of(row: Any) -> str:
    return f"session {row.session!r} of agent {row.agent!r} of tenant {row.tenant!r}"


def findings_at_fault(tx: Tx) -> list[str]:
    """Every finding has a source, and every source and snapshot lies inside its session."""
    outside = (
        sa.select(sources.c.tenant, sources.c.finding, sources.c.session, sources.c.first, sources.c.last)
        .join_from(sources, sessions, same(sources, sessions), isouter=True)
        .where(
            sa.or_(
                sessions.c.version.is_(None),
                sources.c.first < 1,
                sources.c.last < sources.c.first,
                sources.c.last > sessions.c.version,
            )
        )
    )
    bare = (
        sa.select(findings.c.tenant, findings.c.id)
        .distinct()
        .where(~sa.exists().where(sources.c.tenant == findings.c.tenant, sources.c.finding == findings.c.id))
    )
    ahead = (
        sa.select(snapshots.c.tenant, snapshots.c.agent, snapshots.c.session, snapshots.c.version, snapshots.c.through)
        .join_from(snapshots, sessions, same(snapshots, sessions), isouter=True)
        .where(sa.or_(sessions.c.version.is_(None), snapshots.c.through > sessions.c.version))
    )
    return [
        *(
            f"finding {row.finding!r} cites turns {row.first} to {row.last} of {row.session!r}, which "
            "are not there; restore the session from a backup or forget it"
            for row in tx.conn.execute(outside.limit(_SHOWN))
        ),
        *(f"finding {row.id!r} has no source; forget its session" for row in tx.conn.execute(bare.limit(_SHOWN))),
        *(
            f"snapshot {row.version} of {name_of(row)} covers turn {row.through}, which is not there; "
            "restore the session from a backup"
            for row in tx.conn.execute(ahead.limit(_SHOWN))
        ),
    ]


def strays(tx: Tx) -> list[tuple[str, str]]:
    """Summaries and views of turns that are not there, each with the table that holds it."""
    beyond = sa.select(*(summaries.c[name] for name in ("tenant", "agent", "session", "last"))).where(_beyond())
    lost = sa.select(*(views.c[name] for name in ("tenant", "agent", "session"))).where(_lost()).distinct()
    return [
        *(
            ("summaries", f"a summary of {name_of(row)} stands for turn {row.last}, which is not there")
            for row in tx.conn.execute(beyond.limit(_SHOWN))
        ),
        *(
            ("views", f"views of {name_of(row)} are told of, which is not there")
            for row in tx.conn.execute(lost.limit(_SHOWN))
        ),
    ]


def clear(tx: Tx) -> None:
    """No summary and no view is left of turns that are not there."""
    tx.conn.execute(summaries.delete().where(_beyond()))
    tx.conn.execute(views.delete().where(_lost()))


def _beyond() -> sa.ColumnElement[bool]:
    return ~sa.exists().where(same(sessions, summaries), sessions.c.version >= summaries.c.last)


def _lost() -> sa.ColumnElement[bool]:
    return ~sa.exists().where(same(sessions, views))
