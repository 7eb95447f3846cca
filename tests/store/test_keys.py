"""API keys: shown once, found by a keyed hash, good until they expire or are revoked, never wider than their maker."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.audit import AuditLine
from carryover.core.errors import Forbidden, Invalid, NotFound, Unauthorized
from carryover.core.scope import EVERY_TENANT, RIGHTS, Caller, Scope
from carryover.store import audit, keys, sessions_sealed
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


def test_it_expires_and_says_so(store: Store, clock: Any) -> None:
    key, secret = create(store, expires_at=clock.at + 1000)
    assert (key.expires_at, keys.admitted(store, secret)) == (clock.at + 1000, key)
    clock.pass_(999)
    assert keys.admitted(store, secret) == key
    clock.pass_(1)
    with pytest.raises(Unauthorized, match=r"this API key expired at 20\d\d-.*Z; ask for a new one"):
        keys.admitted(store, secret)
    with pytest.raises(Unauthorized, match="unknown or revoked"):
        keys.admitted(store, secret + "x")


@pytest.mark.parametrize("early", [0, 1, 10**12])
def test_one_that_has_expired_is_not_made(store: Store, clock: Any, early: int) -> None:
    with pytest.raises(Invalid, match="would have expired"):
        create(store, expires_at=clock.at - early)


def kept(store: Store) -> str:
    with store.read(EVERY_TENANT) as tx:
        return tx.conn.execute(sa.select(table.c.hash)).scalar_one()


def made_before(store: Store) -> str:
    """The secret of a key as earlier programs kept it."""
    key, secret = create(store)
    plain = hashlib.sha256(secret.encode()).hexdigest()
    with store.write(ACME) as tx:
        tx.conn.execute(table.update().where(table.c.tenant == "acme", table.c.id == key.id).values(hash=plain))
    return secret


def use(store: Store, secret: str) -> None:
    key = keys.admitted(store, secret)
    with store.write(key.scope) as tx:
        keys.touch(tx, key, secret)


def test_the_hash_is_of_no_use_without_the_installation(store: Store) -> None:
    _, secret = create(store)
    assert kept(store).startswith("h1:")
    assert hashlib.sha256(secret.encode()).hexdigest() not in kept(store)


def test_a_key_of_before_still_opens_and_is_hashed_anew_once_no_older_program_needs_it(store: Store) -> None:
    secret = made_before(store)
    use(store, secret)
    assert not kept(store).startswith("h1:")
    assert sessions_sealed.begins(store)
    use(store, secret)
    assert kept(store).startswith("h1:")
    use(store, secret)
    with pytest.raises(Unauthorized):
        keys.admitted(store, kept(store))


def test_what_stands_in_the_table_is_no_key(store: Store) -> None:
    create(store)
    for stored in (kept(store), kept(store).removeprefix("h1:")):
        assert find(store, stored) is None


WIDER = [
    (Scope("acme", rights=frozenset(("read",))), {"rights": ("read", "write")}),
    (Scope("acme", agent="a"), {}),
    (Scope("acme", agent="a"), {"agent": "b"}),
    (Scope("acme", user="u"), {"agent": "a"}),
    (Scope("acme", "a", "u"), {"agent": "a"}),
]


@pytest.mark.parametrize(("scope", "about"), WIDER)
def test_nobody_makes_a_key_that_can_do_more_than_they(store: Store, scope: Scope, about: dict[str, Any]) -> None:
    with pytest.raises(Forbidden):
        create(store, scope, **about)
    with store.read(ACME) as tx:
        assert keys.listed(tx) == []


def test_a_narrowed_scope_makes_keys_as_narrow_as_itself(store: Store) -> None:
    key, _ = create(store, Scope("acme", "a", "u"), agent="a", user="u", rights=RIGHTS)
    assert key.scope == Scope("acme", "a", "u")


def test_making_and_revoking_are_in_the_audit_log_without_the_secret(store: Store, clock: Any) -> None:
    scope = Scope("acme", by=Caller("key co_root", "http"))
    key, secret = create(store, scope, rights=("read",), agent="a", rate="9/minute", expires_at=clock.at + 1000)
    with store.write(scope) as tx:
        keys.revoke(tx, key.id)
        found, _ = audit.listed(tx)
    about = clock.at, "key co_root", "http"
    assert found == [
        AuditLine(2, *about, "key.revoke", f"key {key.id}", "done", ""),
        AuditLine(1, *about, "key.create", f"key {key.id}", "done", found[1].detail),
    ]
    assert found[1].detail.startswith("right read, agent a, rate 9/minute, until 20")
    assert secret not in str(found)
