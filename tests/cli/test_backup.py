"""`carryover backup` and `carryover restore`, with the keyring of then, of today, and of somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import Commands, run

SAID = "We will use PostgreSQL for the ledger."


@pytest.fixture
def backed_up(carryover: Commands, home: Path, tmp_path: Path) -> Path:
    carryover("log", "s1", SAID, "--user", "mara")
    carryover("log", "s2", "We keep Redis for the cache.")
    carryover("consolidate", "s1")
    file = tmp_path / "monday.db"
    assert "2 sessions, 2 turns" in carryover("backup", str(file), "--check")
    assert "back those up elsewhere" in carryover.err
    return file


def another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    home = tmp_path / "another"
    monkeypatch.setenv("CARRYOVER_HOME", str(home))
    return home


def test_data_and_keys_are_backed_up_apart_and_put_back(
    carryover: Commands, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carryover("log", "s1", SAID)
    file, keys = tmp_path / "monday.db", tmp_path / "monday.keys"
    told = carryover.json("backup", str(file), "--keys", str(keys))
    assert told["counts"]["turns"] == 1
    assert told["keys"] == [str(keys), f"{keys}.master"]
    carryover("backup", str(file), "--keys", str(keys), "--force")
    assert "whoever has both reads everything" in carryover.err
    another(monkeypatch, tmp_path)
    assert "checked: 1 turn, no fault" in carryover("restore", str(file), "--keys", str(keys))
    assert SAID in carryover("window", "s1")
    assert carryover("db", "check") == "the database is sound\n"
    carryover("restore", str(file), code=1)
    assert "a restore replaces no database" in carryover.err


def test_with_the_keyring_of_today_nothing_of_what_was_erased_since_opens(
    carryover: Commands, home: Path, backed_up: Path
) -> None:
    carryover("forget", "--session", "s1", "--yes")
    for name in ("carryover.db", "carryover.db-wal", "carryover.db-shm"):
        (home / name).unlink(missing_ok=True)
    told = carryover("restore", str(backed_up))
    assert "session s1 of agent default was erased since, and cannot be read" in told
    assert "carryover forget --session ID" in carryover.err
    assert "no fault" in told
    assert SAID not in carryover("window", "s1")
    assert "Redis" in carryover("window", "s2")
    carryover("forget", "--session", "s1", "--yes")
    assert carryover("db", "check") == "the database is sound\n"


def test_with_a_keyring_of_somebody_else_it_says_what_cannot_be_opened(
    carryover: Commands, backed_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another(monkeypatch, tmp_path)
    told = carryover("restore", str(backed_up), code=1)
    assert "session s1 of agent default has no key here" in told
    assert "session s2 of agent default has no key here" in told
    assert "the keyring does not know the key" in told
    assert "docs/howto/backup.md" in carryover.err


def test_a_folder_gets_a_file_named_by_the_moment(carryover: Commands, home: Path, tmp_path: Path) -> None:
    carryover("log", "s1", SAID)
    folder = tmp_path / "backups"
    folder.mkdir()
    carryover("backup", str(folder))
    (file,) = folder.glob("*.db")
    assert file.name.startswith("carryover-20")


def test_postgresql_has_its_own_tools(carryover: Commands, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres_url)
    for verb in ("backup", "restore"):
        carryover(verb, "x.db", code=1)
        assert "docs/howto/backup.md" in carryover.err


def test_as_it_is_installed(home: Path, tmp_path: Path) -> None:
    assert run("log", "s1", SAID).returncode == 0
    done = run("backup", str(tmp_path / "b.db"))
    assert done.returncode == 0, done.stderr
    assert "1 session, 1 turn" in done.stdout
