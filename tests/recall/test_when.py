"""Dates in a query: which there are, and what was said then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.clock import parse_time
from carryover.recall.when import Period, periods


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What happened on 2023-05-08?", [(2023, 5, 8)]),
        ("the release of 2023-05", [(2023, 5, None)]),
        ("Was geschah am 8.5.2023, und was am 08. 06. 2023?", [(2023, 5, 8), (2023, 6, 8)]),
        ("2023年5月8日发生了什么", [(2023, 5, 8)]),
        ("2023年5月", [(2023, 5, None)]),
        ("on 8 May, 2023", [(2023, 5, 8)]),
        ("on the 8th of may", [(None, 5, 8)]),
        ("What did she do on Aug. 3rd?", [(None, 8, 3)]),
        ("May 8, 2023 and Sept 9", [(2023, 5, 8), (None, 9, 9)]),
        ("in May 2023", [(2023, 5, None)]),
        ("before May 8, and since 9 May", [(None, 5, 8), (None, 5, 9)]),
        ("Who won in late August?", [(None, 8, None)]),
        ("between 1 June and 3 June", [(None, 6, 1), (None, 6, 3)]),
        ("June 1, June 1, June 1", [(None, 6, 1)]),
    ],
)
def test_dates_are_found(text: str, found: list[tuple[int | None, int, int | None]]) -> None:
    assert list(periods(text)) == [Period(*one) for one in found]


@pytest.mark.parametrize(
    "text",
    [
        "May I march to the mall?",
        "Jan said so",
        "version 10.12.3",
        "2023-13-01",
        "31.31.2023",
        "0000-01-01",
        "12 marble",
        "",
        "may",
    ],
)
def test_other_words_and_numbers_are_no_dates(text: str) -> None:
    assert periods(text) == ()


def test_of_many_dates_the_first_eight_count() -> None:
    assert len(periods(" ".join(f"{day} June" for day in range(1, 31)))) == 8


@pytest.mark.parametrize(
    ("period", "at", "told"),
    [
        (Period(2023, 5, 8), "2023-05-07T23:59:59Z", False),
        (Period(2023, 5, 8), "2023-05-08T00:00:00Z", True),
        (Period(2023, 5, 8), "2023-05-15T23:59:59Z", True),
        (Period(2023, 5, 8), "2023-05-16T00:00:00Z", False),
        (Period(2023, 5), "2023-05-31T12:00:00Z", True),
        (Period(2023, 5), "2023-06-07T12:00:00Z", True),
        (Period(2023, 5), "2023-06-08T12:00:00Z", False),
        (Period(2023, 5), "2024-05-08T12:00:00Z", False),
        (Period(None, 5), "2024-05-08T12:00:00Z", True),
        (Period(None, 12, 30), "2024-01-02T12:00:00Z", True),
        (Period(None, 2, 29), "2024-02-29T12:00:00Z", True),
        (Period(None, 2, 29), "2023-03-01T12:00:00Z", False),
        (Period(2023, 2, 30), "2023-03-01T12:00:00Z", False),
        (Period(9999, 12, 31), "2023-03-01T12:00:00Z", False),
        (Period(None, 1), "1970-01-01T00:00:00Z", True),
    ],
)
def test_a_turn_was_told_then_or_in_the_week_after(period: Period, at: str, told: bool) -> None:
    assert period.told(parse_time(at)) is told


@given(st.text(alphabet="0123456789.-年月日 maybjunesptocrdh,", max_size=60), st.integers(0, 4_000_000_000_000))
def test_whatever_is_read_can_be_compared(text: str, at: int) -> None:
    assert all(period.told(at) in (True, False) for period in periods(text))
