"""How a context is written: recalled text made harmless, one line each, and never a token over the budget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from carryover.core.text import clean, count_tokens, told_tenths
from carryover.guard.inert import inert

LONGEST_ITEM = 280  # characters of one finding or quotation
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MARKS = re.compile(r"^(?:\s|[>|]|[#*+=_-]++(?=\s|$))+")
_ROLE = re.compile(r"^\W*(system|assistant|user|human|developer|tool)\b[\s*_]*:[*_]*", re.IGNORECASE)
_TAG = re.compile(r"<(?=[A-Za-z/!?|])")
_IMAGE = re.compile(r"!+\[")
_TICKS = re.compile(r"`{2,}|~{3,}")
_WORD = re.compile(r"[^\W\d_]+")
_COMMON = frozenset(_WORD.findall("the a an and of to in is it i you we my me for on with that this was are not but"))
_FEW = 12  # words that tell no language


def one_line(text: str, longest: int = LONGEST_ITEM) -> str:
    """`text` as data inside a list item: no line, heading, fence, tag, image or role label of its own.

    Cut at a word where it is longer than `longest` characters.
    """
    seen = inert(clean(text[: 8 * longest]))
    lines = (_ROLE.sub(r"(\1)", _MARKS.sub("", line)) for line in seen.splitlines())
    joined = _MARKS.sub("", " ".join(" ".join(lines).split()))
    joined = _TICKS.sub("'", _TAG.sub("‹", _IMAGE.sub("[", joined)))
    return shortened(joined, longest)


def shortened(text: str, longest: int) -> str:
    """`text`, or as many of its words as fit into `longest` characters and an ellipsis."""
    if len(text) <= longest:
        return text
    cut = text[: max(longest - 1, 0)]
    return (cut[: cut.rfind(" ")] if " " in cut[longest // 2 :] else cut).rstrip(" ,;:") + "…"


def day(at: int) -> str:
    """`at` as a plain date, such as 7 May 2023: the shortest in tokens that a year is part of."""
    moment = datetime.fromtimestamp(at // 1000, UTC)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def quarter(at: int) -> str:
    """The quarter of a year that `at` lies in, such as Apr to Jun 2023."""
    moment = datetime.fromtimestamp(at // 1000, UTC)
    first = (moment.month - 1) // 3 * 3
    return f"{_MONTHS[first]} to {_MONTHS[first + 2]} {moment.year}"


def short_id(id: str) -> str:
    """An id that is long only to be unique, by its beginning."""
    return id if len(id) <= 24 else f"{id[:12]}…"


def is_english(texts: Iterable[str]) -> bool:
    """Whether every tenth word is one of the commonest English ones, as in any English prose."""
    words = [word for text in texts for word in _WORD.findall(text[:LONGEST_ITEM].lower())]
    return len(words) >= _FEW and sum(word in _COMMON for word in words) >= len(words) / 10


@dataclass(slots=True)
class Sheet:
    """Lines that together stay within `budget` tokens; a heading is written with the first line under it.

    Words do not run over the end of a line, so the tokens of a sheet are those of its lines and their ends.
    """

    budget: int
    plain: bool = True  # English, whose words are few tokens; else each line costs its upper bound
    used: int = 0
    sections: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    _tenths: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    @property
    def left(self) -> int:
        """Tokens that may still be told."""
        return self.budget - self.used

    def add(self, heading: str, line: str, most: int | None = None) -> bool:
        """Whether the line fitted: in what is left, and in `most` tokens where they are given."""
        return self.grow(heading, line, line, most=most)

    def grow(self, heading: str, key: str, line: str, *, more: str = "", most: int | None = None) -> bool:
        """Whether it fitted: `more` at the end of the line that is known by `key`, or `line` as a new one.

        `more` begins with no letter and no digit: a word that ran on would cost another sum.
        """
        known = self._tenths.get((heading, key))
        tenths = self._cost(line) if known is None else known + self._cost(more)
        cost = _whole(tenths) + 1 - (0 if known is None else _whole(known) + 1)
        if heading and heading not in self.sections:
            cost += _whole(self._cost(heading)) + 1
        if cost > self.left or (most is not None and cost > most):
            return False
        lines = self.sections.setdefault(heading, {})
        lines[key] = line if known is None else lines[key] + more
        self._tenths[heading, key] = tenths
        self.used += cost
        return True

    def text(self, order: Sequence[str]) -> str:
        """The lines under their headings, these in the given order; every line ends with a newline."""
        return "".join(f"{line}\n" for line in self._lines(order))

    def _cost(self, part: str) -> int:
        return told_tenths(part) if self.plain else 10 * count_tokens(part)

    def _lines(self, order: Sequence[str]) -> Iterator[str]:
        for heading in order:
            if heading in self.sections:
                if heading:
                    yield heading
                yield from self.sections[heading].values()


def _whole(tenths: int) -> int:
    return (tenths + 9) // 10
