"""Metering: exact to a billionth of a dollar, and no number of workers passes a cap."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.core.clock import DAY_MS, day_of
from carryover.core.errors import OverBudget
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.usage import Cap, Usage
from carryover.store import usages
from carryover.store.store import Store

ACME = Scope("acme")
NO_CAP = Cap()
JOB = Job("acme", "consolidate", "a/s", 0, 1)


def call(money: str = "0", tokens: int = 0) -> Usage:
    return Usage("fake:small", 1, tokens_in=tokens, money=Decimal(money))


def spent(store: Store, at: int) -> Usage:
    with store.read(ACME) as tx:
        return usages.spent(tx, at)


def held(store: Store, at: int) -> Usage:
    with store.read(ACME) as tx:
        return usages.reserved(tx, at)


def reserve(store: Store, estimate: Usage, cap: Cap = NO_CAP) -> str:
    with store.write(ACME) as tx:
        return usages.reserve(tx, JOB, estimate, cap)


def record(store: Store, usage: Usage, job: Job = JOB, **how: Any) -> None:
    with store.write(Scope(job.tenant)) as tx:
        usages.record(tx, job, usage, **how)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(0, 1000, places=9), min_size=1, max_size=8))
def test_money_is_exact_to_a_billionth(store: Store, clock: Any, amounts: list[Decimal]) -> None:
    clock.pass_(DAY_MS)
    for amount in amounts:
        record(store, call(str(amount)))
    assert spent(store, clock.at).money == sum(amounts)


def test_money_below_a_billionth_is_never_counted_as_less(store: Store, clock: Any) -> None:
    record(store, call("0.0000000001"))
    assert spent(store, clock.at).money == Decimal("0.000000001")


def test_a_reservation_is_held_until_it_is_settled(store: Store, clock: Any) -> None:
    reservation = reserve(store, call("0.5", 100))
    assert (held(store, clock.at).tokens, spent(store, clock.at).tokens) == (100, 0)
    record(store, call("0.2", 40), reservation=reservation)
    assert (held(store, clock.at).tokens, spent(store, clock.at).tokens) == (0, 40)
    assert spent(store, clock.at).money == Decimal("0.2")


def test_what_was_settled_is_not_settled_again(store: Store, clock: Any) -> None:
    """A save that was not answered may have been made: the worker that gives up on it changes nothing then."""
    reservation = reserve(store, call("0.5", 100))
    record(store, call("0.2", 40), reservation=reservation)
    record(store, call("0.3", 60), reservation=reservation, saved=False)
    record(store, Usage(), reservation=reservation, saved=False)
    assert spent(store, clock.at).tokens == 40
    with store.read(ACME) as tx:
        assert [total.usage.tokens for total in usages.totals(tx, 0, clock.at + 1, "tenant")] == [40]


@pytest.mark.parametrize(("cap", "name"), [(Cap(tokens=150), "150 tokens"), (Cap(money=Decimal("0.75")), r"\$0.75")])
def test_a_cap_counts_what_is_settled_and_what_is_reserved(store: Store, clock: Any, cap: Cap, name: str) -> None:
    record(store, call("0.25", 50))
    reserve(store, call("0.5", 100), cap)
    with pytest.raises(
        OverBudget, match=f"would pass the cap of {name} a day.* it waits until midnight UTC"
    ) as refusal:
        reserve(store, call("0.000000001", 1), cap)
    # Only what a running job holds is in the way, and that job will mostly need less.
    assert refusal.value.facts["until"] == clock.at + usages.SOON_MS
    record(store, call("0.5", 100))
    with pytest.raises(OverBudget) as refusal:
        reserve(store, call("0.000000001", 1), cap)
    assert refusal.value.facts["until"] == day_of(clock.at) + DAY_MS
    clock.at = refusal.value.facts["until"]
    reserve(store, call("0.5", 100), cap)


@pytest.mark.parametrize(("cap", "asked"), [(Cap(tokens=150), ("0.1", 151)), (Cap(money=Decimal("0.75")), ("0.8", 1))])
def test_what_no_day_has_room_for_is_told_so(store: Store, cap: Cap, asked: tuple[str, int]) -> None:
    with pytest.raises(OverBudget, match="it waits until the cap is higher"):
        reserve(store, call(*asked), cap)


def test_a_failed_attempt_counts_against_the_cap_and_is_not_billed(store: Store, clock: Any) -> None:
    record(store, call("0.5", 10), reservation=reserve(store, call("1", 20)), saved=False)
    assert spent(store, clock.at).tokens == 10
    with store.read(ACME) as tx:
        assert usages.totals(tx, 0, clock.at + 1, "tenant") == []


def test_a_call_is_counted_on_the_day_that_it_was_reserved(store: Store, clock: Any) -> None:
    yesterday = clock.at
    cap = Cap(tokens=100)
    reservation = reserve(store, call(tokens=100), cap)
    clock.pass_(DAY_MS)
    today = reserve(store, call(tokens=100), cap)
    record(store, call(tokens=100), reservation=reservation)
    record(store, call(tokens=100), reservation=today)
    assert (spent(store, yesterday).tokens, spent(store, clock.at).tokens) == (100, 100)


def test_what_consumed_nothing_leaves_no_row(store: Store, clock: Any) -> None:
    record(store, Usage())
    record(store, Usage(), reservation=reserve(store, call("1", 10)), saved=False)
    assert held(store, clock.at) == Usage(model="")
    with store.read(ACME) as tx:
        assert usages.totals(tx, 0, clock.at + 1, "job") == []


def test_concurrent_workers_never_pass_a_cap(store: Store, clock: Any) -> None:
    cap = Cap(tokens=1000)
    start = threading.Barrier(6)
    refused: list[int] = []

    def work(n: int) -> None:
        start.wait()
        for _ in range(12):
            try:
                reservation = reserve(store, call(tokens=37), cap)
            except OverBudget:
                refused.append(n)
                continue
            record(store, call(tokens=37), reservation=reservation)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spent(store, clock.at).tokens == 27 * 37 <= 1000
    assert len(refused) == 72 - 27


def test_totals_by_group(store: Store, clock: Any) -> None:
    record(store, call("2", 10), Job("acme", "consolidate", "a/s", 0, 1))
    record(store, call("1", 10), Job("acme", "consolidate", "b/s", 0, 1))
    record(store, call("4", 10), Job("acme", "index", "b/s", 0, 1))
    record(store, call("9", 10), Job("zeta", "index", "b/s", 0, 1))
    with store.read(ACME) as tx:
        by = {group: [(t.group, t.jobs, t.usage.money) for t in usages.totals(tx, 0, clock.at + 1, group)]
              for group in ("tenant", "agent", "job")}  # fmt: skip
        assert usages.totals(tx, clock.at + 1, clock.at + 2, "tenant") == []
        narrowed = tx.within(Scope("acme", agent="a"))
        assert [t.usage.money for t in usages.totals(narrowed, 0, clock.at + 1, "tenant")] == [2]
    assert by == {
        "tenant": [("acme", 3, 7)],
        "agent": [("b", 2, 5), ("a", 1, 2)],
        "job": [("index", 1, 4), ("consolidate", 2, 3)],
    }
