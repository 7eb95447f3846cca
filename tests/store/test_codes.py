"""One-bit codes against the vectors that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.store import codes
from clustered import clustered


@pytest.mark.parametrize("dim", [1, 8, 63, 64, 65, 384])
def test_a_code_is_whole_words_and_differs_where_signs_differ(dim: int) -> None:
    rows = np.random.default_rng(dim).normal(size=(50, dim)).astype(np.float32)
    coded = codes.encoded(rows)
    assert coded.shape == (50, -(-dim // 64))
    expected = ((rows > 0) != (rows[7] > 0)).sum(axis=1)
    assert codes.distances(list(np.ascontiguousarray(coded.T)), coded[7]).tolist() == expected.tolist()


def test_zero_and_less_are_one_sign() -> None:
    coded = codes.encoded(np.array([[0.0, -0.0, -1.0, 1e-30]], np.float32))
    assert codes.distances(list(coded.T), np.zeros(1, np.uint64)).tolist() == [1]


@pytest.mark.parametrize(("size", "words_each"), [(70_001, 2), (600_001, 4), (0, 1)])
def test_distances_of_more_rows_than_a_block_or_a_thread_takes(size: int, words_each: int) -> None:
    words = np.random.default_rng(1).integers(0, 2**63, size=(words_each, size), dtype=np.uint64)
    code = np.arange(5, 5 + words_each, dtype=np.uint64)
    expected = np.bitwise_count(words ^ code[:, None]).sum(axis=0)
    assert (codes.distances(list(words), code) == expected).all()


@given(st.lists(st.tuples(st.integers(0, 384), st.booleans()), max_size=60), st.integers(1, 70))
def test_the_lowest_are_the_lowest(drawn: list[tuple[int, bool]], count: int) -> None:
    values = np.array([value for value, _ in drawn], np.uint16)
    among = np.array([counts for _, counts in drawn], np.bool_)
    expected = sorted((value, at) for at, (value, counts) in enumerate(drawn) if counts)[:count]
    assert codes.lowest(values, among, count).tolist() == [at for _, at in expected]


@pytest.mark.parametrize("low", [slice(0, 400), slice(0, None, 3), slice(0, None, 300)])
@pytest.mark.parametrize("count", [1, 300, 5000])
def test_the_lowest_of_many_are_the_lowest_wherever_they_lie(low: slice, count: int) -> None:
    values = np.random.default_rng(1).integers(200, 384, 200_000).astype(np.uint16)
    values[low] -= 190
    among = np.random.default_rng(2).random(values.size) < 0.3
    expected = np.flatnonzero(among)[np.argsort(values[among], kind="stable")[:count]]
    assert codes.lowest(values, among, count).tolist() == expected.tolist()


def test_the_finer_reading_orders_better_than_distances() -> None:
    rows, queries = clustered(4000, 384, seed=1), clustered(20, 384, seed=2)
    coded = codes.encoded(rows)
    words = list(np.ascontiguousarray(coded.T))
    rough = fine = 0
    for query in queries:
        right = set(np.argsort(-(rows @ query))[:10].tolist())
        far = codes.distances(words, codes.encoded(query[None])[0])
        rough += len(right & set(np.argsort(far, kind="stable")[:50].tolist()))
        fine += len(right & set(np.argsort(-codes.refined(coded, query), kind="stable")[:50].tolist()))
    assert fine > rough
    assert fine / 200 > 0.85
