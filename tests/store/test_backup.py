"""Backups: whole or not at all, of one moment while others write, and put back where there is nothing."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from carryover.core.errors import Conflict, DataLoss, Invalid, StoreUnavailable
from carryover.store import backup, check
from carryover.store.store import Store
from logbook import Book
from waiting import until

KILLED = """
import os, signal, sys
from pathlib import Path
from carryover.store import backup
step = backup.{where}
def killed(*given):
    step(*given)
    os.kill(os.getpid(), signal.SIGKILL)
backup.{where} = killed
backup.make(Path(sys.argv[1]), Path(sys.argv[2]), now=1, program="1", force=True)
"""


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A database that is open, with its newest turns in the journal."""
    file = tmp_path / "carryover.db"
    with Store.open(f"sqlite:///{file}") as store:
        book = Book(store)
        for n in range(20):
            book.append("s", f"turn {n}")
        yield file


def make(source: Path, target: Path, *, force: bool = False) -> backup.Manifest:
    return backup.make(source, target, now=1_700_000_000_000, program="1.0", force=force)


def turns_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as conn:
        return conn.execute("SELECT count(*) FROM turns").fetchone()[0]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_backup_is_whole_and_says_what_it_is(source: Path, tmp_path: Path) -> None:
    there = names(tmp_path)
    target = tmp_path / "copy.db"
    made = make(source, target)
    assert (made.counts["turns"], made.counts["sessions"]) == (20, 1)
    assert backup.read(target) == made
    assert turns_of(target) == 20
    assert names(tmp_path) - there == {"copy.db", "copy.db.json"}
    assert target.stat().st_mode & 0o077 == 0
    with Store.open(f"sqlite:///{target}", upgrade=False) as copy:
        assert check.check(copy) == []


