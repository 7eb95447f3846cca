"""The keyring: one key a user however many make it, wrapped anew while it is used, whoever is killed half-way."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from carryover.core.errors import Conflict, KeyLost, StoreUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import keyring as module
from carryover.store import profiles, sqlite
from carryover.store.keyring import Keyring, Standing, default_url
from carryover.store.master import Given, GivenFile
from carryover.store.store import Store
from carryover.store.vault import Vault
from servers.postgres import Server

MAKE = """
import sys
from carryover.store.keyring import Keyring
ring = Keyring(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for n in range(30):
    print(ring.current("acme", f"u{n}").key.hex(), flush=True)
"""
# Makes keys, seals and opens until its input ends; it says what went wrong, which is nothing.
USE = """
import sys, threading
from carryover.store.keyring import Keyring
from carryover.store.vault import Vault
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
vault, n, first = Vault(Keyring(sys.argv[1])), 0, None
kept = []
while n < 40 or not ended.is_set():
    if n < 400:
        kept.append((f"w{n % 40}", "p", vault.seal("acme", f"w{n % 40}", "p", b"said")))
    vault._forget()
    assert set(vault.open_all("acme", kept)) == {b"said"}
    if n == 40:
        print("going", flush=True)
    n += 1
print("done", n, flush=True)
"""
ROTATE = """
import sys
from carryover.store import keyring
from carryover.store.keyring import Keyring
keyring._BATCH = 3
ring = Keyring(sys.argv[1])
ring.renew()
while done := ring.rewrap():
    print(done, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def url(database_url: str) -> str:
    return default_url(database_url)


@pytest.fixture
def ring(url: str) -> Iterator[Keyring]:
    with closing(Keyring(url)) as opened:
        yield opened


def child(program: str, url: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program, url], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_the_keyring_lies_apart_from_the_data(tmp_path: Path) -> None:
    assert default_url(f"sqlite:///{tmp_path}/x.db") == f"sqlite:///{tmp_path}/keys.db"
    assert default_url("sqlite:///x.db") == "sqlite:///keys.db"
    assert default_url("postgresql://a@b/c") == "postgresql://a@b/c"


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    with closing(Keyring(f"sqlite:///{tmp_path}/keys.db")) as ring:
        assert ring.look() is None
        assert list(tmp_path.iterdir()) == []
        ring.current("acme", "mara")
        made = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert {"keys.db", "master.key"} <= made.keys()
        assert set(made.values()) == {0o600}


def test_a_user_keeps_the_key(ring: Keyring, url: str) -> None:
    key = ring.current("acme", "mara")
    assert ring.current("acme", "mara") == key
    assert len({key.key, ring.current("acme", "noor").key, ring.current("zenith", "mara").key}) == 3
    assert ring.current("acme", "").user == ""
    with closing(Keyring(url)) as other:
        assert other.current("acme", "mara") == key
        assert other.keys([key.id, b"unknown!"]) == {key.id: key}
    assert key.key.hex() not in repr(key)


def test_all_who_make_a_key_at_once_get_the_same(ring: Keyring, url: str) -> None:
    with closing(Keyring(url)) as other, ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda n: (ring if n % 2 else other).current("acme", f"u{n // 8}"), range(64)))
    assert [len({one.key for one in got[n : n + 8]}) for n in range(0, 64, 8)] == [1] * 8
    assert len({one.key for one in got}) == 8


def test_processes_that_begin_at_once_get_the_same(url: str) -> None:
    children = [child(MAKE, url) for _ in range(3)]
    for one in children:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    told = [one.communicate("\n", timeout=60) for one in children]
    assert [errors for _, errors in told] == ["", "", ""]
    assert len({keys for keys, _ in told}) == 1
    assert len(set(told[0][0].split())) == 30


