"""What keeps a worker working: threads, wake-ups, and an end that leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from carryover.core.errors import StoreUnavailable
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.usage import Cap, Usage
from carryover.jobs import worker as module
from carryover.jobs.derivation import Derivation
from carryover.jobs.timer import ticking
from carryover.jobs.worker import Worker
from carryover.store import queue
from carryover.store.store import Store

LONG_S = 3600.0


def worker(store: Store, think: Callable[[Job], Any]) -> Worker:
    def thought(job: Job) -> tuple[None, Usage]:
        think(job)
        return None, Usage()

    return Worker(store, {"index": Derivation("index", lambda tx, job: job, thought, lambda *_: None)}, lambda _: Cap())


def arm(store: Store, *subjects: str) -> None:
    with store.write(Scope("acme")) as tx:
        queue.arm(tx, [("index", subject, tx.now) for subject in subjects])


def test_so_many_threads_run_jobs_at_the_same_time(database_url: str) -> None:
    with Store.open(database_url) as store:
        together = threading.Barrier(4)
        arm(store, *(f"a/{n}" for n in range(3)))
        with ticking(store, worker(store, lambda job: together.wait(20)), concurrency=3, tick_s=0.01):
            together.wait(20)


def test_an_idle_worker_is_woken(database_url: str) -> None:
    with Store.open(database_url) as store:
        ran = threading.Semaphore(0)
        mine = worker(store, lambda job: ran.release())
        with ticking(store, mine, concurrency=2, tick_s=LONG_S):
            for n in range(3):
                arm(store, f"a/{n}")
                mine.wake()
                assert ran.acquire(timeout=20)


def test_what_is_overdue_is_armed_and_done_though_nobody_armed_it(database_url: str) -> None:
    with Store.open(database_url) as store:
        done: set[tuple[str, str]] = set()
        both = threading.Event()

        def think(job: Job) -> tuple[None, Usage]:
            done.add((job.tenant, job.subject))
            if len(done) == 2:
                both.set()
            return None, Usage()

        overdue = [("acme", "a/1"), ("zeta", "a/2")]
        lazy = Derivation("index", lambda tx, job: job, think, lambda *_: None, overdue=lambda tx: overdue)
        with ticking(store, Worker(store, {"index": lazy}, lambda _: Cap()), tick_s=0.01):
            assert both.wait(20)
        assert done == set(overdue)


@pytest.mark.parametrize("hurried", [False, True])
def test_a_job_that_does_not_end_in_time_is_left_to_others(database_url: str, hurried: bool) -> None:
    with Store.open(database_url) as store:
        thinking, go_on, ended = threading.Event(), threading.Event(), threading.Event()

        def think(job: Job) -> None:
            thinking.set()
            assert go_on.wait(20)
            ended.set()

        arm(store, "a/1", "a/2")
        mine = worker(store, think)
        with ticking(store, mine, drain_s=LONG_S if hurried else 0.05, tick_s=0.01):
            assert thinking.wait(20)
            if hurried:
                mine.stop(now=True)
        with store.write(Scope("acme")) as tx:
            left = queue.claim_batch(tx, ["index"], lease_ms=60_000, most=9)
        assert [job.attempt for job in left] == [1, 1]
        go_on.set()  # what it makes now is dropped
        assert ended.wait(20)
        for thread in threading.enumerate():
            if thread.name.startswith("worker-"):
                thread.join(20)
        with store.read(Scope("acme")) as tx:
            assert [queue.get(tx, "index", job.subject) for job in left] == left


def test_a_store_that_is_away_and_a_failure_that_nobody_expected_end_no_worker(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AWAY_S", 0.01)
    with Store.open(database_url) as store:
        ran = threading.Event()
        failures = [StoreUnavailable("the disk is full; free some space"), RuntimeError("a bug")]
        real = queue.tenants_due

        def fails(*given: Any) -> Any:
            if failures:
                raise failures.pop()
            return real(*given)

        monkeypatch.setattr(queue, "tenants_due", fails)
        arm(store, "a/1")
        with ticking(store, worker(store, lambda job: ran.set()), tick_s=0.01):
            assert ran.wait(20)
        assert failures == []
