"""Exposures and effects: what stands where, since when and until when; each said once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carryover.core.pattern import Effect, Exposure, Share
from carryover.core.scope import Scope
from carryover.store import exposures
from carryover.store.store import Store
from clocks import FrozenClock

ACME, BELL = Scope("acme"), Scope("bell")
TOLD = Exposure("p1", 3, "/r/CLAUDE.md", "r", "claude-code", 1_000, block="h1", detail={"line": "Read it first."})
FOUND = Effect(
    "p1", 3, 2_000, "underpowered", "before/after", "incidence", Share(5, 40, 9), Share(1, 12, 1), -0.04, -0.2, 0.1,
    missing=131, notes=("a note",), detail={"p": 0.7, "strata": [["r", "codex", 1.5]]},
)  # fmt: skip


def listed(store: Store, scope: Scope = ACME, **which: object) -> list[Exposure]:
    with store.read(scope) as tx:
        return exposures.listed(tx, **which)  # type: ignore[arg-type]


def test_an_exposure_comes_back_as_it_was_and_is_added_once(store: Store) -> None:
    for later in (0, 500):
        with store.write(ACME) as tx:
            assert exposures.add(tx, [replace(TOLD, since=1_000 + later)]) == (0 if later else 1)
    assert listed(store) == [TOLD]
    assert listed(store, BELL) == []


def test_another_version_or_other_words_begin_where_the_one_before_ends(store: Store) -> None:
    other = replace(TOLD, version=4, since=2_000)
    reworded = replace(other, since=3_000, detail={"line": "Read the file first."})
    with store.write(ACME) as tx:
        assert exposures.add(tx, [TOLD, other, reworded]) == 3
    assert listed(store) == [replace(TOLD, until=2_000), replace(other, until=3_000), reworded]
    assert listed(store, standing=True) == [reworded]
    assert [one.until for one in listed(store, standing=False)] == [2_000, 3_000]


def test_it_ends_once_and_may_begin_again(store: Store) -> None:
    with store.write(ACME) as tx:
        exposures.add(tx, [TOLD, replace(TOLD, pattern="p2")])
        assert exposures.end(tx, "p1", TOLD.path, 5_000)
        assert not exposures.end(tx, "p1", TOLD.path, 6_000)
        assert not exposures.end(tx, "p1", "/elsewhere", 6_000)
    assert [one.until for one in listed(store, pattern="p1")] == [5_000]
    assert [one.pattern for one in listed(store, path=TOLD.path, standing=True)] == ["p2"]
    with store.write(ACME) as tx:
        assert exposures.add(tx, [TOLD]) == 1  # at the very moment at which it began before
    assert listed(store, pattern="p1") == [TOLD]


def test_the_block_is_that_of_all_that_stand_there(store: Store) -> None:
    gone = replace(TOLD, pattern="p2", until=1_500)
    with store.write(ACME) as tx:
        exposures.add(tx, [TOLD, replace(gone, until=None), replace(TOLD, path="/r/AGENTS.md")])
        exposures.end(tx, "p2", TOLD.path, 1_500)
        exposures.wrote(tx, TOLD.path, "h2")
    assert {(one.pattern, one.path, one.block) for one in listed(store)} == {
        ("p1", TOLD.path, "h2"),
        ("p2", TOLD.path, "h1"),
        ("p1", "/r/AGENTS.md", "h1"),
    }


def test_an_effect_comes_back_as_it_was_and_is_kept_once(store: Store, clock: FrozenClock) -> None:
    with store.write(ACME) as tx:
        assert exposures.measured(tx, [FOUND]) == 1
        assert exposures.measured(tx, [replace(FOUND, at=3_000)]) == 0
        assert exposures.measured(tx, [replace(FOUND, at=4_000, verdict="helped", low=-0.2, high=-0.01)]) == 1
    with store.read(ACME) as tx:
        newest = exposures.latest(tx, "p1")
        assert [one.verdict for one in exposures.history(tx, "p1")] == ["underpowered", "helped"]
        assert exposures.history(tx, "p1")[0] == FOUND
        assert exposures.latest(tx, "p2") is None
    assert newest is not None
    assert (newest.at, newest.verdict) == (4_000, "helped")
    with store.read(BELL) as tx:
        assert exposures.latest(tx, "p1") is None


@pytest.mark.parametrize("at", [1_000, 4_000])
def test_measured_twice_in_a_moment_the_last_counts(store: Store, at: int) -> None:
    with store.write(ACME) as tx:
        exposures.measured(tx, [replace(FOUND, at=at)])
        exposures.measured(tx, [replace(FOUND, at=at, verdict="harmful")])
    with store.read(ACME) as tx:
        assert [one.verdict for one in exposures.history(tx, "p1")] == ["harmful"]
