"""What a durable append costs: against a bare row in SQLite, and shared by a crowd.

`python -m benchmarks.append [folder]` prints medians and rates; the folder says which disk is measured.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.log.append import Limits, Log, append, open_log
from carryover.store.store import Store

SCOPE, LIMITS = Scope(), Limits()
TEXT = "We keep the ledger in PostgreSQL, and we look at it again on Monday. " * 4


def appender(log: Log, session: str = "s") -> Callable[[], object]:
    return lambda: append(log, SCOPE, Append(session, (Draft("user", TEXT),)), LIMITS)


def bare(path: Path) -> tuple[sqlite3.Connection, Callable[[], object]]:
    """One row in one table, committed with `synchronous=FULL`: the least that a durable log can do."""
    conn = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE turns (session TEXT, seq INTEGER, role TEXT, body TEXT, at INTEGER, PRIMARY KEY (session, seq))",
    ):
        conn.execute(statement)
    seq = itertools.count(1)

    def add() -> None:
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("INSERT INTO turns VALUES ('s', ?, 'user', ?, ?)", (next(seq), TEXT, time.time_ns() // 1_000_000))
        conn.execute("COMMIT")

    return conn, add


def one_client(folder: Path, rounds: int) -> None:
    """Both take turns in one run, so that a busy disk is busy for both."""
    conn, add = bare(folder / "bare.db")
    with Store.open(f"sqlite:///{folder}/alone.db") as store:
        ours = appender(open_log(store, LIMITS))
        times: dict[str, list[float]] = {"bare row": [], "append": []}
        for n in range(rounds):
            for name, step in (("bare row", add), ("append", ours)):
                start = time.perf_counter()
                step()
                if n >= rounds // 10:
                    times[name].append(time.perf_counter() - start)
    conn.close()
    for name, taken in times.items():
        print(f"{name}: p50 {statistics.median(taken) * 1e6:.0f} us, {len(taken) / sum(taken):.0f}/s")
    print(f"append / bare row: {sum(times['bare row']) / sum(times['append']):.2f} of its rate")


def a_crowd(folder: Path, threads: int, each: int) -> None:
    with Store.open(f"sqlite:///{folder}/crowd.db") as store:
        log = open_log(store, LIMITS)
        started = threading.Barrier(threads + 1)

        def work(name: int) -> None:
            step = appender(log, f"s{name}")
            started.wait()
            for _ in range(each):
                step()

        workers = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
        for worker in workers:
            worker.start()
        started.wait()
        start = time.perf_counter()
        for worker in workers:
            worker.join()
        taken = time.perf_counter() - start
    print(f"{threads} threads: {threads * each / taken:.0f} turns/s, {log.requests / log.commits:.1f} turns a commit")


def profile(folder: Path, rounds: int) -> None:
    with Store.open(f"sqlite:///{folder}/profile.db") as store:
        step = appender(open_log(store, LIMITS))
        step()
        with cProfile.Profile() as profiler:
            for _ in range(rounds):
                step()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "folder", nargs="?", default=None, help="where to write (default: the folder for such files)"
    )
    arguments.add_argument("--rounds", type=int, default=2000)
    arguments.add_argument("--profile", action="store_true", help="show where the time of one client goes instead")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        if given.profile:
            profile(Path(folder), given.rounds)
            return
        one_client(Path(folder), given.rounds)
        a_crowd(Path(folder), 64, max(1, given.rounds // 20))


if __name__ == "__main__":
    main()
