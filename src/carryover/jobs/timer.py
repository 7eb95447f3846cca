"""What keeps a worker working. If a tick or a wake-up is missed nothing is lost: what is due stays due."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from carryover.jobs.upkeep import upkeep
from carryover.jobs.worker import Worker
from carryover.store.store import Store

TICK_S = 0.25
UPKEEP_S = 3600.0
DRAIN_S = 30.0
_LOOK_S = 0.1


@contextmanager
def ticking(
    store: Store,
    worker: Worker,
    *,
    concurrency: int = 1,
    drain_s: float = DRAIN_S,
    tick_s: float = TICK_S,
    keep_events_ms: int | None = None,
) -> Generator[None]:
    """Inside the block so many threads run what is due, and another does upkeep now and every hour.

    On leaving, jobs that are running end first; those that take longer than `drain_s` are left to other workers.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # upkeep that is still busy is no news
    scheduler: Any = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, timezone="UTC")
    often: dict[str, Any] = {"trigger": "interval", "max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    upkept = [store, keep_events_ms, tuple(worker.derivations.values())]
    scheduler.add_job(upkeep, args=upkept, seconds=UPKEEP_S, next_run_time=datetime.now(UTC), **often)
    # Idle threads look in turn, so that together they look as often as one would.
    threads = [
        threading.Thread(target=worker.work, args=[tick_s * concurrency], name=f"worker-{n}", daemon=True)
        for n in range(concurrency)
    ]
    for thread in threads:
        thread.start()
    scheduler.start()
    try:
        yield
    finally:
        worker.stop()
        try:
            _await(threads, worker, drain_s)
        finally:  # also when a second signal interrupts the wait
            worker.close()
            scheduler.shutdown(wait=True)


def _await(threads: Sequence[threading.Thread], worker: Worker, drain_s: float) -> None:
    end = time.monotonic() + drain_s
    for thread in threads:
        while thread.is_alive() and not worker.hurried and (left := end - time.monotonic()) > 0:
            thread.join(min(left, _LOOK_S))
