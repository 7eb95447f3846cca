"""What PostgreSQL says of itself, and whether what only it has is as it should be: for `check` and for `doctor`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from carryover.core.chunk import Chunk
from carryover.store import hashed, postgres_schema
from carryover.store.store import Tx
from carryover.store.tables import chunks, metadata

_FETCH = 500
# The columns of `chunks` in the order of Chunk's fields, whose ids drop their suffix as columns.
CHUNK = tuple(chunks.c[name.removesuffix("_id")] for name in Chunk.__dataclass_fields__)

_TEXT = sa.table(
    "chunks_text",
    sa.column("tenant", sa.Text),
    sa.column("n", sa.BigInteger),
    sa.column("size", sa.Integer),
    sa.column("created_at", sa.BigInteger),
    sa.column("words"),
)

_SELF = """
SELECT split_part(current_setting('server_version'), ' ', 1) AS version, current_user AS role,
rolsuper OR rolbypassrls AS unbound, current_database() AS database,
current_setting('synchronous_standby_names') AS awaited, current_setting('synchronous_commit') AS commit,
current_setting('max_connections')::int AS connections,
(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS used
FROM pg_roles WHERE rolname = current_user
"""
# Only a superuser or a member of pg_monitor sees the states; everybody sees that somebody is there.
_STANDBYS = """
SELECT coalesce(nullif(application_name, ''), 'unnamed') AS name, state, sync_state FROM pg_stat_replication ORDER BY 1
"""
_SECURED = """
SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid
WHERE c.relrowsecurity AND c.relforcerowsecurity AND p.polname = 'tenants'
AND c.relnamespace = current_schema()::regnamespace
"""
_EXTRA = """
SELECT count(*) FROM chunks_text t
WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.tenant = t.tenant AND c.n = t.n)
"""
_LACKING = """
SELECT count(*) FROM chunks c
WHERE NOT EXISTS (SELECT FROM chunks_text t WHERE t.tenant = c.tenant AND t.n = c.n)
"""
_TENANTS = "SELECT tenant FROM chunks UNION SELECT tenant FROM frequencies ORDER BY 1"
_LOCKED = "sessions, turns, jobs, counters, chunks, chunks_text, frequencies, vectors, codes, removals"


@dataclass(frozen=True, slots=True)
class Server:
    """The server, this role in it, and the connections of the database."""

    version: str
    role: str
    unbound: bool  # row-level security does not hold for the role
    database: str
    awaited: str  # the standbys that a commit waits for, as `synchronous_standby_names` says it
    commit: str
    connections: int
    used: int


@dataclass(frozen=True, slots=True)
class Standby:
    """A copy that follows; its state is None where the role may not see it."""

    name: str
    state: str | None
    sync: str | None


@dataclass(frozen=True, slots=True)
class TextIndex:
    """How the text index of all tenants differs from the chunks."""

    missing: int
    extra: int
    wrong: int  # entries that say something else than their chunks
    miscounted: int  # words whose count of chunks is wrong


def server(conn: sa.Connection) -> Server:
    return Server(*conn.exec_driver_sql(_SELF).one())


def standbys(conn: sa.Connection) -> list[Standby]:
    return [Standby(*row) for row in conn.exec_driver_sql(_STANDBYS)]


def has_vectors(conn: sa.Connection) -> bool:
    """Whether the database has pgvector."""
    return conn.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'vector'").first() is not None


def unsecured(conn: sa.Connection) -> list[str]:
    """The tables that hold tenants' rows without row-level security."""
    secured = set(conn.exec_driver_sql(_SECURED).scalars())
    return [name for name in _of_tenants(conn) if name not in secured]


def secure(conn: sa.Connection) -> None:
    """Every table that holds tenants' rows has row-level security."""
    for name in unsecured(conn):
        conn.exec_driver_sql(f'DROP POLICY IF EXISTS tenants ON "{name}"')
        postgres_schema.secure(conn, name)


def unpartitioned(conn: sa.Connection) -> list[str]:
    """Partitions of the stream that this month and the next lack, and that can still be made."""
    return postgres_schema.missing(conn, datetime.now(UTC))


def extend(conn: sa.Connection) -> None:
    """The stream has the partitions that can still be made."""
    postgres_schema.extend(conn, datetime.now(UTC))


def text_index(tx: Tx, *, quick: bool = False) -> TextIndex:
    """Compares every entry with its chunk, word for word; `quick` only looks whether each has its other."""
    extra = tx.conn.exec_driver_sql(_EXTRA).scalar_one()
    if quick:
        return TextIndex(tx.conn.exec_driver_sql(_LACKING).scalar_one(), extra, 0, 0)
    missing = wrong = miscounted = 0
    for tenant in tx.conn.exec_driver_sql(_TENANTS).scalars().all():
        counted: Counter[str] = Counter()
        for chunk, entry in _entries(tx, tenant):
            counted.update(set(hashed.words(tenant, chunk)))
            missing += entry is None
            wrong += entry is not None and entry != _entry(tenant, chunk)
        kept = "SELECT word, chunks FROM frequencies WHERE tenant = :tenant AND chunks <> 0"
        said = {row.word: row.chunks for row in tx.conn.execute(sa.text(kept), {"tenant": tenant})}
        miscounted += sum(counted.get(word, 0) != said.get(word, 0) for word in counted.keys() | said.keys())
    return TextIndex(missing, extra, wrong, miscounted)


def analyze(conn: sa.Connection) -> None:
    """The planner knows how large the tables are, which it else learns a minute after they were filled."""
    conn.exec_driver_sql("ANALYZE")


def whole_tables(conn: sa.Connection) -> None:
    """Statements of the transaction compare whole tables, never row by row, whatever the planner knows of them."""
    conn.exec_driver_sql("SET LOCAL enable_nestloop = off")


def clear_text_index(tx: Tx) -> None:
    """The text index is empty, and nobody else writes to what it is made from until the transaction ends."""
    tx.conn.exec_driver_sql(f"LOCK TABLE {_LOCKED} IN SHARE ROW EXCLUSIVE MODE")
    tx.conn.exec_driver_sql("DELETE FROM chunks_text")
    tx.conn.exec_driver_sql("DELETE FROM frequencies")


def _of_tenants(conn: sa.Connection) -> list[str]:
    there = set(sa.inspect(conn).get_table_names())
    named = [table.name for table in metadata.sorted_tables if "tenant" in table.c]
    return [name for name in (*named, "frequencies", "embeddings") if name in there]


def _entries(tx: Tx, tenant: str) -> Iterator[tuple[Chunk, tuple[Any, ...] | None]]:
    """Each chunk of the tenant with what the text index holds of it."""
    there = sa.and_(_TEXT.c.tenant == chunks.c.tenant, _TEXT.c.n == chunks.c.n)
    entry = _TEXT.c.size, _TEXT.c.created_at, sa.func.tsvector_to_array(_TEXT.c.words)
    columns: tuple[sa.ColumnElement[Any], ...] = (*CHUNK, *entry)
    wanted = sa.select(*columns).join_from(chunks, _TEXT, there, isouter=True).where(chunks.c.tenant == tenant)
    for row in tx.conn.execute(wanted.execution_options(yield_per=_FETCH)):
        *chunk, size, created_at, words = tuple[Any, ...](row)
        yield Chunk(*chunk), None if size is None else (size, created_at, sorted(words))


def _entry(tenant: str, chunk: Chunk) -> tuple[Any, ...]:
    """What `Postgres.index` writes for a chunk."""
    said = hashed.words(tenant, chunk)
    return len(said), chunk.created_at, sorted({*hashed.owners(tenant, chunk), *said})
