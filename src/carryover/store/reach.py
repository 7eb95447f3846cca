"""The sessions that a context may tell of, and whether anything changed: read at every request, hence built once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
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
    given = {"of_user": user, "of_agent": agent}
    asked = {"in_tenant": tx.tenant, **{name: value for name, value in given.items() if value is not None}}
    rows = tx.conn.execute(_newest(agent is not None, user is not None), asked)
    return tuple(_reached(row) for row in rows)


def changes(tx: Tx, user: str | None) -> tuple[tuple[str, str, int, int, int | None], ...]:
    """(agent, session, version, created_at) of the user's last 50 snapshots over all agents: a new one shows at once.

    A session of one agent may close what another agent found, so contexts compare this whatever their scope. With
    each comes how often the tenant erased anything, told it in another tier, or found it unsupported: a closing by a
    session further back may be gone with it.
    """
    asked = {"in_tenant": tx.tenant} if user is None else {"in_tenant": tx.tenant, "of_user": user}
    rows = tx.conn.execute(_changes(user is not None), asked)
    return tuple(cast("tuple[str, str, int, int, int | None]", tuple(row)) for row in rows)


def _reached(row: Any) -> Reached:
    agent, session, turns, updated_at, version, through, made_at = row
    return Reached(agent, session, turns, updated_at, version or 0, through or 0, made_at or 0)


_TENANT, _USER = sa.bindparam("in_tenant", type_=sa.Text), sa.bindparam("of_user", type_=sa.Text)


@cache
def _newest(of_agent: bool, of_user: bool) -> sa.Select[*tuple[Any, ...]]:
    """The sessions first and their snapshots then: of a user with thousands of sessions few are looked at twice."""
    chosen = sa.select(*(sessions.c[name] for name in ("tenant", "agent", "session", "version", "updated_at")))
    chosen = chosen.where(sessions.c.tenant == _TENANT, _of(sessions, of_user))
    if of_agent:
        chosen = chosen.where(sessions.c.agent == sa.bindparam("of_agent", type_=sa.Text))
    newest = chosen.order_by(sessions.c.updated_at.desc(), sessions.c.session.desc()).limit(MOST).subquery()
    last = snapshots.alias("last")
    here = [last.c[name] == newest.c[name] for name in ("tenant", "agent", "session")]
    version = sa.select(sa.func.max(last.c.version)).where(*here).correlate(newest).scalar_subquery()
    theirs = [snapshots.c[name] == newest.c[name] for name in ("tenant", "agent", "session")]
    return (
        sa.select(
            *(newest.c[name] for name in ("agent", "session", "version", "updated_at")),
            *(snapshots.c[name] for name in ("version", "through", "created_at")),
        )
        .join_from(newest, snapshots, sa.and_(*theirs, snapshots.c.version == version), isouter=True)
        .order_by(newest.c.updated_at.desc(), newest.c.session.desc())
    )


def _of(table: sa.Table, of_user: bool) -> sa.ColumnElement[bool]:
    return table.c.user == _USER if of_user else table.c.user.is_(None)


_ERASURES = sa.select(sa.cast(sa.func.sum(counters.c.value), sa.BigInteger)).where(
    counters.c.tenant == _TENANT, counters.c.name.in_(("erasures", "tiers", "verdicts"))
)


@cache
def _changes(of_user: bool) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            *(snapshots.c[name] for name in ("agent", "session", "version", "created_at")), _ERASURES.scalar_subquery()
        )
        .where(snapshots.c.tenant == _TENANT, _of(snapshots, of_user))
        .order_by(snapshots.c.created_at.desc(), snapshots.c.agent, snapshots.c.session, snapshots.c.version.desc())
        .limit(MOST)
    )
