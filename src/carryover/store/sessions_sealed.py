"""Which databases seal, and what they hold unsealed."""

from __future__ import annotations

import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT
from carryover.store import migrate
from carryover.store.store import SEALING, Store, Tx
from carryover.store.tables import secrets
from carryover.store.tables import sessions as rows

SINCE = "0007"  # the first revision whose programs can read what is sealed


def begins(store: Store, *, only_new: bool = False) -> bool:
    """New sessions are sealed from now on, and older programs are shut out; whether that is so.

    With `only_new` a database that holds sessions is left as it is.
    """
    with store.read(EVERY_TENANT) as tx:
        if _is_marked(tx):
            return True
        if only_new and _holds_sessions(tx):
            return False

    def mark(tx: Tx) -> bool:
        if only_new and _holds_sessions(tx):
            return False
        made = tx.insert(secrets).values(name=SEALING, value=b"\x01")
        tx.conn.execute(made.on_conflict_do_nothing(index_elements=["name"]))
        migrate.shut_out(tx.conn, tx.dialect, SINCE)
        return True

    return store.transact(EVERY_TENANT, mark)


def unsealed(store: Store) -> list[tuple[str, str, str]]:
    """Tenant, agent and id of the sessions that are not sealed."""
    with store.read(EVERY_TENANT) as tx:
        wanted = sa.select(rows.c.tenant, rows.c.agent, rows.c.session).where(rows.c.key.is_(None))
        return [(row[0], row[1], row[2]) for row in tx.conn.execute(wanted.order_by(*wanted.selected_columns))]


def _is_marked(tx: Tx) -> bool:
    return tx.conn.execute(sa.select(secrets.c.name).where(secrets.c.name == SEALING)).first() is not None


def _holds_sessions(tx: Tx) -> bool:
    return tx.conn.execute(sa.select(rows.c.session).limit(1)).first() is not None
