"""A worker sees each job through: done, tried again, waiting, or dead with its reason."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from carryover.core.clock import DAY_MS, SystemClock, day_of
from carryover.core.errors import ProviderError, ProviderUnavailable, StoreUnavailable
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.usage import Cap, Usage
from carryover.jobs import worker as module
from carryover.jobs.derivation import Derivation
from carryover.jobs.timer import ticking
from carryover.jobs.worker import ATTEMPTS, ATTEMPTS_UNAVAILABLE, LONGEST_RETRY_MS, Worker, pause_ms
from carryover.store import counters, queue
from carryover.store.store import Store

ACME = Scope("acme")
FREE, NO_CAP = Usage(), Cap()


def works(kind: str = "index", think: Callable[[Job], Any] | None = None, paid: Usage = FREE) -> Derivation[Any, Any]:
    def thought(job: Job) -> tuple[None, Usage]:
        if think is not None:
            think(job)
        return None, paid

    return Derivation(
        kind,
        lambda tx, job: job,
        thought,
        lambda tx, job, work, made: counters.bump(tx, kind) and None,
        lambda job: paid,
    )


def worker(store: Store, *derivations: Derivation[Any, Any], cap: Cap = NO_CAP, **how: Any) -> Worker:
    return Worker(store, {one.kind: one for one in derivations}, lambda _tenant: cap, **how)


def arm(store: Store, *subjects: str, kind: str = "index", tenant: str = "acme") -> None:
    with store.write(Scope(tenant)) as tx:
        queue.arm(tx, [(kind, subject, tx.now) for subject in subjects])


def get(store: Store, subject: str = "a/s", kind: str = "index") -> Job | None:
    with store.read(ACME) as tx:
        return queue.get(tx, kind, subject)


def done(store: Store, kind: str = "index") -> int:
    with store.read(ACME) as tx:
        return counters.values(tx, [kind])[0]


def test_it_drains_what_is_due_of_every_tenant(store: Store, clock: Any) -> None:
    arm(store, "a/1", "a/2", "a/3")
    arm(store, "a/1", tenant="zeta")
    arm(store, "a/1", kind="other")
    mine = worker(store, works())
    assert mine.drain(most=2) == 2
    assert mine.drain(tenant="acme") + mine.drain(tenant="zeta") == 2
    assert mine.drain() == 0
    assert done(store) == 3
    assert get(store, "a/1", "other") is not None


def test_it_runs_only_the_kinds_and_the_subject_asked_for(store: Store) -> None:
    arm(store, "a/1", "a/2")
    arm(store, "a/1", kind="other")
    mine = worker(store, works(), works("other"))
    assert mine.run_one(("other",), tenant="acme")
    assert (done(store), done(store, "other")) == (0, 1)
    assert mine.run_one(("index",), tenant="acme", subject="a/2")
    assert not mine.run_one(("index",), tenant="acme", subject="a/2")
    assert get(store, "a/1") is not None


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ProviderUnavailable, ATTEMPTS_UNAVAILABLE),
        (StoreUnavailable, ATTEMPTS_UNAVAILABLE),
        (ProviderError, ATTEMPTS),
        (ValueError, ATTEMPTS),
    ],
)
def test_a_failing_job_is_tried_again_ever_later_and_then_dead_with_its_reason(
    store: Store, clock: Any, error: type[Exception], attempts: int
) -> None:
    tried: list[int] = []

    def think(job: Job) -> None:
        tried.append(job.attempt)
        raise error("the model is away")

    arm(store, "a/s")
    mine = worker(store, works(think=think))
    for attempt in range(1, attempts):
        assert mine.drain() == 1
        job = get(store)
        assert job is not None
        pause = min(2000 * 2 ** (attempt - 1), LONGEST_RETRY_MS)
        assert 0.75 * pause <= job.due - clock.at <= 1.25 * pause
        assert job.reason == f"{error.__name__}: the model is away"
        assert mine.drain() == 0
        clock.at = job.due
    assert mine.drain() == 1
    dead = get(store)
    assert dead is not None
    assert (dead.dead_at, dead.reason) == (clock.at, f"{error.__name__}: the model is away")
    assert tried == list(range(1, attempts + 1))
    clock.pass_(DAY_MS)
    assert mine.drain() == 0


def test_a_provider_says_how_long_to_wait(store: Store, clock: Any) -> None:
    def think(job: Job) -> None:
        raise ProviderUnavailable("slow down", retry_after=90)

    arm(store, "a/s")
    worker(store, works(think=think)).drain()
    job = get(store)
    assert job is not None
    assert job.due == clock.at + 90_000


def test_a_job_that_succeeds_at_last_begins_anew(store: Store, clock: Any) -> None:
    failures = iter([True, True, False, False])

    def think(job: Job) -> None:
        if next(failures):
            raise ValueError("not yet")

    arm(store, "a/s")
    mine = worker(store, works(think=think))
    for _ in range(3):
        mine.drain()
        clock.pass_(60_000)
    assert (get(store), done(store)) == (None, 1)


def test_one_failing_job_does_not_hold_up_the_others(store: Store) -> None:
    def think(job: Job) -> None:
        if job.subject == "a/2":
            raise ValueError("this one")

    arm(store, "a/1", "a/2", "a/3")
    assert worker(store, works(think=think)).drain() == 3
    assert done(store) == 2


def test_over_budget_waits_until_the_day_ends(store: Store, clock: Any) -> None:
    arm(store, "a/s")
    paid = Usage("fake", 1, tokens_in=60, money=Decimal(1))
    mine = worker(store, works(paid=paid), cap=Cap(tokens=100))
    assert mine.drain() == 1
    arm(store, "a/s")
    assert mine.drain() == 1
    job = get(store)
    assert job is not None
    assert (job.due, job.attempt, job.dead_at) == (day_of(clock.at) + DAY_MS, 0, None)
    assert "would pass the cap of 100 tokens a day (60 used or held, 60 needed)" in (job.reason or "")
    clock.at = job.due
    assert mine.drain() == 1
    assert (get(store), done(store)) == (None, 2)


def test_a_worker_that_lost_its_lease_goes_on(store: Store, clock: Any) -> None:
    def think(job: Job) -> None:
        if job.subject == "a/1":
            with store.write(ACME) as tx:
                queue.cancel(tx, job.subject)
            raise ValueError("and then it failed")

    arm(store, "a/1", "a/2")
    assert worker(store, works(think=think)).drain() == 2
    assert (get(store, "a/1"), done(store)) == (None, 1)


def test_a_worker_that_loses_its_lease_while_over_budget_goes_on(store: Store, clock: Any) -> None:
    one = works(paid=Usage("fake", 1, tokens_in=60))

    def estimate(job: Job) -> Usage:
        with store.write(ACME) as tx:
            queue.cancel(tx, job.subject)
        return Usage("fake", 1, tokens_in=999)

    arm(store, "a/1", "a/2")
    mine = worker(store, Derivation(one.kind, one.load, one.think, one.save, estimate), cap=Cap(tokens=100))
    assert mine.drain() == 2


def test_a_job_that_ends_the_process_each_time_is_dead_in_the_end(store: Store, clock: Any) -> None:
    arm(store, "a/s")
    for _ in range(ATTEMPTS_UNAVAILABLE):
        with store.write(ACME) as tx:  # claimed by a process that is then gone
            assert queue.claim(tx, ["index"], lease_ms=1000) is not None
        clock.pass_(1000)
    assert worker(store, works(think=lambda job: pytest.fail("ran once more"))).drain() == 1
    job = get(store)
    assert job is not None
    assert job.dead_at == clock.at
    assert "the process ended whenever this job ran" in (job.reason or "")


def test_a_store_that_is_away_leaves_the_job_to_its_lease(
    store: Store, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the disk is full; free some space")

    def think(job: Job) -> None:
        monkeypatch.setattr(queue, "fail", away)
        raise ValueError("and the store is away as well")

    arm(store, "a/s")
    assert worker(store, works(think=think)).drain() == 1
    monkeypatch.undo()
    assert worker(store, works()).drain() == 0
    clock.pass_(module.LEASE_MS)
    assert worker(store, works()).drain() == 1
    assert (get(store), done(store)) == (None, 1)


def test_two_workers_run_each_job_once(store: Store) -> None:
    arm(store, *(f"a/{n}" for n in range(30)))
    ran: list[str] = []
    workers = [worker(store, works(think=lambda job: ran.append(job.subject))) for _ in range(2)]
    threads = [threading.Thread(target=one.drain) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ran) == sorted(f"a/{n}" for n in range(30))
    assert done(store) == 30


def test_stop_ends_after_the_running_job(store: Store) -> None:
    arm(store, "a/1", "a/2", "a/3")
    mine = worker(store, works(think=lambda job: mine.stop()))
    assert mine.drain() == 1
    assert done(store) == 1


@pytest.mark.parametrize("attempt", [1, 2, 5, 11, 12, 1000])
def test_pauses_double_up_to_an_hour(attempt: int) -> None:
    base = min(2000 * 2 ** min(attempt - 1, 20), LONGEST_RETRY_MS)
    found = {pause_ms(attempt) for _ in range(200)}
    assert min(found) >= 0.75 * base
    assert max(found) <= 1.25 * base
    assert len(found) > 10


@dataclass
class Real:
    """The machine's clock: leases of running work are about time that passes."""

    def now(self) -> int:
        return SystemClock().now()


