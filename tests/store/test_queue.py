"""The queue: one row a job, claimed by one worker at a time, never lost and never finished twice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest

from carryover.core.errors import LeaseLost, NotFound
from carryover.core.job import CRASHES, LONG_MS, Job, State, subject_of
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import queue
from carryover.store.queue import Due
from carryover.store.store import Store, Tx
from carryover.store.tables import jobs

ACME = Scope("acme")
KINDS = ("consolidate", "index")
MINUTE = 60_000


def do(store: Store, what: Callable[[Tx], Any], scope: Scope = ACME) -> Any:
    with store.write(scope) as tx:
        return what(tx)


def arm(store: Store, subject: str, due: int, *, kind: str = "index", push: bool = True, scope: Scope = ACME) -> None:
    do(store, lambda tx: queue.arm(tx, [(kind, subject, due)], push=push), scope)


def claim(store: Store, lease_ms: int = MINUTE, **asked: str) -> Job | None:
    return do(store, lambda tx: queue.claim(tx, KINDS, lease_ms=lease_ms, **asked))


def claimed(store: Store, lease_ms: int = MINUTE) -> Job:
    job = claim(store, lease_ms)
    assert job is not None
    return job


def get(store: Store, subject: str, kind: str = "index") -> Job | None:
    with store.read(ACME) as tx:
        return queue.get(tx, kind, subject)


def known(store: Store, subject: str) -> Job:
    job = get(store, subject)
    assert job is not None
    return job


def counts(store: Store, scope: Scope = ACME) -> dict[str, int]:
    with store.read(scope) as tx:
        return queue.counts(tx)


@pytest.mark.parametrize("later", [-5000, 5000])
def test_arming_moves_the_due_time_both_ways(store: Store, clock: Any, later: int) -> None:
    arm(store, "a/s", clock.at)
    arm(store, "a/s", clock.at + later)
    assert (known(store, "a/s").due, known(store, "a/s").revision) == (clock.at + later, 2)


@pytest.mark.parametrize("later", [-5000, 5000])
def test_arming_without_push_keeps_the_earlier_time(store: Store, clock: Any, later: int) -> None:
    arm(store, "a/s", clock.at)
    arm(store, "a/s", clock.at + later, push=False)
    assert (known(store, "a/s").due, known(store, "a/s").revision) == (clock.at + min(later, 0), 2)


def test_a_job_that_backs_off_is_not_hurried_without_push(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    do(store, lambda tx: queue.fail(tx, job, "no answer", due=clock.at + 9000))
    arm(store, "a/s", clock.at, push=False)
    assert (known(store, "a/s").due, known(store, "a/s").attempt) == (clock.at + 9000, 1)
    arm(store, "a/s", clock.at)
    assert (known(store, "a/s").due, known(store, "a/s").attempt) == (clock.at, 0)


def test_postponing_moves_what_is_armed_and_arms_nothing(store: Store, clock: Any) -> None:
    do(store, lambda tx: queue.postpone(tx, "index", "a/s", clock.at))
    assert get(store, "a/s") is None
    arm(store, "a/s", clock.at)
    do(store, lambda tx: queue.postpone(tx, "index", "a/s", clock.at + 7))
    assert known(store, "a/s").due == clock.at + 7


def test_the_job_that_has_been_due_longest_is_claimed_first(store: Store, clock: Any) -> None:
    for subject, due in (("a/2", -20), ("a/1", -30), ("a/3", -10), ("a/later", 1)):
        arm(store, subject, clock.at + due)
    arm(store, "a/other", clock.at - 99, kind="expire")
    taken = [claim(store) for _ in range(4)]
    assert [job and job.subject for job in taken] == ["a/1", "a/2", "a/3", None]
    clock.pass_(1)
    job = claimed(store)
    assert (job.subject, job.agent_id, job.session_id) == (subject_of("a", "later"), "a", "later")


def test_a_claim_serves_its_own_tenant_alone(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at - 1, scope=Scope("zeta"))
    assert claim(store) is None
    arm(store, "a/s", clock.at)
    assert claim(store, subject="a/other") is None
    first = claim(store, subject="a/s")
    assert first is not None
    assert (first.tenant, first.scope) == ("acme", ACME)
    assert claim(store) is None


def test_a_batch_is_the_oldest_jobs_of_one_tenant_each_with_its_lease(store: Store, clock: Any) -> None:
    for subject, due in (("a/2", -20), ("a/1", -30), ("a/3", -10), ("a/later", 1)):
        arm(store, subject, clock.at + due)
    arm(store, "a/s", clock.at - 99, scope=Scope("zeta"))
    first, second = batch = do(store, lambda tx: queue.claim_batch(tx, KINDS, lease_ms=MINUTE, most=2))
    assert [(job.subject, job.attempt) for job in batch] == [("a/1", 1), ("a/2", 1)]
    assert get(store, "a/1") == first
    do(store, lambda tx: queue.finish(tx, first))
    assert get(store, "a/2") == second
    (third,) = do(store, lambda tx: queue.claim_batch(tx, KINDS, lease_ms=MINUTE, most=9))
    assert third.subject == "a/3"


def test_the_tenants_that_have_jobs_to_claim(store: Store, clock: Any) -> None:
    def due(scope: Scope = EVERY_TENANT, kinds: Sequence[str] = KINDS, limit: int = 9) -> list[Due]:
        with store.read(scope) as tx:
            return queue.tenants_due(tx, kinds, limit)

    assert due() == []
    for tenant, subject, ago in (("acme", "a/1", 5), ("acme", "a/2", 9), ("zeta", "a/1", 7), ("later", "a/1", -1)):
        arm(store, subject, clock.at - ago, scope=Scope(tenant))
    acme, zeta = Due("acme", clock.at - 9, 2), Due("zeta", clock.at - 7, 1)
    assert due() == [acme, zeta]
    assert due(limit=1) == [acme]
    assert due(Scope("zeta")) == [zeta]
    assert due(kinds=["expire"]) == []
    job = claimed(store)
    assert due() == [zeta, Due("acme", clock.at - 5, 1)]
    do(store, lambda tx: queue.fail(tx, job, "no", due=None))
    clock.pass_(MINUTE)
    assert [one.tenant for one in due()] == ["zeta", "acme", "later"]


def test_a_job_that_is_put_back_can_be_claimed_at_once(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    do(store, lambda tx: queue.put_back(tx, [job]))
    again = claimed(store)
    assert (again.attempt, again.due) == (1, clock.at)
    do(store, lambda tx: queue.put_back(tx, [job]))  # it is another's by now
    assert known(store, "a/s") == again


def test_a_lease_says_who_holds_it_and_since_when(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    assert job.holder == f"{socket.gethostname()}:{os.getpid()}"
    assert job.claimed_at == clock.at
    do(store, lambda tx: queue.put_back(tx, [job]))
    assert (known(store, "a/s").holder, known(store, "a/s").claimed_at) == (None, None)


def test_jobs_are_listed_by_their_state(store: Store, clock: Any) -> None:
    def listed(state: State | None = None, scope: Scope = ACME) -> list[str]:
        with store.read(scope) as tx:
            return [job.subject for job in queue.listed(tx, state)]

    arm(store, "a/dead", clock.at - 9)
    dead = claimed(store)
    do(store, lambda tx: queue.fail(tx, dead, "no", due=None))
    arm(store, "a/crashing", clock.at)
    for _ in range(CRASHES):
        claimed(store, lease_ms=1)
        clock.pass_(1)
    arm(store, "a/waiting", clock.at - 8)
    waiting = claimed(store)
    do(store, lambda tx: queue.wait(tx, waiting, "cap", until=clock.at + 100))
    arm(store, "a/running", clock.at - 9)
    running = claimed(store, lease_ms=10 * LONG_MS)
    arm(store, "a/due", clock.at)
    arm(store, "a/armed", clock.at + 99)
    arm(store, "a/theirs", clock.at, scope=Scope("zeta"))
    subjects = {state: listed(state) for state in get_args(State)}
    assert subjects == {
        "armed": ["a/armed"], "due": ["a/crashing", "a/due"], "running": ["a/running"], "waiting": ["a/waiting"],
        "dead": ["a/dead"], "stuck": ["a/crashing"],
    }  # fmt: skip
    assert listed() == ["a/dead", "a/running", "a/crashing", "a/due", "a/armed", "a/waiting"]
    assert "a/theirs" in listed(None, EVERY_TENANT)
    with store.read(ACME) as tx:
        states = {job.subject.partition("/")[2]: job.state(tx.now) for job in queue.listed(tx)}
    assert states == {name: "stuck" if name == "crashing" else name for name in states}
    assert running.state((running.claimed_at or 0) + LONG_MS + 1) == "stuck"


def test_all_dead_jobs_are_revived_at_once(store: Store, clock: Any) -> None:
    for scope in (ACME, ACME, Scope("zeta")):
        arm(store, f"a/{clock.at}", clock.at, scope=scope)
        (job,) = do(store, lambda tx: queue.claim_batch(tx, KINDS, lease_ms=MINUTE, most=1), scope)
        do(store, lambda tx, job=job: queue.fail(tx, job, "no", due=None), scope)
        clock.pass_(1)
    assert do(store, queue.revive_all) == 2
    assert do(store, queue.revive_all, EVERY_TENANT) == 1
    assert counts(store) == {"due": 2, "running": 0, "dead": 0, "waiting": 0}


def test_what_is_due_can_be_seen_without_a_lock(store: Store, clock: Any) -> None:
    def due() -> bool:
        with store.read(ACME) as tx:
            return queue.any_due(tx, KINDS)

    assert not due()
    arm(store, "a/s", clock.at + 1)
    assert not due()
    clock.pass_(1)
    assert due()
    claimed(store)
    assert not due()
    clock.pass_(MINUTE)
    assert due()


def test_a_lease_that_ran_out_is_claimed_again_and_fences_the_first_worker(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    first = claimed(store)
    clock.pass_(MINUTE - 1)
    assert claim(store) is None
    clock.pass_(1)
    second = claimed(store)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.lease != second.lease
    for attempt in (
        lambda tx: queue.finish(tx, first),
        lambda tx: queue.fail(tx, first, "late", due=clock.at),
        lambda tx: queue.wait(tx, first, "late", until=clock.at),
    ):
        with pytest.raises(LeaseLost, match="another worker holds index of 'a/s' now; this result was dropped"):
            do(store, attempt)
    assert do(store, lambda tx: queue.renew(tx, [first, second], lease_ms=MINUTE)) == [first]
    assert known(store, "a/s").lease == second.lease
    do(store, lambda tx: queue.finish(tx, second))
    assert get(store, "a/s") is None


def test_a_renewed_lease_lasts_from_now(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    clock.pass_(MINUTE - 1)
    do(store, lambda tx: queue.renew(tx, [job], lease_ms=MINUTE))
    clock.pass_(MINUTE - 1)
    assert claim(store) is None
    clock.pass_(1)
    assert claim(store) is not None


def test_finishing_ends_the_job_once(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    do(store, lambda tx: queue.finish(tx, job))
    assert get(store, "a/s") is None
    with pytest.raises(LeaseLost):
        do(store, lambda tx: queue.finish(tx, job))


@pytest.mark.parametrize("push", [True, False])
def test_a_job_armed_while_it_runs_stays_and_runs_again(store: Store, clock: Any, push: bool) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    clock.pass_(10)
    arm(store, "a/s", clock.at + 500, push=push)
    assert claim(store) is None
    do(store, lambda tx: queue.finish(tx, job))
    left = known(store, "a/s")
    assert (left.lease, left.attempt) == (None, 0)
    clock.pass_(500)
    assert claimed(store).subject == "a/s"


def test_a_dead_job_keeps_its_reason_until_it_is_revived(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    do(store, lambda tx: queue.fail(tx, job, "ValueError: no", due=None))
    clock.pass_(10 * MINUTE)
    assert claim(store) is None
    with store.read(ACME) as tx:
        (dead,) = queue.dead(tx)
    assert (dead.reason, dead.dead_at) == ("ValueError: no", clock.at - 10 * MINUTE)
    assert counts(store)["dead"] == 1
    do(store, lambda tx: queue.revive(tx, "index", "a/s"))
    again = claimed(store)
    assert (again.attempt, again.reason) == (1, None)
    with pytest.raises(NotFound, match="there is no dead job index of 'a/s'"):
        do(store, lambda tx: queue.revive(tx, "index", "a/s"))


@pytest.mark.parametrize("push", [True, False])
def test_arming_revives_a_dead_job(store: Store, clock: Any, push: bool) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    do(store, lambda tx: queue.fail(tx, job, "no", due=None))
    arm(store, "a/s", clock.at, push=push)
    assert claimed(store).attempt == 1


def test_waiting_for_a_cap_is_no_attempt(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    job = claimed(store)
    do(store, lambda tx: queue.wait(tx, job, "cap", until=clock.at + 100))
    assert counts(store) == {"due": 0, "running": 0, "dead": 0, "waiting": 1}
    clock.pass_(100)
    again = claimed(store)
    assert (again.attempt, again.reason) == (1, "cap")
    assert counts(store) == {"due": 0, "running": 1, "dead": 0, "waiting": 0}


def test_releasing_makes_due_what_waits_for_a_cap_in_any_tenant(store: Store, clock: Any) -> None:
    for scope in (ACME, Scope("zeta")):
        arm(store, "a/s", clock.at, scope=scope)
        job = do(store, lambda tx: queue.claim(tx, KINDS, lease_ms=MINUTE), scope)
        do(store, lambda tx, job=job: queue.wait(tx, job, "cap", until=clock.at + 100), scope)
    arm(store, "a/idle", clock.at + 50)
    do(store, queue.release, EVERY_TENANT)
    assert counts(store) == counts(store, Scope("zeta")) == {"due": 1, "running": 0, "dead": 0, "waiting": 0}


def test_the_subjects_that_are_due_or_running(store: Store, clock: Any) -> None:
    for subject, due in (("a/1", -3), ("a/2", -2), ("a/3", -1), ("a/later", 1)):
        arm(store, subject, clock.at + due)
    dead = claimed(store)
    do(store, lambda tx: queue.fail(tx, dead, "no", due=None))
    assert claimed(store).subject == "a/2"
    with store.read(ACME) as tx:
        assert queue.subjects(tx, "index", limit=9) == {"a/2", "a/3"}
        assert queue.subjects(tx, "index", limit=1) == {"a/2"}
        assert queue.subjects(tx, "consolidate", limit=9) == set()


def test_counts_are_of_one_tenant(store: Store, clock: Any) -> None:
    arm(store, "a/1", clock.at - 2)
    arm(store, "a/2", clock.at)
    arm(store, "a/3", clock.at + 1)
    arm(store, "a/1", clock.at, scope=Scope("zeta"))
    assert claimed(store).subject == "a/1"
    assert counts(store) == {"due": 1, "running": 1, "dead": 0, "waiting": 0}
    assert counts(store, Scope("zeta")) == {"due": 1, "running": 0, "dead": 0, "waiting": 0}
    clock.pass_(MINUTE)
    assert counts(store) == {"due": 3, "running": 0, "dead": 0, "waiting": 0}


def test_cancelling_drops_all_kinds_of_a_subject_and_fences_whoever_runs(store: Store, clock: Any) -> None:
    arm(store, "a/s", clock.at)
    arm(store, "a/s", clock.at + 1, kind="consolidate")
    arm(store, "a/t", clock.at + 1)
    job = claimed(store)
    assert do(store, lambda tx: queue.cancel(tx, "a/s")) == 2
    assert do(store, lambda tx: queue.cancel(tx, "a/s")) == 0
    arm(store, "a/s", clock.at)
    with pytest.raises(LeaseLost):
        do(store, lambda tx: queue.finish(tx, job))
    assert known(store, "a/t").due == clock.at + 1


def test_two_threads_never_claim_one_job(store: Store, clock: Any) -> None:
    for n in range(60):
        arm(store, f"a/{n}", clock.at)
    taken: list[list[str]] = [[], [], []]
    start = threading.Barrier(3)

    def work(mine: list[str]) -> None:
        start.wait()
        while (job := claim(store)) is not None:
            mine.append(job.subject)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [subject for mine in taken for subject in mine]
    assert len(everything) == len(set(everything)) == 60


def test_a_job_that_was_armed_while_it_failed_for_the_last_time_lives_on(store: Store) -> None:
    with store.write(Scope("acme")) as tx:
        queue.arm(tx, [("consolidate", "a/s", 0)])
        job = queue.claim(tx, ["consolidate"], lease_ms=1000)
        assert job is not None
        queue.arm(tx, [("consolidate", "a/s", tx.now)])
        queue.fail(tx, job, "the model refused", due=None)
        again = queue.claim(tx, ["consolidate"], lease_ms=1000)
    assert again is not None
    assert again.dead_at is None


def test_what_a_killed_process_held_can_be_claimed_at_once_and_what_a_living_one_holds_cannot(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with store.write(Scope("t")) as tx:
        queue.arm(tx, [("digest", "a/1", tx.now), ("digest", "a/2", tx.now)])
        assert len(queue.claim_batch(tx, ["digest"], lease_ms=60_000, most=2)) == 2
        theirs = f"{socket.gethostname()}:{child.pid}/1/x"
        tx.conn.execute(jobs.update().where(jobs.c.tenant == "t", jobs.c.subject == "a/1").values(lease=theirs))
        assert queue.free_orphans(tx) == 0
    child.kill()
    child.communicate()
    with store.write(Scope("t")) as tx:
        assert queue.free_orphans(tx) == 1
        assert [job.subject for job in queue.claim_batch(tx, ["digest"], lease_ms=60_000, most=2)] == ["a/1"]
