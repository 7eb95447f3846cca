"""Legal holds: what may not be erased, and who said so."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from carryover.core.erasure import LegalHold
from carryover.core.errors import Held, NotFound
from carryover.core.ids import new_id
from carryover.store import counters, migrate
from carryover.store.persona_tables import preferences
from carryover.store.store import Tx
from carryover.store.tables import sessions
from carryover.store.trust_tables import holds as rows

KNOWN_SINCE = "0007"  # programs that were made for an earlier schema would erase what is held
_NAMES = ("agent", "session", "user")


def require_known(tx: Tx) -> None:
    """In `EVERY_TENANT`: programs that do not know of holds may not start any more."""
    migrate.shut_out(tx.conn, tx.dialect, KNOWN_SINCE)


def lock(tx: Tx) -> None:
    """Until the transaction ends nobody else places a hold, or erases: what is not held now is not until then."""
    counters.bump(tx, "holds", 0)


def place(tx: Tx, *, agent: str | None, session: str | None, user: str | None, reason: str) -> LegalHold:
    """What is named may not be erased from now on."""
    lock(tx)
    hold = LegalHold(new_id("hold"), reason, tx.scope.by.who, tx.now, agent, session, user)
    values = {"id": hold.id, "reason": reason, "placed_by": hold.placed_by, "placed_at": tx.now}
    tx.conn.execute(rows.insert().values(tenant=tx.tenant, agent=agent, session=session, user=user, **values))
    return hold


def release(tx: Tx, id: str) -> LegalHold:
    """The hold keeps nothing any more; releasing twice is releasing once. Raises NotFound."""
    mine = rows.c.tenant == tx.tenant, rows.c.id == id
    state = {"released_by": tx.scope.by.who, "released_at": tx.now}
    tx.conn.execute(rows.update().where(*mine, rows.c.released_at.is_(None)).values(**state))
    row = tx.conn.execute(sa.select(rows).where(*mine)).first()
    if row is None:
        raise NotFound(f"there is no legal hold {id!r} here; list them with `carryover hold list`")
    return hold_of(row)


def listed(tx: Tx, *, released: bool = False) -> list[LegalHold]:
    """The holds that are in force, the newest first; with `released` also those that were released."""
    wanted = sa.select(rows).where(rows.c.tenant == tx.tenant).order_by(rows.c.placed_at.desc(), rows.c.id.desc())
    return [hold_of(row) for row in tx.conn.execute(wanted if released else wanted.where(rows.c.released_at.is_(None)))]


def active(tx: Tx, which: sa.ColumnElement[bool]) -> list[Any]:
    """The rows of those holds in force that are such, the oldest first."""
    wanted = sa.select(rows).where(rows.c.tenant == tx.tenant, rows.c.released_at.is_(None), which)
    return list(tx.conn.execute(wanted.order_by(rows.c.placed_at, rows.c.id)))


def keeps(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether the hold names what a row of this table is of."""
    named = [name for name in _NAMES if name in table.c]
    return sa.and_(*(sa.or_(rows.c[name].is_(None), rows.c[name] == table.c[name]) for name in named))


def holding(tx: Tx) -> sa.ColumnElement[bool]:
    """Whether any hold in force names the session of a row of `sessions`."""
    here = rows.c.tenant == tx.tenant, rows.c.released_at.is_(None)
    return sa.exists().where(*here, keeps(sessions)).correlate(sessions)


def require_free(tx: Tx, user: str) -> None:
    """Raises Held when what is known of the user, or was noticed in a session of theirs, is held; none is placed on it
    until the transaction ends.
    """
    lock(tx)
    same = preferences.c.tenant == tx.tenant, preferences.c.user == user
    noticed = sa.exists().where(*same, rows.c.user.is_(None), keeps(preferences)).correlate(rows)
    for row in active(tx, sa.or_(rows.c.user == user, noticed)):
        raise refusal(row)


def clear(tx: Tx, *, agent: str | None, session: str | None, user: str | None) -> int:
    """Holds that were released and name just this are told of no more: it is gone. How many there were."""
    named = zip(_NAMES, (agent, session, user), strict=True)
    same = (rows.c[name].is_not_distinct_from(value) for name, value in named)
    doomed = rows.delete().where(rows.c.tenant == tx.tenant, rows.c.released_at.is_not(None), *same)
    return tx.conn.execute(doomed).rowcount


def refusal(row: Any) -> Held:
    """What says that this hold forbids it."""
    return Held(
        f"legal hold {row.id!r} forbids this ({row.reason}); it can be erased once an admin has released the hold "
        f"(`carryover hold release {row.id}`)",
        hold_id=row.id,
        reason=row.reason,
    )


def hold_of(row: Any) -> LegalHold:
    return LegalHold(
        id=row.id,
        reason=row.reason,
        placed_by=row.placed_by,
        placed_at=row.placed_at,
        agent_id=row.agent,
        session_id=row.session,
        user_id=row.user,
        released_by=row.released_by,
        released_at=row.released_at,
    )
