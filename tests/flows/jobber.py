"""A process that runs due jobs until nothing is left; what each of them does is counted in the database.

Arguments: the database's URL, how many threads, how long a lease lasts (ms). A job called `a/hangs` says so and never
ends, once.
"""

from __future__ import annotations

import sys
import threading

from carryover.core.job import Job
from carryover.core.usage import Cap, Usage
from carryover.jobs.derivation import Derivation
from carryover.jobs.timer import ticking
from carryover.jobs.worker import Worker
from carryover.store import counters
from carryover.store.store import Store, Tx


def think(job: Job) -> tuple[None, Usage]:
    if job.subject == "a/hangs" and job.attempt == 1:
        sys.stdout.write("hangs\n")
        sys.stdout.flush()
        threading.Event().wait()
    return None, Usage()


def save(tx: Tx, job: Job, _work: Job, _made: None) -> None:
    counters.bump(tx, f"ran {job.subject}")


def main(url: str, threads: int, lease_ms: int) -> None:
    with Store.open(url) as store:
        kinds = {"index": Derivation("index", lambda tx, job: job, think, save)}
        worker = Worker(store, kinds, lambda _tenant: Cap(), lease_ms=lease_ms)
        with ticking(store, worker, concurrency=threads, tick_s=0.02):
            sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
