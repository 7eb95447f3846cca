"""API keys: shown once, found by their hash, revoked for good."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.errors import NotFound
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import keys
from carryover.store.keys import Key
from carryover.store.store import Store
from carryover.store.tables import keys as table

ACME = Scope("acme")


def create(store: Store, scope: Scope = ACME, **about: Any) -> tuple[Key, str]:
    with store.write(scope) as tx:
        return keys.create(tx, label="a key", **about)


def find(store: Store, secret: str) -> Key | None:
    with store.read(EVERY_TENANT) as tx:
        return keys.find(tx, secret)


def test_a_key_opens_its_own_scope(store: Store) -> None:
    key, secret = create(store, rights=("read", "write"), agent="a", user="u")
    assert find(store, secret) == key
    assert key.scope == Scope("acme", "a", "u", frozenset({"read", "write"}))
    assert secret.startswith(keys.PREFIX)
    assert secret.startswith(key.id)
    assert len(secret) >= 43


@pytest.mark.parametrize(
    "change", [lambda s: s[:-1], lambda s: s + "x", lambda s: s.upper(), lambda s: "", lambda s: "\ud800"]
)
def test_nothing_else_opens_it(store: Store, change: Any) -> None:
    _, secret = create(store)
    assert find(store, change(secret)) is None


def test_no_secret_is_kept(store: Store) -> None:
    key, secret = create(store)
    with store.read(EVERY_TENANT) as tx:
        row = tx.conn.execute(sa.select(table).where(table.c.tenant == "acme")).one()
    assert secret not in "".join(map(str, row))
    assert secret[len(key.id) :] not in "".join(map(str, row))


def test_a_revoked_key_opens_nothing_and_stays_listed(store: Store, clock: Any) -> None:
    with store.read(ACME) as tx:
        assert not keys.exist(tx)
    key, secret = create(store)
    with store.read(EVERY_TENANT) as tx:
        assert keys.exist(tx)
    clock.pass_(5)
    with store.write(ACME) as tx:
        assert keys.revoke(tx, key.id).revoked_at == clock.at
    clock.pass_(5)
    with store.write(ACME) as tx:
        assert keys.revoke(tx, key.id).revoked_at == clock.at - 5
        assert [one.id for one in keys.listed(tx)] == [key.id]
        assert keys.exist(tx)  # a door that was closed once does not open again when its last key goes
    assert find(store, secret) is None


def test_a_key_of_another_tenant_cannot_be_revoked_or_listed(store: Store) -> None:
    key, secret = create(store)
    with store.write(Scope("zeta")) as tx:
        assert keys.listed(tx) == []
        with pytest.raises(NotFound, match=f"there is no key '{key.id}'"):
            keys.revoke(tx, key.id)
    assert find(store, secret) == key


def test_the_last_use_is_written_at_most_once_a_minute(store: Store, clock: Any) -> None:
    key, secret = create(store)
    uses: list[int | None] = []
    for step in (0, 60_000, 1):
        clock.pass_(step)
        with store.write(ACME) as tx:
            found = keys.find(tx, secret)
            assert found is not None
            keys.touch(tx, found)
        with store.read(ACME) as tx:
            uses.append(keys.listed(tx)[0].last_used_at)
    start = clock.at - 60_001
    assert uses == [start, start, clock.at]
    assert key.last_used_at is None
