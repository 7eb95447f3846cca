"""Intervals over conversations, on cases whose answer is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from carryover.evals.bootstrap import Interval, interval, ratio


def test_the_mean_is_that_of_the_values_and_the_interval_is_the_same_every_time() -> None:
    values, clusters = [0.0, 1.0, 1.0, 0.5], ["a", "a", "b", "c"]
    found = interval(values, clusters)
    assert found.mean == pytest.approx(0.625)
    assert (found.n, found.clusters) == (4, 3)
    assert found == interval(values, clusters)


def test_it_is_as_wide_as_theory_says_where_every_value_is_a_cluster_of_its_own() -> None:
    values = [float(n % 2) for n in range(400)]
    found = interval(values, range(400))
    half = NormalDist().inv_cdf(0.975) * math.sqrt(0.25 / 400)
    assert found.low == pytest.approx(0.5 - half, abs=0.004)
    assert found.high == pytest.approx(0.5 + half, abs=0.004)


def test_values_that_stand_or_fall_together_make_it_wider() -> None:
    values = [float(n // 40 % 2) for n in range(400)]
    alone, together = interval(values, range(400)), interval(values, [n // 40 for n in range(400)])
    assert alone.high is not None
    assert together.high is not None
    assert together.high > alone.high + 0.1


def test_clusters_count_by_their_size() -> None:
    found = interval([1.0] * 9 + [0.0], ["large"] * 9 + ["small"])
    assert found.mean == pytest.approx(0.9)
    assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("values", "sure"), [([0.1, 0.2, 0.15, 0.1, 0.2], True), ([0.1, -0.2, 0.1, -0.1, 0.1], False), ([0.0] * 5, False)]
)
def test_sure_is_what_has_0_outside(values: list[float], sure: bool) -> None:
    assert interval(values, range(len(values))).sure is sure


def test_one_cluster_has_no_interval_and_none_no_mean() -> None:
    one = interval([0.5, 1.0], ["a", "a"])
    assert (one.mean, one.low, one.high, one.sure) == (0.75, None, None, False)
    assert interval([], []).n == 0


def test_a_ratio_is_of_sums_and_clusters_without_a_count_are_drawn_too() -> None:
    found = ratio([30.0, 10.0, 0.0], [3.0, 1.0, 0.0])
    assert (found.mean, found.low, found.high, found.clusters) == (10.0, 10.0, 10.0, 3)
    wider = ratio([30.0, 0.0], [3.0, 1.0])
    assert (wider.mean, wider.low, wider.high) == (7.5, 0.0, 10.0)
    assert ratio([0.0], [0.0]) == Interval(0.0, None, None, 0, 0)
    assert ratio([4.0], [2.0]) == Interval(2.0, None, None, 1, 1)
