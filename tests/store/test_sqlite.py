"""What holds on SQLite alone: durability, files that are no databases, full disks."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.errors import Invalid, StoreUnavailable
from carryover.core.scope import Scope
from carryover.store import archive, counters
from carryover.store.store import Store
from carryover.store.tables import turns
from logbook import Book

LARGE = "x" * 200_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "carryover.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///", "sqlite:nothing"])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="write it as sqlite:///path"):
        Store.open(url)


def test_every_connection_is_durable_and_checks_foreign_keys(path: Path) -> None:
    with Store.open(f"sqlite:///{path}") as store, store.engine.connect() as one, store.engine.connect() as two:
        for conn in (one, two):
            found = {
                name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
            }
            assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


@pytest.mark.parametrize("upgrade", [True, False])
def test_a_file_that_is_no_database_is_left_alone(path: Path, upgrade: bool) -> None:
    content = b"Dear diary, " * 1000
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="choose another path: this file is not a carryover database"):
        Store.open(f"sqlite:///{path}", upgrade=upgrade)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE sessions (cookie TEXT)")
    other.close()
    with pytest.raises(StoreUnavailable, match="choose another path"):
        Store.open(f"sqlite:///{path}")
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("sessions",)]
    other.close()


def test_a_file_that_may_only_be_read_says_so(path: Path) -> None:
    Store.open(f"sqlite:///{path}").close()
    with Store.open(f"sqlite:///file:{path}?mode=ro&uri=true") as store:
        with store.read(Scope("acme")) as tx:
            assert counters.values(tx, ["tried"]) == [0]
        with (
            pytest.raises(StoreUnavailable, match="nothing was saved, check the permissions of the file"),
            store.write(Scope("acme")) as tx,
        ):
            counters.bump(tx, "tried")


def test_a_lock_that_is_held_too_long_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(f"sqlite:///{path}") as store:

        def impatient(connection: Any, *_: object) -> None:
            connection.execute("PRAGMA busy_timeout=20")

        sa.event.listen(store.engine, "checkout", impatient)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(StoreUnavailable, match="another process is writing; retry") as refusal,
            store.write(Scope("acme")),
        ):
            raise AssertionError("the lock is not ours")
        assert refusal.value.facts["retry_after"] == 1
        other.execute("ROLLBACK")
        other.close()
        with store.write(Scope("acme")) as tx:
            assert tx.tenant == "acme"


def test_a_full_disk_saves_nothing_and_appends_go_on_once_there_is_space(path: Path) -> None:
    with Store.open(f"sqlite:///{path}") as store:
        limit: dict[str, int] = {"pages": 1 << 30}

        def bounded(conn: sa.Connection) -> None:
            conn.exec_driver_sql(f"PRAGMA max_page_count={limit['pages']}")

        sa.event.listen(store.engine, "begin", bounded)
        book = Book(store)
        book.append("s", "one", "two")
        with store.engine.connect() as conn:
            limit["pages"] = conn.exec_driver_sql("PRAGMA page_count").scalar_one() + 4
        before = book.session("s")
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match=r"nothing was saved, free some disk space and retry"):
                book.append("s", "small", LARGE)
        assert book.session("s") == before
        assert [turn.content for turn in book.turns("s")] == ["one", "two"]
        limit["pages"] = 1 << 30
        assert book.append("s", "small", LARGE).version == 4
        assert [turn.seq for turn in book.turns("s")] == [1, 2, 3, 4]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_up_under_the_log(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False,
                             capture_output=True)  # fmt: skip
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        ballast = disk / "ballast"
        with Store.open(f"sqlite:///{disk}/carryover.db") as store:
            book = Book(store)
            book.append("s", "one")
            size = os.statvfs(disk)
            ballast.write_bytes(b"x" * (size.f_bavail * size.f_bsize - 40_960))
            said = 1
            refusal = None
            while refusal is None:
                try:
                    said = book.append("s", "y" * 2000).version
                except StoreUnavailable as full:
                    refusal = full
            assert "nothing was saved, free some disk space and retry" in refusal.message
            assert [turn.seq for turn in book.turns("s")] == list(range(1, said + 1))
            ballast.unlink()
            assert book.append("s", "z").version == said + 1
        with Store.open(f"sqlite:///{disk}/carryover.db") as store:
            assert [turn.seq for turn in Book(store).turns("s")] == list(range(1, said + 2))
            with store.engine.connect() as conn:
                assert conn.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_trigger_refuses_an_update_of_every_column(path: Path) -> None:
    with Store.open(f"sqlite:///{path}") as store:
        Book(store).append("s", "one")
    raw = sqlite3.connect(path)
    for column in turns.columns:
        with pytest.raises(sqlite3.IntegrityError, match="turns are never updated"):
            raw.execute(f'UPDATE turns SET "{column.name}" = "{column.name}"')
    raw.close()


def test_a_file_that_is_mostly_free_becomes_smaller(tmp_path: Path) -> None:
    path = tmp_path / "big.db"
    with Store.open(f"sqlite:///{path}") as store:
        for name in ("/kept", "/dropped"):
            size = 4 if name == "/kept" else 30
            cut = [archive.Piece(n, n, archive.Segment(f"{name}{n}", 1, os.urandom(1 << 20))) for n in range(size)]
            with store.write(Scope("t")) as tx:
                archive.put(tx, name, 0, cut)
        store.shrink()
        store.settle()
        assert path.stat().st_size > 34 << 20
        with store.write(Scope("t")) as tx:
            archive.erase(tx, ["/dropped"])
        with store.read(Scope("t")) as reading:
            assert archive.size(reading) == 4 << 20
            store.shrink()  # somebody who reads is no hindrance
            assert archive.size(reading) == 4 << 20
        store.settle()
        assert path.stat().st_size < 6 << 20
        with store.read(Scope("t")) as tx:
            assert len(archive.body(tx, "/kept3") or b"") == 1 << 20
