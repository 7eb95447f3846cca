"""A new key for what is kept of a session, and for all sessions that have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import archive, damage, sealed, sessions, turns
from carryover.store.sessions_sealed import begins, unsealed
from carryover.store.store import Store, Tx
from carryover.store.tables import sessions as rows

_SEGMENTS = 16  # of the archive, that one transaction seals


def seal(store: Store, advance: Callable[[int], None]) -> int:
    """All sessions are sealed, those of now and those to come; how many were not. Appends go on meanwhile.

    What was broken off goes on when it is called again. Raises KeyLost when no key can be made.
    """
    begins(store)
    done = 0
    while left := unsealed(store):
        for tenant, agent, session in left:
            done += store.transact(Scope(tenant), lambda tx, of=(agent, session): rekey(tx, *of))
            advance(1)
    for tenant in _tenants(store):
        while store.transact(Scope(tenant), lambda tx: archive.seal(tx, _SEGMENTS)):
            pass
        store.transact(Scope(tenant), damage.begin_anew)
    store.settle()
    return done


def rekey(tx: Tx, agent: str, session: str) -> bool:
    """All that is kept of the session is sealed with a new key, where the database seals; whether it is there.

    The caller drops the old key once this is committed.
    """
    head = sessions.find(tx, [(agent, session)]).get((agent, session))
    if head is None:
        return False
    key = tx.new_key()
    turns.reseal(tx, agent, session, key)
    sealed.reseal(tx, agent, session, key)
    sessions.put(tx, [replace(head, key=key)])
    return True


def _tenants(store: Store) -> list[str]:
    with store.read(EVERY_TENANT) as tx:
        return list(tx.conn.execute(sa.select(rows.c.tenant).distinct().order_by(rows.c.tenant)).scalars())