def test_a_backup_beside_writers_is_of_one_moment(source: Path, tmp_path: Path) -> None:
    going, stop = threading.Event(), threading.Event()

    def write(session: str) -> None:
        with Store.open(f"sqlite:///{source}") as store:
            book = Book(store)
            while not stop.is_set():
                book.append(session, *(f"{n} of a batch" for n in range(5)))
                going.set()

    writers = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(2)]
    for writer in writers:
        writer.start()
    try:
        for n in range(3):
            going.clear()
            until(going.is_set)
            target = tmp_path / f"copy{n}.db"
            made = make(source, target)
            assert (made.counts["turns"] - 20) % 5 == 0
            with Store.open(f"sqlite:///{target}", upgrade=False) as copy:
                assert check.check(copy) == []
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def test_what_is_there_is_not_replaced_unless_asked(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("something of mine")
    with pytest.raises(Conflict, match="--force"):
        make(source, target)
    assert target.read_text() == "something of mine"
    make(source, target, force=True)
    assert turns_of(target) == 20
    with pytest.raises(Invalid, match="is the database itself"):
        make(source, source, force=True)
    with pytest.raises(Invalid, match="there is no database"):
        make(tmp_path / "nothing.db", tmp_path / "other.db")


def test_a_database_that_is_damaged_is_not_backed_up(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "damaged.db"
    make(source, copy)
    data = bytearray(copy.read_bytes())
    data[8192 : 8192 + 2048] = os.urandom(2048)
    copy.write_bytes(data)
    with pytest.raises(DataLoss, match="run `carryover db check`"):
        make(copy, tmp_path / "other.db")
    other = tmp_path / "text.db"
    other.write_text("no database at all, only words " * 40)
    with pytest.raises(DataLoss, match="run `carryover db check`"):
        make(other, tmp_path / "other.db")
    assert not {"other.db", "other.db.part"} & names(tmp_path)


def test_a_disk_that_is_full(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "copy.db"
    make(source, target)
    before = target.read_bytes()
    connected = backup._connected

    def small(path: Path) -> sqlite3.Connection:
        conn = connected(path)
        if path.suffix == ".part":
            conn.execute("PRAGMA max_page_count = 3")
        return conn

    monkeypatch.setattr(backup, "_connected", small)
    with pytest.raises(StoreUnavailable, match=r"cannot be written .*full"):
        make(source, target, force=True)
    assert target.read_bytes() == before
    assert backup.read(target).counts["turns"] == 20
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        make(source, tmp_path / "no" / "folder.db")


@pytest.mark.parametrize("where", ["_copy", "_look", "_flush", "manifest_of"])
def test_a_backup_that_is_killed_leaves_what_was_there(source: Path, tmp_path: Path, where: str) -> None:
    target = tmp_path / "copy.db"
    make(source, target)
    before = target.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED.format(where=where), source, target], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == before
    assert backup.read(target).counts["turns"] == 20
    make(source, target, force=True)
    assert names(tmp_path) >= {"copy.db", "copy.db.json"}
    assert not [name for name in names(tmp_path) if ".part" in name]


def test_a_backup_without_its_manifest_did_not_end(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    make(source, target)
    backup.manifest_of(target).unlink()
    with pytest.raises(DataLoss, match="a backup that did not end"):
        backup.read(target)
    with pytest.raises(Invalid, match="there is no backup"):
        backup.read(tmp_path / "nothing.db")
    backup.manifest_of(target).write_text('{"format": "something else"}')
    with pytest.raises(Invalid, match="no manifest of a backup"):
        backup.read(target)
    backup.manifest_of(target).write_text("{")
    with pytest.raises(DataLoss, match="cannot be read"):
        backup.read(target)


def test_a_torn_backup_is_not_put_back(source: Path, tmp_path: Path) -> None:
    target, home = tmp_path / "copy.db", tmp_path / "home"
    home.mkdir()
    make(source, target)
    whole = target.read_bytes()
    for torn in (whole[:-4096], whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:], b""):
        target.write_bytes(torn)
        with pytest.raises(DataLoss, match="damaged or torn"):
            backup.put_back(target, home / "carryover.db", lambda _: None)
        assert names(home) == set()


def test_it_is_put_back_where_there_is_nothing(source: Path, tmp_path: Path) -> None:
    target, home = tmp_path / "copy.db", tmp_path / "home"
    home.mkdir()
    make(source, target)
    seen: list[int] = []
    backup.put_back(target, home / "carryover.db", lambda part: seen.append(turns_of(part)))
    assert seen == [20]
    with Store.open(f"sqlite:///{home}/carryover.db") as store:
        book = Book(store)
        assert [turn.content for turn in book.turns("s")] == [f"turn {n}" for n in range(20)]
        book.append("s", "and on it goes")
        assert check.check(store) == []
    with pytest.raises(Conflict, match="a restore replaces no database"):
        backup.put_back(target, home / "carryover.db", lambda _: None)
    (home / "carryover.db").unlink()
    (home / "carryover.db-wal").write_bytes(b"of another database")
    with pytest.raises(Conflict, match=r"carryover\.db-wal is there already"):
        backup.put_back(target, home / "carryover.db", lambda _: None)


def test_what_fails_its_last_look_is_not_put_back(source: Path, tmp_path: Path) -> None:
    target, home = tmp_path / "copy.db", tmp_path / "home"
    home.mkdir()
    make(source, target)

    def no(_: Path) -> None:
        raise DataLoss("not this one")

    with pytest.raises(DataLoss, match="not this one"):
        backup.put_back(target, home / "carryover.db", no)
    assert names(home) == set()


def test_a_backup_of_a_later_schema(source: Path, tmp_path: Path) -> None:
    target, home = tmp_path / "copy.db", tmp_path / "home"
    home.mkdir()
    make(source, target)
    manifest = json.loads(backup.manifest_of(target).read_text())
    backup.manifest_of(target).write_text(json.dumps({**manifest, "schema": "9999"}))
    with pytest.raises(Invalid, match="has the schema 9999"):
        backup.put_back(target, home / "carryover.db", lambda _: None)
    backup.manifest_of(target).write_text(json.dumps({**manifest, "version": 2}))
    with pytest.raises(Invalid, match="of a later version"):
        backup.read(target)
    assert names(home) == set()
