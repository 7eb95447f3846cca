"""Extractors of a tenant: one is promoted at a time, and what is noted comes back as it was."""

from __future__ import annotations

import threading

from carryover.core.extractor import Comparison, Tally
from carryover.core.scope import Scope
from carryover.store import extractors
from carryover.store.extractors import Compared
from carryover.store.store import Store
from clocks import FrozenClock

ACME, BELL = Scope("acme"), Scope("bell")


def states(store: Store, scope: Scope) -> dict[str, str]:
    with store.read(scope) as tx:
        return {one.name: one.state for one in extractors.listed(tx)}


def test_one_is_promoted_at_a_time(store: Store, clock: FrozenClock) -> None:
    for name in ("a/1", "b/1", "c/1"):
        clock.pass_(1)
        with store.write(ACME) as tx:
            extractors.promote(tx, name, f"because of {name}")
    assert list(states(store, ACME).items()) == [("c/1", "promoted"), ("b/1", "former"), ("a/1", "former")]
    with store.write(ACME) as tx:
        extractors.promote(tx, "a/1", "it took over", away="c/1")
    assert states(store, ACME) == {"a/1": "promoted", "b/1": "former", "c/1": "away"}
    with store.write(ACME) as tx:
        extractors.promote(tx, "b/1", "it is better")
    assert states(store, ACME) == {"a/1": "former", "b/1": "promoted", "c/1": "former"}
    with store.read(ACME) as tx:
        known = extractors.promoted(tx)
    assert known is not None
    assert (known.name, known.reason, known.since) == ("b/1", "it is better", clock.now())
    assert states(store, BELL) == {}
    with store.read(BELL) as tx:
        assert extractors.promoted(tx) is None
        assert extractors.find(tx, "b/1") is None


def test_who_decides_holds_off_the_others(store: Store) -> None:
    ready = threading.Barrier(4)

    def first(name: str) -> None:
        ready.wait()
        with store.write(ACME) as tx:
            extractors.lock(tx)
            if extractors.promoted(tx) is None:
                extractors.promote(tx, name, "none was promoted before it")

    threads = [threading.Thread(target=first, args=(f"{n}/1",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(states(store, ACME).values()) == ["promoted"]


def test_a_comparison_is_kept_until_it_is_over(store: Store) -> None:
    done = [Compared("m1", Tally(4, 3, 9, 8, 0), Tally(4, 2, 9, 7, 1), 120), Compared("m2", Tally(), Tally(), 7)]
    total = Comparison(2, done[0].before, done[0].after)
    with store.write(ACME) as tx:
        extractors.promote(tx, "a/1", "first")
        extractors.compare(tx, "b/1", "a/1")
        extractors.note(tx, "b/1", total, done, "so far")
    with store.read(ACME) as tx:
        assert extractors.compared(tx, "b/1") == done
        assert extractors.compared(tx, "nobody") == []
        state = extractors.find(tx, "b/1")
    assert state is not None
    assert (state.state, state.score, state.against, state.reason, state.comparison) == (
        "candidate",
        0.5,
        "a/1",
        "so far",
        total,
    )
    with store.write(ACME) as tx:
        extractors.note(tx, "b/1", total, (), "less")
        extractors.refuse(tx, "b/1", "a/1", "less")
    with store.read(ACME) as tx:
        assert extractors.compared(tx, "b/1") == []
        state = extractors.find(tx, "b/1")
    assert state is not None
    assert (state.state, state.reason, state.comparison) == ("refused", "less", total)
    with store.write(ACME) as tx:
        extractors.compare(tx, "b/1", "a/1")
        state = extractors.find(tx, "b/1")
    assert state is not None
    assert (state.state, state.score, state.comparison) == ("candidate", None, Comparison())
