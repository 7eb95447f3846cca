"""The vault: what is sealed opens for its user and place alone, and for nobody once the key was dropped."""

from __future__ import annotations

import base64
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.errors import DataLoss, KeyLost
from carryover.core.persona import Edits
from carryover.core.scope import Scope
from carryover.store import personas_shown, preferences, profiles
from carryover.store.codes_kept import Codes
from carryover.store.keyring import DataKey, Keyring, default_url
from carryover.store.personas_shown import Shown
from carryover.store.store import Store
from carryover.store.vault import KEPT_S, Vault
from preferred import preference
from servers.postgres import Server, binaries

PLANTED = "rhymes about zebras"


def test_what_is_sealed_opens_again(vault: Vault) -> None:
    for plain in (b"", b"\x00", PLANTED.encode(), bytes(1 << 20)):
        sealed = vault.seal("acme", "mara", "place/1", plain)
        assert vault.open("acme", "mara", "place/1", sealed) == plain
        assert len(sealed) == len(plain) + 37
    assert vault.seal("acme", "mara", "p", b"x") != vault.seal("acme", "mara", "p", b"x")


def test_it_opens_for_its_tenant_user_and_place_alone(vault: Vault) -> None:
    sealed = vault.seal("ac", "me", "p", b"x")
    for tenant, user, place in (("a", "cme", "p"), ("ac", "mep", ""), ("ac", "m", "ep"), ("ac", "", "mep")):
        with pytest.raises(DataLoss, match="damaged"):
            vault.open(tenant, user, place, sealed)
    assert vault.open("ac", "me", "p", sealed) == b"x"


def test_many_are_sealed_and_opened_at_once(vault: Vault) -> None:
    records = [(f"place/{n}", bytes([n])) for n in range(20)]
    sealed = vault.seal_all("acme", "mara", records)
    other = vault.seal("acme", "noor", "p", b"other")
    asked = [("mara", place, one) for (place, _), one in zip(records, sealed, strict=True)]
    assert vault.open_all("acme", [*asked, ("noor", "p", other)]) == [*(plain for _, plain in records), b"other"]
    assert vault.open_all("acme", []) == []
    assert vault.seal_all("acme", "mara", []) == []


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    with closing(Vault(Keyring(f"sqlite:///{tmp_path_factory.mktemp('vault')}/keys.db"))) as opened:
        yield opened


