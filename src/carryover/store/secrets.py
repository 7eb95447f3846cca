"""Keys that belong to the installation: made once, in the database, and the same for all its processes."""

from __future__ import annotations

import os

import sqlalchemy as sa

from carryover.store.seal import KEY_BYTES
from carryover.store.store import Tx
from carryover.store.tables import secrets


def known(tx: Tx, name: str) -> bytes | None:
    """The secret of that name; None where nobody needed it yet. The transaction may be one that only reads."""
    return tx.conn.execute(sa.select(secrets.c.value).where(secrets.c.name == name)).scalar()


def secret(tx: Tx, name: str) -> bytes:
    """32 random bytes, made by whoever asks for the name first; the transaction must be a writing one."""
    made = tx.insert(secrets).values(name=name, value=os.urandom(KEY_BYTES))
    tx.conn.execute(made.on_conflict_do_nothing(index_elements=["name"]))
    return tx.conn.execute(sa.select(secrets.c.value).where(secrets.c.name == name)).scalar_one()
