"""What strategies cost on conversations that took place, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from carryover.core.errors import Invalid
from carryover.core.strategy import NONE, Strategy
from carryover.evals.bootstrap import Interval, ratio
from carryover.evals.report import facts, head, percent, row
from carryover.evals.strategies import Last, Replayed
from carryover.strategies import advice
from carryover.strategies.resolve import resolve

ALL = "all together"
BASELINES = ("none", "sliding 20")
_FORM = 1


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of several conversations: all of one thing over all of another one, in the unit in which it is shown."""

    name: str
    about: str
    above: Callable[[Replayed], float]
    below: Callable[[Replayed], float]
    shown: Callable[[float], str]


def _thousands(value: float) -> str:
    return f"{value:,.0f}"


MEASURES = (
    Measure(
        "cost",
        "tokens of a request at full price: 0.1 of those from the cache, 1.25 of all others",
        lambda r: r.cost,
        lambda r: r.requests,
        _thousands,
    ),
    Measure(
        "stability",
        "how much of the view before a view begins with, where the cache is warm",
        lambda r: r.stability,
        lambda r: r.warm,
        lambda value: f"{value:.3f}",
    ),
    Measure(
        "breaks",
        "of 100 requests with a warm cache, those whose view does not begin with all of the view before",
        lambda r: 100 * r.breaks,
        lambda r: r.warm,
        lambda value: f"{value:.1f}",
    ),
    Measure("input", "tokens of a request's input", lambda r: r.tokens, lambda r: r.requests, _thousands),
    Measure("hit %", "share of the input that the cache gives", lambda r: r.shared, lambda r: r.tokens, percent),
    Measure(
        "$ per 1,000",
        "what the input of 1,000 requests costs in US dollars",
        lambda r: 1000 * float(r.dollars),
        lambda r: r.requests,
        lambda value: f"{value:,.2f}",
    ),
    Measure(
        "evidence %",
        "turns with the answers of labelled questions that the model is shown when they are asked, at the end",
        lambda r: r.evidence[0],
        lambda r: r.evidence[1],
        percent,
    ),
    Measure(
        "taken up %",
        "names, paths and numbers of earlier turns that the model used next, and was still shown",
        lambda r: r.taken_up[0],
        lambda r: r.taken_up[1],
        percent,
    ),
)
MEANING = {
    **{measure.name: measure.about for measure in MEASURES},
    **{f"of {name}": f"its cost as a share of what `{name}` costs on the same conversations" for name in BASELINES},
    "peak": "tokens of the largest input",
    "over": "requests whose view is over its budget",
    "summaries": "how many were made, and how many tokens their maker read; neither is part of the cost",
}


