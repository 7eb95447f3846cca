"""API keys: only a keyed hash is kept, so a copy of the database opens no door."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from carryover.core.clock import Time, rfc3339
from carryover.core.errors import Forbidden, Invalid, NotFound, StoreUnavailable, Unauthorized
from carryover.core.scope import EVERY_TENANT, RIGHTS, Caller, Right, Scope
from carryover.store import audit
from carryover.store.secrets import secret as installation_secret
from carryover.store.store import SEALING, Store, Tx
from carryover.store.tables import keys
from carryover.store.tables import secrets as installation_secrets

PREFIX = "co_"
TOUCH_MS = 60_000  # a key's last use is noted about once a minute
_PUBLIC = 12  # characters of a key that name it in lists
_PEPPER = "keys"  # the installation's secret that keys are hashed with
_FORM = "h1:"  # before a hash made with it; what has none is the plain SHA-256 of earlier programs


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
    expires_at: Time | None = None
    rate: str | None = None  # requests that it may make, as in `100/minute`; None: the tenant's rate alone counts

    @property
    def scope(self) -> Scope:
        by = Caller(f"key {self.id}", "http")
        return Scope(self.tenant, self.agent_id, self.user_id, frozenset(self.rights), by)

    def is_due(self, now: Time) -> bool:
        """Whether its last use should be noted again."""
        return self.last_used_at is None or now - self.last_used_at > TOUCH_MS


def create(
    tx: Tx,
    *,
    label: str,
    rights: Sequence[Right] = RIGHTS,
    agent: str | None = None,
    user: str | None = None,
    expires_at: Time | None = None,
    rate: str | None = None,
) -> tuple[Key, str]:
    """A new key of the tenant, and its secret: 256 random bits that are shown this once.

    Raises Forbidden for a key that could do more than the scope that makes it, Invalid for one that has expired.
    """
    _require_no_wider(tx.scope, rights, agent, user)
    if expires_at is not None and expires_at <= tx.now:
        raise Invalid(f"the key would have expired at {rfc3339(expires_at)}; name a later time", field="expires")
    secret = PREFIX + secrets.token_urlsafe(32)
    row = {
        "tenant": tx.tenant,
        "id": secret[:_PUBLIC],
        "hash": _peppered(installation_secret(tx, _PEPPER), secret),
        "label": label,
        "rights": " ".join(rights),
        "agent": agent,
        "user": user,
        "created_at": tx.now,
        "last_used_at": None,
        "revoked_at": None,
        "expires_at": expires_at,
        "rate": rate,
    }
    tx.conn.execute(sa.insert(keys).values(row))
    mine = sa.select(keys).where(keys.c.tenant == tx.tenant, keys.c.id == row["id"])
    key = _key(tx.conn.execute(mine).one())
    audit.note(tx, action="key.create", subject=f"key {key.id}", detail=_said(key))
    return key, secret


def find(tx: Tx, secret: str) -> Key | None:
    """The key with this secret, expired or not; None when it is unknown or revoked.

    Looks at all tenants: it is the key that says which tenant its bearer is.
    """
    chosen = installation_secrets.c.name == _PEPPER
    pepper = tx.conn.execute(sa.select(installation_secrets.c.value).where(chosen)).scalar()
    hashes = [_plain(secret)] if pepper is None else [_peppered(pepper, secret), _plain(secret)]
    rows = tx.conn.execute(sa.select(keys).where(keys.c.hash.in_(hashes), keys.c.revoked_at.is_(None))).all()
    # The index compares hashes, which say nothing of how much of a secret was right; this compares in constant time.
    same = [row for row in rows if any(hmac.compare_digest(row.hash, one) for one in hashes)]
    return _key(same[0]) if same else None


def admitted(store: Store, secret: str) -> Key:
    """The key with this secret, which is valid now. Raises Unauthorized, and says why."""
    with store.read(EVERY_TENANT) as tx:
        key, now = find(tx, secret), tx.now
    if key is None:
        raise Unauthorized("this API key is unknown or revoked; send `Authorization: Bearer <key>` with a valid one")
    if key.expires_at is not None and now >= key.expires_at:
        raise Unauthorized(f"this API key expired at {rfc3339(key.expires_at)}; ask for a new one")
    return key


def touch(tx: Tx, key: Key, secret: str | None = None) -> None:
    """The key's last use is now, written at most once a minute; and its hash, where `secret` is given, a keyed one.

    A plain hash of before is left as it is until older programs, which know no other, are shut out of the database.
    """
    mine = keys.update().where(keys.c.tenant == key.tenant, keys.c.id == key.id)
    if key.is_due(tx.now):
        tx.conn.execute(mine.values(last_used_at=tx.now))
    if secret is not None and _alone(tx):
        hashed = _peppered(installation_secret(tx, _PEPPER), secret)
        tx.conn.execute(mine.where(keys.c.hash == _plain(secret)).values(hash=hashed))


def used(store: Store, key: Key, secret: str) -> None:
    """What `touch` does, where it is due; while nothing can be written it is done another time."""
    if key.is_due(store.clock.now()):
        with suppress(StoreUnavailable), store.write(key.scope) as tx:
            touch(tx, key, secret)


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
    audit.note(tx, action="key.revoke", subject=f"key {id}")
    return _key(row)


def exist(tx: Tx) -> bool:
    """Whether any tenant ever made a key, revoked or not: then every request needs one."""
    return tx.conn.execute(sa.select(keys.c.id).limit(1)).first() is not None


def _require_no_wider(scope: Scope, rights: Sequence[Right], agent: str | None, user: str | None) -> None:
    for right in rights:
        scope.require(right)
    if scope.agent not in (None, agent) or scope.user not in (None, user):
        raise Forbidden("whoever is narrowed to an agent or a user makes keys for these alone; name them")


def _alone(tx: Tx) -> bool:
    """Whether only programs that know keyed hashes may work with the database: it seals, so it is closed to others."""
    return tx.conn.execute(sa.select(sa.literal(1)).where(installation_secrets.c.name == SEALING)).first() is not None


# The secret holds 256 random bits: a fast hash cannot be searched, and a slow one would cost every request.
def _peppered(pepper: bytes, secret: str) -> str:
    return _FORM + hmac.digest(pepper, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


def _plain(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _said(key: Key) -> str:
    """What the key may do, for the audit log."""
    narrowed = {"agent": key.agent_id, "user": key.user_id, "rate": key.rate}
    said = [f"right {key.rights[-1]}", *(f"{name} {value}" for name, value in narrowed.items() if value is not None)]
    return ", ".join([*said, *([] if key.expires_at is None else [f"until {rfc3339(key.expires_at)}"])])


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
        expires_at=row.expires_at,
        rate=row.rate,
    )
