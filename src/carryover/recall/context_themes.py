"""What the sessions in reach were about: their themes, weighed over all of them and told by quarter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carryover.recall.context_known import Told
from carryover.recall.context_text import Sheet, one_line, quarter
from carryover.recall.words import terms

LEAST = 2  # tokens of the shortest theme and what parts it from the one before
NAME = 5  # how much more a name counts: people, places and products are what later questions ask for


@dataclass(slots=True)
class Weighed:
    """A theme over all sessions: how often it was said, in how many, and when most; `key` are its terms."""

    key: tuple[str, ...]
    text: str
    count: int = 0
    sessions: int = 0
    peak: int = 0
    at: int = 0

    @property
    def weight(self) -> float:
        """High for names, and for what was said often in few sessions: a theme, and not a manner of speaking."""
        return (1 if self.text.islower() else NAME) * self.count**1.5 / self.sessions


def tell(sheet: Sheet, heading: str, themes: Sequence[Weighed], most: int, told: set[str]) -> None:
    """The sheet tells the weightiest themes, in at most `most` tokens: a line for each quarter, the newest first.

    `told` are the terms of themes that are told already, and of those told now.
    """
    end = sheet.used + most
    for one in themes:
        if end - sheet.used < LEAST:
            break
        if told.issuperset(one.key):
            continue
        text = one_line(one.text, 60)
        opening = f"- {quarter(one.at)}: "
        if sheet.grow(heading, opening, opening + text, more=f", {text}", most=end - sheet.used):
            told.update(one.key)
    if heading in sheet.sections:
        newest = {f"- {quarter(one.at)}: ": one.at for one in sorted(themes, key=lambda one: one.at)}
        lines = sheet.sections[heading]
        sheet.sections[heading] = {key: lines[key] for key in sorted(lines, key=lambda key: -newest[key])}


def weighed(sessions: Sequence[Told]) -> list[Weighed]:
    """The themes of all sessions together, the weightiest first."""
    found: dict[tuple[str, ...], Weighed] = {}
    for told in sessions:
        for theme in told.themes:
            key = tuple(terms(theme.text))
            one = found.setdefault(key, Weighed(key, theme.text))
            one.count += theme.count
            one.sessions += 1
            if theme.count > one.peak:
                one.peak, one.at = theme.count, told.at
    for key, pair in found.items():
        # What a pair says its words say as well: each is told by itself where it says more than the pair.
        for word in {(term,) for term in key} & found.keys() if len(key) > 1 else ():
            found[word].count -= pair.count
    # What was said once is no theme, unless it is a name.
    kept = (one for one in found.values() if one.count > (1 if one.text.islower() else 0))
    return sorted(kept, key=lambda one: (-one.weight, -one.at, one.key))