def test_a_lease_is_kept_while_a_job_thinks_long(database_url: str) -> None:
    with Store.open(database_url, clock=Real()) as store:
        claims: list[Job | None] = []

        def think(job: Job) -> None:
            end = job.leased_until or 0
            while store.clock.now() < end + 200:  # well beyond the lease that was claimed
                time.sleep(0.05)
            with store.write(ACME) as tx:
                claims.append(queue.claim(tx, ["index"], lease_ms=1000))

        arm(store, "a/s")
        assert worker(store, works(think=think), lease_ms=600).drain() == 1
        assert claims == [None]
        assert (get(store), done(store)) == (None, 1)


def test_a_timer_runs_what_becomes_due_and_leaves_no_thread(database_url: str) -> None:
    with Store.open(database_url) as store:
        before = set(threading.enumerate())
        mine = worker(store, works())
        with ticking(store, mine, tick_s=0.01):
            arm(store, "a/1", "a/2")
            deadline = time.monotonic() + 20
            while done(store) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
        assert done(store) == 2
        assert set(threading.enumerate()) <= before
        arm(store, "a/3")
        assert mine.drain() == 0  # it was stopped


def test_leaving_the_timer_lets_the_running_job_end(database_url: str) -> None:
    with Store.open(database_url) as store:
        thinking, go_on = threading.Event(), threading.Event()

        def think(job: Job) -> None:
            thinking.set()
            assert go_on.wait(20)

        arm(store, "a/1", "a/2")
        mine = worker(store, works(think=think))
        with ticking(store, mine, tick_s=0.01):
            assert thinking.wait(20)
            threading.Timer(0.05, go_on.set).start()
        assert done(store) == 1


def test_the_lease_outlasts_several_renewals() -> None:
    assert module.LEASE_MS / 3 > 10_000  # a renewal may wait as long as the database's lock and still be in time