def test_a_key_is_made_inside_a_transaction_of_the_data(store: Store, vault: Vault) -> None:
    """Neither database waits for the other, however many do it at once."""
    together = threading.Barrier(6)

    def one(n: int) -> None:
        together.wait()
        for k in range(5):
            with store.write(Scope("acme")) as tx:
                profiles.touch(tx, f"u{n}")
                vault.seal("acme", f"u{n}-{k}", "p", b"x")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(one, range(6)))
    found = vault.keyring.look()
    assert found is not None
    assert found.keys == 30


def test_what_is_dropped_leaves_its_id_alone(ring: Keyring) -> None:
    key, stays = ring.current("acme", "mara"), ring.current("acme", "noor")
    assert ring.drop("acme", "mara")
    assert not ring.drop("acme", "mara")
    assert not ring.drop("zenith", "noor")
    assert ring.keys([key.id, stays.id]) == {key.id: None, stays.id: stays}
    with ring._opened().read(EVERY_TENANT) as tx:
        (left,) = tx.conn.execute(sa.select(ring._keys).where(ring._keys.c.id == key.id)).all()
    told = left._asdict()
    assert told.pop("dropped_at") is not None
    assert told.pop("id") == key.id
    assert set(told.values()) == {None}
    assert ring.current("acme", "mara").id != key.id
    assert ring.look() == Standing(keys=2, dropped=1, older=0, lost=0)


def test_a_drop_while_keys_are_made_is_never_half_done(ring: Keyring) -> None:
    def one(n: int) -> None:
        if n % 4:
            with suppress(KeyLost):  # it was dropped while it was made
                ring.current("acme", "mara")
        else:
            ring.drop("acme", "mara")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(one, range(60)))
    found = ring.look()
    assert found is not None
    assert found.keys <= 1


def test_a_swapped_wrapping_is_refused(ring: Keyring, url: str) -> None:
    mara = ring.current("acme", "mara")
    noor = ring.current("acme", "noor")
    table = ring._keys
    with ring._opened().write(EVERY_TENANT) as tx:
        theirs = tx.conn.execute(sa.select(table.c.wrapped).where(table.c.id == noor.id)).scalar_one()
        tx.conn.execute(table.update().where(table.c.id == mara.id).values(wrapped=theirs))
    with closing(Keyring(url)) as other, pytest.raises(KeyLost, match="user 'mara' in the keyring is damaged"):
        other.current("acme", "mara")


def rotate(ring: Keyring) -> int:
    ring.renew()
    total = 0
    while done := ring.rewrap():
        total += done
    return total


def test_a_rotation_wraps_every_key_anew_and_throws_the_old_master_key_away(
    ring: Keyring, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 4)
    keys = {n: ring.current("acme", f"u{n}") for n in range(10)}
    ring.drop("acme", "u9")
    with ring._opened().read(EVERY_TENANT) as tx:
        (old,) = ring.masters.read(tx)
    with closing(Keyring(url)) as idle:
        assert idle.current("acme", "u0") == keys[0]
        assert rotate(ring) == 9
        with ring._opened().read(EVERY_TENANT) as tx:
            (new,) = ring.masters.read(tx)
        assert new != old
        # Who met the old one only goes on: with what it holds, with what is new, and with what it makes.
        assert idle.current("acme", "u1") == keys[1]
        made = idle.current("acme", "u10")
    with closing(Keyring(url)) as fresh:
        assert [fresh.current("acme", f"u{n}") for n in range(9)] == [keys[n] for n in range(9)]
        assert fresh.current("acme", "u10") == made
        assert fresh.look() == Standing(keys=10, dropped=1, older=0, lost=0)
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///")).parent / "master.key"
        assert len(file.read_text().split()) == 1
        assert file.stat().st_mode & 0o777 == 0o600


