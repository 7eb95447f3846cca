"""SQLite: one file, one writer at a time, FTS5 for text; vectors are searched in memory (`vectors.py`)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite as dialect

from carryover.core.chunk import Chunk
from carryover.core.errors import Invalid
from carryover.store import hashed, hot
from carryover.store.dialect import Bounds
from carryover.store.events import LAST_ID
from carryover.store.hashed import Wording
from carryover.store.tables import counters, events

BUSY_MS = 10_000
_SCORED = 12_000  # chunks that one search scores at most; of more, the newest
SETTLE_MS = 250  # how long a checkpoint waits for readers; the next one tries again

_WORTHWHILE, _QUICK = 16 << 20, 512 << 20  # free bytes that are given back, and bytes that are written anew for it

# Contentless: the index keeps no second copy of the text. `hashed` says what its words are; `owner` holds those that
# say whose chunk it is.
_PREPARE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS chunks_text USING fts5(owner, terms, content='', tokenize='ascii')",
    "CREATE VIRTUAL TABLE IF NOT EXISTS chunks_terms USING fts5vocab('chunks_text', 'row')",
    "CREATE TRIGGER IF NOT EXISTS turns_never_change BEFORE UPDATE ON turns "
    "BEGIN SELECT RAISE(ABORT, 'turns are never updated'); END",
    *(
        f"CREATE TRIGGER IF NOT EXISTS audit_never_{verb.lower()}s BEFORE {verb} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END"
        for verb in ("UPDATE", "DELETE")
    ),
)


# secure_delete: what is erased is overwritten with zeros, not only forgotten.
_PRAGMAS = (
    f"busy_timeout={BUSY_MS}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",
    "cache_size=-32000",
)


class Sqlite:
    """The default engine: durable (WAL, synchronous=FULL), foreign keys on."""

    name = "sqlite"
    concurrent = False
    one_index = True

    def engine(self, url: str, pool: int) -> sa.Engine:
        _make_private(sa.make_url(url).database)
        if sa.make_url(url).database in (None, "", ":memory:"):
            raise Invalid(
                f"database_url {url!r} names no file, and a log in memory would not last; write it as sqlite:///path",
                field="database_url",
            )
        return connected(url, pool, sqlite3)

    def enter(self, conn: sa.Connection, tenant: str, *, writing: bool) -> None:
        # A writer takes the lock before it reads: what it decides on stays true until it commits. On the driver's own
        # cursor: every read pays for this, and the way through the statement cache costs ten times it.
        conn.connection.cursor().execute("BEGIN IMMEDIATE" if writing else "BEGIN")

    def widen(self, conn: sa.Connection) -> None:
        """Every statement names its tenant; there is no second wall here."""

    def channel(self, url: str) -> None:
        """A file has no way to tell; other processes look from time to time."""

    def generation(self, cursor: Any) -> int | None:
        return cursor.execute("PRAGMA data_version").fetchone()[0]

    def settle(self, cursor: Any) -> None:
        cursor.execute(f"PRAGMA busy_timeout={SETTLE_MS}")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")

    def shrink(self, cursor: Any) -> None:
        asked = (f"PRAGMA {name}" for name in ("freelist_count", "page_count", "page_size"))
        free, pages, size = (cursor.execute(pragma).fetchone()[0] for pragma in asked)
        # The whole file is written anew while nobody else writes (100 MB/s): shorter than any writer waits.
        if free * 2 < pages or free * size < _WORTHWHILE or (pages - free) * size > _QUICK:
            return
        cursor.execute(f"PRAGMA busy_timeout={SETTLE_MS}")
        with suppress(sqlite3.OperationalError):  # another process writes: the next time will do
            cursor.execute("VACUUM")
        self.settle(cursor)

    def rewrite(self, cursor: Any) -> bool:
        # What is deleted is overwritten, but a page that was filled anew keeps a copy of what it had held behind it.
        pages, size = (cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if pages * size > _QUICK:
            return False
        cursor.execute(f"PRAGMA busy_timeout={SETTLE_MS}")
        try:
            cursor.execute("VACUUM")
        except sqlite3.OperationalError:  # another process writes
            return False
        self.settle(cursor)
        return True

    def unhurried(self, conn: sa.Connection) -> None:
        """No statement is given up anyway."""

    def upgrading(self, conn: sa.Connection) -> None:
        """A transaction that writes excludes all others anyway."""

    def prepare(self, conn: sa.Connection) -> None:
        for statement in _PREPARE:
            conn.exec_driver_sql(statement)

    def insert(self, table: sa.Table) -> Any:
        return dialect.insert(table)

    def allocate(self, conn: sa.Connection, tenant: str, count: int) -> int:
        # One sequence for all tenants: the number is the chunk's place in the one text index.
        row = dialect.insert(counters).values(tenant="", name="chunk", value=count)
        row = row.on_conflict_do_update(
            index_elements=["tenant", "name"], set_={"value": counters.c.value + count}
        ).returning(counters.c.value)
        return conn.execute(row).scalar_one() - count + 1

    def event_ids(self, conn: sa.Connection, tenant: str, agent: str, count: int, floor: int) -> int:
        return max(hot.read(conn, LAST_ID, {"tenant": tenant, "agent": agent})[0][0] or 0, floor) + 1

    def tend_events(self, conn: sa.Connection, now: int, keep_ms: int | None) -> None:
        if keep_ms is not None:
            conn.execute(events.delete().where(events.c.tenant.is_not(None), events.c.at < now - keep_ms))

    def index(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        if rows:
            conn.exec_driver_sql(
                "INSERT INTO chunks_text(rowid, owner, terms) VALUES (?, ?, ?)", [_entry(tenant, row) for row in rows]
            )

    def unindex(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        # Taking out what a damaged index lacks would damage it further, and fail.
        listed = "SELECT 1 FROM chunks_text_docsize WHERE id = ?"
        there = [row for row in rows if conn.exec_driver_sql(listed, (row.n,)).first() is not None]
        if there:
            conn.exec_driver_sql(
                "INSERT INTO chunks_text(chunks_text, rowid, owner, terms) VALUES ('delete', ?, ?, ?)",
                [_entry(tenant, row) for row in there],
            )

    def purge(self, conn: sa.Connection) -> None:
        # FTS5 only marks what is deleted until it merges; this merges everything (an eighth of a second per
        # 100,000 chunks of conversation).
        conn.exec_driver_sql("INSERT INTO chunks_text(chunks_text) VALUES ('optimize')")

    def matching(
        self,
        conn: sa.Connection,
        wording: Wording,
        weights: Mapping[str, float],
        usual: float,
        bounds: Bounds,
        k: int,
    ) -> list[tuple[int, float]]:
        if not weights:
            return []
        source, dated, values = "chunks_text", "", list[Any]()
        if bounds.moments is not None:
            source += " CROSS JOIN chunks ON chunks.tenant = ? AND chunks.n = chunks_text.rowid"
            dated = "AND chunks.created_at >= ? AND chunks.created_at < ? "
            values = list(bounds.moments)
        rows = hot.rows(
            conn,
            "SELECT n, score FROM (SELECT chunks_text.rowid AS n, bm25(chunks_text, 0.0, 1.0) AS score "
            f"FROM {source} WHERE chunks_text MATCH ? {dated}ORDER BY chunks_text.rowid DESC LIMIT {_SCORED}) "
            "ORDER BY score, n DESC LIMIT ?",
            (*([wording.tenant] if dated else []), _match(wording, list(weights), bounds), *values, k),
        )
        return [(row[0], -row[1]) for row in rows]

    def frequency(
        self, conn: sa.Connection, wording: Wording, terms: Sequence[str], most: int | None = None
    ) -> dict[str, int]:
        if most is None:
            counted, said = "SELECT doc FROM chunks_terms WHERE term = ?", "{}"
        else:  # the row of a frequent term is as long as all its chunks
            counted, said = f"SELECT count(*) FROM (SELECT 1 FROM chunks_text(?) LIMIT {most})", 'terms : "{}"'
        words = {term: said.format(wording.word(term)) for term in terms}
        found = {term: hot.rows(conn, counted, (word,)) for term, word in words.items()}
        return {term: rows[0][0] if rows else 0 for term, rows in found.items()}


def connected(url: str, pool: int, module: ModuleType) -> sa.Engine:
    """An engine for the file, by way of this module for SQLite."""
    waiting = {"timeout": BUSY_MS / 1000, "check_same_thread": False}
    engine = sa.create_engine(url, module=module, pool_size=pool, max_overflow=48, connect_args=waiting)
    event.listen(engine, "connect", _on_connect)
    return engine


def _make_private(path: str | None) -> None:
    """A new file is its owner's alone to read; SQLite gives its companions (-wal, -shm) the same rights."""
    if path and path != ":memory:" and not Path(path).exists() and Path(path).parent.is_dir():
        with suppress(OSError):  # opening it says what is wrong
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _on_connect(connection: Any, _: object) -> None:
    connection.isolation_level = None  # BEGIN is ours, see `enter`
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()
    except BaseException:
        connection.close()
        raise


def _entry(tenant: str, chunk: Chunk) -> tuple[int, str, str]:
    return chunk.n, " ".join(hashed.owners(tenant, chunk)), " ".join(hashed.words(tenant, chunk))


def _match(wording: Wording, terms: Sequence[str], bounds: Bounds) -> str:
    tenant = wording.tenant
    owners = [hashed.owner(tenant, sign, value) for sign, value in bounds.marks()]
    if bounds.kinds is not None:
        owners.append("(" + " OR ".join(hashed.owner(tenant, "k", kind) for kind in bounds.kinds) + ")")
    words = " OR ".join(f'"{wording.word(term)}"' for term in terms)
    return f"owner : ({' AND '.join(owners)}) AND terms : ({words})" if owners else f"terms : ({words})"
