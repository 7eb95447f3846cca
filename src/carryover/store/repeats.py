"""Idempotency keys of erased sessions: what is sent again late, by a client or a proxy, brings nothing back.

They are kept as hashes with a secret of the installation, for a day after the turns came in. Keys that are made of what
is said are not: who says or imports it again means it.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import sqlalchemy as sa

from carryover.core.clock import DAY_MS
from carryover.core.session import OF_CONTENT
from carryover.core.text import canonical_json
from carryover.store.parts import parts
from carryover.store.secrets import known, secret
from carryover.store.store import Tx
from carryover.store.tables import turns
from carryover.store.trust_tables import repeats as rows

KEPT_MS = DAY_MS
_SECRET = "repeats"

Keyed = tuple[str, str, str]  # agent, session, idempotency key


def spend(tx: Tx, agent: str, session: str) -> None:
    """The session is about to be erased: the idempotency keys of what came in lately cannot be used again."""
    here = turns.c.tenant == tx.tenant, turns.c.agent == agent, turns.c.session == session
    made_of_content = (turns.c.idempotency_key.startswith(one) for one in OF_CONTENT)
    late = turns.c.idempotency_key.is_not(None), turns.c.received_at > tx.now - KEPT_MS, ~sa.or_(*made_of_content)
    found = tx.conn.execute(sa.select(turns.c.idempotency_key, turns.c.received_at).where(*here, *late)).all()
    if not found:
        return
    own = secret(tx, _SECRET)
    new = [
        {"tenant": tx.tenant, "hash": _hash(own, tx.tenant, (agent, session, row[0])), "until": row[1] + KEPT_MS}
        for row in found
    ]
    for part in parts(sorted(new, key=lambda row: row["hash"])):
        tx.conn.execute(tx.insert(rows).on_conflict_do_nothing(index_elements=["tenant", "hash"]), list(part))


def spent(tx: Tx, keys: Sequence[Keyed]) -> set[Keyed]:
    """Those of the keys that were used in a session that is erased."""
    own = known(tx, _SECRET) if keys else None
    if own is None:
        return set()
    named = {_hash(own, tx.tenant, key): key for key in keys}
    found: set[Keyed] = set()
    for part in parts(list(named)):
        there = sa.select(rows.c.hash).where(rows.c.tenant == tx.tenant, rows.c.hash.in_(part), rows.c.until > tx.now)
        found.update(named[hash] for hash in tx.conn.execute(there).scalars())
    return found


def sweep(tx: Tx) -> int:
    """In `EVERY_TENANT`, those that were kept long enough are gone; how many."""
    over = rows.c.tenant.is_not(None), rows.c.until <= tx.now
    return tx.conn.execute(rows.delete().where(*over)).rowcount


def _hash(own: bytes, tenant: str, key: Keyed) -> str:
    return hmac.digest(own, canonical_json([tenant, *key]).encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
