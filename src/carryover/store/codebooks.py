"""Codebooks: the versions of a tenant's, each whole, sealed with the tenant's key. The newest one counts."""

from __future__ import annotations

import sqlalchemy as sa

from carryover.core.errors import Conflict
from carryover.core.persona import PersonaStrategy, Why
from carryover.store.persona_tables import codebooks
from carryover.store.store import Tx
from carryover.store.vault import Vault

KEPT = 3  # versions, the newest ones


def newest_version(tx: Tx) -> int:
    """The version that counts; 0 where there is none yet."""
    newest = sa.select(sa.func.max(codebooks.c.version)).where(codebooks.c.tenant == tx.tenant)
    return tx.conn.execute(newest).scalar() or 0


def newest(tx: Tx, vault: Vault) -> tuple[int, bytes] | None:
    """The newest version and what it holds; None where there is none, or where the tenant's key was dropped.

    Raises KeyLost.
    """
    wanted = sa.select(codebooks.c.version, codebooks.c.sealed).where(codebooks.c.tenant == tx.tenant)
    row = tx.conn.execute(wanted.order_by(codebooks.c.version.desc()).limit(1)).first()
    content = None if row is None else vault.open(tx.tenant, "", _place(row.version), row.sealed)
    return None if row is None or content is None else (row.version, content)


def put(tx: Tx, vault: Vault, version: int, content: bytes, *, space: str, strategy: PersonaStrategy, why: Why) -> None:
    """The version counts from now on; those before the last `KEPT` are gone. Raises Conflict unless it is the next."""
    before = newest_version(tx)
    if before >= version:
        raise Conflict(f"version {version} of the codebook was made from an older one than {before}; fit it again")
    tx.conn.execute(
        codebooks.insert().values(
            tenant=tx.tenant,
            version=version,
            space=space,
            strategy=strategy,
            why=why,
            created_at=tx.now,
            sealed=vault.seal(tx.tenant, "", _place(version), content),
        )
    )
    old = codebooks.c.version <= version - KEPT
    tx.conn.execute(codebooks.delete().where(codebooks.c.tenant == tx.tenant, old))


def keep_newest(tx: Tx) -> None:
    """Of the tenant's versions only the newest is kept: those before could tell what may be told no more."""
    old = codebooks.c.version < newest_version(tx)
    tx.conn.execute(codebooks.delete().where(codebooks.c.tenant == tx.tenant, old))


def _place(version: int) -> str:
    return f"codebooks/{version}"
