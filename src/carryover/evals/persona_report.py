"""How well personas do, as Markdown and as JSON: a headline, the goals, and a section for each thing measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from carryover.evals.bootstrap import Interval
from carryover.evals.report import head, row

HEADLINE = (
    "label_hit",
    "label_hit_plain",
    "precision",
    "recall",
    "leaks",
    "block_change_rate",
    "unseen_after_growth",
    "cost_ratio_uncached",
    "cost_ratio_cached",
    "open_ms_p50",
    "label_hit_noticed",
    "precision_noticed",
    "recall_noticed",
    "unseen_after_growth_noticed",
)
_FORM = 1


@dataclass(frozen=True, slots=True)
class Table:
    """A table under its caption."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One thing that was measured: what it means, tables, plots as SVG, and the same figures for programs."""

    title: str
    about: str
    tables: tuple[Table, ...] = ()
    plots: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that has to be reached, or must not be passed."""

    name: str
    value: float
    wanted: float
    at_most: bool = False
    shown: str = ".3f"  # how the figures are written

    @property
    def met(self) -> bool:
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted

    @property
    def told(self) -> tuple[str, str, str, str]:
        sign = "at most" if self.at_most else "at least"
        wanted = f"{sign} {self.wanted:{self.shown}}" if self.wanted or not self.at_most else f"{0:{self.shown}}"
        return self.name, f"{self.value:{self.shown}}", wanted, "met" if self.met else "missed"


@dataclass(frozen=True, slots=True)
class Report:
    """The whole of it. A figure of the headline is None where it was not measured."""

    headline: Mapping[str, float | None]
    goals: tuple[Goal, ...]
    sections: tuple[Section, ...]
    about: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def json(self) -> str:
        """One object."""
        goals = [{**asdict(goal), "met": goal.met} for goal in self.goals]
        sections = {section.title: section.figures for section in self.sections}
        whole = {
            "form": _FORM,
            "headline": dict(self.headline),
            "goals": goals,
            "sections": sections,
            "notes": self.notes,
            "about": dict(self.about),
        }
        return json.dumps(whole, ensure_ascii=False, indent=1, default=_plain)

    def markdown(self) -> str:
        return "\n".join(self._lines()).rstrip() + "\n"

    def _lines(self) -> Iterator[str]:
        yield from (f"- {name}: {value}" for name, value in self.about.items())
        yield ""
        for note in self.notes:
            yield from (f"> {note}", "")
        yield from ("## Goals", "", *head("goal", "measured", "wanted", ""))
        yield from (row(*goal.told) for goal in self.goals)
        yield ""
        for section in self.sections:
            yield from (f"## {section.title}", "", section.about, "")
            for table in section.tables:
                yield from (f"{table.caption}:", "", *head(*table.heads), *(row(*cells) for cells in table.rows), "")


def told(found: Interval) -> str:
    """A share with its interval."""
    if found.low is None or found.high is None or not found.n:
        return f"{found.mean:.3f}" if found.n else ""
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, tuple(heads), tuple(tuple(cells) for cells in rows))


def _plain(value: object) -> object:
    if isinstance(value, Interval):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is not for JSON; turn it into numbers and texts first")
