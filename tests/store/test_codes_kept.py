"""Kept codes: right or absent, whatever becomes of Redis, the key, the version or the time."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from carryover.core.scope import Scope
from carryover.store import redis as connecting
from carryover.store.cache import RedisCache
from carryover.store.codes_kept import Codes
from carryover.store.keyring import Keyring
from carryover.store.persona_tables import persona_codes
from carryover.store.redis import Redis
from carryover.store.seal import Seal
from carryover.store.store import Store
from carryover.store.vault import Vault
from clocks import FrozenClock
from servers.redis import Server
from waiting import until

CODE = b"a code that says zebra"


@pytest.fixture
def cache(redis_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisCache]:
    monkeypatch.setattr(connecting, "LOOK_S", 0.02)
    with closing(Redis(redis_server.url, Seal(bytes(32)))) as redis:
        yield RedisCache(redis)


@pytest.fixture(params=["database", "redis"])
def codes(request: pytest.FixtureRequest, vault: Vault) -> Codes:
    return Codes(vault, None if request.param == "database" else request.getfixturevalue("cache"), 60)


def get(store: Store, codes: Codes, version: int = 3, user: str = "mara", tenant: str = "acme") -> bytes | None:
    with store.read(Scope(tenant)) as tx:
        return codes.get(tx, user, version)


def put(store: Store, codes: Codes, version: int = 3, user: str = "mara", plain: bytes = CODE) -> None:
    store.transact(Scope("acme"), lambda tx: codes.put(tx, user, version, plain))


def test_a_code_is_good_for_its_user_and_version_alone(store: Store, codes: Codes) -> None:
    assert get(store, codes) is None
    put(store, codes)
    put(store, codes, user="noor", plain=b"")
    assert (get(store, codes), get(store, codes, user="noor")) == (CODE, b"")
    assert [get(store, codes, version) for version in (0, 2, 4, 1 << 62)] == [None] * 4
    assert get(store, codes, tenant="zenith") is None
    put(store, codes, version=4, plain=b"newer")
    assert (get(store, codes), get(store, codes, 4)) == (None, b"newer")


def test_a_dropped_code_and_one_of_a_dropped_key_are_gone(store: Store, codes: Codes, vault: Vault) -> None:
    for user in ("mara", "noor"):
        put(store, codes, user=user)
    store.transact(Scope("acme"), lambda tx: codes.drop(tx, "mara"))
    assert (get(store, codes), get(store, codes, user="noor")) == (None, CODE)
    assert vault.drop("acme", "noor")
    assert get(store, codes, user="noor") is None
    put(store, codes, user="noor")
    assert get(store, codes, user="noor") == CODE


def test_in_the_database_a_code_expires_and_is_swept(store: Store, vault: Vault, clock: FrozenClock) -> None:
    codes = Codes(vault, None, 60)
    put(store, codes)
    clock.pass_(59_999)
    assert get(store, codes) == CODE
    clock.pass_(1)
    assert get(store, codes) is None
    put(store, codes, user="noor")
    with store.read(Scope("acme")) as tx:
        left = sa.select(persona_codes.c.user).where(persona_codes.c.tenant == "acme")
        assert tx.conn.execute(left).scalars().all() == ["noor"]


def test_in_redis_a_code_expires(store: Store, vault: Vault, cache: RedisCache, redis_server: Server) -> None:
    put(store, Codes(vault, cache, 60))
    (key,) = redis_server.cli("KEYS", "*").split()
    assert 0 < int(redis_server.cli("TTL", key)) <= 60
    assert "mara" not in key


def test_a_redis_that_is_away_is_a_miss_and_never_wrong(
    store: Store, vault: Vault, cache: RedisCache, redis_server: Server
) -> None:
    codes = Codes(vault, cache, 60)
    put(store, codes)
    redis_server.pause()
    try:
        assert get(store, codes) is None
        put(store, codes, version=4, plain=b"newer")
        store.transact(Scope("acme"), lambda tx: codes.drop(tx, "mara"))
        assert get(store, codes, 4) is None
    finally:
        redis_server.resume()
    until(lambda: not cache._redis.away)
    # What Redis kept meanwhile is of a version that the profile has left.
    assert get(store, codes, 4) is None


def test_redis_holds_nothing_that_can_be_read(
    store: Store, vault: Vault, cache: RedisCache, redis_server: Server
) -> None:
    put(store, Codes(vault, cache, 60))
    redis_server.cli("SET", "control", "zebra-control")
    (key,) = (key for key in redis_server.cli("KEYS", "*").split() if key != "control")
    held = redis_server.cli("--no-raw", "DUMP", key) + redis_server.cli("--no-raw", "GET", "control")
    assert "zebra-control" in held
    for form in (b"a code that says", base64.b64encode(CODE)[:16], CODE.hex().encode()[:16], b"mara", b"acme"):
        assert form.decode() not in held + key


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\x02" * 80, b"\x01" + bytes(90)])
def test_what_is_damaged_is_made_anew(store: Store, vault: Vault, damage: bytes) -> None:
    codes = Codes(vault, None, 60)
    put(store, codes)
    with store.write(Scope("acme")) as tx:
        before = tx.conn.execute(sa.select(persona_codes.c.sealed).where(persona_codes.c.tenant == "acme")).scalar_one()
        broken = damage or bytes(before[:-1]) + bytes([before[-1] ^ 1])
        if len(damage) > 90:  # of the right key
            broken = bytes(before[:9]) + damage[9:]
        tx.conn.execute(persona_codes.update().where(persona_codes.c.tenant == "acme").values(sealed=broken))
    assert get(store, codes) is None
    put(store, codes)
    assert get(store, codes) == CODE


def test_a_code_of_another_keyring_is_no_answer(store: Store, vault: Vault, cache: RedisCache, tmp_path: Path) -> None:
    put(store, Codes(vault, cache, 60))
    with closing(Vault(Keyring(f"sqlite:///{tmp_path}/others.db"))) as other:
        assert get(store, Codes(other, cache, 60)) is None
