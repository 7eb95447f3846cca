"""Group commit: one flush for many, and each caller hears only of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from carryover.core.errors import CarryoverError, Invalid, StoreUnavailable
from carryover.core.scope import Scope
from carryover.store import commit, counters
from carryover.store.commit import GroupCommit
from carryover.store.store import Store, Tx

ACME = Scope("acme")
Handle = Callable[[Tx, Sequence[int]], Sequence[int | CarryoverError]]


def count(tx: Tx, batch: Sequence[int]) -> list[int | CarryoverError]:
    """Counts every even number; odd ones are refused."""
    return [Invalid(f"{n} is odd; use an even one") if n % 2 else counters.bump(tx, "sum", n) for n in batch]


def total(store: Store, scope: Scope = ACME) -> int:
    with store.read(scope) as tx:
        return counters.values(tx, ["sum"])[0]


def in_threads(work: Callable[[int], None], threads: int) -> None:
    started = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(30)
        assert not thread.is_alive()


def test_a_lone_request_is_answered(store: Store) -> None:
    log = GroupCommit(store, count)
    assert log.run(ACME, 2) == 2
    assert log.run(ACME, 4) == 6
    assert (log.commits, log.requests) == (2, 2)


def test_an_error_of_one_does_not_fail_its_neighbours(store: Store) -> None:
    log = GroupCommit(store, count)
    futures = [log.submit(ACME, n) for n in (2, 3, 4)]
    log.flush(log.line_of(ACME))
    assert [futures[0].result(0), futures[2].result(0)] == [2, 6]
    with pytest.raises(Invalid, match="3 is odd"):
        futures[1].result(0)
    assert (log.commits, log.requests, total(store)) == (1, 3, 6)


def test_many_that_arrive_together_share_commits(store: Store) -> None:
    log = GroupCommit(store, count)
    waiting = threading.Event()
    answers: list[int] = []
    with store.write(ACME) as tx:  # while this write goes on, requests queue up
        count(tx, [0])
        threads = [threading.Thread(target=lambda: answers.append(log.run(ACME, 2))) for _ in range(20)]
        for thread in threads:
            thread.start()
        while (line := log._lines.get(log.line_of(ACME))) is None or len(
            line.waiting
        ) < 19:  # the first one leads, and waits for this write to end
            waiting.wait(0.001)
    for thread in threads:
        thread.join()
    assert sorted(answers) == [2 * n for n in range(1, 21)]
    assert log.requests == 20
    assert log.commits == 2


def test_scopes_share_a_commit_at_most(store: Store) -> None:
    log = GroupCommit(store, count)
    futures = [log.submit(Scope(tenant), 2) for tenant in ("acme", "zeta", "acme")]
    for line in sorted({log.line_of(ACME), log.line_of(Scope("zeta"))}):
        log.flush(line)
    assert [future.result(0) for future in futures] == [2, 2, 4]
    assert (total(store), total(store, Scope("zeta"))) == (4, 2)
    assert log.commits == (2 if store.dialect.concurrent else 1)


@pytest.mark.parametrize("cause", [ValueError("a bug"), StoreUnavailable("the disk is full; free some space")])
def test_an_exception_fails_all_and_saves_nothing(store: Store, cause: Exception) -> None:
    def broken(tx: Tx, batch: Sequence[int]) -> list[int | CarryoverError]:
        count(tx, batch)
        raise cause

    log = GroupCommit(store, broken)
    futures = [log.submit(ACME, n) for n in (2, 4)]
    log.flush(log.line_of(ACME))
    for future in futures:
        with pytest.raises(type(cause), match=str(cause)):
            future.result(0)
    assert (log.commits, total(store)) == (0, 0)


def test_an_answer_too_few_fails_all(store: Store) -> None:
    log = GroupCommit(store, lambda tx, batch: count(tx, batch)[1:])
    with pytest.raises(ValueError, match="zip"):
        log.run(ACME, 2)
    assert total(store) == 0


class Interrupt(BaseException):
    """As if the user pressed Ctrl-C."""


def test_a_leader_that_is_interrupted_lets_its_followers_go(store: Store) -> None:
    interrupted: list[BaseException] = []

    def handle(tx: Tx, batch: Sequence[int]) -> list[int | CarryoverError]:
        if not interrupted:
            raise Interrupt
        return count(tx, batch)

    log = GroupCommit(store, handle)
    follower = log.submit(ACME, 2)
    try:
        log.run(ACME, 4)
    except Interrupt as end:
        interrupted.append(end)
    assert len(interrupted) == 1
    with pytest.raises(StoreUnavailable, match="retry with the same idempotency key"):
        follower.result(0)
    assert log.run(ACME, 6) == 6
    assert total(store) == 6


def test_a_caller_that_gave_up_harms_nobody(store: Store) -> None:
    log = GroupCommit(store, count)
    futures = [log.submit(ACME, n) for n in (2, 4, 6)]
    assert futures[1].cancel()
    log.flush(log.line_of(ACME))
    assert [futures[0].result(0), futures[2].result(0)] == [2, 8]
    assert log.requests == 2


def test_a_caller_cannot_give_up_what_is_being_written(store: Store) -> None:
    futures: list[Any] = []

    def handle(tx: Tx, batch: Sequence[int]) -> list[int | CarryoverError]:
        assert not futures[0].cancel()
        return count(tx, batch)

    log = GroupCommit(store, handle)
    futures.append(log.submit(ACME, 2))
    log.flush(log.line_of(ACME))
    assert futures[0].result(0) == 2


def test_the_oldest_requests_are_served_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "MOST", 3)
    log = GroupCommit(store, count)
    futures = [log.submit(ACME, 2) for _ in range(7)]
    log.flush(log.line_of(ACME))
    assert [future.done() for future in futures] == [True] * 3 + [False] * 4
    assert log.run(ACME, 2) == 16
    assert [future.result(0) for future in futures] == [2, 4, 6, 8, 10, 12, 14]
    assert log.commits == 3


def test_under_a_crowd_every_request_is_answered_once(store: Store) -> None:
    log = GroupCommit(store, count)
    answers: list[int] = []
    refusals: list[Invalid] = []

    def work(n: int) -> None:
        for turn in range(25):
            try:
                answers.append(log.run(ACME, 2 if turn % 5 else 1))
            except Invalid as refusal:
                refusals.append(refusal)

    in_threads(work, 16)
    assert sorted(answers) == [2 * n for n in range(1, 321)]
    assert len(refusals) == 80
    assert (log.requests, total(store)) == (400, 640)
    assert log.commits < 400


def test_a_follower_that_was_to_lead_and_is_gone_is_replaced(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread was interrupted in its sleep; nobody waits for ever on it."""
    monkeypatch.setattr(commit, "LONGEST_NAP_S", 0.05)
    log = GroupCommit(store, count)
    line, gone = log._enqueue(ACME, 2)
    gone.wake = threading.Event()
    line.leading.acquire()  # as if a commit were under way
    answers: list[int] = []
    follower = threading.Thread(target=lambda: answers.append(log.run(ACME, 4)))
    follower.start()
    while len(line.waiting) < 2:
        time.sleep(0.001)
    line.leading.release()  # and its leader had called on the one that is gone
    follower.join(20)
    assert answers == [6]
    assert gone.future.result(0) == 2


def test_listeners_hear_of_each_commit_and_of_no_rollback(store: Store) -> None:
    heard: list[int] = []
    store.listeners.append(lambda _: heard.append(total(store)))
    log = GroupCommit(store, count)
    log.run(ACME, 2)
    with pytest.raises(KeyError), store.write(ACME):
        raise KeyError
    log.run(ACME, 2)
    assert heard == [2, 4]


def test_a_caller_whose_answer_is_ready_does_not_lead_for_others(store: Store) -> None:
    """Its thread returns at once, even while the next commit is slow."""
    slow = threading.Event()
    led: list[str] = []

    def handle(tx: Tx, batch: Sequence[int]) -> list[int | CarryoverError]:
        led.append(threading.current_thread().name)
        if len(led) == 1:
            slow.wait(10)
        return count(tx, batch)

    log = GroupCommit(store, handle)
    first = threading.Thread(target=log.run, args=(ACME, 2), name="first")
    first.start()
    while not led:
        time.sleep(0.001)
    second = threading.Thread(target=log.run, args=(ACME, 2), name="second")
    second.start()
    while not log._lines[log.line_of(ACME)].waiting:
        time.sleep(0.001)
    slow.set()
    first.join(10)
    second.join(10)
    assert led == ["first", "second"]
