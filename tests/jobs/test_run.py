"""One running of one job: result, usage and end are saved together, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from carryover.core.errors import LeaseLost, OverBudget, ProviderError, ProviderUnavailable
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.usage import Cap, Usage
from carryover.jobs.derivation import Derivation
from carryover.jobs.run import run
from carryover.store import counters, queue, usages
from carryover.store.store import Store, Tx

ACME = Scope("acme")
PAID = Usage("fake:small", 1, tokens_in=40, money=Decimal("0.25"))
BOUND = Usage("fake:small", 1, tokens_in=100, money=Decimal("1"))


def derivation(
    think: Callable[[int], tuple[int, Usage]] = lambda work: (work, PAID),
    load: Callable[[Tx, Job], int | None] = lambda tx, job: 7,
    save: Callable[[Tx, Job, int, int], Any] = lambda tx, job, work, made: counters.bump(tx, "made", made),
    estimate: Callable[[int], Usage] = lambda work: BOUND,
) -> Derivation[int, int]:
    return Derivation("consolidate", load, think, save, estimate)


@pytest.fixture
def job(store: Store, clock: Any) -> Job:
    with store.write(ACME) as tx:
        queue.arm(tx, [("consolidate", "a/s", clock.at)])
        claimed = queue.claim(tx, ["consolidate"], lease_ms=60_000)
    assert claimed is not None
    return claimed


def state(store: Store, clock: Any) -> dict[str, Any]:
    with store.read(ACME) as tx:
        billed = usages.totals(tx, 0, clock.at + 1, "tenant")
        return {
            "made": counters.values(tx, ["made"])[0],
            "spent": usages.spent(tx, clock.at).tokens,
            "reserved": usages.reserved(tx, clock.at).tokens,
            "billed": billed[0].usage.money if billed else 0,
            "job": queue.get(tx, "consolidate", "a/s") is not None,
        }


def test_result_usage_and_end_are_saved_together(store: Store, clock: Any, job: Job) -> None:
    run(store, job, derivation(), Cap())
    assert state(store, clock) == {"made": 7, "spent": 40, "reserved": 0, "billed": Decimal("0.25"), "job": False}


def test_nothing_to_work_on_ends_the_job(store: Store, clock: Any, job: Job) -> None:
    run(store, job, derivation(load=lambda tx, job: None, think=lambda work: pytest.fail("thought")), Cap())
    assert state(store, clock) == {"made": 0, "spent": 0, "reserved": 0, "billed": 0, "job": False}


def test_what_needs_no_model_reserves_nothing(store: Store, clock: Any, job: Job) -> None:
    free = Usage(turns_covered=3)
    run(store, job, derivation(think=lambda work: (work, free), estimate=lambda work: Usage()), Cap(tokens=0))
    assert state(store, clock) == {"made": 7, "spent": 0, "reserved": 0, "billed": 0, "job": False}


def test_over_budget_thinks_nothing_and_consumes_nothing(store: Store, clock: Any, job: Job) -> None:
    with pytest.raises(OverBudget):
        run(store, job, derivation(think=lambda work: pytest.fail("thought")), Cap(tokens=99))
    assert state(store, clock) == {"made": 0, "spent": 0, "reserved": 0, "billed": 0, "job": True}
    run(store, job, derivation(), Cap(tokens=100, money=Decimal(1)))
    assert state(store, clock)["made"] == 7


@pytest.mark.parametrize("error", [ProviderUnavailable, ProviderError])
@pytest.mark.parametrize("consumed", [None, PAID])
def test_a_failed_call_counts_what_it_consumed_and_bills_nothing(
    store: Store, clock: Any, job: Job, error: type[ProviderError], consumed: Usage | None
) -> None:
    def think(work: int) -> tuple[int, Usage]:
        raise error(usage=consumed)

    with pytest.raises(error):
        run(store, job, derivation(think=think), Cap())
    spent = 40 if consumed else 0
    assert state(store, clock) == {"made": 0, "spent": spent, "reserved": 0, "billed": 0, "job": True}


def test_an_unknown_failure_keeps_its_reservation_for_the_day(store: Store, clock: Any, job: Job) -> None:
    """Nobody knows what was consumed, so the bound on it stands."""

    def think(work: int) -> tuple[int, Usage]:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run(store, job, derivation(think=think), Cap())
    assert state(store, clock) == {"made": 0, "spent": 0, "reserved": 100, "billed": 0, "job": True}


def test_a_lost_lease_drops_the_result_and_bills_nothing(store: Store, clock: Any, job: Job) -> None:
    def think(work: int) -> tuple[int, Usage]:
        clock.pass_(60_000)
        with store.write(ACME) as tx:
            assert queue.claim(tx, ["consolidate"], lease_ms=60_000) is not None
        return work, PAID

    with pytest.raises(LeaseLost):
        run(store, job, derivation(think=think), Cap())
    assert state(store, clock) == {"made": 0, "spent": 40, "reserved": 0, "billed": 0, "job": True}


def test_a_save_that_fails_leaves_nothing_but_what_was_consumed(store: Store, clock: Any, job: Job) -> None:
    def save(tx: Tx, job: Job, work: int, made: int) -> None:
        counters.bump(tx, "made", made)
        raise ValueError("not like this")

    with pytest.raises(ValueError, match="not like this"):
        run(store, job, derivation(save=save), Cap())
    assert state(store, clock) == {"made": 0, "spent": 40, "reserved": 0, "billed": 0, "job": True}


def test_a_job_armed_while_it_thinks_runs_again(store: Store, clock: Any, job: Job) -> None:
    def think(work: int) -> tuple[int, Usage]:
        with store.write(ACME) as tx:
            queue.arm(tx, [("consolidate", "a/s", clock.at + 5)])
        return work, PAID

    run(store, job, derivation(think=think), Cap())
    assert state(store, clock) == {"made": 7, "spent": 40, "reserved": 0, "billed": Decimal("0.25"), "job": True}


def test_no_transaction_is_open_while_it_thinks(store: Store, job: Job) -> None:
    def think(work: int) -> tuple[int, Usage]:
        assert store.engine.pool.checkedout() <= 1  # type: ignore[attr-defined]  # the writer, which stays
        written: list[int] = []

        def write() -> None:
            with store.write(ACME) as tx:
                written.append(counters.bump(tx, "meanwhile"))

        other = threading.Thread(target=write)
        other.start()
        other.join(10)
        assert written == [1]
        return work, PAID

    run(store, job, derivation(think=think), Cap())
