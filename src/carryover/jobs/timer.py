"""What wakes the worker. If a tick is missed nothing is lost: what is due stays due."""

from __future__ import annotations

import logging
from collections.abc import Generator
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


@contextmanager
def ticking(store: Store, worker: Worker, tick_s: float = TICK_S) -> Generator[None]:
    """Inside the block threads run what is due, and upkeep now and every hour.

    On leaving, the job that is running ends first.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that finds the worker busy is no news
    executors = {"default": ThreadPoolExecutor(1), "upkeep": ThreadPoolExecutor(1)}
    scheduler: Any = BackgroundScheduler(executors=executors, timezone="UTC")
    often: dict[str, Any] = {"trigger": "interval", "max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    scheduler.add_job(worker.drain, seconds=tick_s, **often)
    now = datetime.now(UTC)
    scheduler.add_job(upkeep, args=[store], seconds=UPKEEP_S, executor="upkeep", next_run_time=now, **often)
    scheduler.start()
    try:
        yield
    finally:
        worker.stop()
        scheduler.shutdown(wait=True)
