"""The report as one HTML page that stands alone: no script, nothing from elsewhere, light or dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from carryover.evals import draw, html
from carryover.evals.asking import BUDGETS, RANKS
from carryover.evals.compare import Difference, cells
from carryover.evals.metrics import quantile
from carryover.evals.report import (
    CONTEXT,
    MEANING,
    MEASURES,
    SESSIONS,
    Report,
    Result,
    cell,
    percent,
    supported,
    survivals,
)

WORST = 15  # questions of each dataset and mode
_BY_CATEGORY = ("R@10", "QC")


def page(report: Report, against: Sequence[Difference] = ()) -> str:
    """The whole page."""
    body = [*html.notes(report.notes), *_against(against)]
    for dataset in dict.fromkeys(dataset for dataset, _ in report.sets):
        body += _dataset(report, dataset)
    body += _times(report)
    body += ["<h2>What the measures say</h2>", html.described(MEANING)]
    body += ["<h2>About this run</h2>", html.described(report.about)]
    return html.whole("How well memory works", body)


def _dataset(report: Report, dataset: str) -> Iterator[str]:
    modes = [mode for of, mode in report.sets if of == dataset]
    found = {mode: report.headline(dataset, mode, (*MEASURES, *CONTEXT, *SESSIONS)) for mode in modes}
    names = [name for name in (*MEASURES, *CONTEXT, *SESSIONS) if any(name in of for of in found.values())]
    asked = report.chosen(dataset, modes[0])
    counted = f"{len(asked):,} questions about {len({r.cluster for r in asked}):,} conversations or sessions"
    yield f"<h2>{escape(dataset)}</h2>"
    yield html.table(
        f"{counted}; in percent, with 95 % intervals over them",
        ("measure", *modes),
        [(name, *(cell(name, found[mode].get(name)) for mode in modes)) for name in names],
    )
    for name in _BY_CATEGORY:
        if any(name in of for of in found.values()):
            yield draw.bars(f"{name} by category", _by_category(report, dataset, modes, name))
    for title, axis, letter, places in (
        ("Evidence among the first k found", "k", "R@", RANKS),
        ("Evidence inside a budget of tokens", "tokens", "B", BUDGETS),
    ):
        means = {mode: report.of(dataset, mode) for mode in modes}
        lines = {m: [(x, of[f"{letter}{x}"]) for x in places if f"{letter}{x}" in of] for m, of in means.items()}
        if all(lines.values()):
            yield draw.curves(title, axis, lines)
    kept = [one for one in report.kept if one.dataset == dataset]
    if kept:
        yield html.table(
            "Details kept by snapshots, in percent", ("kind", "of all said", "asked about"), survivals(kept)
        )
        yield f"<p>{escape(supported(kept))}</p><ul>"
        yield from (f"<li>{escape(detail)}</li>" for one in kept for detail in one.unsupported[:WORST])
        yield "</ul>"
    for mode in modes:
        worst = report.worst(dataset, mode, WORST)
        if worst:
            yield f"<h3>Found least, {escape(mode)}</h3>"
            yield from map(_missed, worst)


def _by_category(report: Report, dataset: str, modes: Sequence[str], name: str) -> dict[str, dict[str, float]]:
    categories = sorted({result.category for result in report.chosen(dataset, modes[0])})
    groups = {c: {mode: report.of(dataset, mode, c) for mode in modes} for c in categories}
    return {
        f"{category} ({of[modes[0]]['n']:g})": {mode: means[name] for mode, means in of.items() if name in means}
        for category, of in groups.items()
        if any(name in means for means in of.values())
    }


def _missed(result: Result) -> str:
    taken = [name for name in ("R@10", "R@20", "QC") if name in result.values]
    values = ", ".join(f"{name} {percent(result.values[name])}" for name in taken)
    told = [("asked", f"{result.cluster}, {result.category}; {values}")]
    told += [("the answer", result.answer)] if result.answer else []
    told += [("found instead", text) for text in result.found]
    lines = "".join(f"<dt>{escape(what)}</dt><dd>{escape(text)}</dd>" for what, text in told)
    return f"<details><summary>{escape(result.question)}</summary><dl>{lines}</dl></details>"


def _times(report: Report) -> Iterator[str]:
    if report.times:
        yield "<h2>Times</h2>"
        rows = [
            (what, str(len(ms)), f"{quantile(ms, 0.5):.1f}", f"{quantile(ms, 0.95):.1f}")
            for what, ms in report.times.items()
        ]
        yield html.table("Milliseconds, the model's included", ("what", "n", "p50", "p95"), rows)
        yield from (draw.histogram(f"How long it took: {what}", "ms", ms) for what, ms in report.times.items())


def _against(found: Sequence[Difference]) -> Iterator[str]:
    for dataset, mode in dict.fromkeys((one.dataset, one.mode) for one in found):
        yield f"<h2>{escape(f'{dataset}, {mode}, against the other run')}</h2>"
        rows = [cells(one) for one in found if (one.dataset, one.mode) == (dataset, mode)]
        yield html.table(
            "Paired by question, drawn by conversation", ("measure", "n", "before", "by", "95 %", "verdict"), rows
        )
