"""Time: UTC milliseconds inside, RFC 3339 with milliseconds outside."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

from carryover.core.errors import Invalid

Time = Annotated[int, "UTC milliseconds inside, RFC 3339 on the wire"]

DAY_MS = 86_400_000
# 0001-01-01 and 9999-12-31T23:59:59.999Z: what RFC 3339 and Python's datetime can both say.
EARLIEST, LATEST = -62_135_596_800_000, 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000


class OffsetClock:
    """Another machine's clock: this one's, corrected by the difference that was last seen."""

    def __init__(self) -> None:
        self.ahead_ms = 0  # of this machine's

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def set(self, theirs: int) -> None:
        """The other clock showed this just now."""
        self.ahead_ms = theirs - time.time_ns() // 1_000_000


def rfc3339(at: int) -> str:
    """`at` as `2026-11-21T05:23:57.000Z`."""
    return (_EPOCH + at * _MS).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str, field: str = "time") -> int:
    """UTC milliseconds of an RFC 3339 time (or a date, which is its midnight in UTC).

    Raises Invalid when the text is no time.
    """
    try:
        at = datetime.fromisoformat(text.upper())  # RFC 3339 allows t and z
    except ValueError as cause:
        raise Invalid(
            f"{field} {text!r} is not an RFC 3339 time; write it as 2026-11-21T05:23:57.000Z", field=field
        ) from cause
    ms = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MS
    if not EARLIEST <= ms <= LATEST:
        raise Invalid(f"{field} {text!r} is out of range; use a year from 1 to 9999", field=field)
    return ms


def day_of(at: int) -> int:
    """The UTC midnight at or before `at`."""
    return at - at % DAY_MS
