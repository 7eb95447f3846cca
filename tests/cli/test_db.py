"""`db history`, `db move`, and `db check` where it has something to note."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from carryover.store import migrate
from carryover.store.store import Store
from commands import Commands, run
from servers.postgres import Server


def file_of(home: Path) -> str:
    return f"sqlite:///{home / 'carryover.db'}"


def test_history_of_no_database_makes_none(carryover: Commands, home: Path) -> None:
    found = carryover.json("db", "history")
    assert (found["schema"], found["usable"]) == (None, False)
    assert [row["applied"] for row in found["revisions"]] == [False] * len(migrate.revisions())
    assert not home.exists()
    carryover("db", "history")
    assert "run `carryover db upgrade`" in carryover.err


def test_history_says_what_is_applied_and_who_may_go_on(carryover: Commands, home: Path) -> None:
    carryover("db", "upgrade")
    found = carryover.json("db", "history")
    assert (found["schema"], found["program"], found["usable"]) == (migrate.HEAD, migrate.HEAD, True)
    first = found["revisions"][0]
    assert first == {"revision": "0001", "description": "The first schema.", "applied": True, "compatible": "0001"}
    assert "0001 or later  The first schema." in carryover("db", "history")
    with sqlite3.connect(home / "carryover.db") as conn:
        conn.execute("UPDATE alembic_version SET version_num = '0099'")
    conn.close()
    last = carryover.json("db", "history")["revisions"][-1]
    assert (last["revision"], last["compatible"]) == ("0099", "0099")
    assert "of a later version of carryover" in carryover("db", "history")
    assert "upgrade carryover" in carryover.err


def test_a_move_shows_a_table_and_says_that_it_is_verified(carryover: Commands, home: Path, postgres_url: str) -> None:
    carryover("log", "s1", "Let's use PostgreSQL for the ledger.")
    carryover("consolidate", "s1")
    carryover("search", "ledger")  # which indexes it
    told = carryover("db", "move", file_of(home), postgres_url)
    assert told.splitlines()[0].split() == ["table", "source", "target", "same"]
    assert told.splitlines()[-1].startswith("verified: ")
    assert told.splitlines()[-1].endswith(" of 1 tenant")
    assert "rows moved: " in carryover.err
    assert "rows compared: " in carryover.err
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYOVER_DATABASE_URL", postgres_url)
        assert "Let's use PostgreSQL for the ledger." in carryover("window", "s1")
        assert carryover("db", "check") == "the database is sound\n"
    back = f"sqlite:///{home / 'back.db'}"
    report = carryover.json("db", "move", postgres_url, back)
    assert report["verified"]
    assert {one["table"] for one in report["tables"]} >= {"sessions", "turns", "bodies", "findings", "chunks"}
    assert all(one["same"] for one in report["tables"])


def test_a_move_that_cannot_be(carryover: Commands, home: Path, postgres_url: str) -> None:
    carryover("log", "s1", "hello")
    carryover("db", "move", file_of(home), file_of(home), code=1)
    assert "are the same database" in carryover.err
    carryover("db", "move", f"sqlite:///{home}/nothing.db", postgres_url, code=1)
    assert "there is no database at" in carryover.err
    assert not (home / "nothing.db").exists()
    carryover("db", "move", file_of(home), postgres_url)
    carryover("db", "move", file_of(home), postgres_url, code=1)
    assert "the target holds data already" in carryover.err


def test_a_source_with_a_fault_is_moved_and_not_verified(carryover: Commands, home: Path, postgres_url: str) -> None:
    carryover("log", "s1", "hello")
    with sqlite3.connect(home / "carryover.db") as conn:
        conn.execute("DELETE FROM bodies")
    conn.close()
    told = carryover("db", "move", file_of(home), postgres_url, code=1)
    assert "different: log: session 's1'" in told
    assert "verified" not in told
    assert "run `carryover db check` on the source" in carryover.err


def test_a_move_as_it_is_installed(home: Path, postgres_url: str) -> None:
    Commands()("log", "s1", "hello")
    done = run("db", "move", file_of(home), postgres_url)
    assert done.returncode == 0, done.stderr
    assert "verified: " in done.stdout
    assert run("db", "move", file_of(home), "postgresql://c:s3cret@127.0.0.1:9/db").returncode == 1


def test_check_notes_a_superuser(
    carryover: Commands, postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(postgres_url).close()
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres.url(postgres_url.rpartition("/")[2], "postgres"))
    assert carryover("db", "check") == "the database is sound\n"
    assert "note: row-level security does not hold for the role 'postgres'" in carryover.err
    assert len(carryover.json("db", "check")["notes"]) == 1
