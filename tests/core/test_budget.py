"""The plan: what may go, in which order; and what may not."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from carryover.core.budget import TIERS, Budget, Drop, Held, plan
from carryover.core.clock import DAY_MS

NOW = 1_000 * DAY_MS
LOGS = st.lists(
    st.builds(
        Held,
        path=st.integers(0, 10**6).map("/{}".format),
        generation=st.integers(0, 1),
        flavor=st.sampled_from(["claude-code", "codex"]),
        at=st.integers(0, NOW),
        bytes=st.integers(0, 1000),
        tier=st.sampled_from(TIERS),
        digested=st.booleans(),
        superseded=st.booleans(),
    ),
    max_size=20,
    unique_by=lambda log: log.path,
)
ORDER = ["tight", "rewritten since", "progress", "duplicates", "outputs", "gone"]


def step(drop: Drop) -> int:
    return ORDER.index(drop.reason if drop.log.superseded and drop.reason in ORDER else drop.tier)


@given(LOGS, st.none() | st.integers(1, 900))
def test_only_what_was_digested_goes_before_the_hard_cap(logs: list[Held], days: int | None) -> None:
    for drop in plan(logs, Budget(5, 10, days), NOW):
        if drop.tier != "tight":
            assert drop.log.digested != drop.loses
            assert drop.loses == (drop.within == "hard")


@given(LOGS, st.none() | st.integers(1, 900))
def test_passes_and_steps_follow_each_other_and_the_oldest_goes_first(logs: list[Held], days: int | None) -> None:
    drops = list(plan(logs, Budget(5, 10, days), NOW))
    passes = [("age", "soft", "hard").index(drop.within) for drop in drops]
    assert passes == sorted(passes)
    soft = [drop for drop in drops if drop.within == "soft"]
    assert [step(drop) for drop in soft] == sorted(step(drop) for drop in soft)
    for before, after in pairwise(drops):
        same = (before.within, before.tier, before.reason) == (after.within, after.tier, after.reason)
        if same and before.log.superseded == after.log.superseded:
            assert before.log.at <= after.log.at


@given(LOGS)
def test_carried_out_whole_it_leaves_nothing_and_takes_nothing_twice(logs: list[Held]) -> None:
    left = {log.path: TIERS.index(log.tier) for log in logs}
    for drop in plan(logs, Budget(0, 0), NOW):
        if TIERS.index(drop.tier) > left[drop.log.path]:
            left[drop.log.path] = TIERS.index(drop.tier)
    assert set(left.values()) <= {TIERS.index("gone")}


@given(LOGS, st.integers(1, 900))
def test_age_takes_what_is_older_and_nothing_else(logs: list[Held], days: int) -> None:
    drops = [drop for drop in plan(logs, Budget(5, 10, days), NOW) if drop.within == "age"]
    assert {drop.log.path for drop in drops} == {
        log.path for log in logs if log.digested and log.at < NOW - days * DAY_MS
    }
    assert {drop.tier for drop in drops} <= {"gone"}


@given(LOGS)
def test_the_order_in_which_logs_were_found_changes_nothing(logs: list[Held]) -> None:
    assert list(plan(logs, Budget(5, 10), NOW)) == list(plan(logs[::-1], Budget(5, 10), NOW))


def test_targets() -> None:
    budget = Budget(5, 10)
    assert [budget.target(name) for name in ("age", "soft", "hard")] == [None, 5, 10]
