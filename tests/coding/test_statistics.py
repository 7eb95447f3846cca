"""Formulas against published worked examples, and laws that hold for any numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.coding import statistics
from carryover.coding.statistics import Arm, Interval, Pair

Z = statistics.quantile(0.975)


def shown(k: int, n: int) -> Arm:
    """So many of n sessions show it."""
    return Arm(np.array([1.0] * k + [0.0] * (n - k)), np.ones(n))


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3 (Wilson without continuity correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(k: int, n: int, low: float, high: float) -> None:
    found = statistics.wilson(k, n, Z)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("a", "m", "b", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10: a/m less b/n.
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_newcombe_as_published(a: int, m: int, b: int, n: int, low: float, high: float) -> None:
    _, _, found = statistics.shares([(shown(b, n), shown(a, m))], Z)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert found.estimate == pytest.approx(a / m - b / n)


def test_strata_are_weighed_as_mantel_and_haenszel_do() -> None:
    strata = [(shown(10, 100), shown(2, 50)), (shown(30, 60), shown(9, 30))]
    weights = [Fraction(100 * 50, 150), Fraction(60 * 30, 90)]
    wanted = (weights[0] * (Fraction(2, 50) - Fraction(10, 100)) + weights[1] * (Fraction(9, 30) - Fraction(1, 2))) / (
        weights[0] + weights[1]
    )
    _, _, found = statistics.shares(strata, Z)
    assert found.estimate == pytest.approx(float(wanted))
    # A stratum that is far more frequent on both sides says nothing of the difference: pooled, it would.
    confounded = [(shown(1, 100), shown(1, 10)), (shown(5, 10), shown(50, 100))]
    assert statistics.shares(confounded, Z)[2].estimate == pytest.approx(0.045, abs=0.001)


def test_a_rate_ratio_as_published() -> None:
    # Rothman's breast cancer data (41 in 28,010 and 15 in 19,017 person-years): 1.86 (1.03 to 3.35).
    one = (Arm(np.array([15.0]), np.array([19_017.0])), Arm(np.array([41.0]), np.array([28_010.0])))
    before, after, found, phi = statistics.rates([one], Z)
    assert phi == 1
    assert (before, after) == (15 / 19_017, 41 / 28_010)
    assert [round(math.exp(x), 2) for x in (found.estimate, found.low, found.high)] == [1.86, 1.03, 3.35]
    assert found.variance == pytest.approx(1 / 15 + 1 / 41)
    assert (found.fixed, found.growing) == (pytest.approx(1 / 15), pytest.approx(1 / 41))


def test_bursts_widen_the_interval_of_a_rate() -> None:
    draw = np.random.default_rng(3)
    calls = np.full(400, 68.0)
    # So many successes make a variance of 2.05 times the mean.
    bursts = draw.negative_binomial(0.0447 * 68 / 1.05, 1 / 2.05, 400).astype(float)
    single = draw.poisson(0.0447 * 68, 400).astype(float)
    _, _, wide, phi = statistics.rates([(Arm(bursts, calls), Arm(bursts, calls))], Z)
    _, _, narrow, one = statistics.rates([(Arm(single, calls), Arm(single, calls))], Z)
    assert phi == pytest.approx(2.05, abs=0.25)
    assert one == pytest.approx(1, abs=0.1)
    assert math.sqrt(wide.variance * bursts.sum() / (narrow.variance * single.sum())) == pytest.approx(
        math.sqrt(2.05), rel=0.1
    )


def test_a_rate_of_none_has_an_interval() -> None:
    nothing = Arm(np.zeros(5), np.full(5, 40.0))
    some = Arm(np.ones(5), np.full(5, 40.0))
    _, _, found, _ = statistics.rates([(some, nothing)], Z)
    assert found.low < found.estimate < 0
    assert math.isfinite(found.low)
    assert statistics.rates([], Z)[2].variance == math.inf


@pytest.mark.parametrize(
    ("share", "half", "quarter"),
    # What is published with this project's study of 284 real sessions, from which the shares come rounded.
    [
        (0.324, 109, 485),
        (0.268, 140, 628),
        (0.215, 183, 830),
        (0.187, 216, 985),
        (0.169, 243, 1_107),
        (0.116, 369, 1_698),
        (0.106, 410, 1_888),
        (0.088, 499, 2_304),
    ],
)
def test_how_many_sessions_a_share_takes(share: float, half: int, quarter: int) -> None:
    assert statistics.sessions_for_share(share, share / 2) == pytest.approx(half, rel=0.006)
    assert statistics.sessions_for_share(share, share * 0.75) == pytest.approx(quarter, rel=0.006)


def test_how_many_sessions_a_rate_takes() -> None:
    assert statistics.sessions_for_rate(0.0447, 0.0447 / 2, 68.5, 2.05) == pytest.approx(31, abs=1)
    assert statistics.sessions_for_rate(0.0447, 0.0447 * 0.7, 68.5, 2.05) == pytest.approx(99, abs=1)


def test_looks_as_often_as_one_likes_are_wrong_as_rarely_as_one_look() -> None:
    draw = np.random.default_rng(11)
    n, looks = 4_000, 200
    path = draw.normal(size=(n, looks)).cumsum(axis=1) / math.sqrt(looks)  # at fractions 1/200, 2/200, ... of the end
    fractions = np.arange(1, looks + 1) / looks
    bounds = np.array([statistics.critical(t) * math.sqrt(t) for t in fractions])
    assert (np.abs(path) > bounds).any(axis=1).mean() == pytest.approx(0.05, abs=0.012)
    # With 1.96 at each of them it would be far more.
    assert (np.abs(path) > 1.96 * np.sqrt(fractions)).any(axis=1).mean() > 0.35
    drifting = path + statistics.drift() * fractions
    assert (drifting > bounds).any(axis=1).mean() == pytest.approx(statistics.POWER, abs=0.02)


def test_looking_early_asks_for_much() -> None:
    assert statistics.critical(1) == pytest.approx(2.2414, abs=1e-4)
    assert statistics.critical(0.25) == pytest.approx(2 * 2.2414, abs=1e-3)
    assert statistics.critical(3) == statistics.critical(1)
    assert statistics.drift() == pytest.approx(2.88, abs=0.005)


@given(st.floats(0.01, 1), st.floats(0.001, 0.2))
def test_a_p_value_is_where_the_boundary_is_reached(information: float, alpha: float) -> None:
    z = statistics.critical(information, alpha)
    assert statistics.p_value(z, information) == pytest.approx(alpha, rel=1e-6)
    assert statistics.p_value(-z, information) == statistics.p_value(z, information)


def test_false_discoveries_as_published() -> None:
    # The 15 p-values of the example in Benjamini and Hochberg 1995, section 3.2: four are discoveries at 0.05.
    p = (
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    )
    found = statistics.adjusted({str(n): value for n, value in enumerate(p)})
    assert [n for n in range(len(p)) if found[str(n)] <= 0.05] == [0, 1, 2, 3]
    assert found["14"] == 1
    assert statistics.adjusted({}) == {}


def test_what_was_picked_for_being_frequent_is_taken_for_less() -> None:
    draw = np.random.default_rng(4)
    truth = draw.beta(2, 18, 2_000)
    seen = draw.binomial(60, truth)
    others = [(float(k), 60.0) for k in seen]
    picked = np.argsort(seen)[-50:]
    raw = seen[picked].mean() / 60
    less = np.mean([statistics.shrunk(seen[n], 60, others) for n in picked])
    assert raw - truth[picked].mean() > 0.03
    assert less == pytest.approx(truth[picked].mean(), abs=0.01)
    assert statistics.shrunk(5, 50, others[:2]) == 0.1  # too few others to learn from
    assert statistics.shrunk(0, 0, others) == 0


intervals = st.tuples(st.floats(0, 0.4), st.floats(0.4, 0.6), st.floats(0.6, 1)).map(
    lambda x: Interval(x[1], x[0], x[2])
)


@given(st.lists(st.tuples(st.sampled_from((1, -1)), intervals), min_size=1, max_size=4))
def test_a_sum_lies_in_its_interval(parts: list[tuple[int, Interval]]) -> None:
    found = statistics.mover(parts)
    assert found.low <= found.estimate <= found.high
    # It is never wider than all limits added up.
    assert found.high - found.low <= sum(part.high - part.low for _, part in parts) + 1e-9


arms = st.integers(1, 40).flatmap(lambda n: st.integers(0, n).map(lambda k: shown(k, n)))


@given(st.lists(st.tuples(arms, arms), min_size=1, max_size=4), st.floats(0.5, 6))
def test_shares_stay_shares(strata: list[Pair], z: float) -> None:
    before, after, found = statistics.shares(strata, z)
    for one in (before, after):
        assert 0 <= one.low <= one.estimate + 1e-12
        assert one.estimate - 1e-12 <= one.high <= 1
    assert -1 - 1e-9 <= found.low <= found.estimate + 1e-9
    assert found.estimate - 1e-9 <= found.high <= 1 + 1e-9
    assert found.variance > 0
