"""Codes of users, kept sealed for a while: losing one costs the time to fold it anew, never truth."""

from __future__ import annotations

import json

import sqlalchemy as sa

from carryover.core.errors import DataLoss, KeyLost
from carryover.store import hot
from carryover.store.cache import RedisCache
from carryover.store.persona_tables import persona_codes
from carryover.store.store import Tx
from carryover.store.vault import Vault

_PLACE = "persona_codes"
_VERSION_BYTES = 8
_GET = sa.select(persona_codes.c.sealed).where(
    persona_codes.c.tenant == sa.bindparam("tenant"),
    persona_codes.c.user == sa.bindparam("whose"),
    persona_codes.c.version == sa.bindparam("at"),
    persona_codes.c.expires_at > sa.bindparam("now"),
)


class Codes:
    """In Redis where there is one, else in the database; each good for the version that it was made from."""

    def __init__(self, vault: Vault, cache: RedisCache | None, ttl_s: int) -> None:
        self._vault, self._cache, self._ttl_s = vault, cache, ttl_s

    def get(self, tx: Tx, user: str, version: int) -> bytes | None:
        """The code that was made from this version of the profile; None where none is kept, or opens."""
        sealed = self._row(tx, user, version) if self._cache is None else self._cache.get(_name(tx, user))
        if sealed is None:
            return None
        try:
            plain = self._vault.open(tx.tenant, user, _PLACE, sealed)
        except (DataLoss, KeyLost):  # it is made anew, of what says so too where a key is lost
            return None
        if plain is None or int.from_bytes(plain[:_VERSION_BYTES]) != version:
            return None
        return plain[_VERSION_BYTES:]

    def put(self, tx: Tx, user: str, version: int, plain: bytes) -> None:
        """The code of this version may be had until it expires, or the next one is put; expired ones are gone."""
        sealed = self._vault.seal(tx.tenant, user, _PLACE, version.to_bytes(_VERSION_BYTES) + plain)
        if self._cache is not None:
            self._cache.put(_name(tx, user), sealed, ttl_s=self._ttl_s)
            return
        expired = persona_codes.c.tenant == tx.tenant, persona_codes.c.expires_at <= tx.now
        tx.conn.execute(persona_codes.delete().where(*expired))
        anew = {"version": version, "expires_at": tx.now + self._ttl_s * 1000, "sealed": sealed}
        new = tx.insert(persona_codes).values(tenant=tx.tenant, user=user, **anew)
        tx.conn.execute(new.on_conflict_do_update(index_elements=["tenant", "user"], set_=anew))

    def drop(self, tx: Tx, user: str) -> None:
        """No code of the user is kept; in a Redis that is away it expires by itself."""
        here = persona_codes.c.tenant == tx.tenant, persona_codes.c.user == user
        tx.conn.execute(persona_codes.delete().where(*here))
        if self._cache is not None:
            self._cache.drop(_name(tx, user))

    def _row(self, tx: Tx, user: str, version: int) -> bytes | None:
        asked = {"tenant": tx.tenant, "whose": user, "at": version, "now": tx.now}
        found = hot.read(tx.conn, _GET, asked)
        return bytes(found[0][0]) if found else None


def _name(tx: Tx, user: str) -> str:
    return json.dumps([_PLACE, tx.tenant, user])
