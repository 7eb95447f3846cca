"""In which logs a session was found, and what each of them says about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from carryover.core.step import About, uid
from carryover.store import hot, sealed
from carryover.store.coding_tables import cursors, origins
from carryover.store.dialect import Dialect
from carryover.store.store import Tx

_KEY = ["tenant", "agent", "session", "path"]

_ABOUTS = (
    sa.select(origins.c.path, origins.c.agent, origins.c.session, origins.c.about)
    .where(*(origins.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session")))
    .order_by(origins.c.path)
)


Rank = tuple[bool, int, str, str]


def put(tx: Tx, found: Sequence[tuple[str, str, str, About]]) -> None:
    """Each (agent, session, path, about): that log holds something of that session, and says this about it."""
    named = {(agent, session) for agent, session, _, _ in found}
    known = sealed.keys(tx, named)
    own = None if len(known) == len(named) else sealed.owner(tx)
    rows: list[dict[str, Any]] = [
        {
            "tenant": tx.tenant,
            "agent": agent,
            "session": session,
            "path": path,
            "first_at": about.first_at,
            "about": json.dumps(asdict(about), ensure_ascii=False, separators=(",", ":")),
        }
        # In one order, so that two transactions never wait for each other.
        for agent, session, path, about in sorted(found, key=lambda one: one[:3])
    ]
    if rows:
        # A log may say something of a session before anything is said in it.
        kept = [sealed.close(tx, origins, row, known.get((row["agent"], row["session"]), own)) for row in rows]
        hot.write(tx.conn, _putting(tx.dialect), kept)


def abouts(tx: Tx, agent: str, session: str) -> list[tuple[str, About]]:
    """What each log of the session says about it, by the log's path."""
    asked = {"tenant": tx.tenant, "agent": agent, "session": session}
    found = sealed.opened(tx, origins, tx.conn.execute(_ABOUTS, asked))
    return [(row.path, About(**json.loads(about))) for row, (about,) in found]


def of_path(tx: Tx, path: str) -> list[tuple[str, str, About]]:
    """The sessions in a log: agent, session, and what it says about it."""
    wanted = (
        sa.select(origins.c.agent, origins.c.session, origins.c.about)
        .where(origins.c.tenant == tx.tenant, origins.c.path == path)
        .order_by(origins.c.agent, origins.c.session)
    )
    found = sealed.opened(tx, origins, tx.conn.execute(wanted))
    return [(row.agent, row.session, About(**json.loads(about))) for row, (about,) in found]


def source_hash(tx: Tx, agent: str, session: str) -> str:
    """What was read of all logs of the session, as one hash: the same for the same bytes, wherever they lay."""
    wanted = (
        sa.select(cursors.c.content)
        .join(origins, sa.and_(origins.c.tenant == cursors.c.tenant, origins.c.path == cursors.c.path))
        .where(*_here(tx, agent, session), cursors.c.tenant == tx.tenant)
    )
    # Two copies of one log say what one says.
    return uid(*sorted(set(tx.conn.execute(wanted).scalars())))


def ranks(tx: Tx, sessions: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Rank]:
    """Of each (agent, session) its place among those that hold copies of one thing: the smallest owns it.

    The one that began first; without times, or at the same time, the one whose name comes first.
    """
    wanted = sa.select(sa.func.min(origins.c.first_at))
    found: dict[tuple[str, str], Rank] = {}
    for agent, session in sessions:
        at = tx.conn.execute(wanted.where(*_here(tx, agent, session))).scalar()
        found[agent, session] = (at is None, at or 0, agent, session)
    return found


def _here(tx: Tx, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (origins.c.tenant == tx.tenant, origins.c.agent == agent, origins.c.session == session)


@lru_cache(maxsize=8)
def _putting(dialect: Dialect) -> Any:
    new = dialect.insert(origins)
    kept = {name: new.excluded[name] for name in ("first_at", "about")}
    return new.on_conflict_do_update(index_elements=_KEY, set_=kept)
