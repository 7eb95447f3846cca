"""Which sessions and turns a selection names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from carryover.core.erasure import Selection
from carryover.core.session import ERASED
from carryover.store import holds
from carryover.store.coding_tables import origins
from carryover.store.sessions import Head
from carryover.store.store import Tx
from carryover.store.tables import sessions, turns

# A retraction holds no words. Without it, what was taken back would be told again.
_WORDLESS = (ERASED, "retraction")


def keys(tx: Tx, asked: Selection, *, limit: int) -> list[tuple[str, str]]:
    """(agent, session) of at most `limit` sessions that the selection reaches and no legal hold keeps, by name."""
    wanted = sa.select(sessions.c.agent, sessions.c.session).where(*_reached(tx, asked), ~holds.holding(tx))
    rows = tx.conn.execute(wanted.order_by(sessions.c.agent, sessions.c.session).limit(limit))
    return [(row[0], row[1]) for row in rows]


def count(tx: Tx, asked: Selection) -> tuple[int, int]:
    """How many sessions the selection reaches, held ones too, and of how many users they are."""
    wanted = sa.select(sa.func.count(), sa.func.count(sessions.c.user.distinct())).where(*_reached(tx, asked))
    row = tx.conn.execute(wanted).one()
    return row[0], row[1]


def holding(tx: Tx, asked: Selection) -> list[Any]:
    """The rows of the legal holds that keep anything of the selection."""
    named = sa.exists().where(*_reached(tx, asked), holds.keeps(sessions)).correlate(holds.rows)
    if asked.of_user is not None:
        named = sa.or_(named, holds.rows.c.user == asked.of_user)
    if asked.of_agent is not None:
        named = sa.or_(named, holds.rows.c.agent == asked.of_agent)
    return holds.active(tx, named)


def turns_of(tx: Tx, asked: Selection, agent: str, session: str) -> list[int]:
    """The turns of the session that the selection names and that still say something, by number."""
    here = turns.c.tenant == tx.tenant, turns.c.agent == agent, turns.c.session == session
    wanted = sa.select(turns.c.seq).where(*here, *_named(asked)).order_by(turns.c.seq)
    return list(tx.conn.execute(wanted).scalars())


def is_all(tx: Tx, head: Head, seqs: Sequence[int]) -> bool:
    """Whether these turns are all of the session that still say something."""
    here = turns.c.tenant == tx.tenant, turns.c.agent == head.agent, turns.c.session == head.session
    told = sa.select(sa.func.count()).select_from(turns).where(*here, turns.c.kind.not_in(_WORDLESS))
    return tx.conn.execute(told).scalar_one() == len(seqs)


def is_ingested(tx: Tx, agent: str, session: str) -> bool:
    """Whether the session was read out of logs, which are archived."""
    here = origins.c.tenant == tx.tenant, origins.c.agent == agent, origins.c.session == session
    return tx.conn.execute(sa.select(origins.c.path).where(*here).limit(1)).first() is not None


def _reached(tx: Tx, asked: Selection) -> list[sa.ColumnElement[bool]]:
    scope = tx.scope
    named = (
        *((sessions.c.agent, asked.agent_id), (sessions.c.session, asked.session_id), (sessions.c.user, asked.user_id)),
        *((sessions.c.agent, scope.agent), (sessions.c.user, scope.user)),
    )
    found: list[sa.ColumnElement[bool]] = [sessions.c.tenant == tx.tenant]
    found += [column == value for column, value in named if value is not None]
    if asked.is_of_turns:
        same = (turns.c[name] == sessions.c[name] for name in ("tenant", "agent", "session"))
        found.append(sa.exists().where(turns.c.tenant == tx.tenant, *same, *_named(asked)).correlate(sessions))
    return found


def _named(asked: Selection) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = [turns.c.kind.not_in(_WORDLESS)]
    if asked.first is not None and asked.last is not None:
        found.append(turns.c.seq.between(asked.first, asked.last))
    if asked.since is not None:
        found.append(turns.c.created_at >= asked.since)
    if asked.until is not None:
        found.append(turns.c.created_at < asked.until)
    return found
