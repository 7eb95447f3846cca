"""A cluster keeps every word that it gave while another node takes the lead; and the checker would notice otherwise.

All the other faults are `make chaos`; `tests/cli/test_demo_cluster.py` kills the leader.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from random import Random

import pytest

from benchmarks import chaos, chaos_clients, chaos_faults
from benchmarks.chaos_check import Found, Row, judge
from benchmarks.chaos_clients import Outcome, Request

PLACE = ("acme", "planner", "s")


def sent(n: int, *, at: float, **told: object) -> Outcome:
    asked = Request(f"k{n}", *PLACE, f"said {n}", n - 1)
    return Outcome(asked, "client-0", at, **told)  # type: ignore[arg-type]


def acknowledged(n: int) -> Outcome:
    return sent(n, at=10.0 * n, ended_at=10.0 * n + 1, seq=n, version=n)


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Three were acknowledged, one was refused, and one never heard."""
    refused, unheard = sent(4, at=40, ended_at=41, refused=True), sent(5, at=50)
    return [*(acknowledged(n) for n in (1, 2, 3)), refused, unheard]


@pytest.fixture
def found() -> Found:
    """What a log should hold after them."""
    return Found(
        rows=[Row(PLACE, n, f"k{n}", f"said {n}") for n in (1, 2, 3)],
        versions={PLACE: 3},
        appends={PLACE: [(1, 1), (3, 2)]},
        consolidated={PLACE: [(1, 2), (2, 3)]},
        snapshots={PLACE: [(1, 2), (2, 3)]},
    )


def broken(outcomes: list[Outcome], found: Found) -> set[str]:
    return {violation.kind for violation in judge(outcomes, found)}


def test_a_log_that_kept_its_word_is_in_order(outcomes: list[Outcome], found: Found) -> None:
    assert judge(outcomes, found) == []


def test_what_is_not_there_is_lost(outcomes: list[Outcome], found: Found) -> None:
    del found.rows[2]
    assert broken(outcomes, found) == {"lost", "not dense"}


def test_what_is_there_twice_is_doubled(outcomes: list[Outcome], found: Found) -> None:
    found.rows.append(Row(PLACE, 4, "k3", "said 3"))
    assert "doubled" in broken(outcomes, found)


def test_another_place_or_text_is_seen(outcomes: list[Outcome], found: Found) -> None:
    found.rows[1] = dataclasses.replace(found.rows[1], text="said something else")
    assert broken(outcomes, found) == {"changed"}
    found.rows[1:] = [Row(PLACE, 3, "k2", "said 2"), Row(PLACE, 2, "k3", "said 3")]
    assert broken(outcomes, found) == {"reordered"}


def test_an_acknowledgement_before_another_was_sent_orders_them(outcomes: list[Outcome], found: Found) -> None:
    outcomes[2].sent_at, outcomes[2].ended_at = 1.0, 2.0  # the third turn was acknowledged before the first was sent
    assert broken(outcomes, found) == {"reordered"}


def test_a_conflict_that_was_saved_is_seen(outcomes: list[Outcome], found: Found) -> None:
    found.rows.append(Row(PLACE, 4, "k4", "said 4"))
    found.versions[PLACE], found.appends[PLACE] = 4, [(1, 1), (4, 3)]
    assert broken(outcomes, found) == {"saved and refused"}


def test_what_nobody_sent_is_seen(outcomes: list[Outcome], found: Found) -> None:
    found.rows.append(Row(PLACE, 4, "k9", "said 9"))
    found.versions[PLACE], found.appends[PLACE] = 4, [(1, 1), (4, 3)]
    assert broken(outcomes, found) == {"invented"}


def test_what_was_never_answered_may_be_there(outcomes: list[Outcome], found: Found) -> None:
    outcomes[4] = sent(5, at=50)
    outcomes[4].request = dataclasses.replace(outcomes[4].request, expected=3)
    found.rows.append(Row(PLACE, 4, "k5", "said 5"))
    found.versions[PLACE], found.appends[PLACE] = 4, [(1, 1), (4, 3)]
    assert judge(outcomes, found) == []


def test_a_stream_with_a_gap_is_seen(outcomes: list[Outcome], found: Found) -> None:
    found.appends[PLACE] = [(1, 1), (3, 1)]
    assert broken(outcomes, found) == {"stream"}


def test_a_version_that_was_consolidated_twice_is_seen(outcomes: list[Outcome], found: Found) -> None:
    found.snapshots[PLACE] = found.consolidated[PLACE] = [(1, 2), (2, 2)]
    assert broken(outcomes, found) == {"consolidated twice"}
    found.consolidated[PLACE] = [(1, 2)]
    assert broken(outcomes, found) == {"consolidated", "consolidated twice"}


def test_every_kind_of_fault_comes_as_often_as_any_other() -> None:
    kinds = chaos_faults.possible()
    plan = chaos_faults.planned(2 * len(kinds), Random(1))
    assert sorted(plan) == sorted(2 * kinds)
    assert plan == chaos_faults.planned(2 * len(kinds), Random(1))


@pytest.mark.slow
@pytest.mark.usefixtures("cluster_programs")
def test_nothing_is_lost_when_another_node_leads(tmp_path: Path) -> None:
    records = tmp_path / "records"
    report = chaos.run(tmp_path / "cluster", records, ["switchover"], clients=6, seed=1)
    assert report.violations == []
    assert [fault.kind for fault in report.broke] == ["switchover"]
    assert sum(one.seq is not None for one in chaos_clients.read(records)) > 100
    assert any(one.failures for one in report.outcomes)
