"""Every byte that is kept, looked through for words: files as they lie on the disk, rows of databases, a Redis."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import exc

from carryover.core.canary import Canaries, Hit
from carryover.core.errors import StoreUnavailable
from carryover.store import redis as redis_store
from carryover.store.seal import Seal
from carryover.store.store import Store

_CHUNK = 4 << 20
_SQLITE = b"SQLite format 3\x00"
_TIMEOUT_S = 30.0
_ROWS = 1_000

# What packed bytes say, or None for bytes that nothing packed.
Unpack = Callable[[bytes], bytes | None]


def files(path: Path) -> Iterator[Path]:
    """The file, or all files below the folder, in order; links are not followed."""
    if not path.is_dir():
        yield path
        return
    for one in sorted(path.iterdir()):
        if one.is_symlink():
            continue
        if one.is_dir():
            yield from files(one)
        elif one.is_file():
            yield one


def file(path: Path, canaries: Canaries, unpack: Unpack) -> Iterator[Hit]:
    """The hits in the bytes of the file, read piece by piece; of a database in SQLite also those in its rows.

    A page of a database breaks off what is longer than it, and packed bytes hide what they say: rows show both.
    """
    keep = canaries.longest - 1
    with path.open("rb") as opened:
        held, offset = b"", 0
        is_sqlite = False
        while piece := opened.read(_CHUNK):
            is_sqlite = is_sqlite or (offset == 0 and not held and piece.startswith(_SQLITE))
            data = held + piece
            for hit in canaries.found(str(path), data, offset):
                # What stands whole in the part that was kept was told with the piece before.
                if hit.offset + hit.length > offset + len(held):
                    yield hit
            cut = max(len(data) - keep, 0)
            offset, held = offset + cut, data[cut:]
    if is_sqlite:
        yield from _sqlite(path, canaries, unpack)


def tables(store: Store, canaries: Canaries, unpack: Unpack) -> Iterator[Hit]:
    """The hits in all rows of a PostgreSQL database that its role may read, in every schema of ours and of others."""
    with store.engine.connect() as conn:
        store.dialect.enter(conn, "*", writing=False)
        store.dialect.unhurried(conn)
        wanted = (
            "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name), quote_ident(column_name) "
            "FROM information_schema.columns "
            "JOIN information_schema.tables USING (table_schema, table_name) WHERE table_type = 'BASE TABLE' "
            "AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, ordinal_position"
        )
        columns: dict[str, list[str]] = {}
        for table, column in conn.exec_driver_sql(wanted):
            columns.setdefault(table, []).append(column)
        for table, names in columns.items():
            streamed = conn.execution_options(stream_results=True, yield_per=_ROWS)
            rows = streamed.execute(sa.text(f"SELECT {', '.join(names)} FROM {table}"))
            yield from _rows(table, rows, canaries, unpack)


def redis(url: str, canaries: Canaries) -> Iterator[Hit]:
    """The hits in all keys and values of a Redis. Raises StoreUnavailable where it does not answer."""
    asked = redis_store.Redis(url, Seal(bytes(32)))
    try:
        with closing(asked.client(_TIMEOUT_S)) as client:
            for key in client.scan_iter(count=_ROWS):
                where = f"redis {len(key)}-byte key"
                yield from canaries.found(where, key)
                yield from canaries.found(f"{where}'s value", client.dump(key) or b"")
                if client.type(key) == b"string":
                    yield from canaries.found(f"{where}'s value", client.get(key) or b"")
    except asked.failures as cause:
        raise StoreUnavailable(f"Redis did not answer ({cause}); check its URL and that it runs") from cause
    finally:
        asked.close()


def _sqlite(path: Path, canaries: Canaries, unpack: Unpack) -> Iterator[Hit]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            conn.text_factory = bytes
            named = conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for (name,) in named:
                table = name.decode()
                quoted = '"' + table.replace('"', '""') + '"'
                try:
                    rows = conn.execute(f"SELECT * FROM {quoted}")
                except sqlite3.Error:
                    continue  # a virtual table whose module is not here: its shadow tables are looked through
                yield from _rows(f"{path} table {table}", rows, canaries, unpack)
    except sqlite3.Error as cause:
        raise StoreUnavailable(f"{path} cannot be read as a database ({cause}); look at a copy of it") from cause


def _rows(where: str, rows: Iterable[Sequence[Any]], canaries: Canaries, unpack: Unpack) -> Iterator[Hit]:
    try:
        for n, row in enumerate(rows):
            for value in row:
                if not isinstance(value, (str, bytes, memoryview)):
                    continue
                data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(cast("bytes", value))
                yield from (replace(hit, offset=n, form=f"{hit.form}, row") for hit in canaries.found(where, data))
                packed = unpack(data)
                if packed is not None:
                    found = canaries.found(where, packed)
                    yield from (replace(hit, offset=n, form=f"{hit.form}, packed, row") for hit in found)
    except (exc.DBAPIError, sqlite3.Error) as cause:
        raise StoreUnavailable(f"{where} cannot be read ({cause}); look as a role that may read it") from cause
