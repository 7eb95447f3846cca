"""Drift: changed tastes are followed, growth tells what was unseen, and personas mostly stay as they are."""

from __future__ import annotations

from carryover.evals.persona_drift import AFTER, MATURE, Drift, Plan, Unseen, run
from carryover.evals.persona_population import Ears
from carryover.persona.book import Codebook


def test_tastes_are_followed_and_growth_changes_nobody(shipped: Codebook, given: Ears) -> None:
    found = run(Plan(people=80, changing=6, newcomers=60, mature=3), shipped, given, given)
    assert found.median("corrected outright") <= found.median("hinted at only") <= AFTER + 1
    assert found.unseen["stale"].labels < found.unseen["grown"].labels
    assert found.unseen["stale"].told > found.unseen["stale"].labels
    assert found.unseen["grown, as noticed"] == found.unseen["grown"]
    assert found.by_growth == (0, 83)
    assert found.changed["ours"][1] == 3 * (MATURE[1] - MATURE[0])
    assert found.new_labels > 0


def test_the_rate_is_of_all_session_ends() -> None:
    unseen = {"grown": Unseen(1, 1.0, 1.0)}
    found = Drift({"x": (1, 3, 9)}, unseen, {"ours": (5, 50)}, (0, 1), (0, 1), (0, 1), 0)
    assert found.rate == 0.1
    assert found.median("x") == 3
    assert Drift({}, unseen, {"ours": (0, 0)}, (0, 1), (0, 1), (0, 1), 0).rate == 0
