"""What an evaluation found: results of questions, what memory kept, and times; as JSON, and as Markdown."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from carryover.core.errors import Invalid
from carryover.core.text import digest
from carryover.evals import metrics
from carryover.evals.bootstrap import RESAMPLES, SEED, Interval, interval

MEASURES = ("R@5", "R@10", "R@20", "nDCG@10", "B500", "B1000", "B2000")
# What a headline shows beside them, where it was measured; `context tokens` is a number, all else a share.
CONTEXT = ("QC", "answer", "answer static", "answer by chance", "newest first", "stale", "context tokens")
SESSIONS = ("all@5", "all@10", "S@5", "S all@5", "S nDCG_any@10")
LESS_IS_MORE = ("stale",)
MEANING = {
    "R@k": "share of the turns with the answer that are among the first k found",
    "nDCG@10": "the same among ten, where an earlier place counts more",
    "Bn": "share of them that fits into n tokens of what was found, taken in order",
    "all@k": "share of questions with all such turns among the first k",
    "S": "the same by session: S@5, S all@5, S all@10, and S nDCG_any@10 as LongMemEval defines it",
    "QC": "share of them whose own words stand in a context of 500 tokens that was asked for with the question",
    "answer": "share of the answer's words that stand in that context",
    "answer static": "the same in the context that every session is told, without the question",
    "answer by chance": "the same in 500 tokens of turns picked blindly: the floor",
    "newest first": "where something was updated: share of questions whose newest turn was found before the older ones",
    "stale": "share of those whose context quotes an older turn without the newest",
}
_FORM = 1
_MOST_STRANGE = 10


@dataclass(frozen=True, slots=True)
class Result:
    """One question in one mode: its measures, and the first of what was found.

    `cluster` is the conversation (of your own log: the session), within which questions stand or fall together.
    """

    dataset: str
    mode: str
    cluster: str
    category: str
    question: str
    values: dict[str, float]
    answer: str = ""
    found: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        return self.dataset, self.mode, self.cluster, self.category, self.question


@dataclass(frozen=True, slots=True)
class Kept:
    """What the snapshots of one conversation carry of what was said, and whether it was said at all.

    `survived` counts details by kind (kept, of): `asked` ones stand in the turns that questions are about.
    `unsupported` are details of `statements` findings, or of `contexts` contexts, that their turns do not hold.
    """

    dataset: str
    cluster: str
    survived: dict[str, tuple[int, int]]
    asked: dict[str, tuple[int, int]]
    statements: int
    contexts: int
    unsupported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all questions. `times` are milliseconds by what was done; `about` says what was measured how."""

    results: tuple[Result, ...]
    kept: tuple[Kept, ...] = ()
    times: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    about: dict[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()

    @property
    def sets(self) -> list[tuple[str, str]]:
        """Every dataset in every mode, in the order in which they came."""
        return list(dict.fromkeys((result.dataset, result.mode) for result in self.results))

    def chosen(self, dataset: str, mode: str, category: str | None = None) -> list[Result]:
        """The results of a dataset in a mode, of all categories or one."""
        return [
            result
            for result in self.results
            if (result.dataset, result.mode) == (dataset, mode) and category in (None, result.category)
        ]

    def of(self, dataset: str, mode: str, category: str | None = None) -> dict[str, float]:
        """The mean of each measure, and `n`, the number of questions."""
        chosen = self.chosen(dataset, mode, category)
        names = dict.fromkeys([*MEASURES, *(name for result in chosen for name in result.values)])
        return {"n": len(chosen), **{name: metrics.mean(_values(chosen, name)) for name in names}}

    def headline(self, dataset: str, mode: str, names: Iterable[str]) -> dict[str, Interval]:
        """The mean of each measure that was taken, with its interval over conversations."""
        chosen = self.chosen(dataset, mode)
        found: dict[str, Interval] = {}
        for name in names:
            having = [result for result in chosen if name in result.values]
            if having:
                found[name] = interval([r.values[name] for r in having], [r.cluster for r in having])
        return found

    def worst(self, dataset: str, mode: str, most: int) -> list[Result]:
        """The questions whose evidence was found least, those first that a context missed as well."""
        wanting = [r for r in self.chosen(dataset, mode) if r.values.get("R@10", 1.0) < 1]

        def found(result: Result) -> tuple[float, float, float, str]:
            values = result.values
            return values.get("QC", 0.0), values["R@20"], values["R@10"], digest(result.question)  # not all of one talk

        return sorted(wanting, key=found)[:most]

    def json(self) -> str:
        """All of it, with the texts of questions and of what was found."""
        return json.dumps({"form": _FORM, **asdict(self)}, ensure_ascii=False, indent=1)

    def markdown(self) -> str:
        """For each dataset: measures with their intervals, by category, what was kept, and how long it took."""
        lines = [f"- {name}: {value}" for name, value in self.about.items()]
        lines += ["", *(f"> {note}" for note in self.notes), ""] if self.notes else [""] if lines else []
        for dataset in dict.fromkeys(dataset for dataset, _ in self.sets):
            lines += [f"## {dataset}", "", *self._tables(dataset), ""]
        if self.times:
            lines += ["## Times", "", *head("what", "n", "p50 ms", "p95 ms")]
            lines += [
                f"| {what} | {len(ms)} | {metrics.quantile(ms, 0.5):.1f} | {metrics.quantile(ms, 0.95):.1f} |"
                for what, ms in self.times.items()
            ]
        return "\n".join(lines).rstrip() + "\n"

    def _tables(self, dataset: str) -> list[str]:
        modes = [mode for of, mode in self.sets if of == dataset]
        categories = sorted({result.category for result in self.results if result.dataset == dataset})
        lines = head("mode", "category", "n", *MEASURES)
        for mode in modes:
            for category in (None, *categories):
                means = self.of(dataset, mode, category)
                shown = [percent(means[name]) for name in MEASURES]
                lines.append(row(mode, category or "all", str(means["n"]), *shown))
        for names, heading in ((MEASURES, "R@k"), (CONTEXT, "Contexts"), (SESSIONS, "All of it, and by session")):
            found = {mode: self.headline(dataset, mode, names) for mode in modes}
            taken = [name for name in names if any(name in of for of in found.values())]
            if taken:
                lines += ["", f"{heading}, with 95 % intervals:" if names == MEASURES else f"{heading}:", ""]
                lines += head("measure", *modes)
                lines += [row(name, *(cell(name, found[mode].get(name)) for mode in modes)) for name in taken]
        return lines + self._faithfulness(dataset)

    def _faithfulness(self, dataset: str) -> list[str]:
        kept = [one for one in self.kept if one.dataset == dataset]
        if not kept:
            return []
        lines = ["", *head("details kept by snapshots", "of all said", "of those asked about")]
        lines += [row(*cells) for cells in survivals(kept)]
        strange = [detail for one in kept for detail in one.unsupported]
        return [*lines, "", supported(kept), *(f"- {detail}" for detail in strange[:_MOST_STRANGE])]


def survivals(kept: Sequence[Kept]) -> list[tuple[str, str, str]]:
    """By kind: the share of details that snapshots carry, of all said and of those that are asked about."""
    return [
        (kind, _share(one.survived.get(kind) for one in kept), _share(one.asked.get(kind) for one in kept))
        for kind in sorted({kind for one in kept for kind in one.survived})
    ]


def supported(kept: Sequence[Kept]) -> str:
    """How many details nobody said, in how many statements and contexts."""
    strange = sum(len(one.unsupported) for one in kept)
    statements, contexts = sum(one.statements for one in kept), sum(one.contexts for one in kept)
    return f"{strange} unsupported details in {statements:,} statements and {contexts:,} contexts."


def about(report: Report, **told: object) -> Report:
    """The report that says of itself what ran, when and on what."""
    return replace(report, about={**report.about, **{name: str(fact) for name, fact in told.items()}, **facts()})


def facts() -> dict[str, str]:
    """What runs, when and on what."""
    return {
        "carryover": metadata.version("carryover-memory"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "bootstrap": f"{RESAMPLES:,} resamples by conversation, seed {SEED}",
    }


def read(path: Path) -> Report:
    """A report that was written as JSON. Raises Invalid where the file is none."""
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if data["form"] != _FORM:
            raise ValueError(f"it has form {data['form']!r}")
        results = tuple(_result(item) for item in data["results"])
        return Report(results, times=data["times"], about=data["about"])
    except (ValueError, LookupError, TypeError, AttributeError, OSError, RecursionError) as cause:
        raise Invalid(
            f"{path} is no report of this version ({type(cause).__name__}: {cause}); write one with --json",
            field=str(path),
        ) from cause


def _result(item: dict[str, Any]) -> Result:
    return replace(Result(**item), found=tuple(item["found"]))


def percent(value: float) -> str:
    """A share, without its sign."""
    return f"{100 * value:.1f}"


def shown(name: str, value: float) -> str:
    """A mean in its unit: tokens as a number, a share in percent."""
    return f"{value:.0f}" if name.endswith("tokens") else percent(value)


def _values(results: Sequence[Result], name: str) -> list[float]:
    return [result.values[name] for result in results if name in result.values]


def cell(name: str, found: Interval | None) -> str:
    """A mean with its interval, or nothing where it was not measured."""
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return shown(name, found.mean)
    return f"{shown(name, found.mean)} [{shown(name, found.low)}, {shown(name, found.high)}]"


def _share(pairs: Iterable[Sequence[int] | None]) -> str:
    known = [pair for pair in pairs if pair]
    of = sum(pair[1] for pair in known)
    return f"{percent(sum(pair[0] for pair in known) / of)} of {of}" if of else ""


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def head(*cells: str) -> list[str]:
    """The head of a Markdown table."""
    return [row(*cells), "|" + "---|" * len(cells)]
