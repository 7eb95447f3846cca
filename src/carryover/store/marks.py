"""Which sessions hold a copy of a step, and whose it is: forks, resumes and replays count once.

The session that began first owns a step; whoever else holds it has a copy. That is decided when it is asked, so the
order in which logs were read does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from carryover.store import hot, origins
from carryover.store.coding_tables import marks, spends
from carryover.store.parts import parts
from carryover.store.store import Tx

_ADD = sa.insert(marks)


def _shared(table: sa.Table, same: str) -> tuple[sa.FromClause, sa.FromClause, sa.ColumnElement[bool]]:
    """The rows of a session, those of others that say the same, and how the two belong together."""
    mine, theirs = table.alias("mine"), table.alias("theirs")
    here = (mine.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session"))
    other = sa.or_(theirs.c.agent != mine.c.agent, theirs.c.session != mine.c.session)
    return mine, theirs, sa.and_(*here, theirs.c.tenant == mine.c.tenant, theirs.c[same] == mine.c[same], other)


_mine, _theirs, _copied = _shared(marks, "uid")
_COPIES = sa.select(_mine.c.seq, _theirs.c.agent, _theirs.c.session).where(_copied)
_SHARERS = sa.select(_theirs.c.agent, _theirs.c.session).distinct().where(_copied)
_, _payers, _paid = _shared(spends, "key")
_SPENDERS = sa.select(_payers.c.agent, _payers.c.session).distinct().where(_paid)
_HOLDERS = (
    sa.select(marks.c.agent, marks.c.session)
    .distinct()
    .where(marks.c.tenant == sa.bindparam("tenant"), marks.c.uid.in_(sa.bindparam("keys", expanding=True)))
)
_PAID = (
    sa.select(spends.c.agent, spends.c.session)
    .distinct()
    .where(spends.c.tenant == sa.bindparam("tenant"), spends.c.key.in_(sa.bindparam("keys", expanding=True)))
)
_HELD = sa.select(marks.c.uid).where(
    marks.c.tenant == sa.bindparam("tenant"),
    marks.c.uid.in_(sa.bindparam("uids", expanding=True)),
    marks.c.agent == sa.bindparam("agent"),
    marks.c.session == sa.bindparam("session"),
)


def add(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Each row says by `agent`, `session` and `seq` which turn holds the step `uid` (16 bytes)."""
    if rows:
        hot.write(tx.conn, _ADD, [{"tenant": tx.tenant, **row} for row in rows])


def held(tx: Tx, agent: str, session: str, uids: Sequence[bytes]) -> set[bytes]:
    """Which of these steps the session holds already."""
    found: set[bytes] = set()
    for part in parts(list(uids)):
        asked = {"tenant": tx.tenant, "agent": agent, "session": session, "uids": part}
        found.update(bytes(uid) for uid in tx.conn.execute(_HELD, asked).scalars())
    return found


def replayed(tx: Tx, agent: str, session: str) -> set[int]:
    """The turns of the session that are copies of an earlier session's."""
    copies = [tuple(row) for row in hot.read(tx.conn, _COPIES, _in(tx, agent, session))]
    if not copies:
        return set()
    ranks = origins.ranks(tx, sorted({(agent, session), *((row[1], row[2]) for row in copies)}))
    own = ranks[agent, session]
    return {seq for seq, *other in copies if ranks[other[0], other[1]] < own}


def sharers(tx: Tx, agent: str, session: str) -> list[tuple[str, str]]:
    """The other sessions that hold a copy of a step of this one, or of a spend of it."""
    found = hot.read(tx.conn, _SHARERS, _in(tx, agent, session))
    return sorted({(row[0], row[1]) for row in (*found, *hot.read(tx.conn, _SPENDERS, _in(tx, agent, session)))})


def holders(tx: Tx, uids: Sequence[bytes], spent: Sequence[bytes]) -> set[tuple[str, str]]:
    """The sessions that hold one of these steps, or one of these spends."""
    found: set[tuple[str, str]] = set()
    for wanted, keys in ((_HOLDERS, uids), (_PAID, spent)):
        for part in parts(list(keys)):
            rows = tx.conn.execute(wanted, {"tenant": tx.tenant, "keys": part})
            found.update((row[0], row[1]) for row in rows)
    return found


def _in(tx: Tx, agent: str, session: str) -> dict[str, Any]:
    return {"tenant": tx.tenant, "agent": agent, "session": session}
