"""What opening a session's persona takes, on each store and with a Redis before it; and what the Redis can read.

    python -m benchmarks.persona_open [--users 300] [--no-postgres]

The same calls as `carryover eval persona` times: preferences of made-up users are written through a real engine, then
their personas are fetched, decrypted and decoded in a warm process. One user's preference is planted, and looked for in
everything that the Redis holds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carryover.engine import embedder_of
from carryover.evals.metrics import quantile
from carryover.evals.persona_open import PLANTED, grep, measured
from carryover.evals.persona_population import Ears
from carryover.evals.persona_world import World
from carryover.persona.book import starter_book
from carryover.persona.starter import seeds
from carryover.settings import Settings
from servers import postgres, redis

GOALS_MS = {"SQLite": 1.0, "SQLite and Redis": 2.0, "PostgreSQL and Redis": 2.0}
KEPT = "kept code: fetch, decrypt, decode"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--no-postgres", action="store_true")
    given = parser.parse_args()
    embedder = embedder_of(Settings())
    if embedder is None:
        raise SystemExit("no embedder is set; unset CARRYOVER_EMBEDDER")
    book = starter_book(seeds(), embedder)
    heard = Ears(embedder).hear(World(name="o").users(given.users))
    missed = 0
    print("| store | call | p50 ms | p99 ms | p50 ms computed |\n|---|---|---|---|---|")
    with stores(postgres=not given.no_postgres) as (settings, server):
        for name, one in settings:
            found = measured(name, one, book, heard)
            for what, times in found.times.items():
                figures = times.at(0.5), times.at(0.99), quantile(times.cpu, 0.5)
                print(f"| {name} | {what} | {' | '.join(f'{ms:.3f}' for ms in figures)} |", flush=True)
            if name in GOALS_MS and found.times[KEPT].at(0.5) > GOALS_MS[name]:
                missed += 1
                print(f"  over its goal of {GOALS_MS[name]:g} ms")
        server.cli("FLUSHALL")  # the values below are those of the planted preference alone
        with tempfile.TemporaryDirectory() as home:
            files = grep(Settings(home=Path(home), embedder="none", redis_url=server.url), book, heard[0])
        values = [server.cli("--csv", "GET", key) for key in server.cli("KEYS", "*").split()]
    planted = sum(word in value for value in values for word in (PLANTED, PLANTED.split()[-1], heard[0].user.id))
    print(f"\nplanted preference: in {files.holding} of {files.files} files (the user's id: in {files.control})")
    print(f"planted preference: in {planted} of {len(values)} values of the Redis")
    return 1 if missed or planted or files.holding or not values else 0


@contextmanager
def stores(*, postgres: bool) -> Iterator[tuple[list[tuple[str, Settings]], redis.Server]]:
    """Settings for each store, every one empty, and the Redis that some of them name."""
    with tempfile.TemporaryDirectory() as folder, redis.running() as server, databases(postgres) as urls:
        home = Path(folder)
        found = [("SQLite", Settings(home=home / "own", embedder="none"))]
        found.append(("SQLite and Redis", Settings(home=home / "redis", embedder="none", redis_url=server.url)))
        for name, url in zip(("PostgreSQL", "PostgreSQL and Redis"), urls, strict=False):
            shared = {"redis_url": server.url} if "Redis" in name else {}
            found.append((name, Settings(home=home / name, database_url=url, embedder="none", **shared)))
        yield found, server


@contextmanager
def databases(wanted: bool) -> Iterator[list[str]]:
    if not wanted:
        yield []
        return
    with postgres.running() as server:
        yield [server.create("alone"), server.create("shared")]


if __name__ == "__main__":
    sys.exit(main())
