"""Whatever is done to the queue by however many workers, it behaves as a table of jobs that one person keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from carryover.core.errors import LeaseLost
from carryover.core.job import Job
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import queue
from carryover.store.store import Store, Tx
from clocks import FrozenClock
from fuzz.lengths import TIMEOUT_S, lasting

pytestmark = pytest.mark.timeout(TIMEOUT_S)
TENANTS = count()
KINDS = ("index", "consolidate")
KIND, SUBJECT = st.sampled_from(KINDS), st.sampled_from(["a/1", "a/2", "b/1"])
LEASE, LATER = st.sampled_from([1, 50, 1_000]), st.integers(-200, 200)


@dataclass(frozen=True)
class Row:
    """What is known of a job: who holds it is told by the lease's name."""

    due: int
    revision: int = 1
    attempt: int = 0
    lease: str | None = None
    until: int | None = None
    dead: bool = False
    waiting: bool = False

    def is_free(self, now: int) -> bool:
        return self.until is None or self.until <= now


LET_GO: dict[str, Any] = {"lease": None, "until": None}


class Queue(RuleBasedStateMachine):
    def __init__(self, store: Store, clock: FrozenClock) -> None:
        super().__init__()
        self.store, self.clock = store, clock
        self.scope = Scope(f"queue{next(TENANTS)}")
        self.rows: dict[tuple[str, str], Row] = {}
        self.held: list[Job] = []  # all that any worker was ever given, long lost or not

    def do(self, what: Callable[[Tx], Any], scope: Scope | None = None) -> Any:
        with self.store.write(scope or self.scope) as tx:
            return what(tx)

    @rule(kind=KIND, subject=SUBJECT, later=LATER, push=st.booleans())
    def arm(self, kind: str, subject: str, later: int, push: bool) -> None:
        due = self.clock.at + later
        self.do(lambda tx: queue.arm(tx, [(kind, subject, due)], push=push))
        was = self.rows.get((kind, subject))
        if was is None:
            self.rows[kind, subject] = Row(due)
            return
        kept = not push and (was.attempt > 0 or was.due < due)
        self.rows[kind, subject] = replace(
            was,
            revision=was.revision + 1,
            due=was.due if kept else due,
            attempt=0 if push or was.dead else was.attempt,
            dead=False,
            waiting=was.waiting and not push,
        )

    @rule(kind=KIND, subject=SUBJECT, later=LATER)
    def postpone(self, kind: str, subject: str, later: int) -> None:
        due = self.clock.at + later
        self.do(lambda tx: queue.postpone(tx, kind, subject, due))
        if (was := self.rows.get((kind, subject))) is not None:
            self.rows[kind, subject] = replace(was, due=due, waiting=False, revision=was.revision + 1)

    @rule(kinds=st.sampled_from([KINDS, KINDS[:1]]), most=st.integers(1, 3), lease_ms=LEASE)
    def claim(self, kinds: tuple[str, ...], most: int, lease_ms: int) -> None:
        now = self.clock.at
        free = {
            key: row
            for key, row in self.rows.items()
            if key[0] in kinds and row.due <= now and not row.dead and row.is_free(now)
        }
        taken: list[Job] = self.do(lambda tx: queue.claim_batch(tx, kinds, lease_ms=lease_ms, most=most))
        assert [job.due for job in taken] == sorted(row.due for row in free.values())[:most]
        for job in taken:
            was = free[job.kind, job.subject]  # nobody holds it, and it is due
            assert (job.revision, job.attempt) == (was.revision, was.attempt + 1)
            self.rows[job.kind, job.subject] = replace(
                was, attempt=was.attempt + 1, lease=job.lease, until=now + lease_ms, waiting=False
            )
        self.held += taken

    def with_one(
        self, data: st.DataObject, what: Callable[[Tx, Job], None], change: Callable[[Row, Job], Row | None]
    ) -> None:
        """A worker says what became of a job that it was given once: that counts while it holds it."""
        if not self.held:
            return
        job = data.draw(st.sampled_from(self.held), "held")
        key = job.kind, job.subject
        was = self.rows.get(key)
        if was is None or was.lease != job.lease:
            with pytest.raises(LeaseLost):
                self.do(lambda tx: what(tx, job))
            return
        self.do(lambda tx: what(tx, job))
        after = change(was, job)
        if after is None:
            del self.rows[key]
        else:
            self.rows[key] = after

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        def change(was: Row, job: Job) -> Row | None:
            return None if was.revision == job.revision else replace(was, attempt=0, **LET_GO)

        self.with_one(data, queue.finish, change)

    @rule(data=st.data(), later=LATER)
    def fail(self, data: st.DataObject, later: int) -> None:
        due = self.clock.at + later
        self.with_one(
            data, lambda tx, job: queue.fail(tx, job, "no\x00", due=due), lambda was, _: replace(was, due=due, **LET_GO)
        )

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        def change(was: Row, job: Job) -> Row:
            return replace(was, dead=was.revision == job.revision, **LET_GO)

        self.with_one(data, lambda tx, job: queue.fail(tx, job, "no", due=None), change)

    @rule(data=st.data(), later=LATER)
    def wait(self, data: st.DataObject, later: int) -> None:
        until = self.clock.at + later
        self.with_one(
            data,
            lambda tx, job: queue.wait(tx, job, "cap", until=until),
            lambda was, _: replace(was, due=until, attempt=0, waiting=True, **LET_GO),
        )

    @rule(data=st.data(), lease_ms=LEASE)
    def renew_and_put_back(self, data: st.DataObject, lease_ms: int) -> None:
        if not self.held:
            return
        job = data.draw(st.sampled_from(self.held), "held")
        key = job.kind, job.subject
        was = self.rows.get(key)
        mine = was is not None and was.lease == job.lease
        lost = self.do(lambda tx: queue.renew(tx, [job], lease_ms=lease_ms))
        assert lost == ([] if mine else [job])
        if mine and was is not None:
            self.rows[key] = was = replace(was, until=self.clock.at + lease_ms)
        if data.draw(st.booleans(), "put back"):
            self.do(lambda tx: queue.put_back(tx, [job]))
            if mine and was is not None:
                self.rows[key] = replace(was, attempt=was.attempt - 1, **LET_GO)

    @rule(subject=SUBJECT)
    def cancel(self, subject: str) -> None:
        there = [key for key in self.rows if key[1] == subject]
        assert self.do(lambda tx: queue.cancel(tx, subject)) == len(there)
        for key in there:
            del self.rows[key]

    @rule()
    def release(self) -> None:
        self.do(queue.release, EVERY_TENANT)
        for key, row in self.rows.items():
            if row.waiting and row.lease is None:
                self.rows[key] = replace(row, due=self.clock.at, waiting=False)

    @rule()
    def revive(self) -> None:
        dead = [key for key, row in self.rows.items() if row.dead]
        assert self.do(queue.revive_all) == len(dead)
        for key in dead:
            self.rows[key] = replace(self.rows[key], dead=False, attempt=0, due=self.clock.at)

    @rule(ms=st.sampled_from([0, 1, 30, 100, 2_000, -40]))
    def pass_(self, ms: int) -> None:
        """Time goes on, or a clock is set back."""
        self.clock.pass_(ms)

    @invariant()
    def nothing_is_lost_and_nobody_holds_what_another_holds(self) -> None:
        now = self.clock.at
        with self.store.read(self.scope) as tx:
            found = {(job.kind, job.subject): job for job in queue.listed(tx)}
            counted = queue.counts(tx)
            due = queue.any_due(tx, KINDS)
        assert {
            key: Row(j.due, j.revision, j.attempt, j.lease, j.leased_until, j.dead_at is not None, j.waiting)
            for key, j in found.items()
        } == self.rows
        living = [row for row in self.rows.values() if not row.dead]
        assert counted["dead"] == len(self.rows) - len(living)
        assert counted["running"] == sum(not row.is_free(now) for row in living)
        assert due is any(row.due <= now and row.is_free(now) for row in living)


def test_the_queue_behaves_as_a_table(store: Store, clock: FrozenClock, database_url: str) -> None:
    shorter = database_url.startswith("postgresql")
    run_state_machine_as_test(lambda: Queue(store, clock), settings=lasting(3 if shorter else 8, 25))
