"""PostgreSQL: many writers at a time in many processes, and a tsvector for text.

Whoever decides on what it reads locks it (`sessions.find` in a transaction that writes), always in the order
sessions, jobs, counters, events; what deadlocks all the same is run again (`Store.transact`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql as dialect

from carryover.core.chunk import Chunk
from carryover.core.errors import Invalid
from carryover.store import faults, hashed, postgres_schema
from carryover.store.dialect import Bounds
from carryover.store.hashed import Wording
from carryover.store.postgres_channel import PostgresChannel
from carryover.store.postgres_connection import PATIENCE_S, connect
from carryover.store.tables import chunks, counters

faults.DRIVERS.add(psycopg.Error)  # what the pool raises where SQLAlchemy is not asked

# BM25 as SQLite's FTS5 computes it, so that both engines hand the same chunks on.
_K1, _B = 1.2, 0.75
# The index does not know how often a word occurs in a chunk: so many times more are taken from it, and scored anew.
_FINER = 3
_UPGRADE = 0x63_6172_7279  # the key of the lock that upgrades take, one after the other
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_READ = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL app.tenant = '{{}}'; {_NOW}"
_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL app.tenant = '{{}}'; {_NOW}"

_ADD = sa.text(
    "INSERT INTO chunks_text (tenant, n, size, created_at, words) "
    "VALUES (:tenant, :n, :size, :created_at, array_to_tsvector(:words))"
).bindparams(sa.bindparam("words", type_=dialect.ARRAY(sa.Text)))
_COUNT = sa.text(
    "INSERT INTO frequencies AS f (tenant, word, chunks) "
    "SELECT :tenant, word, chunks FROM unnest(CAST(:words AS text[]), CAST(:counts AS bigint[])) AS new (word, chunks) "
    "ON CONFLICT (tenant, word) DO UPDATE SET chunks = f.chunks + excluded.chunks"
).bindparams(
    sa.bindparam("words", type_=dialect.ARRAY(sa.Text)), sa.bindparam("counts", type_=dialect.ARRAY(sa.BigInteger))
)
_UNCOUNT = sa.text("DELETE FROM frequencies WHERE tenant = :tenant AND word = ANY(:words) AND chunks <= 0").bindparams(
    sa.bindparam("words", type_=dialect.ARRAY(sa.Text))
)
# The rarer a word, the more it weighs; the longer a chunk, the less each of its words.
_MATCH = """
SELECT n, sum(weight * :k1s / (1 + :k1 * (1 - :b + :b * size / :usual))) AS score
FROM unnest(CAST(:words AS text[]), CAST(:weights AS float8[])) AS asked (word, weight)
JOIN chunks_text ON chunks_text.tenant = :tenant AND words @@ ('''' || asked.word || '''' || :owners)::tsquery {dated}
GROUP BY n ORDER BY score DESC, n DESC LIMIT :k
"""
_DATED = "AND chunks_text.created_at >= :since AND chunks_text.created_at < :before"


class Postgres:
    """PostgreSQL 16 or newer, as an ordinary role: row-level security holds for it."""

    name = "postgresql"
    concurrent = True
    one_index = False

    def engine(self, url: str, pool: int) -> sa.Engine:
        # libpq reads the URL itself: several hosts, certificates and password files are its business.
        uri = url.replace("postgresql+psycopg://", "postgresql://", 1)
        try:
            conninfo_to_dict(uri)
        except psycopg.ProgrammingError:
            # What libpq says may quote the password.
            raise Invalid(
                "database_url is no URL of PostgreSQL, in its encoding, brackets or parameters; "
                "write it as postgresql://user@host:5432/database",
                field="database_url",
            ) from None
        return sa.create_engine(
            "postgresql+psycopg://", creator=lambda: connect(uri), pool_size=pool, max_overflow=pool, pool_timeout=10
        )

    def enter(self, conn: sa.Connection, tenant: str, *, writing: bool) -> int:
        # One round trip for all of it. The tenant is no parameter: SET takes none, and set_config() does not reach
        # the shards of a cluster.
        driver: Any = conn.connection.driver_connection
        driver.patience_s = PATIENCE_S  # whoever had the connection before may have taken more time (`unhurried`)
        try:
            return driver.execute((_WRITE if writing else _READ).format(_quoted(tenant))).set_result(-1).fetchone()[0]
        except psycopg.Error as cause:
            if driver.closed:
                # SQLAlchemy finds out for itself, and uses no other connection of the pool that is as old.
                with suppress(exc.DBAPIError):
                    conn.exec_driver_sql("SELECT 1")
            raise exc.DBAPIError.instance(
                None, None, cause, psycopg.Error, connection_invalidated=driver.closed, dialect=conn.dialect
            ) from cause

    def widen(self, conn: sa.Connection) -> None:
        conn.exec_driver_sql("SET LOCAL app.tenant = '*'")

    def channel(self, url: str) -> PostgresChannel:
        return PostgresChannel(url)

    def generation(self, cursor: Any) -> int | None:
        return None

    def settle(self, cursor: Any) -> None:
        """What was erased is overwritten when autovacuum comes by."""

    def shrink(self, cursor: Any) -> None:
        """What is free is used again once autovacuum came by."""

    def rewrite(self, cursor: Any) -> bool:
        """VACUUM FULL keeps everybody off the table while it works: that is the administrator's to choose."""
        return False

    def unhurried(self, conn: sa.Connection) -> None:
        driver: Any = conn.connection.driver_connection
        driver.patience_s = None

    def upgrading(self, conn: sa.Connection) -> None:
        self.unhurried(conn)
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE})")
        # A table that is in use is waited for briefly: behind this wait everybody else would queue.
        conn.exec_driver_sql("SET LOCAL lock_timeout = '3s'")

    def prepare(self, conn: sa.Connection) -> None:
        postgres_schema.prepare(conn)

    def insert(self, table: sa.Table) -> Any:
        return dialect.insert(table)

    def allocate(self, conn: sa.Connection, tenant: str, count: int) -> int:
        return _raised(conn, tenant, "chunk", count, floor=0) - count + 1

    def event_ids(self, conn: sa.Connection, tenant: str, agent: str, count: int, floor: int) -> int:
        # The row is locked from here to the commit: ids are handed out in the order of the commits.
        return _raised(conn, tenant, f"event:{agent}", count, floor=floor) - count + 1

    def tend_events(self, conn: sa.Connection, now: int, keep_ms: int | None) -> None:
        postgres_schema.extend(conn, datetime.fromtimestamp(now / 1000, UTC))
        if keep_ms is not None:
            postgres_schema.drop_before(conn, datetime.fromtimestamp((now - keep_ms) / 1000, UTC))

    def index(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        if not rows:
            return
        _tally(conn, tenant, rows, 1)
        conn.execute(
            _ADD,
            [
                {
                    "tenant": tenant,
                    "n": row.n,
                    "size": len(hashed.words(tenant, row)),
                    "created_at": row.created_at,
                    "words": sorted({*hashed.owners(tenant, row), *hashed.words(tenant, row)}),
                }
                for row in rows
            ],
        )

    def unindex(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        if not rows:
            return
        gone = sa.text("DELETE FROM chunks_text WHERE tenant = :tenant AND n = ANY(:ns) RETURNING n")
        there = set(conn.execute(gone, {"tenant": tenant, "ns": [row.n for row in rows]}).scalars())
        _tally(conn, tenant, [row for row in rows if row.n in there], -1)

    def purge(self, conn: sa.Connection) -> None:
        """Nothing is only marked here: rows are gone with their transaction."""

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
        tenant = wording.tenant
        asked: dict[str, Any] = {
            "tenant": tenant,
            "words": [wording.word(term) for term in weights],
            "weights": list(weights.values()),
            "owners": "".join(f" & {one}" for one in _wanted(tenant, bounds)),
            "k1": _K1,
            "k1s": _K1 + 1,
            "b": _B,
            "usual": usual,
            "k": k * _FINER,
        }
        if bounds.moments is not None:
            asked["since"], asked["before"] = bounds.moments
        found = conn.execute(sa.text(_MATCH.format(dated=_DATED if bounds.moments else "")), asked).all()
        tokens = {wording.token(term): weight for term, weight in weights.items()}
        return _scored(conn, tenant, tokens, usual, [row.n for row in found])[:k]

    def frequency(
        self, conn: sa.Connection, wording: Wording, terms: Sequence[str], most: int | None = None
    ) -> dict[str, int]:
        by_word = {wording.word(term): term for term in terms}
        wanted = sa.text("SELECT word, chunks FROM frequencies WHERE tenant = :tenant AND word = ANY(:words)")
        rows = conn.execute(wanted, {"tenant": wording.tenant, "words": list(by_word)})
        return dict.fromkeys(terms, 0) | {by_word[row.word]: row.chunks for row in rows}


def _quoted(tenant: str) -> str:
    return tenant.replace("'", "''")


def _raised(conn: sa.Connection, tenant: str, name: str, by: int, *, floor: int) -> int:
    """The counter is `by` higher, and above `floor`; its new value."""
    new = dialect.insert(counters).values(tenant=tenant, name=name, value=floor + by)
    higher = sa.func.greatest(counters.c.value, floor) + by
    raised = new.on_conflict_do_update(index_elements=["tenant", "name"], set_={"value": higher})
    return conn.execute(raised.returning(counters.c.value)).scalar_one()


def _tally(conn: sa.Connection, tenant: str, rows: Sequence[Chunk], sign: int) -> None:
    """In how many chunks each word stands."""
    tally = Counter(word for row in rows for word in set(hashed.words(tenant, row)))
    if tally:
        words = sorted(tally)
        counts = [sign * tally[word] for word in words]
        conn.execute(_COUNT, {"tenant": tenant, "words": words, "counts": counts})
        if sign < 0:
            conn.execute(_UNCOUNT, {"tenant": tenant, "words": words})  # a word that nothing says is not kept


def _wanted(tenant: str, bounds: Bounds) -> list[str]:
    """What must stand in a chunk besides one of the words, as parts of a tsquery."""
    marks = [hashed.owner(tenant, sign, value) for sign, value in bounds.marks()]
    if bounds.kinds is not None:
        marks.append("(" + " | ".join(hashed.owner(tenant, "k", kind) for kind in bounds.kinds) + ")")
    return marks


def _scored(
    conn: sa.Connection, tenant: str, weights: Mapping[str, float], usual: float, ns: Sequence[int]
) -> list[tuple[int, float]]:
    """These chunks, best first, with how often each term occurs taken into account."""
    wanted = sa.select(chunks.c.n, chunks.c.terms).where(
        chunks.c.tenant == tenant, chunks.c.n == sa.any_(sa.bindparam("ns", type_=dialect.ARRAY(sa.BigInteger)))
    )
    scores: list[tuple[int, float]] = []
    for n, terms in conn.execute(wanted, {"ns": list(ns)}):
        said = hashed.tokens(terms)
        longer = _K1 * (1 - _B + _B * len(said) / usual)
        counts = Counter(term for term in said if term in weights)
        score = math.fsum(weights[term] * tf * (_K1 + 1) / (tf + longer) for term, tf in counts.items())
        scores.append((n, score))
    return sorted(scores, key=lambda one: (-one[1], -one[0]))
