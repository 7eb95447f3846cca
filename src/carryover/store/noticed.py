"""How far preferences were noticed in each session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.store.persona_tables import noticed
from carryover.store.store import Tx
from carryover.store.tables import sessions, snapshots


@dataclass(frozen=True, slots=True)
class Mark:
    """The last turn that was read for preferences (0: none was), and when."""

    through: int = 0
    at: Time = 0


def get(tx: Tx, agent: str, session: str) -> Mark:
    row = tx.conn.execute(sa.select(noticed.c.through, noticed.c.at).where(*_is(tx, agent, session))).first()
    return Mark() if row is None else Mark(row.through, row.at)


def put(tx: Tx, agent: str, session: str, through: int) -> None:
    """The session's turns were read up to this one, as of now."""
    row = tx.insert(noticed).values(tenant=tx.tenant, agent=agent, session=session, through=through, at=tx.now)
    changed = {"through": through, "at": tx.now}
    tx.conn.execute(row.on_conflict_do_update(index_elements=["tenant", "agent", "session"], set_=changed))


def unread(tx: Tx, limit: int) -> list[tuple[str, str, str]]:
    """Sessions of all tenants that name a user and were consolidated, but never read for preferences: those of before
    there were any. Tenant, agent and session."""
    key = ("tenant", "agent", "session")
    here = [sa.and_(*(table.c[name] == sessions.c[name] for name in key)) for table in (snapshots, noticed)]
    wanted = sa.select(*(sessions.c[name] for name in key)).where(
        sessions.c.user.is_not(None), sa.exists().where(here[0]), ~sa.exists().where(here[1])
    )
    rows: Sequence[Any] = tx.conn.execute(wanted.limit(limit)).all()
    return [(row[0], row[1], row[2]) for row in rows]


def _is(tx: Tx, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    return noticed.c.tenant == tx.tenant, noticed.c.agent == agent, noticed.c.session == session
