"""Another program's SQLite file, read and never written: neither it nor anything beside it."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from carryover.core.errors import CarryoverError, Invalid

MAGIC = b"SQLite format 3\x00"  # how every SQLite file begins
_BUSY_S = 5.0
_FETCHED = 200  # rows that are held at once


class Foreign:
    """An open database of another program."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._connection.text_factory = _text

    def columns(self, table: str) -> list[str]:
        """The columns of the table; none where there is no such table."""
        return [row[0] for row in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """What the statement selects, each row by the names of its columns. Bytes come as text in base64."""
        cursor = self._connection.execute(statement, values)
        names = [column[0] for column in cursor.description]
        while some := cursor.fetchmany(_FETCHED):
            for row in some:
                yield dict(zip(names, map(_sayable, row), strict=True))


@contextmanager
def opened(path: Path) -> Generator[Foreign]:
    """The database at `path`, as it is at one moment; what its program writes meanwhile is seen the next time.

    Raises Invalid where it is none, is damaged, or was changed while it was read in a way that shows in the result.
    """
    try:
        with _connected(path) as connection, closing(connection):
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the moment that is read
            yield Foreign(connection)
    except (sqlite3.Error, OSError, UnicodeDecodeError) as cause:  # damage may stand in the messages of SQLite too
        raise Invalid(
            f"{str(path)!r} cannot be read as a database: {cause}; try again while its program is not running"
        ) from cause


def tables(path: Path) -> set[str]:
    """The names of the tables in the file at `path`; none where it is no database that can be read."""
    try:
        with opened(path) as database:
            return {row["name"] for row in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except CarryoverError:
        return set()


@contextmanager
def _connected(path: Path) -> Generator[sqlite3.Connection]:
    wal, shared = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise sqlite3.DatabaseError("it does not begin as one")
    if not _has_bytes(wal):
        # A read-only connection to a WAL database makes -wal and -shm beside it where they are missing; one that
        # takes the file for unchangeable does not, so it has to be looked at afterwards whether that was true.
        before = _looks(path)
        try:
            yield _connect(path, "mode=ro&immutable=1")
        finally:
            if _looks(path) != before:
                raise sqlite3.OperationalError("it was written to while it was read")
    elif shared.exists():
        yield _connect(path, "mode=ro")
    else:  # a copy without the file through which its readers agree: it would have to be made
        with TemporaryDirectory() as folder:
            copy = Path(shutil.copyfile(path, Path(folder, "copy.db")))
            shutil.copyfile(wal, copy.with_name("copy.db-wal"))
            yield _connect(copy, "mode=rw")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{how}", uri=True, timeout=_BUSY_S, isolation_level=None
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def _looks(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _has_bytes(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _text(said: bytes) -> str:
    return said.decode("utf-8", "replace")


def _sayable(value: Any) -> Any:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
