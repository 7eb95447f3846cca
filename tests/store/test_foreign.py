from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from carryover.core.errors import Invalid
from carryover.store import foreign


def made(path: Path, *, wal: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
    connection.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, said TEXT, raw BLOB)")
    connection.execute("INSERT INTO note VALUES (1, 'one', x'00ff')")
    return connection


def said(path: Path) -> list[str]:
    with foreign.opened(path) as database:
        return [row["said"] for row in database.rows("SELECT said FROM note ORDER BY id")]


def beside(path: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in path.parent.iterdir()}


@pytest.mark.parametrize("wal", [False, True])
def test_a_database_that_nobody_has_open_is_read_and_nothing_is_left_beside_it(tmp_path: Path, wal: bool) -> None:
    path = tmp_path / "a db with 100% ?odd#name.db"
    made(path, wal=wal).close()
    before = beside(path)
    assert said(path) == ["one"]
    assert foreign.tables(path) == {"note"}
    assert beside(path) == before


def test_what_its_program_has_written_but_not_yet_moved_into_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    with closing(made(path, wal=True)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("INSERT INTO note VALUES (2, 'two', NULL)")
        before = {name: data for name, data in beside(path).items() if not name.endswith("-shm")}
        assert said(path) == ["one", "two"]
        assert {name: data for name, data in beside(path).items() if not name.endswith("-shm")} == before
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO note VALUES (3, 'three', NULL)")
        assert said(path) == ["one", "two"], "neither side waits for the other"
        writer.execute("COMMIT")
        assert said(path) == ["one", "two", "three"]


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    with closing(made(path, wal=True)) as writer:
        writer.execute("INSERT INTO note VALUES (2, 'two', NULL)")
        with foreign.opened(path) as database:
            writer.execute("INSERT INTO note VALUES (3, 'three', NULL)")
            assert len(list(database.rows("SELECT id FROM note"))) == 2


def test_a_copy_whose_readers_have_nothing_to_agree_by_is_read_elsewhere(tmp_path: Path) -> None:
    path, copied = tmp_path / "live.db", tmp_path / "copied" / "live.db"
    copied.parent.mkdir()
    with closing(made(path, wal=True)) as writer:
        writer.execute("INSERT INTO note VALUES (2, 'two', NULL)")
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{copied}{suffix}")
    before = beside(copied)
    assert said(copied) == ["one", "two"]
    assert beside(copied) == before


def test_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    made(path).close()
    with pytest.raises(Invalid, match="readonly"), foreign.opened(path) as database:
        list(database.rows("DELETE FROM note RETURNING id"))
    assert said(path) == ["one"]


def test_bytes_and_broken_text_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(made(path)) as connection:
        connection.execute("INSERT INTO note VALUES (2, CAST(x'6869ff' AS TEXT), NULL)")
    with foreign.opened(path) as database:
        assert database.columns("note") == ["id", "said", "raw"]
        assert database.columns("nothing") == []
        assert [tuple(row.values()) for row in database.rows("SELECT * FROM note")] == [
            (1, "one", "AP8="),
            (2, "hi\ufffd", None),
        ]


def test_what_is_no_database_is_refused_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    for content in (b"", b"not a database at all", foreign.MAGIC + b"\x00" * 500):
        path.write_bytes(content)
        with pytest.raises(Invalid, match=r"notes\.db' cannot be read as a database: .*; try again"):
            said(path)
        assert foreign.tables(path) == set()
    with pytest.raises(Invalid, match=r"gone\.db"):
        said(tmp_path / "gone.db")


def test_a_file_that_is_written_to_while_it_is_read_is_read_again_later(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    def read_while(writer: sqlite3.Connection) -> None:
        with foreign.opened(path) as database:
            writer.executemany("INSERT INTO note VALUES (?, ?, NULL)", [(n, "x" * 900) for n in range(2, 50)])
            list(database.rows("SELECT * FROM note"))

    with closing(made(path)) as writer, pytest.raises(Invalid, match="written to while it was read"):
        read_while(writer)
    assert len(said(path)) == 49