@given(plain=st.binary(max_size=64), flipped=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused(still: Vault, plain: bytes, flipped: int, bit: int) -> None:
    sealed = bytearray(still.seal("acme", "mara", "p", plain))
    sealed[flipped % len(sealed)] ^= 1 << bit
    with pytest.raises((DataLoss, KeyLost)):
        still.open("acme", "mara", "p", bytes(sealed))


@given(st.binary(max_size=80))
def test_what_was_never_sealed_is_refused(still: Vault, made_up: bytes) -> None:
    with pytest.raises((DataLoss, KeyLost)):
        still.open("acme", "mara", "p", made_up)


@given(st.binary(max_size=64), st.integers(min_value=0))
def test_what_was_cut_off_is_refused(still: Vault, plain: bytes, length: int) -> None:
    sealed = still.seal("acme", "mara", "p", plain)
    with pytest.raises((DataLoss, KeyLost)):
        still.open("acme", "mara", "p", sealed[: length % len(sealed)])


def test_a_dropped_key_opens_nothing_and_the_next_one_what_is_new(vault: Vault) -> None:
    old, others = vault.seal("acme", "mara", "p", b"old"), vault.seal("acme", "noor", "p", b"hers")
    abroad = vault.seal("zenith", "mara", "p", b"there")
    assert vault.open("acme", "mara", "p", old) == b"old"
    assert vault.drop("acme", "mara")
    assert not vault.drop("acme", "mara")
    assert vault.open("acme", "mara", "p", old) is None
    new = vault.seal("acme", "mara", "p", b"new")
    assert vault.open_all("acme", [("mara", "p", old), ("mara", "p", new)]) == [None, b"new"]
    assert vault.open("acme", "noor", "p", others) == b"hers"
    assert vault.open("zenith", "mara", "p", abroad) == b"there"
    assert vault.drop("acme", "mara")
    assert vault.open("acme", "mara", "p", new) is None


def test_a_key_that_is_dropped_elsewhere_opens_nothing_soon(
    vault: Vault, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Vault(Keyring(default_url(database_url)))) as other:
        old = other.seal("acme", "mara", "p", b"old")
        assert vault.open("acme", "mara", "p", old) == b"old"
        assert other.drop("acme", "mara")
        # Nothing is sealed with it from then on, and what it opens it opens for so long at most.
        new = vault.seal("acme", "mara", "p", b"new")
        assert other.open("acme", "mara", "p", new) == b"new"
        later = time.monotonic() + KEPT_S
        monkeypatch.setattr("carryover.store.vault.time.monotonic", lambda: later)
        assert vault.open("acme", "mara", "p", old) is None


def test_a_key_that_is_dropped_while_it_is_fetched_is_not_held(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = vault.seal("acme", "mara", "p", b"x")
    keys = Keyring.keys

    def slowly(ring: Keyring, ids: Sequence[bytes]) -> dict[bytes, DataKey | None]:
        found = keys(ring, ids)
        assert vault.drop("acme", "mara")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Keyring, "keys", slowly)
        assert vault.open("acme", "mara", "p", sealed) == b"x"
    assert vault.open("acme", "mara", "p", sealed) is None


def test_only_so_many_keys_are_held(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carryover.store.vault._MOST", 3)
    sealed = {f"u{n}": vault.seal("acme", f"u{n}", "p", b"x") for n in range(5)}
    assert {vault.open("acme", user, "p", one) for user, one in sealed.items()} == {b"x"}
    assert len(vault._kept) == 3


def test_a_keyring_that_went_missing_is_told_as_that(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal("acme", "mara", "p", b"x")
    told = pytest.raises(KeyLost, match=r"does not know the key \w+ of user 'mara'; restore the keyring")
    with closing(Vault(Keyring(f"sqlite:///{tmp_path / 'empty'}.db"))) as other, told:
        other.open("acme", "mara", "p", sealed)


def fill(store: Store, vault: Vault, user: str) -> None:
    with store.write(Scope("acme")) as tx:
        said = preference(
            f"of-{user}", user, value=f"{PLANTED} {user}", text=f"please: {PLANTED}", vector=b"zebras" * 9
        )
        preferences.add(tx, vault, [said])
        profiles.edit(tx, vault, user, Edits(texts=(PLANTED,)), None)
        Codes(vault, None, 60).put(tx, user, 1, PLANTED.encode())
        personas_shown.put(tx, vault, "planner", user, Shown(user, PLANTED, 1, 0, 0))


def leaks(folder: Path) -> list[str]:
    """Files that hold the planted words in any form that a search would try."""
    shifted = [base64.b64encode(b"\x00" * n + PLANTED.encode())[4:20] for n in range(3)]
    forms = [PLANTED.encode(), PLANTED.encode("utf-16-le"), PLANTED.encode("utf-16-be"), *shifted]
    forms += [PLANTED.encode().hex().encode(), b"zebras"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [f"{path}: {form!r}" for path in files for form in forms if form in path.read_bytes()]


def test_no_file_of_sqlite_holds_a_planted_word_or_a_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'carryover.db'}"
    with Store.open(url) as store, closing(Vault(Keyring(default_url(url)))) as vault:
        fill(store, vault, "mara")
        assert (tmp_path / "carryover.db-wal").exists()
        assert leaks(tmp_path) == []
        key = vault.keyring.current("acme", "mara").key
        files = [path.read_bytes() for path in tmp_path.iterdir()]
        assert not any(form in held for held in files for form in (key, base64.b64encode(key), key.hex().encode()))
        (tmp_path / "control").write_text(f"x{PLANTED}")
        assert leaks(tmp_path) != []


def test_no_file_of_postgresql_holds_a_planted_word(postgres: Server, postgres_url: str) -> None:
    with Store.open(postgres_url) as store, closing(Vault(Keyring(postgres_url))) as vault:
        fill(store, vault, "mara")
        postgres.sql("CHECKPOINT")
        assert leaks(postgres.folder) == []


def test_a_dropped_key_leaves_no_bytes_in_the_files_of_the_keyring(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    with closing(Keyring(url)) as keyring:
        key = keyring.current("acme", "mara")
        keyring.current("acme", "noor")
        with closing(sqlite3.connect(tmp_path / "keys.db")) as looking:
            (wrapped,) = looking.execute("SELECT wrapped FROM data_keys WHERE user = 'mara'").fetchone()
        assert any(wrapped in path.read_bytes() for path in tmp_path.iterdir())
        assert keyring.drop("acme", "mara")
        for path in tmp_path.iterdir():
            held = path.read_bytes()
            assert wrapped not in held, path
            assert wrapped[12:28] not in held, path
            assert b"mara" not in held, path
        assert keyring.keys([key.id]) == {key.id: None}


def test_a_backup_of_before_is_erased_with_the_key(tmp_path: Path) -> None:
    url, kept = f"sqlite:///{tmp_path / 'carryover.db'}", tmp_path / "backup"
    with Store.open(url) as store, closing(Vault(Keyring(default_url(url)))) as vault:
        for user in ("mara", "noor"):
            fill(store, vault, user)
        kept.mkdir()
        with closing(sqlite3.connect(tmp_path / "carryover.db")) as source:
            source.execute("VACUUM INTO ?", (str(kept / "carryover.db"),))
        with store.write(Scope("acme")) as tx:
            profiles.erase(tx, "mara")
        assert vault.drop("acme", "mara")
    (tmp_path / "carryover.db").unlink()
    shutil.copy(kept / "carryover.db", tmp_path / "carryover.db")
    with Store.open(url) as store, closing(Vault(Keyring(default_url(url)))) as vault:
        told(store, vault, {"mara": 0, "noor": 1})


def test_a_dump_of_before_is_erased_with_the_key(postgres: Server, postgres_url: str, tmp_path: Path) -> None:
    """`pg_dump` with the keyring's schema left out, as the manual says."""
    with Store.open(postgres_url) as store, closing(Vault(Keyring(postgres_url))) as vault:
        for user in ("mara", "noor"):
            fill(store, vault, user)
        dump, source = tmp_path / "dump.sql", postgres.url(postgres_url.rpartition("/")[2], "postgres")
        wanted = ["--exclude-schema=carryover_keys", f"--file={dump}", source]
        subprocess.run([str(binaries() / "pg_dump"), *wanted], check=True)
        assert "carryover_keys" not in dump.read_text()
        assert leaks(tmp_path) == []
        assert vault.drop("acme", "mara")
        name = f"restored_{uuid4().hex}"
        restored = postgres.create(name)
        try:
            psql = [str(binaries() / "psql"), "--quiet", "--file", str(dump), postgres.url(name, "postgres")]
            subprocess.run(psql, check=True, capture_output=True)
            with Store.open(restored) as back:
                told(back, vault, {"mara": 0, "noor": 1})
                with closing(Vault(Keyring(restored))) as without, pytest.raises(KeyLost):
                    told(back, without, {})
        finally:
            postgres.drop(name)


def told(store: Store, vault: Vault, users: dict[str, int]) -> None:
    with store.read(Scope("acme")) as tx:
        found = preferences.of_tenant(tx, vault)
        assert {one.user_id for one in found} == {user for user, there in users.items() if there}
        for user, there in users.items():
            assert len(preferences.of_user(tx, vault, user)) == there
            assert profiles.get(tx, vault, user).edits == (Edits(texts=(PLANTED,)) if there else Edits())
            assert (Codes(vault, None, 60).get(tx, user, 1) is not None) == bool(there)
