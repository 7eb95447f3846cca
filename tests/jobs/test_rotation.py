"""Tenants take turns, however many jobs each of them has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from carryover.core.job import Job
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.usage import Cap, Usage
from carryover.jobs import rotation as module
from carryover.jobs import worker as workers
from carryover.jobs.derivation import Derivation
from carryover.jobs.rotation import Rotation
from carryover.jobs.worker import Worker
from carryover.store import queue
from carryover.store.store import Store


def arm(store: Store, tenant: str, count: int, ago: int = 0) -> None:
    with store.write(Scope(tenant)) as tx:
        queue.arm(tx, [("index", f"a/{n}", tx.now - ago) for n in range(count)])


@pytest.fixture
def ran(store: Store) -> list[str]:
    """The tenants of the jobs that were run, in order."""
    return []


@pytest.fixture
def worker(store: Store, ran: list[str]) -> Iterator[Worker]:
    def think(job: Job) -> tuple[None, Usage]:
        ran.append(job.tenant)
        return None, Usage()

    made = Worker(store, {"index": Derivation("index", lambda tx, job: job, think, lambda *_: None)}, lambda _: Cap())
    yield made
    made.close()


@pytest.mark.parametrize("slow", [False, True])
def test_a_backlog_of_one_tenant_does_not_hold_up_another(
    store: Store, worker: Worker, ran: list[str], monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    if slow:  # as if each job took so long that batches are single and every look is stale
        monkeypatch.setattr(workers, "QUICK_S", 0)
        monkeypatch.setattr(module, "FRESH_S", 0)
    arm(store, "big", 500, ago=60_000)
    arm(store, "small", 3)
    assert worker.drain(most=12) == 12
    assert ran.count("small") == 3
    assert ran[:2] == ["big", "small"]


def test_all_jobs_of_all_tenants_are_run_once(store: Store, worker: Worker, ran: list[str]) -> None:
    counts = {"a": 40, "b": 1, "c": 17}
    for tenant, count in counts.items():
        arm(store, tenant, count)
    assert worker.drain() == sum(counts.values())
    assert {tenant: ran.count(tenant) for tenant in counts} == counts


def test_tenants_are_looked_at_again_only_when_the_round_is_used_up(store: Store) -> None:
    arm(store, "a", 2)
    arm(store, "b", 1)
    looks: list[str] = []
    sa.event.listen(
        store.engine, "before_cursor_execute",
        lambda _c, _k, said, *_r: looks.append(said) if "GROUP BY" in said else None,
    )  # fmt: skip
    round_ = Rotation(store, ["index"], EVERY_TENANT)
    first, second = round_.next(), round_.next()
    assert [due and (due.tenant, due.jobs) for due in (first, second)] == [("a", 2), ("b", 1)]
    assert len(looks) == 1
    round_.took("b", 1, 1)
    round_.took("a", 1, 1)
    third = round_.next()
    assert third is not None
    assert (third.tenant, third.jobs) == ("a", 1)
    assert len(looks) == 1
    round_.took("a", 1, 0)  # another worker had it
    assert not round_.has_more()
    round_.next()
    assert len(looks) == 2


def test_news_makes_it_look_again(store: Store) -> None:
    arm(store, "a", 2)
    round_ = Rotation(store, ["index"], EVERY_TENANT)
    assert round_.next() is not None
    arm(store, "b", 1)
    assert round_.next() is not None
    round_.renew()
    due = round_.next()
    assert due is not None
    assert due.tenant == "b"  # it was never served
