"""The sessions that a context may tell of, and whether anything changed: read at every request, hence built once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from carryover.store.store import Tx
from carryover.store.tables import counters, sessions, snapshots

MOST = 50


@dataclass(frozen=True, slots=True)
class Reached:
    """A session, how long its log is and when it changed, and its newest snapshot (version 0 where it has none)."""

    agent: str
    session: str
    turns: int
    updated_at: int
    version: int
    through: int
    made_at: int


def newest(tx: Tx, agent: str | None, user: str | None) -> tuple[Reached, ...]:
    """The 50 sessions of this user (None: that name no user) that changed last, newest first.

    `agent` None reaches over all agents that the scope admits.
    """
    agent, user = tx.scope.agent or agent, tx.scope.user or user
    asked: dict[str, Any] = {"in_tenant": tx.tenant, "of_user": user}
    if agent is None:
        rows = tx.conn.execute(_OF_USER, asked)
    else:
        rows = tx.conn.execute(_OF_AGENT, {**asked, "of_agent": agent})
    return tuple(_reached(row) for row in rows)


def changes(tx: Tx, user: str | None) -> tuple[tuple[str, str, int, int, int | None], ...]:
    """(agent, session, version, created_at) of the user's last 50 snapshots over all agents: a new one shows at once.

    A session of one agent may close what another agent found, so contexts compare this whatever their scope. With
    each comes how often the tenant erased anything: a closing by a session further back may be gone with it.
    """
    rows = tx.conn.execute(_CHANGES, {"in_tenant": tx.tenant, "of_user": user})
    return tuple(cast("tuple[str, str, int, int, int | None]", tuple(row)) for row in rows)


def _reached(row: Any) -> Reached:
    agent, session, turns, updated_at, version, through, made_at = row
    return Reached(agent, session, turns, updated_at, version or 0, through or 0, made_at or 0)


_TENANT, _USER = sa.bindparam("in_tenant", type_=sa.Text), sa.bindparam("of_user", type_=sa.Text)
_last = snapshots.alias("last")
_VERSION = (
    sa.select(sa.func.max(_last.c.version))
    .where(
        _last.c.tenant == sessions.c.tenant, _last.c.agent == sessions.c.agent, _last.c.session == sessions.c.session
    )
    .correlate(sessions)
    .scalar_subquery()
)
_OF_USER = (
    sa.select(
        *(sessions.c[name] for name in ("agent", "session", "version", "updated_at")),
        *(snapshots.c[name] for name in ("version", "through", "created_at")),
    )
    .join_from(
        sessions,
        snapshots,
        sa.and_(
            snapshots.c.tenant == sessions.c.tenant,
            snapshots.c.agent == sessions.c.agent,
            snapshots.c.session == sessions.c.session,
            snapshots.c.version == _VERSION,
        ),
        isouter=True,
    )
    .where(sessions.c.tenant == _TENANT, sessions.c.user.is_not_distinct_from(_USER))
    .order_by(sessions.c.updated_at.desc(), sessions.c.session.desc())
    .limit(MOST)
)
_OF_AGENT = _OF_USER.where(sessions.c.agent == sa.bindparam("of_agent", type_=sa.Text))
_ERASURES = sa.select(counters.c.value).where(counters.c.tenant == _TENANT, counters.c.name == "erasures")
_CHANGES = (
    sa.select(
        *(snapshots.c[name] for name in ("agent", "session", "version", "created_at")), _ERASURES.scalar_subquery()
    )
    .where(snapshots.c.tenant == _TENANT, snapshots.c.user.is_not_distinct_from(_USER))
    .order_by(snapshots.c.created_at.desc(), snapshots.c.agent, snapshots.c.session, snapshots.c.version.desc())
    .limit(MOST)
)