@dataclass(frozen=True, slots=True)
class Report:
    """All conversations under all strategies. `about` says what was replayed on which terms."""

    results: tuple[Replayed, ...]
    strategies: Mapping[str, Strategy | Last]
    about: dict[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()

    @property
    def datasets(self) -> list[str]:
        """In the order in which they came; all of them together last, where there are several."""
        names = list(dict.fromkeys(result.dataset for result in self.results))
        return [*names, ALL] if len(names) > 1 else names

    def of(self, dataset: str, strategy: str) -> list[Replayed]:
        return [r for r in self.results if r.strategy == strategy and dataset in (r.dataset, ALL)]

    def figure(self, dataset: str, strategy: str, measure: Measure) -> Interval | None:
        """The measure with its interval over conversations; None where there was nothing to measure."""
        found = [r for r in self.of(dataset, strategy) if measure.below(r)]
        return ratio([measure.above(r) for r in found], [measure.below(r) for r in found]) if found else None

    def against(self, dataset: str, strategy: str, baseline: str) -> Interval | None:
        """What the strategy costs as a share of what the baseline does on the same conversations."""
        costs = {(r.dataset, r.talk): r.cost for r in self.of(dataset, baseline)}
        found = [r for r in self.of(dataset, strategy) if (r.dataset, r.talk) in costs]
        return ratio([r.cost for r in found], [costs[r.dataset, r.talk] for r in found]) if found else None

    @property
    def warnings(self) -> dict[str, tuple[str, ...]]:
        """What speaks against each strategy."""
        told = {name: advice.warnings(s) for name, s in self.strategies.items() if isinstance(s, Strategy)}
        return {name: texts for name, texts in told.items() if texts}

    def json(self) -> str:
        about = {"form": _FORM, "about": self.about, "notes": self.notes, "warnings": self.warnings}
        given = {name: given_of(strategy) for name, strategy in self.strategies.items()}
        figures = {
            dataset: {name: self._figures(dataset, name) for name in self.strategies} for dataset in self.datasets
        }
        results = [{**asdict(result), "dollars": float(result.dollars)} for result in self.results]
        whole = {**about, "strategies": given, "figures": figures, "results": results}
        return json.dumps(whole, ensure_ascii=False, indent=1)

    def markdown(self) -> str:
        """A table for each set of conversations, and what speaks against a strategy."""
        lines = [*(f"- {name}: {value}" for name, value in self.about.items()), ""]
        lines += [line for note in self.notes for line in (f"> {note}", "")]
        for dataset in self.datasets:
            lines += [f"## {dataset}", "", self.counted(dataset), ""]
            heads, rows = self.table(dataset)
            lines += [*head(*heads), *(row(*cells) for cells in rows), ""]
        if self.warnings:
            lines += ["## Warnings", ""]
            lines += [f"- {name}: {text}" for name, texts in self.warnings.items() for text in texts]
        return "\n".join(lines).rstrip() + "\n"

    def counted(self, dataset: str) -> str:
        """How many conversations and requests there were."""
        found = self.of(dataset, next(iter(self.strategies)))
        many = "conversation" if len(found) == 1 else "conversations"
        return f"{len(found):,} {many}, {sum(r.requests for r in found):,} requests"

    def table(self, dataset: str) -> tuple[list[str], list[list[str]]]:
        """Every strategy as a row; a measure that nothing was taken of has no column."""
        taken = [m for m in MEASURES if any(self.figure(dataset, name, m) is not None for name in self.strategies)]
        compared = [f"of {name}" for name in BASELINES]
        heads = ["strategy", *(measure.name for measure in taken), *compared, "peak", "over", "summaries"]
        rows: list[list[str]] = []
        for name in self.strategies:
            found = self.of(dataset, name)
            made, read = sum(r.summaries for r in found), sum(r.summary_tokens for r in found)
            rows.append(
                [
                    name,
                    *(cell(self.figure(dataset, name, measure), measure.shown) for measure in taken),
                    *(cell(self.against(dataset, name, other), lambda value: f"{value:.2f}") for other in BASELINES),
                    _thousands(max((r.peak for r in found), default=0)),
                    str(sum(r.over for r in found)),
                    f"{made} of {read:,} tokens" if made else "",
                ]
            )
        return heads, rows

    def _figures(self, dataset: str, name: str) -> dict[str, Any]:
        told = {measure.name: self.figure(dataset, name, measure) for measure in MEASURES}
        told |= {f"of {other}": self.against(dataset, name, other) for other in BASELINES}
        return {what: asdict(found) for what, found in told.items() if found is not None}


def cell(found: Interval | None, shown: Callable[[float], str]) -> str:
    """A figure with its interval, or nothing where it was not measured."""
    if found is None:
        return ""
    if found.low is None or found.high is None or shown(found.low) == shown(found.high):
        return shown(found.mean)
    return f"{shown(found.mean)} [{shown(found.low)}, {shown(found.high)}]"


def given_of(strategy: Strategy | Last) -> dict[str, Any]:
    """What of the strategy is not the default."""
    if isinstance(strategy, Last):
        return asdict(strategy)
    return {f.name: value for f in fields(Strategy) if (value := getattr(strategy, f.name)) != getattr(NONE, f.name)}


def given(text: str, taken: Sequence[str]) -> tuple[str, Strategy]:
    """The strategy of these fields (JSON), and a name for it that no other one has. Raises Invalid."""
    try:
        said = json.loads(text)
    except ValueError as cause:
        raise Invalid(f'{text!r} is no JSON ({cause}); write {{"mode": "trim", ...}}', field="strategy") from cause
    strategy = resolve(said, {}, {})[0]
    rest = [f"{name}={value}" for name, value in said.items() if name != "mode"]
    name = " ".join([strategy.mode, *rest])
    return name if name not in taken else f"{name} ({len(taken)})", strategy


def made(results: Sequence[Replayed], strategies: Mapping[str, Strategy | Last], terms: Mapping[str, str]) -> Report:
    """The report on these results, which says of itself what ran, when and on what."""
    notes: tuple[str, ...] = ()
    if not results:
        notes = ("No session has two requests to a model: there is nothing to compare.",)
    return Report(tuple(results), strategies, {**terms, **facts()}, notes)
