"""API keys: only a hash is kept, so a copy of the database opens no door."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.core.errors import NotFound
from carryover.core.scope import RIGHTS, Right, Scope
from carryover.store.store import Tx
from carryover.store.tables import keys

PREFIX = "co_"
_PUBLIC = 12  # characters of a key that name it in lists
_TOUCH_MS = 60_000


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as lists show it: never its secret."""

    id: str
    tenant: str
    label: str
    rights: tuple[Right, ...]
    agent_id: str | None
    user_id: str | None
    created_at: Time
    last_used_at: Time | None
    revoked_at: Time | None

    @property
    def scope(self) -> Scope:
        return Scope(self.tenant, self.agent_id, self.user_id, frozenset(self.rights))


def create(
    tx: Tx, *, label: str, rights: Sequence[Right] = RIGHTS, agent: str | None = None, user: str | None = None
) -> tuple[Key, str]:
    """A new key of the tenant, and its secret: 256 random bits that are shown this once."""
    secret = PREFIX + secrets.token_urlsafe(32)
    row = {
        "tenant": tx.tenant,
        "id": secret[:_PUBLIC],
        "hash": _hash(secret),
        "label": label,
        "rights": " ".join(rights),
        "agent": agent,
        "user": user,
        "created_at": tx.now,
        "last_used_at": None,
        "revoked_at": None,
    }
    tx.conn.execute(sa.insert(keys).values(row))
    mine = sa.select(keys).where(keys.c.tenant == tx.tenant, keys.c.id == row["id"])
    return _key(tx.conn.execute(mine).one()), secret


def find(tx: Tx, secret: str) -> Key | None:
    """The key with this secret, None when it is unknown or revoked.

    Looks at all tenants: it is the key that says which tenant its bearer is.
    """
    row = tx.conn.execute(sa.select(keys).where(keys.c.hash == _hash(secret), keys.c.revoked_at.is_(None))).first()
    return None if row is None else _key(row)


def touch(tx: Tx, key: Key) -> None:
    """The key's last use is now; written at most once a minute."""
    if key.last_used_at is None or tx.now - key.last_used_at > _TOUCH_MS:
        tx.conn.execute(
            keys.update().where(keys.c.tenant == key.tenant, keys.c.id == key.id).values(last_used_at=tx.now)
        )


def listed(tx: Tx) -> list[Key]:
    """The tenant's keys, oldest first, revoked ones included."""
    wanted = sa.select(keys).where(keys.c.tenant == tx.tenant).order_by(keys.c.created_at, keys.c.id)
    return [_key(row) for row in tx.conn.execute(wanted)]


def revoke(tx: Tx, id: str) -> Key:
    """The key opens nothing any more. Raises NotFound when the tenant has none with this id."""
    gone = keys.update().where(keys.c.tenant == tx.tenant, keys.c.id == id)
    tx.conn.execute(gone.where(keys.c.revoked_at.is_(None)).values(revoked_at=tx.now))
    row = tx.conn.execute(sa.select(keys).where(keys.c.tenant == tx.tenant, keys.c.id == id)).first()
    if row is None:
        raise NotFound(f"there is no key {id!r}; list them with `carryover keys list`")
    return _key(row)


def exist(tx: Tx) -> bool:
    """Whether any tenant ever made a key, revoked or not: then every request needs one."""
    return tx.conn.execute(sa.select(keys.c.id).limit(1)).first() is not None


def _hash(secret: str) -> str:
    # The secret holds 256 random bits: a plain fast hash cannot be searched, and a slow one would cost every request.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: Any) -> Key:
    return Key(
        id=row.id,
        tenant=row.tenant,
        label=row.label,
        rights=cast("tuple[Right, ...]", tuple(row.rights.split())),
        agent_id=row.agent,
        user_id=row.user,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
