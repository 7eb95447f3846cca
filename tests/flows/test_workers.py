"""Workers in several threads and processes, and workers that are killed: every job is done, and done once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import queue
from carryover.store.store import Store
from carryover.store.tables import counters, jobs

JOBBER = Path(__file__).parent / "jobber.py"
TENANTS, EACH = ("acme", "zeta", "omega"), 60


@contextmanager
def working(url: str, *, threads: int = 1, lease_ms: int = 60_000) -> Generator[subprocess.Popen[str]]:
    path = os.pathsep.join([str(JOBBER.parent.parent), *sys.path])
    command = [sys.executable, str(JOBBER), url, str(threads), str(lease_ms)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def arm(store: Store, tenant: str, *subjects: str) -> None:
    with store.write(Scope(tenant)) as tx:
        queue.arm(tx, [("index", subject, tx.now) for subject in subjects])


def left(store: Store) -> int:
    with store.read(EVERY_TENANT) as tx:
        return tx.conn.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one()


def done(store: Store) -> None:
    deadline = time.monotonic() + 60
    while left(store):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def effects(store: Store) -> list[int]:
    """How often each job's effect was saved."""
    with store.read(EVERY_TENANT) as tx:
        counted = sa.select(counters.c.value).where(counters.c.name.like("ran %"))
        return list(tx.conn.execute(counted).scalars())


@pytest.mark.parametrize(("processes", "threads"), [(1, 4), (2, 2)])
def test_each_job_is_run_once(database_url: str, processes: int, threads: int) -> None:
    with Store.open(database_url) as store:
        for tenant in TENANTS:
            arm(store, tenant, *(f"a/{n}" for n in range(EACH)))
        running = [working(database_url, threads=threads) for _ in range(processes)]
        first, *others = [one.__enter__() for one in running]
        try:
            done(store)
            for process in (first, *others):
                assert process.stdin is not None
                process.stdin.close()
                assert process.wait(30) == 0
        finally:
            for one in running:
                one.__exit__(None, None, None)
        assert effects(store) == [1] * (len(TENANTS) * EACH)


def test_the_jobs_of_a_killed_worker_are_taken_over(database_url: str) -> None:
    with Store.open(database_url) as store:
        arm(store, "acme", "a/hangs", *(f"a/{n}" for n in range(9)))
        with working(database_url, threads=2, lease_ms=1500) as doomed:
            assert doomed.stdout is not None
            assert doomed.stdout.readline() == "hangs\n"
            doomed.kill()
        with working(database_url, lease_ms=1500) as heir:
            done(store)
            assert heir.stdin is not None
            heir.stdin.close()
            assert heir.wait(30) == 0
        assert effects(store) == [1] * 10
