"""Dates that a sentence names, exact or relative to the day on which it was said (UTC)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from carryover.core.clock import DAY_MS
from carryover.memory.words import MONTH, WEEKDAY

_MONTH = "|".join(sorted(MONTH, key=len, reverse=True))
_DAY = "|".join(sorted(WEEKDAY, key=len, reverse=True))
_WHEN = rf"""
    (?P<iso>\d{{4}}-\d\d-\d\d)
  | (?P<month>{_MONTH})\.?\ (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\ (?P<year>\d{{4}}))?(?!\d)
  | (?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\ (?:of\ )?(?P<month2>{_MONTH})\b(?:,?\ (?P<year2>\d{{4}}))?
  | (?P<near>today|tonight|tomorrow|yesterday|last\ night|now)\b
  | (?P<count>\d{{1,3}}|a|an|one|two|three|four|five|six)\ (?P<unit>day|week|month|year)s?\ ago\b
  | (?P<which>last|next|this|on)\ (?P<weekday>{_DAY})\b
  | (?P<side>last|next)\ (?P<span>week|month|year)\b
"""
# When a statement became true: a date after one of these words, or a past one on its own.
_SINCE = re.compile(rf"\b(?:since|from|as\ of|starting|effective|beginning)\ (?:on\ )?(?:{_WHEN})", re.I | re.X)
_PAST = re.compile(rf"\b(?:{_WHEN})", re.I | re.X)
_NEAR = {"today": 0, "tonight": 0, "now": 0, "tomorrow": 1, "yesterday": -1, "last night": -1}
_COUNT = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_SPAN_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


def valid_from(sentence: str, said_at: int) -> int | None:
    """UTC milliseconds of the day since which the sentence holds, if it says so ("from June 1", "yesterday").

    Weeks, months and years back are counted as 7, 30 and 365 days; a date in the future counts only after a word
    like *from* or *starting*, so that a deadline is no beginning.
    """
    since = _SINCE.search(sentence)
    if since:
        return _resolve(since, said_at)
    past = _PAST.search(sentence)
    at = _resolve(past, said_at) if past and past["near"] not in ("now", "Now") else None
    return at if at is not None and at <= said_at else None


def named(text: str, said_at: int) -> frozenset[int]:
    """UTC milliseconds of every day that `text` names, exact or relative to when it was said."""
    days = (_resolve(found, said_at) for found in _PAST.finditer(text))
    return frozenset(day for day in days if day is not None)


def _resolve(found: re.Match[str], said_at: int) -> int | None:
    try:
        said = datetime.fromtimestamp(said_at // 1000, UTC).date()
        day = _day(found, said)
    except (ValueError, OverflowError, OSError):
        return None
    return None if day is None else (day - date(1970, 1, 1)).days * DAY_MS


def _day(found: re.Match[str], said: date) -> date | None:
    if found["iso"]:
        return date.fromisoformat(found["iso"])
    month = found["month"] or found["month2"]
    if month:
        year = found["year"] or found["year2"]
        return date(int(year) if year else said.year, MONTH[month.lower()], int(found["day"] or found["day2"]))
    return said + timedelta(days=_days_away(found, said))


def _days_away(found: re.Match[str], said: date) -> int:
    if found["near"]:
        return _NEAR[found["near"].lower()]
    if found["count"]:
        count = found["count"].lower()
        return -(_COUNT.get(count) or int(count)) * _SPAN_DAYS[found["unit"].lower()]
    if found["weekday"]:
        ahead = (WEEKDAY[found["weekday"].lower()] - said.weekday()) % 7
        which = found["which"].lower()
        return (ahead or 7) - 7 if which == "last" else (ahead or 7) if which == "next" else ahead
    return _SPAN_DAYS[found["span"].lower()] * (-1 if found["side"].lower() == "last" else 1)
