"""The queue of all tenants, counted at a bounded cost."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.clock import DAY_MS
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import backlog as module
from carryover.store import queue
from carryover.store.backlog import Backlog, backlog
from carryover.store.store import Store
from clocks import FrozenClock


def arm(store: Store, tenant: str, *subjects: str, due: int = 0) -> None:
    with store.write(Scope(tenant)) as tx:
        queue.arm(tx, [("index", subject, tx.now + due) for subject in subjects])


def found(store: Store) -> Backlog:
    with store.read(EVERY_TENANT) as tx:
        return backlog(tx)


def test_jobs_of_all_tenants_are_counted_by_state(store: Store, clock: FrozenClock) -> None:
    assert found(store) == Backlog({"due": 0, "running": 0, "dead": 0, "waiting": 0}, 0)
    arm(store, "acme", "a/dead", "a/waits", "a/runs")
    with store.write(Scope("acme")) as tx:
        jobs = {job.subject: job for job in queue.claim_batch(tx, ["index"], lease_ms=60_000, most=3)}
        queue.fail(tx, jobs["a/dead"], "broken", due=None)
        queue.wait(tx, jobs["a/waits"], "a cap", until=tx.now + DAY_MS // 2)
    arm(store, "globex", "b/due")
    arm(store, "globex", "b/later", due=3_000)
    clock.pass_(2_000)
    assert found(store) == Backlog({"due": 1, "running": 1, "dead": 1, "waiting": 1}, 2_000)


def test_a_job_whose_worker_died_is_due_again(store: Store, clock: FrozenClock) -> None:
    arm(store, "acme", "a/s")
    with store.write(Scope("acme")) as tx:
        queue.claim(tx, ["index"], lease_ms=1_000)
    assert found(store).oldest_ms == 0
    clock.pass_(1_500)
    assert found(store) == Backlog({"due": 1, "running": 0, "dead": 0, "waiting": 0}, 1_500)


def test_what_is_counted_is_bounded_but_the_oldest_job_is_seen(store: Store, clock: FrozenClock) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST", 2)
        arm(store, "acme", "a/1", "a/2", "a/3")
        with store.write(Scope("acme")) as tx:
            for job in queue.claim_batch(tx, ["index"], lease_ms=60_000, most=3):
                queue.fail(tx, job, "broken", due=None)
        clock.pass_(1_000)
        arm(store, "acme", "a/4")
        clock.pass_(500)
        assert found(store) == Backlog({"due": 0, "running": 0, "dead": 2, "waiting": 0}, 500)


def test_the_index_of_due_times_serves_it(store: Store) -> None:
    asked: list[tuple[str, Any]] = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda _c, _k, sql, given, *_: asked.append((sql, given)))
    with store.read(EVERY_TENANT) as tx:
        before = len(asked)
        backlog(tx)
        assert len(asked) == before + 1
        if tx.dialect.name == "sqlite":  # other planners may well read a small table whole
            plan = tx.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[-1][0]}", asked[-1][1])
            steps = [row[3] for row in plan if "jobs" in row[3]]
            assert steps == ["SEARCH jobs USING INDEX jobs_by_due (due<?)"] * 2
