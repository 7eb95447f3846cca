"""One thread keeps the leases of all jobs in hand, and lets them go when it is told to."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from carryover.core.errors import LeaseLost, StoreUnavailable
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.jobs.leases import Leases
from carryover.store import queue
from carryover.store.store import Store

KINDS = ("index",)


def claimed(store: Store, *tenants: str, lease_ms: int) -> list[Job]:
    found: list[Job] = []
    for tenant in tenants:
        with store.write(Scope(tenant)) as tx:
            queue.arm(tx, [("index", "a/s", tx.now)])
            found += queue.claim_batch(tx, KINDS, lease_ms=lease_ms, most=1)
    return found


def until(store: Store, job: Job) -> int:
    with store.read(job.scope) as tx:
        found = queue.get(tx, job.kind, job.subject)
    return 0 if found is None else found.leased_until or 0


def eventually(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_leases_of_several_tenants_are_renewed_by_one_thread(database_url: str) -> None:
    with Store.open(database_url) as store:
        leases = Leases(store, 600)
        before = threading.active_count()
        held = claimed(store, "acme", "zeta", lease_ms=600)
        leases.hold(held)
        assert threading.active_count() == before + 1
        eventually(lambda: all(until(store, job) > (job.leased_until or 0) for job in held))
        leases.close()
        assert threading.active_count() == before


def test_a_lease_that_another_has_is_left_alone(store: Store, clock: Any) -> None:
    (job,) = claimed(store, "acme", lease_ms=30)
    clock.pass_(30)
    with store.write(job.scope) as tx:
        second = queue.claim(tx, KINDS, lease_ms=60_000)
    leases = Leases(store, 30)
    leases.hold([job])
    eventually(lambda: not leases._held)  # type: ignore[attr-defined]
    leases.close()
    with store.read(job.scope) as tx:
        assert queue.get(tx, "index", "a/s") == second
    with pytest.raises(LeaseLost), store.write(job.scope) as tx:
        queue.finish(tx, job)


def test_letting_go_gives_the_jobs_to_others_at_once(store: Store) -> None:
    held = claimed(store, "acme", "zeta", lease_ms=60_000)
    leases = Leases(store, 60_000)
    leases.hold(held)
    leases.let_go()
    leases.close()
    for job in held:
        with store.write(job.scope) as tx:
            again = queue.claim(tx, KINDS, lease_ms=60_000)
        assert again is not None
        assert again.attempt == 1
        with pytest.raises(LeaseLost), store.write(job.scope) as tx:
            queue.finish(tx, job)


def test_a_store_that_is_away_does_not_end_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = claimed(store, "acme", lease_ms=60_000)
    asked = threading.Semaphore(0)

    def away(*_: Any) -> Any:
        asked.release()
        raise StoreUnavailable("the disk is full; free some space")

    leases = Leases(store, 30)
    monkeypatch.setattr(store, "write", away)
    leases.hold([job])
    for _ in range(2):
        assert asked.acquire(timeout=20)
    leases.let_go()
    monkeypatch.undo()
    leases.close()
    assert until(store, job) == job.leased_until
