"""The master key on the command line: rotated, told by the doctor as a place, and never in anybody's way."""

from __future__ import annotations

import base64
from contextlib import closing
from pathlib import Path

import pytest

from carryover.core.persona import Preference
from carryover.core.scope import Scope
from carryover.opening import open_store, open_vault
from carryover.settings import load
from carryover.store import preferences
from commands import Commands
from preferred import preference

KEYS = [base64.b64encode(bytes([n]) * 32).decode() for n in range(2)]


def add(*new: Preference) -> None:
    """As if they had been said by their users, in a database whose sessions are not sealed."""
    settings = load().settings.model_copy(update={"encryption": False})
    with open_store(settings) as store, closing(open_vault(settings, store)) as vault, store.write(Scope()) as tx:
        preferences.add(tx, vault, new)


def of_user(user: str) -> list[Preference]:
    settings = load().settings
    with open_store(settings) as store, closing(open_vault(settings, store)) as vault, store.read(Scope()) as tx:
        return preferences.of_user(tx, vault, user)


def checked(carryover: Commands, *, code: int = 0) -> tuple[str, str]:
    (check,) = (one for one in carryover.json("doctor", code=code)["checks"] if one["name"] == "keyring")
    return check["state"], f"{check['said']} -> {check['remedy']}"


def test_rotation_of_a_key_that_was_made_here(carryover: Commands, home: Path) -> None:
    add(preference("p1", "mara"), preference("p2", "noor"))
    before = (home / "master.key").read_text()
    assert f"2 data keys wrapped by the current master key, which is in the file {home}/master.key" in carryover(
        "keys", "rotate-master"
    )
    after = (home / "master.key").read_text()
    assert len(after.split()) == 1
    assert after != before
    assert of_user("mara") == [preference("p1", "mara")]
    told = carryover.json("keys", "rotate-master")
    assert told == {"keys": 2, "made": True, "where": f"the file {home}/master.key"}
    assert of_user("noor") == [preference("p2", "noor")]


def test_rotation_to_keys_that_are_given(carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(preference("p1", "mara"))
    monkeypatch.setenv("CARRYOVER_MASTER_KEY", KEYS[0])
    state, said = checked(carryover)
    assert state == "note"
    assert "1 still need an older one -> run `carryover keys rotate-master`" in said
    assert carryover.json("keys", "rotate-master") == {"keys": 1, "made": False, "where": "the setting master_key"}
    assert not (home / "master.key").exists()
    assert checked(carryover)[0] == "ok"
    monkeypatch.setenv("CARRYOVER_MASTER_KEY", f"{KEYS[1]},{KEYS[0]}")
    assert carryover.json("keys", "rotate-master")["keys"] == 1
    assert carryover.json("keys", "rotate-master")["keys"] == 0
    monkeypatch.setenv("CARRYOVER_MASTER_KEY", KEYS[1])
    assert of_user("mara") == [preference("p1", "mara")]
    everything = carryover("doctor") + carryover("doctor", "--json")
    assert not any(key[:6] in everything or key[-5:] in everything for key in KEYS)


def test_the_doctor_says_where_keys_are_and_what_is_lost(
    carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked(carryover)[0] == "ok"
    assert not home.exists()
    add(preference("p1", "mara"))
    state, said = checked(carryover)
    assert (state, "1 data key, 0 dropped, in sqlite:///" in said) == ("ok", True)
    kept = (home / "master.key").read_text()
    assert kept[:8] not in carryover("doctor")
    (home / "master.key").write_text(KEYS[0])
    state, said = checked(carryover, code=1)
    assert (state, "does not open 1 of them" in said) == ("broken", True)
    carryover("keys", "rotate-master", code=1)
    assert "which is not in the file" in carryover.err
    (home / "master.key").write_text("no key\n")
    state, said = checked(carryover, code=1)
    assert (state, "line 1 of the file" in said) == ("broken", True)
    (home / "master.key").write_text(kept)
    monkeypatch.setenv("CARRYOVER_MASTER_KEY_FILE", str(home / "absent"))
    assert checked(carryover, code=1)[0] == "broken"


def test_the_doctor_notes_a_master_key_beside_the_keys(
    carryover: Commands, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres_url)
    add(preference("p1", "mara"))
    state, said = checked(carryover)
    assert state == "note"
    assert "whoever reads that database reads both -> set master_key_file" in said
    monkeypatch.setenv("CARRYOVER_MASTER_KEY", KEYS[0])
    assert carryover.json("keys", "rotate-master")["keys"] == 1
    assert checked(carryover)[0] == "ok"


def test_a_move_takes_the_keys_along(
    carryover: Commands, home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_ENCRYPTION", "false")
    carryover("log", "s1", "I like tea", "--agent", "planner")
    add(preference("p1", "mara"), preference("p2", "noor"))
    carryover("db", "move", f"sqlite:///{home / 'carryover.db'}", postgres_url)
    assert "2 data keys copied into the keyring of the target" in carryover.err
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres_url)
    assert of_user("mara") == [preference("p1", "mara")]
    (home.parent / "back").mkdir()
    back = f"sqlite:///{home.parent}/back/carryover.db"
    carryover("db", "move", postgres_url, back)
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", back)
    assert of_user("noor") == [preference("p2", "noor")]


def test_a_keyring_in_the_file_of_the_data_is_refused(
    carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_KEYRING_URL", f"sqlite:///{home}/../home/carryover.db")
    carryover("log", "s1", "hello", code=1)
    assert "keyring_url is the database itself; name another file" in carryover.err
    carryover("keys", "rotate-master", code=1)
    assert "keyring_url is the database itself; name another file" in carryover.err
    assert checked(carryover, code=1)[0] == "broken"


def test_a_move_leaves_a_keyring_that_both_use(
    carryover: Commands, home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_KEYRING_URL", f"sqlite:///{home.parent}/ring.db")
    monkeypatch.setenv("CARRYOVER_ENCRYPTION", "false")
    carryover("log", "s1", "I like tea", "--agent", "planner")
    add(preference("p1", "mara"))
    carryover("db", "move", f"sqlite:///{home / 'carryover.db'}", postgres_url)
    assert "copied" not in carryover.err
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres_url)
    assert of_user("mara") == [preference("p1", "mara")]
