"""SQLite: one file, one writer at a time, FTS5 for text; vectors are searched in memory (`vectors.py`)."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite as dialect

from carryover.core.chunk import Chunk
from carryover.core.clock import EARLIEST, LATEST
from carryover.core.errors import Invalid
from carryover.store.dialect import Bounds
from carryover.store.tables import counters

BUSY_MS = 10_000
SETTLE_MS = 250  # how long a checkpoint waits for readers; the next one tries again

# Contentless: the index keeps no second copy of the text. Its words are hashes keyed by the tenant (`_word`), so
# tenants share no word and no count, and any text is a legal query. `owner` holds one word each for the agent,
# the user, the session and the kind: a narrowed query is narrowed inside the index.
_PREPARE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS chunks_text USING fts5(owner, terms, content='', tokenize='ascii')",
    "CREATE VIRTUAL TABLE IF NOT EXISTS chunks_terms USING fts5vocab('chunks_text', 'row')",
    "CREATE TRIGGER IF NOT EXISTS turns_never_change BEFORE UPDATE ON turns "
    "BEGIN SELECT RAISE(ABORT, 'turns are never updated'); END",
)


# secure_delete: what is erased is overwritten with zeros, not only forgotten.
_PRAGMAS = (
    f"busy_timeout={BUSY_MS}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",
    "cache_size=-16000",
)


class Sqlite:
    """The default engine: durable (WAL, synchronous=FULL), foreign keys on."""

    name = "sqlite"

    def engine(self, url: str) -> sa.Engine:
        _make_private(sa.make_url(url).database)
        if sa.make_url(url).database in (None, "", ":memory:"):
            raise Invalid(
                f"database_url {url!r} names no file, and a log in memory would not last; write it as sqlite:///path",
                field="database_url",
            )
        engine = sa.create_engine(
            url, pool_size=16, max_overflow=48, connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False}
        )
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        return engine

    def generation(self, cursor: Any) -> int | None:
        return cursor.execute("PRAGMA data_version").fetchone()[0]

    def settle(self, cursor: Any) -> None:
        cursor.execute(f"PRAGMA busy_timeout={SETTLE_MS}")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")

    def prepare(self, conn: sa.Connection) -> None:
        for statement in _PREPARE:
            conn.exec_driver_sql(statement)

    def insert(self, table: sa.Table) -> Any:
        return dialect.insert(table)

    def allocate(self, conn: sa.Connection, count: int) -> int:
        row = dialect.insert(counters).values(tenant="", name="chunk", value=count)
        row = row.on_conflict_do_update(
            index_elements=["tenant", "name"], set_={"value": counters.c.value + count}
        ).returning(counters.c.value)
        return conn.execute(row).scalar_one() - count + 1

    def index(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        if rows:
            conn.exec_driver_sql(
                "INSERT INTO chunks_text(rowid, owner, terms) VALUES (?, ?, ?)", [_entry(tenant, row) for row in rows]
            )

    def unindex(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        if rows:
            conn.exec_driver_sql(
                "INSERT INTO chunks_text(chunks_text, rowid, owner, terms) VALUES ('delete', ?, ?, ?)",
                [_entry(tenant, row) for row in rows],
            )

    def purge(self, conn: sa.Connection) -> None:
        # FTS5 only marks what is deleted until it merges; this merges everything (an eighth of a second per
        # 100,000 chunks of conversation).
        conn.exec_driver_sql("INSERT INTO chunks_text(chunks_text) VALUES ('optimize')")

    def matching(
        self, conn: sa.Connection, tenant: str, terms: Sequence[str], bounds: Bounds, k: int
    ) -> list[tuple[int, float]]:
        if not terms:
            return []
        source, dated, values = "chunks_text", "", list[Any]()
        if bounds.since is not None or bounds.before is not None:
            source += " CROSS JOIN chunks ON chunks.tenant = ? AND chunks.n = chunks_text.rowid"
            dated = "AND chunks.created_at >= ? AND chunks.created_at < ? "
            values = [
                EARLIEST if bounds.since is None else bounds.since,
                LATEST + 1 if bounds.before is None else bounds.before,
            ]
        rows = conn.exec_driver_sql(
            f"SELECT chunks_text.rowid, bm25(chunks_text, 0.0, 1.0) AS score FROM {source} "
            f"WHERE chunks_text MATCH ? {dated}ORDER BY score, chunks_text.rowid DESC LIMIT ?",
            (*([tenant] if dated else []), _match(tenant, terms, bounds), *values, k),
        )
        return [(row[0], -row[1]) for row in rows]

    def frequency(self, conn: sa.Connection, tenant: str, terms: Sequence[str]) -> dict[str, int]:
        counted = "SELECT doc FROM chunks_terms WHERE term = ?"
        return {term: conn.exec_driver_sql(counted, (_word(tenant, term),)).scalar() or 0 for term in terms}


def _make_private(path: str | None) -> None:
    """A new file is its owner's alone to read; SQLite gives its companions (-wal, -shm) the same rights."""
    if path and path != ":memory:" and not Path(path).exists() and Path(path).parent.is_dir():
        with suppress(OSError):  # opening it says what is wrong
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _on_connect(connection: Any, _: object) -> None:
    connection.isolation_level = None  # BEGIN is ours, see `_on_begin`
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.Error:
        connection.close()
        raise


def _on_begin(conn: sa.Connection) -> None:
    # A writer takes the lock before it reads: what it decides on stays true until it commits.
    writing = conn.get_execution_options().get("writing", False)
    # On the driver's own cursor: every read pays for this, and the way through the statement cache costs ten times it.
    conn.connection.cursor().execute("BEGIN IMMEDIATE" if writing else "BEGIN")


@lru_cache(maxsize=1 << 16)
def _word(tenant: str, term: str) -> str:
    """One word for the index: letters and digits only, whatever the term holds."""
    return "x" + hashlib.blake2b(f"{tenant}\x00{term}".encode(), digest_size=8).hexdigest()


def _owners(tenant: str, chunk: Chunk) -> str:
    marks = ("a", chunk.agent_id), ("u", chunk.user_id), ("s", chunk.session_id), ("k", chunk.kind)
    # The separator is one that no term holds: an agent called like a word is not found by that word.
    return " ".join(_word(tenant, f"{sign}\x00{value}") for sign, value in marks if value is not None)


def _entry(tenant: str, chunk: Chunk) -> tuple[int, str, str]:
    return chunk.n, _owners(tenant, chunk), " ".join(_word(tenant, term) for term in chunk.terms.split())


def _match(tenant: str, terms: Sequence[str], bounds: Bounds) -> str:
    marks = ("a", bounds.agent), ("u", bounds.user), ("s", bounds.session)
    owners = [_word(tenant, f"{sign}\x00{value}") for sign, value in marks if value is not None]
    if bounds.kinds is not None:
        owners.append("(" + " OR ".join(_word(tenant, f"k\x00{kind}") for kind in bounds.kinds) + ")")
    words = " OR ".join(_word(tenant, term) for term in terms)
    return f"owner : ({' AND '.join(owners)}) AND terms : ({words})" if owners else f"terms : ({words})"
