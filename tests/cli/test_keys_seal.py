"""A database of an older program is sealed by one command, and the doctor says when it should be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from commands import Commands
from noticeable import open_memory


def kept(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "carryover.db")) as conn:
        return [row[0] for row in conn.execute("SELECT body FROM bodies ORDER BY session, seq")]


def work(home: Path, **settings: object) -> None:
    """A worker does all that is due."""
    with open_memory(home, **settings) as memory:
        memory.engine.worker.drain()


def encryption(carryover: Commands) -> tuple[str, str]:
    (check,) = (one for one in carryover.json("doctor")["checks"] if one["name"] == "sealing")
    return check["state"], check["said"]


def test_what_was_readable_is_sealed(carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_ENCRYPTION", "false")
    carryover("log", "s1", "We ship on Friday.")
    carryover("log", "s2", "We ship on Monday.")
    assert kept(home) == ['"We ship on Friday."', '"We ship on Monday."']
    assert encryption(carryover) == ("note", "new sessions are not sealed")
    carryover("keys", "seal", code=1)
    assert "encryption is off" in carryover.err
    monkeypatch.delenv("CARRYOVER_ENCRYPTION")
    assert encryption(carryover) == ("note", "2 sessions not sealed")
    assert carryover.json("keys", "seal") == {"sessions": 2}
    assert not any("ship" in body for body in kept(home))
    assert encryption(carryover) == ("ok", "every session is sealed with a key of its own")
    assert "0 sessions sealed" in carryover("keys", "seal")
    carryover("log", "s3", "We ship today.")
    assert not any("ship" in body for body in kept(home))
    assert "We ship on Friday." in carryover("window", "s1")


def test_a_database_that_was_sealed_just_now_is_sound(
    carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_ENCRYPTION", "false")
    for session in ("s1", "s2"):
        carryover("log", session, "We decided to use PostgreSQL for the ledger.")
    work(home, encryption=False)
    monkeypatch.delenv("CARRYOVER_ENCRYPTION")
    carryover("keys", "seal")
    assert "the database is sound" in carryover("db", "check")
    assert "the form that is set" in carryover.err
    work(home)
    assert carryover.json("db", "check").keys() == {"faults", "repaired", "log"}


def test_a_new_database_seals_from_its_start(carryover: Commands, home: Path) -> None:
    carryover("log", "s1", "We ship on Friday.")
    assert not any("ship" in body for body in kept(home))
    assert encryption(carryover)[0] == "ok"


def test_what_is_sealed_moves_with_its_keys(
    carryover: Commands, home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    carryover("log", "s1", "We ship on Friday.")
    carryover("consolidate", "s1")
    carryover("db", "move", f"sqlite:///{home / 'carryover.db'}", postgres_url)
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres_url)
    assert "We ship on Friday." in carryover("window", "s1")
    assert "We ship on Friday." in carryover("context", "s2")
    assert carryover.json("db", "check")["faults"] == []