def test_others_go_on_while_keys_are_wrapped_anew(ring: Keyring, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    for n in range(20):
        ring.current("acme", f"u{n}")
    users = [child(USE, url) for _ in range(2)]
    for one in users:
        assert one.stdout is not None
        assert one.stdout.readline() == "going\n"
    for _ in range(3):
        assert rotate(ring) >= 20
    told = [one.communicate(timeout=60) for one in users]
    assert [(one.returncode, errors) for one, (_, errors) in zip(users, told, strict=True)] == [(0, "")] * 2
    found = ring.look()
    assert found is not None
    assert (found.keys, found.lost, found.older) == (60, 0, 0)


def test_a_rotation_that_was_killed_goes_on(ring: Keyring, url: str) -> None:
    keys = [ring.current("acme", f"u{n}") for n in range(10)]
    killed = child(ROTATE, url)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "3\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with closing(Keyring(url)) as other:
        found = other.look()
        assert found is not None
        assert (found.keys, found.lost) == (10, 0)
        assert 4 <= found.older <= 7  # it may have begun the next three
        assert [other.current("acme", f"u{n}") for n in range(10)] == keys
        assert not other.renew()  # it goes on with the new master key that there is
        assert rotate(other) == found.older
        assert other.look() == Standing(keys=10, dropped=0, older=0, lost=0)
        with other._opened().read(EVERY_TENANT) as tx:
            assert len(other.masters.read(tx)) == 1


def test_two_rotations_at_once_end_with_one_master_key(
    ring: Keyring, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    keys = [ring.current("acme", f"u{n}") for n in range(12)]
    with closing(Keyring(url)) as other, ThreadPoolExecutor(2) as threads:
        list(threads.map(rotate, (ring, other)))
    with closing(Keyring(url)) as fresh:
        assert [fresh.current("acme", f"u{n}") for n in range(12)] == keys
        with fresh._opened().read(EVERY_TENANT) as tx:
            assert len(fresh.masters.read(tx)) == 1


def test_a_master_key_that_is_lost_is_told_and_not_replaced(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/keys.db", tmp_path / "master.key"
    with closing(Keyring(url)) as ring:
        key = ring.current("acme", "mara")
    kept = file.read_bytes()
    file.unlink()
    with closing(Keyring(url)) as ring:
        for ask in (
            lambda: ring.current("acme", "mara"),
            lambda: ring.current("acme", "noor"),
            lambda: ring.keys([key.id]),
            ring.rewrap,
        ):
            with pytest.raises(KeyLost, match=r"master\.key"):
                ask()
        found = ring.look()
        assert found is not None
        assert found.lost == 1
        assert not file.exists()
        file.write_bytes(kept)
        assert ring.current("acme", "mara") == key


def test_the_keys_of_another_master_key_are_told_as_lost(url: str) -> None:
    with closing(Keyring(url, Given([bytes(32)]))) as ring:
        key = ring.current("acme", "mara")
    with closing(Keyring(url, Given([b"x" * 32]))) as ring:
        with pytest.raises(KeyLost, match=r"wrapped under the master key \w{16}, which is not in the setting") as lost:
            ring.current("acme", "mara")
        assert bytes(32).hex() not in lost.value.message
        assert ring.look() == Standing(keys=1, dropped=0, older=0, lost=1)
    with closing(Keyring(url, Given([b"x" * 32, bytes(32)]))) as ring:
        assert ring.current("acme", "mara") == key
        assert ring.look() == Standing(keys=1, dropped=0, older=1, lost=0)
        assert rotate(ring) == 1
    with closing(Keyring(url, Given([b"x" * 32]))) as ring:
        assert ring.current("acme", "mara") == key


def test_from_keys_that_were_made_here_to_given_ones(ring: Keyring, url: str) -> None:
    """Without a step in which anything could not be opened."""
    key = ring.current("acme", "mara")
    ring.close()
    with closing(Keyring(url, Given([b"x" * 32]))) as given:
        assert given.current("acme", "mara") == key
        assert given.look() == Standing(keys=1, dropped=0, older=1, lost=0)
        given.current("acme", "noor")
        assert rotate(given) == 1
        assert given.look() == Standing(keys=2, dropped=0, older=0, lost=0)
        with given._opened().read(EVERY_TENANT) as tx:
            assert len(given.masters.read(tx)) == 1
    if url.startswith("sqlite"):
        assert not (Path(url.removeprefix("sqlite:///")).parent / "master.key").exists()


def test_a_file_is_read_anew_for_a_key_that_is_not_known(url: str, tmp_path: Path) -> None:
    file = tmp_path / "given"
    one, other = ("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=")
    file.write_text(one)
    with closing(Keyring(url, GivenFile(file))) as idle, closing(Keyring(url, GivenFile(file))) as ring:
        key = idle.current("acme", "mara")
        file.write_text(f"{other}\n{one}\n")
        assert rotate(ring) == 1
        file.write_text(other)
        assert idle.current("acme", "mara") == key


def test_keys_are_copied_into_the_keyring_of_another_database(ring: Keyring, tmp_path: Path) -> None:
    vault = Vault(ring)
    sealed = [vault.seal("acme", user, "p", b"x") for user in ("mara", "noor")]
    vault.drop("acme", "noor")
    (tmp_path / "other").mkdir()
    with closing(Vault(Keyring(f"sqlite:///{tmp_path}/other/keys.db"))) as other:
        assert ring.copy_to(other.keyring) == 2
        assert ring.copy_to(other.keyring) == 2
        assert [other.open("acme", user, "p", one) for user, one in zip(("mara", "noor"), sealed, strict=True)] == [
            b"x",
            None,
        ]
        assert other.keyring.look() == Standing(keys=1, dropped=1, older=0, lost=0)
        with closing(Keyring(f"sqlite:///{tmp_path}/third.db")) as third:
            third.current("acme", "mara")
            with pytest.raises(Conflict, match="keys of its own"):
                ring.copy_to(third)


def test_a_role_that_may_make_no_schema_is_told_what_to_do(postgres: Server) -> None:
    name = f"empty_{uuid4().hex}"
    postgres.create(name)
    role = f"role_{uuid4().hex[:8]}"
    postgres.sql(f"CREATE ROLE {role} LOGIN", database=name)
    try:
        with closing(Keyring(postgres.url(name, role))) as ring:
            assert ring.look() is None
            with pytest.raises(StoreUnavailable, match=r"permission denied.*grant the role what it lacks"):
                ring.current("acme", "mara")
        with closing(Keyring(postgres.url(name))) as owner:
            key = owner.current("acme", "mara")
        postgres.sql(
            f"GRANT USAGE ON SCHEMA carryover_keys TO {role}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA carryover_keys TO {role}",
            database=name,
        )
        with closing(Keyring(postgres.url(name, role))) as ring:
            assert ring.current("acme", "mara") == key
            assert rotate(ring) == 1
    finally:
        postgres.drop(name)
        postgres.sql(f"DROP ROLE {role}")


def test_a_file_that_is_no_keyring_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_bytes(b"no database at all" * 100)
    with closing(Keyring(f"sqlite:///{tmp_path}/keys.db")) as ring, pytest.raises(StoreUnavailable, match="not a"):
        ring.current("acme", "mara")


def test_a_keyring_that_is_locked_by_another_is_waited_for(tmp_path: Path) -> None:
    with closing(Keyring(f"sqlite:///{tmp_path}/keys.db")) as ring:
        ring.current("acme", "mara")
        with closing(sqlite3.connect(tmp_path / "keys.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor(1) as thread:
                made = thread.submit(ring.current, "acme", "noor")
                assert ring.current("acme", "mara").user == "mara"  # who reads waits for nobody
                assert not made.done()
                other.execute("COMMIT")
                assert made.result(20).user == "noor"


def test_a_disk_that_does_not_obey_does_not_keep_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/keys.db"
    ring = Keyring(url)
    made = ring.current("acme", "ana").key

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite.Sqlite, "settle", full)
        ring.close()
    assert "neither full nor failing" in caplog.text
    assert not (tmp_path / "keys.db-wal").exists(), "its last connection was closed"
    with closing(Keyring(url)) as again:
        assert again.current("acme", "ana").key == made
