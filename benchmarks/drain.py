"""How fast workers drain a backlog, in one process and in two, as a ratio measured in one run.

    python -m benchmarks.drain [--jobs 10000] [--tenants 20] [--concurrency 1]

Each job is a consolidation by rules of a session of four turns. The backlog is made once, on a PostgreSQL of its own,
and copied for each run. Afterwards every session must have been consolidated exactly once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time

import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Append, Draft
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log.append import Limits, append, open_log
from carryover.memory.choice import Extractors
from carryover.memory.consolidate import KIND, consolidation
from carryover.memory.rules import Rules
from carryover.store.store import Store
from carryover.store.tables import jobs, snapshots
from servers import postgres

SAID = (
    "Let's use PostgreSQL for the ledger, because the auditors know it.",
    "Noted. The export runs at two in the morning.",
    "TODO: ask Mia about the retention of invoices.",
    "I prefer short answers.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=1, help="threads of each process")
    given = parser.parse_args()
    with postgres.running() as server:
        fill(server.create("backlog"), given.jobs, given.tenants)
        server.sql("VACUUM ANALYZE", database="backlog")
        rates: list[float] = []
        for processes in (1, 2):
            url = server.create(f"run{processes}", template="backlog")
            rates.append(drained(url, processes, given.concurrency, given.jobs))
            print(f"{processes} process(es): {rates[-1]:,.0f} jobs/s; each of {given.jobs:,} sessions once", flush=True)
    print(f"two against one: x{rates[1] / rates[0]:.2f} (goal: 1.7)")


def fill(url: str, count: int, tenants: int) -> None:
    limits = Limits(idle_ms=1)
    with Store.open(url) as store:
        log = open_log(store, limits)

        def some(first: int) -> None:
            for n in range(first, count, 8):
                drafts = tuple(Draft("assistant" if k % 2 else "user", f"{said} ({n})") for k, said in enumerate(SAID))
                append(log, Scope(f"tenant-{n % tenants}"), Append(f"s{n}", drafts, "ada"), limits)

        threads = [threading.Thread(target=some, args=[first]) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def drained(url: str, processes: int, concurrency: int, expected: int) -> float:
    """Jobs a second, from the word go to the end of the last process."""
    command = [sys.executable, "-m", "benchmarks.drain", "work", url, str(concurrency)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ran = [int(process.communicate()[0]) for process in running]
    rate = expected / (time.perf_counter() - began)
    assert sum(ran) == expected, ran
    with Store.open(url) as store, store.read(EVERY_TENANT) as tx:
        made = sa.select(sa.func.count(), sa.func.max(snapshots.c.version)).select_from(snapshots)
        assert tuple(tx.conn.execute(made).one()) == (expected, 1)
        left = sa.select(sa.func.count()).where(jobs.c.kind == KIND)
        assert tx.conn.execute(left).scalar_one() == 0
    return rate


def work(url: str, concurrency: int) -> None:
    with Store.open(url) as store:
        worker = Worker(store, {KIND: consolidation(Extractors(Rules()))}, lambda _tenant: Cap())
        print("ready", flush=True)
        sys.stdin.readline()
        ran: list[int] = []
        threads = [threading.Thread(target=lambda: ran.append(worker.drain())) for _ in range(concurrency)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        worker.close()
        print(sum(ran))


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(sys.argv[2], int(sys.argv[3]))
    else:
        main()
