"""The best scores of sessions, by groups that grow, against a plain reading of the scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.store.bests import Groups, SessionKey, Sessions

scored = st.lists(st.tuples(st.integers(0, 6), st.floats(-1, 1, width=32)), min_size=1, max_size=60)


def sessions(places: list[int], scores: list[float], later: int = 0) -> Sessions:
    """Of sessions `s0`..`s7`, of which the last rows came later."""
    of, known = np.array(places, np.int32), np.array(scores, np.float32)
    sorted_in = len(places) - later
    groups = Groups.of(of[:sorted_in]).and_later(of[sorted_in:])
    return Sessions({("a", f"s{place}"): place for place in range(8)}, groups, known.__getitem__)


def plainly(rows: list[tuple[int, float]]) -> dict[SessionKey, float]:
    best: dict[SessionKey, list[float]] = {}
    for place, score in rows:
        best.setdefault(("a", f"s{place}"), []).append(score)
    return {key: float(np.mean(sorted(scores)[-3:])) for key, scores in best.items()}


@given(scored, st.floats(0, 0.9))
def test_each_session_has_the_mean_of_its_three_best(rows: list[tuple[int, float]], share: float) -> None:
    got = sessions([place for place, _ in rows], [score for _, score in rows], int(len(rows) * share))
    assert dict(got) == pytest.approx(plainly(rows), abs=1e-6)
    assert len(got) == len(plainly(rows))
    assert ("a", "s7") not in got
    assert ("b", "s0") not in got


@given(scored)
def test_how_sessions_lie_is_exact_while_they_are_few(rows: list[tuple[int, float]]) -> None:
    got = sessions([place for place, _ in rows], [score for _, score in rows]).among()
    expected = list(plainly(rows).values())
    assert got.sessions == len(expected)
    assert (got.mean, got.std) == pytest.approx((np.mean(expected), np.std(expected)), abs=1e-5)


def test_of_many_some_tell() -> None:
    chance = np.random.default_rng(1)
    places = np.sort(chance.integers(0, 20_000, 400_000))
    scores = chance.normal(size=places.size).astype(np.float32)
    looked_at: list[int] = []

    def asked(rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        looked_at.append(rows.size)
        return scores[rows]

    got = Sessions({}, Groups.of(places.astype(np.int32)), asked).among(50_000)
    every = [np.sort(part)[-3:].mean() for part in np.split(scores, np.flatnonzero(np.diff(places)) + 1)]
    assert got.sessions == len(every)
    assert got.mean == pytest.approx(np.mean(every), abs=0.05)
    assert got.std == pytest.approx(np.std(every), rel=0.1)
    assert sum(looked_at) < 60_000
