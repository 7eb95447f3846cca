"""Dates that a query names, and which turns were said then.

Numbers are read in any language (`2023-05-08`, `8.5.2023`, `2023年5月8日`), months by their English names. What is
relative ("last week") is not read: a query does not say to which day it is relative.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from carryover.core.clock import DAY_MS, Time

TOLD_LATER = 7 * DAY_MS  # what happened is often told some days later
_MOST = 8  # dates of one query

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_SHORT = {name[:3]: n for n, name in enumerate(_MONTHS, 1)} | {"sept": 9}
_NAMED = {name: n for n, name in enumerate(_MONTHS, 1)} | _SHORT
_NAME = rf"(?:{'|'.join(sorted(_NAMED, key=len, reverse=True))})\b\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?\b"
# "May" and "March" are other words too: a month stands beside a number, or after a word that says when.
_DATE = re.compile(
    rf"""\b(?:
    (?P<y1>\d{{4}})-(?P<m1>\d\d)(?:-(?P<d1>\d\d))?(?!\d)
  | (?P<d2>\d{{1,2}})\.\s?(?P<m2>\d{{1,2}})\.\s?(?P<y2>\d{{4}})(?!\d)
  | (?P<y3>\d{{4}})年(?P<m3>\d{{1,2}})月(?:(?P<d3>\d{{1,2}})日)?
  | (?P<d4>{_DAY})\s(?:of\s)?(?P<m4>{_NAME})(?:,?\s(?P<y4>\d{{4}})\b)?
  | (?P<m5>{_NAME})\s(?P<d5>{_DAY})(?:,?\s(?P<y5>\d{{4}})\b)?
  | (?P<m6>{_NAME}),?\s(?:of\s)?(?P<y6>\d{{4}})\b
  | (?:in|since|during|early|mid|late|last|this|next|before|after|until|of|around)\s(?P<m7>{_NAME})(?!,?\s(?:of\s)?\d)
    )""",
    re.I | re.X,
)


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a month, of one year or of any."""

    year: int | None
    month: int
    day: int | None = None

    def told(self, at: Time) -> bool:
        """Whether `at` lies in it or up to a week after it (UTC)."""
        for year in (self.year,) if self.year is not None else _years(at):
            last = monthrange(year, self.month)[1]
            if self.day is not None and self.day > last:
                continue
            begins = int(datetime(year, self.month, self.day or 1, tzinfo=UTC).timestamp() * 1000)
            days = 1 if self.day is not None else last
            if begins <= at < begins + days * DAY_MS + TOLD_LATER:
                return True
        return False


def periods(text: str) -> tuple[Period, ...]:
    """The dates that the text names, the first eight of them."""
    return tuple(dict.fromkeys(_found(text)))[:_MOST]


def _found(text: str) -> Iterator[Period]:
    for match in _DATE.finditer(text):
        of = {name[0]: said for name, said in match.groupdict().items() if said is not None}
        month = of["m"].rstrip(".").lower()
        year, number = of.get("y"), _NAMED.get(month) or int(month)
        day = int(re.sub(r"\D", "", of["d"])) if "d" in of else None
        if 1 <= number <= 12 and (year is None or int(year) > 0) and (day is None or 1 <= day <= 31):
            yield Period(None if year is None else int(year), number, day)


def _years(at: Time) -> tuple[int, int]:
    """The year of `at` and the one before, whose end may be a week ago."""
    year = datetime.fromtimestamp(at / 1000, UTC).year
    return year, max(year - 1, 1)
