"""Times: what is written can be read, to the millisecond, over all years that RFC 3339 can say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.clock import DAY_MS, EARLIEST, LATEST, SystemClock, day_of, parse_time, rfc3339
from carryover.core.errors import Invalid


@given(st.integers(EARLIEST, LATEST))
def test_a_time_is_read_as_it_was_written(at: int) -> None:
    written = rfc3339(at)
    assert len(written) == len("2026-11-21T05:23:57.000Z")
    assert parse_time(written) == at


@given(st.lists(st.integers(EARLIEST, LATEST), min_size=2))
def test_written_times_sort_as_text(times: list[int]) -> None:
    assert sorted(map(rfc3339, times)) == [rfc3339(at) for at in sorted(times)]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1969-12-31T23:59:59.9995Z", -1),  # below a millisecond the clock is cut, never rounded up
        ("2024-02-29T12:00:00Z", 1_709_208_000_000),
        ("2024-02-29T12:00:00+05:30", 1_709_188_200_000),
        ("2024-02-29", 1_709_164_800_000),
        ("2024-02-29t12:00:00z", 1_709_208_000_000),
        ("2024-02-29T12:00:00", 1_709_208_000_000),
        ("0001-01-01T00:00:00.000Z", EARLIEST),
        ("9999-12-31T23:59:59.999999Z", LATEST),
    ],
)
def test_what_rfc_3339_allows_is_read(text: str, at: int) -> None:
    assert parse_time(text) == at


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2023-02-29", "2026-13-01", "2026-01-01T25:00:00Z", "1790000000000", "-001-01-01", "2026-11-21T"],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid, match=r"write it as 2026-11-21T05:23:57\.000Z") as refusal:
        parse_time(text, "since")
    assert refusal.value.facts["field"] == "since"


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_an_offset_that_leaves_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="use a year from 1 to 9999"):
        parse_time(text)


@given(st.integers(EARLIEST, LATEST))
def test_a_day_begins_at_its_utc_midnight(at: int) -> None:
    midnight = day_of(at)
    assert midnight <= at < midnight + DAY_MS
    assert rfc3339(midnight).endswith("T00:00:00.000Z")


def test_the_clock_says_now_in_milliseconds() -> None:
    before = datetime.now(UTC).timestamp()
    now = SystemClock().now()
    after = datetime.now(UTC).timestamp()
    assert before * 1000 - 1 <= now <= after * 1000
