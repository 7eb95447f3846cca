"""Vectors searched inside PostgreSQL: a table of half-precision vectors with an HNSW index for each space.

The table follows `vectors` as the copies in memory do: what a newer generation added is taken over by the next `add`,
and what is removed goes by its foreign key. An HNSW index knows no tenants: asked plainly, it names the nearest of all
tenants and leaves of them those that row-level security admits, which for most tenants is none. So few vectors are
compared one by one, and of many the index is read on until enough of the tenant's own were found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from carryover.core.errors import Invalid, StoreUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import following
from carryover.store.bests import Among, weighed
from carryover.store.dialect import Bounds
from carryover.store.near import Nearest, exact_scores
from carryover.store.parts import parts
from carryover.store.postgres_schema import PARTS, secure
from carryover.store.store import Store, Tx

EXACT = 20_000  # up to so many vectors are compared one by one
_FINER, _SAMPLE, _SESSIONS = 2, 256, 32
_COUNTED = 100_000  # vectors that a search counts at most
_MOST_SEEN = 200_000  # vectors of any tenant that the index looks at for one search
_MEMORY = "512MB"  # of the server, to make the index in
_opened: WeakKeyDictionary[sa.Engine, set[str]] = WeakKeyDictionary()  # which spaces are searched here

_TABLE = (
    "CREATE TABLE embeddings (tenant text NOT NULL, space text NOT NULL, n bigint NOT NULL, agent text NOT NULL, "
    'session text NOT NULL, "user" text, kind text NOT NULL, role text NOT NULL, created_at bigint NOT NULL, '
    "e halfvec NOT NULL, PRIMARY KEY (tenant, space, n), FOREIGN KEY (tenant, space, n) REFERENCES vectors "
    "ON DELETE CASCADE) PARTITION BY HASH (tenant)",
    *(
        f"CREATE TABLE embeddings_{part} PARTITION OF embeddings FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part})"
        for part in range(PARTS)
    ),
    "CREATE INDEX embeddings_by_session ON embeddings (tenant, space, agent, session)",
    'CREATE INDEX embeddings_by_user ON embeddings (tenant, space, "user")',
)
_INSERT = sa.text(
    'INSERT INTO embeddings (tenant, space, n, agent, session, "user", kind, role, created_at, e) VALUES '
    "(:tenant, :space, :n, :agent, :session, :user, :kind, :role, :created_at, CAST(:e AS halfvec)) "
    "ON CONFLICT DO NOTHING"
)
_HERE = "tenant = :tenant AND space = '{space}'"
_BEST = """
SELECT n FROM embeddings WHERE {here} AND role {same} 'user'
ORDER BY (CAST(e AS halfvec({dim})) <#> CAST(:query AS halfvec({dim}))) {plainly} LIMIT :wanted
"""
_ALL = """
SELECT n, agent, session, role, -(e <#> CAST(:query AS halfvec({dim}))) AS score FROM embeddings WHERE {here}
"""
# Numbers spread evenly over the tenant's own, and the next admitted vector after each.
_DRAWN = """
SELECT DISTINCT drawn.n, drawn.agent, drawn.session, -(drawn.e <#> CAST(:query AS halfvec({dim}))) AS score
FROM (SELECT min(n) AS low, max(n) AS high FROM embeddings WHERE tenant = :tenant AND space = '{space}') AS ends,
generate_series(0, :sample - 1) AS place,
LATERAL (SELECT n, agent, session, e FROM embeddings
    WHERE {here} AND n >= low + (high - low) * place / :sample ORDER BY n LIMIT 1) AS drawn
"""
_BEST_OF_SESSIONS = """
SELECT agent, session, avg(score) FILTER (WHERE place <= 3) AS best, count(*) AS size FROM (
    SELECT agent, session, score, row_number() OVER (PARTITION BY agent, session ORDER BY score DESC) AS place
    FROM (SELECT agent, session, -(e <#> CAST(:query AS halfvec({dim}))) AS score FROM embeddings
        WHERE {here} AND (agent, session) IN
            (SELECT * FROM unnest(CAST(:agents AS text[]), CAST(:sessions AS text[])))) AS scored) AS placed
GROUP BY agent, session
"""


def serves(tx: Tx, space: str) -> bool:
    """Whether this process searches the space's vectors here."""
    return space in _opened.get(tx.conn.engine, ())


def enable(store: Store, space: str, dim: int) -> None:
    """Vectors of the space are searched inside the database from now on; those that are there are taken over first.

    Raises Invalid for another engine than PostgreSQL, StoreUnavailable while it lacks pgvector.
    """
    if store.dialect.name != "postgresql":
        raise Invalid(
            'vector_index "pgvector" needs PostgreSQL; name one in database_url, or set vector_index to "memory"',
            field="vector_index",
        )
    with store.write(EVERY_TENANT) as tx:
        tx.dialect.upgrading(tx.conn)
        if tx.conn.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'vector'").first() is None:
            raise StoreUnavailable(
                "the database lacks pgvector, which only a superuser may add; have one run `CREATE EXTENSION vector` "
                'in it, or set vector_index to "memory"'
            )
        if not _there(tx, "embeddings"):
            for statement in _TABLE:
                tx.conn.exec_driver_sql(statement)
            secure(tx.conn, "embeddings")
    for tenant in following.behind(store, _mark(space)):
        while store.transact(Scope(tenant), lambda tx: follow(tx, space)):
            pass
    # Made after the rows, the index takes a fraction of the time.
    index = f"embeddings_{hashlib.blake2b(space.encode(), digest_size=8).hexdigest()}"
    with store.write(EVERY_TENANT) as tx:
        if not _there(tx, index):
            tx.dialect.upgrading(tx.conn)
            tx.conn.exec_driver_sql(f"SET LOCAL maintenance_work_mem = '{_MEMORY}'")
            tx.conn.exec_driver_sql(
                f"CREATE INDEX IF NOT EXISTS {index} ON embeddings "
                f"USING hnsw ((CAST(e AS halfvec({dim}))) halfvec_ip_ops) WHERE space = '{_quoted(space)}'"
            )
            tx.conn.exec_driver_sql("ANALYZE embeddings")  # else it is taken for empty, and sorted
    _opened.setdefault(store.engine, set()).add(space)


def _there(tx: Tx, name: str) -> bool:
    return tx.conn.exec_driver_sql(f"SELECT to_regclass('{name}')").scalar() is not None


def _mark(space: str) -> str:
    """The counter that says up to which generation the table has a tenant's vectors."""
    return f"embeddings/{space}"


def follow(tx: Tx, space: str) -> int:
    """The next of the vectors that the table lacks are in it; how many."""
    rows = following.new(tx, space, _mark(space))
    for part in parts(rows):  # putting so many into the graph is as long as one statement should take
        tx.conn.execute(_INSERT, [{**row, "e": _text(np.frombuffer(row["vector"], "<f4"))} for row in part])
    return len(rows)


def nearest(tx: Tx, space: str, query: NDArray[np.float32], bounds: Bounds, k: int) -> Nearest | None:
    """As `vectors.nearest`. Where more than 20,000 are admitted all but the best are estimates.

    Then `admitted` counts to 100,000 at most.
    """
    asked = _Asked(tx, space, query, bounds)
    admitted = asked.one(f"SELECT count(*) FROM (SELECT FROM embeddings WHERE {{here}} LIMIT {_COUNTED}) AS counted")
    if admitted == 0:
        return None
    return _compared(asked, k) if admitted <= EXACT else _searched(asked, k, admitted)


class _Asked:
    """A query's parts of every statement, and its transaction."""

    def __init__(self, tx: Tx, space: str, query: NDArray[np.float32], bounds: Bounds) -> None:
        self.tx, self.space, self.query = tx, space, query
        self._here, self._values = _inside(bounds)
        self._values |= {"tenant": tx.tenant, "query": _text(query)}

    def all(self, statement: str, *, plainly: str = "", same: str = "=", **more: object) -> Sequence[Any]:
        # The space stands in the statement itself: only so is the index on its vectors used.
        space = _quoted(self.space).replace(":", "\\:")
        here = _HERE.format(space=space) + self._here
        filled = statement.format(here=here, dim=self.query.size, space=space, plainly=plainly, same=same)
        return self.tx.conn.execute(sa.text(filled), {**self._values, **more}).all()

    def one(self, statement: str) -> int:
        return self.all(statement)[0][0]

    def scores(self, ns: Sequence[int]) -> dict[int, float]:
        return exact_scores(self.tx, self.space, self.query, ns)


def _compared(asked: _Asked, k: int) -> Nearest:
    """Every admitted vector scored."""
    rows = asked.all(_ALL)
    found = np.array([row.score for row in rows])
    users = np.array([row.role == "user" for row in rows])
    best: list[int] = []
    for group in (np.flatnonzero(users), np.flatnonzero(~users)):
        best += group[np.argsort(-found[group])[: k * _FINER]].tolist()
    sessions: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        sessions.setdefault((row.agent, row.session), []).append(row.score)
    means = {key: float(np.mean(sorted(scores)[-3:])) for key, scores in sessions.items()}
    lie = np.array(list(means.values()))
    return Nearest(
        top=_top(asked, [rows[i] for i in best if users[i]], [rows[i] for i in best if not users[i]], k),
        admitted=len(rows),
        mean=float(found.mean()),
        std=float(found.std()),
        sessions=means,
        among=Among(len(means), float(lie.mean()), float(lie.std())),
    )


def _searched(asked: _Asked, k: int, admitted: int) -> Nearest:
    """The best named by the index, all else judged by a sample."""
    wanted = k * _FINER
    for setting in (
        "hnsw.iterative_scan = relaxed_order",
        f"hnsw.ef_search = {min(max(wanted, 100), 1000)}",
        f"hnsw.max_scan_tuples = {_MOST_SEEN}",
    ):
        asked.tx.conn.exec_driver_sql(f"SET LOCAL {setting}")
    drawn = asked.all(_DRAWN, sample=_SAMPLE)
    top = _top(asked, _named_by_index(asked, "=", wanted), _named_by_index(asked, "<>", wanted), k)
    some = list(dict.fromkeys((row.agent, row.session) for row in drawn))[:: max(1, len(drawn) // _SESSIONS)]
    likely = [(row.agent, row.session) for row in _places(asked, sorted(top, key=lambda n: -top[n])[:_SESSIONS])]
    best = _best_of(asked, list(dict.fromkeys([*some, *likely])))
    scores = np.array([row.score for row in drawn])
    return Nearest(
        top=top,
        admitted=admitted,
        mean=float(scores.mean()),
        std=float(scores.std()),
        sessions={key: one for key, (one, _) in best.items()},
        among=weighed(best, some, admitted),
    )


def _named_by_index(asked: _Asked, same: str, wanted: int) -> Sequence[Any]:
    found = asked.all(_BEST, same=same, wanted=wanted)
    if len(found) < wanted:  # so few of the kind that the index gave up looking for them
        found = asked.all(_BEST, same=same, wanted=wanted, plainly="+ 0")
    return found


def _top(asked: _Asked, users: Sequence[Any], others: Sequence[Any], k: int) -> dict[int, float]:
    """The best `k` of both by their full vectors."""
    scores = asked.scores([row.n for row in (*users, *others)])
    top: dict[int, float] = {}
    for group in (users, others):
        known = [row.n for row in group if row.n in scores]
        top |= {n: scores[n] for n in sorted(known, key=lambda n: -scores[n])[:k]}
    return top


def _places(asked: _Asked, ns: Sequence[int]) -> Sequence[Any]:
    return asked.all("SELECT DISTINCT agent, session FROM embeddings WHERE {here} AND n = ANY(:ns)", ns=list(ns))


def _best_of(asked: _Asked, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[float, int]]:
    """The mean of the three best scores of each session, and how many of it are admitted."""
    agents, sessions = [agent for agent, _ in keys], [session for _, session in keys]
    rows = asked.all(_BEST_OF_SESSIONS, agents=agents, sessions=sessions)
    return {(row.agent, row.session): (row.best, row.size) for row in rows}


def _inside(bounds: Bounds) -> tuple[str, dict[str, object]]:
    """The bounds as conditions, and their values."""
    tests: Mapping[str, tuple[str, object]] = {
        "agent": ("agent = :agent", bounds.agent),
        "user": ('"user" = :user', bounds.user),
        "session": ("session = :session", bounds.session),
        "kinds": ("kind = ANY(:kinds)", None if bounds.kinds is None else list(bounds.kinds)),
        "since": ("created_at >= :since", bounds.since),
        "before": ("created_at < :before", bounds.before),
    }
    given = {name: (test, value) for name, (test, value) in tests.items() if value is not None}
    return "".join(f" AND {test}" for test, _ in given.values()), {name: value for name, (_, value) in given.items()}


def _text(vector: NDArray[np.float32]) -> str:
    """As pgvector reads it; half precision keeps no more digits."""
    return str(np.round(vector.astype(np.float64), 6).tolist())


def _quoted(space: str) -> str:
    return space.replace("'", "''")
