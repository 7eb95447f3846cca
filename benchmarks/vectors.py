"""How search by meaning holds in a large tenant: loading, memory, time of a query, and recall against exact search.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.vectors [--vectors 1000000] [--postgres] [--hnsw 100000]

Where sqlite-vec can be loaded (`pip install sqlite-vec`, and `pysqlite3` where Python's own SQLite loads no extensions)
the ten nearest are asked of it as well, each query of both in turn: it compares every vector, in a table of its own.

The vectors are those of distinct sentences of the evaluation sets, made once and kept in a folder outside of the
checkout. What is wanted beyond their number is mixed from pairs of them; queries are sentences that are in no row.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import random
import re
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carryover.core.chunk import Chunk
from carryover.core.errors import Invalid
from carryover.core.scope import Scope
from carryover.providers.minilm import MiniLM
from carryover.store import chunks, copies, pgvector, sqlitevec, vectors
from carryover.store.dialect import Bounds
from carryover.store.store import Store
from servers import postgres

LARGE, SMALL = Scope("large"), [Scope(f"small-{i}") for i in range(10)]
SMALL_SIZE = 1_000
SPACE = MiniLM.name
BATCH = 5_000
SESSION = 25  # chunks
K, RECALL = 200, 10
Rows = NDArray[np.float32]
_TUNED = {"shared_buffers": "1GB", "maintenance_work_mem": "1GB", "max_wal_size": "8GB"}


@dataclass(frozen=True)
class Data:
    """Rows of the large tenant, and queries that are none of them."""

    rows: Rows
    queries: Rows
    real: int


def sentences(folder: Path) -> list[str]:
    """Distinct sentences of the evaluation sets, in an order that says nothing."""
    found: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, str):
            parts = (part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", value))
            found.update(part for part in parts if 20 <= len(part) <= 160)
        elif isinstance(value, dict):
            collect(list(value.values()))
        elif isinstance(value, list):
            for one in value:
                collect(one)

    for path in sorted(folder.rglob("*.json*")):
        text = path.read_text("utf-8")
        collect(json.loads(text) if path.suffix == ".json" else [json.loads(one) for one in text.splitlines() if one])
    ordered = sorted(found)
    random.Random(1).shuffle(ordered)
    return ordered


def embedded(folder: Path, cache: Path) -> Rows:
    """Their vectors, from the cache where they are there."""
    kept = cache / "sentences.f32"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        texts = sentences(folder)
        print(f"embedding {len(texts)} sentences, once")
        model, half = MiniLM(cache), kept.with_suffix(".half")
        with half.open("wb") as file:
            for start in range(0, len(texts), 2048):  # those of like length together: less padding
                file.write(np.asarray(model.embed(sorted(texts[start : start + 2048], key=len)), "<f4").tobytes())
        half.rename(kept)
    return np.fromfile(kept, "<f4").reshape(-1, MiniLM.dim)


def data(real: Rows, count: int, queries: int) -> Data:
    """`count` rows: the real ones as far as they go, the others mixed of two of them."""
    chance = np.random.default_rng(7)
    real = real[chance.permutation(len(real))]
    asked, real = real[:queries], real[queries : queries + count]
    rows = np.empty((count, real.shape[1]), np.float32)
    rows[: len(real)] = real
    for start in range(len(real), count, BATCH):
        size = min(BATCH, count - start)
        one, other = real[chance.integers(len(real), size=size)], real[chance.integers(len(real), size=size)]
        mixed = 0.7 * one + 0.3 * other
        rows[start : start + size] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return Data(rows, asked, len(real))


def put(store: Store, scope: Scope, rows: Rows, after: int = 0) -> list[int]:
    """One chunk for each row, in sessions of 25 by four agents and 50 users; their numbers."""
    ns: list[int] = []
    for start in range(0, len(rows), BATCH):
        block = rows[start : start + BATCH]
        with store.write(scope) as tx:
            new = chunks.add(tx, [_chunk(after + start + i) for i in range(len(block))])
            vectors.add(tx, SPACE, [(chunk.n, row) for chunk, row in zip(new, block, strict=True)])  # type: ignore[misc]
        ns += [chunk.n for chunk in new]
    return ns


def _chunk(number: int) -> Chunk:
    session = number // SESSION
    return Chunk(
        n=0,
        kind="turn",
        ref="",
        agent_id=f"agent-{session % 4}",
        session_id=f"session-{session}",
        user_id=f"user-{session % 50}",
        first=number % SESSION + 1,
        last=number % SESSION + 1,
        part=0,
        role="user" if number % 2 else "assistant",
        name=None,
        text="",
        created_at=1_700_000_000_000 + number * 60_000,
    )


def truth(given: Data, inside: NDArray[np.intp]) -> list[set[int]]:
    """The positions of the best rows of each query among these, by exact search."""
    rows = given.rows if inside.size == len(given.rows) else given.rows[inside]
    return [set(inside[np.argpartition(-(rows @ query), RECALL)[:RECALL]].tolist()) for query in given.queries]


@dataclass(frozen=True)
class Bench:
    """What is asked of every engine, and what the right answers are."""

    given: Data
    cases: dict[str, tuple[Bounds, list[set[int]]]]

    def run(self, name: str, url: str, first: int, *, hnsw: bool = False) -> None:
        """Opens the store, so that nothing is in memory, and asks everything."""
        with Store.open(url) as store:
            if hnsw:
                pgvector.enable(store, SPACE, MiniLM.dim)
            took = self._first(store) / 1000
            size = copies.held(store.engine).get((LARGE.tenant, SPACE), 0) / 1e6
            print(f"{name}: the first query took {took:.1f} s, and {size:.0f} MB are in memory")
            for case, (bounds, wanted) in self.cases.items():
                self._ask(store, bounds, wanted, first, f"  {case}")
            self._ask_small(store)
            self._change(store)

    def _ask(self, store: Store, bounds: Bounds, wanted: list[set[int]], first: int, name: str) -> None:
        taken: list[float] = []
        right: list[float] = []
        for query, best in zip(self.given.queries, wanted, strict=True):
            start = time.perf_counter()
            with store.read(LARGE) as tx:
                near = vectors.nearest(tx, SPACE, query, bounds, K)  # type: ignore[arg-type]
            taken.append((time.perf_counter() - start) * 1000)
            assert near is not None
            found = sorted(near.top, key=lambda n: -near.top[n])[:RECALL]
            right.append(len({n - first for n in found} & best) / RECALL)
        print(_line(name, taken) + f"{statistics.mean(right):10.3f}{min(right):8.1f}")

    def _ask_small(self, store: Store) -> None:
        taken: list[float] = []
        for query in self.given.queries[:50]:
            for scope in SMALL:
                start = time.perf_counter()
                with store.read(scope) as tx:
                    vectors.nearest(tx, SPACE, query, Bounds(), K)  # type: ignore[arg-type]
                taken.append((time.perf_counter() - start) * 1000)
        print(_line("  tenants of 1,000", taken))

    def _change(self, store: Store) -> None:
        """Queries that have to follow a change first."""
        more: list[float] = []
        less: list[float] = []
        for turn in range(5):
            new = put(store, LARGE, self.given.rows[:256], len(self.given.rows) + 256 * turn)
            more.append(self._first(store))
            with store.write(LARGE) as tx:
                chunks.remove(tx, list(chunks.by_n(tx, new).values()))
            less.append(self._first(store))
        print(_line("  after 256 more", more))
        print(_line("  after 256 less", less))

    def _first(self, store: Store) -> float:
        start = time.perf_counter()
        with store.read(LARGE) as tx:
            vectors.nearest(tx, SPACE, self.given.queries[0], Bounds(), K)  # type: ignore[arg-type]
        return (time.perf_counter() - start) * 1000


def beside_sqlite_vec(url: str, given: Data, first: int, folder: Path) -> None:
    """The ten nearest of each query, by one-bit codes and by sqlite-vec in turn."""
    try:
        module = sqlitevec.driver()
    except Invalid as missing:
        print(f"not compared with sqlite-vec: {missing.message}")
        return
    theirs = module.connect(str(folder / "sqlite-vec.db"), isolation_level=None)
    theirs.enable_load_extension(True)
    importlib.import_module("sqlite_vec").load(theirs)
    theirs.execute(f"CREATE VIRTUAL TABLE held USING vec0(e float[{given.rows.shape[1]}])")
    theirs.execute("BEGIN")
    theirs.executemany(
        "INSERT INTO held(rowid, e) VALUES (?, ?)", ((n, row.tobytes()) for n, row in enumerate(given.rows, first))
    )
    theirs.execute("COMMIT")
    taken: tuple[list[float], list[float]] = [], []
    right: tuple[list[float], list[float]] = [], []
    wanted = truth(given, np.arange(len(given.rows)))
    with Store.open(url) as store:

        def by_codes(query: Rows) -> set[int]:
            with store.read(LARGE) as tx:
                near = vectors.nearest(tx, SPACE, query, Bounds(), RECALL)  # type: ignore[arg-type]
            assert near is not None
            return set(sorted(near.top, key=lambda n: -near.top[n])[:RECALL])

        def by_them(query: Rows) -> set[int]:
            asked = "SELECT rowid FROM held WHERE e MATCH ? AND k = ?"
            return {row[0] for row in theirs.execute(asked, (query.tobytes(), RECALL))}

        by_codes(given.queries[0])
        for query, best in zip(given.queries, wanted, strict=True):
            for way, ask in enumerate((by_codes, by_them)):
                start = time.perf_counter()
                found = ask(query)
                taken[way].append((time.perf_counter() - start) * 1000)
                right[way].append(len({n - first for n in found} & best) / RECALL)
    theirs.close()
    print("the ten nearest")
    for way, name in enumerate(("one bit, SQLite", "sqlite-vec, every vector")):
        print(_line(f"  {name}", taken[way]) + f"{statistics.mean(right[way]):10.3f}{min(right[way]):8.1f}")
    own, their = (statistics.quantiles(one, n=20) for one in taken)
    times = [their[at] / own[at] for at in (9, 18)]
    print(f"  sqlite-vec takes {times[0]:.1f} times as long at the median, {times[1]:.1f} times at p95")


def _line(name: str, taken: list[float]) -> str:
    cuts = statistics.quantiles(taken, n=20)
    return f"{name:34}{len(taken):6}{cuts[9]:9.1f}{cuts[18]:9.1f}"


def bench(given: Data) -> Bench:
    """Everything, and one user's part of it (a fiftieth)."""
    user = 7
    every = np.arange(len(given.rows))
    theirs = every[(every // SESSION) % 50 == user]
    cases = {
        "everything": (Bounds(), truth(given, every)),
        "one user of 50": (Bounds(user=f"user-{user}"), truth(given, theirs)),
    }
    return Bench(given, cases)


def built(url: str, given: Data, *, hnsw: bool = False) -> int:
    """The number of the large tenant's first chunk."""
    start = time.perf_counter()
    with Store.open(url) as store:
        if hnsw:
            pgvector.enable(store, SPACE, MiniLM.dim)
        first = put(store, LARGE, given.rows)[0]
        for scope in SMALL:
            put(store, scope, given.rows[:SMALL_SIZE])
    print(
        f"\n{len(given.rows)} chunks of one tenant and {len(SMALL)} x {SMALL_SIZE} of small ones added in "
        f"{time.perf_counter() - start:.0f} s"
    )
    return first


def main() -> None:
    logging.disable(logging.DEBUG)
    options = argparse.ArgumentParser(description="Time searches by meaning in a large tenant.")
    options.add_argument("--vectors", type=int, default=1_000_000)
    options.add_argument("--queries", type=int, default=100)
    options.add_argument(
        "--postgres", action="store_true", help="the same on PostgreSQL, as a role that is no superuser"
    )
    options.add_argument("--hnsw", type=int, default=0, help="of so many, an HNSW index of pgvector")
    options.add_argument("--folder", type=Path, default=Path(os.environ.get("CARRYOVER_SHARED", "../shared")) / "eval")
    options.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "carryover-bench")
    asked = options.parse_args()
    given = data(embedded(asked.folder, asked.cache), asked.vectors, asked.queries)
    print(f"{len(given.rows)} vectors, of which {given.real} are of sentences and the others mixed of two of these")
    print(f"{'':34}{'n':>6}{'p50 ms':>9}{'p95 ms':>9}{'recall@10':>10}{'worst':>8}")
    asking = bench(given)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        first = built(url, given)
        print(f"the file has {Path(folder, 'bench.db').stat().st_size / 1e6:.0f} MB")
        asking.run("one bit, SQLite", url, first)
        beside_sqlite_vec(url, given, first, Path(folder))
        copies.FULL = len(given.rows) * 2
        asking.run("exact, SQLite", url, first)
        copies.FULL = 50_000
    if asked.postgres:
        with postgres.running(**_TUNED) as server:
            url = server.create("bench")
            asking.run("one bit, PostgreSQL", url, built(url, given))
    if asked.hnsw:
        some = Data(given.rows[: asked.hnsw], given.queries, given.real)
        with postgres.running(**_TUNED) as server:
            url = server.create("bench")
            server.sql("CREATE EXTENSION vector", database="bench")
            bench(some).run("HNSW, PostgreSQL", url, built(url, some, hnsw=True), hnsw=True)


if __name__ == "__main__":
    main()
