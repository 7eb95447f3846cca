"""The report as one HTML page that stands alone: no script, nothing from elsewhere, light or dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from carryover.evals import draw
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

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff; --shade: #f6f8fa;
  --series-0: #0969da; --series-1: #bc4c00; --series-2: #1a7f37; --series-3: #8250df }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117;
  --shade: #151b23; --series-0: #4493f8; --series-1: #f0883e; --series-2: #3fb950; --series-3: #ab7df8 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.25 } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft) } th, td { border: 1px solid var(--line); padding: .25rem .6rem;
  white-space: nowrap; text-align: right } th:first-child, td:first-child { text-align: left }
th { background: var(--shade) }
figure { margin: 1.5rem 0 } figcaption { font-weight: 600 } svg { width: 100%; max-width: 640px; height: auto }
svg text { fill: var(--soft); font-size: 11px } .grid { stroke: var(--line) } .key { margin-right: 1rem }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .35em } .curve { stroke-width: 2 }
.series-0 { fill: var(--series-0); background: var(--series-0) } .series-1 { fill: var(--series-1);
  background: var(--series-1) } .series-2 { fill: var(--series-2); background: var(--series-2) }
.series-3 { fill: var(--series-3); background: var(--series-3) }
.curve.series-0 { fill: none; stroke: var(--series-0) } .curve.series-1 { fill: none; stroke: var(--series-1) }
.curve.series-2 { fill: none; stroke: var(--series-2) } .curve.series-3 { fill: none; stroke: var(--series-3) }
.note { border-left: 3px solid var(--series-1); padding-left: .8rem } li { margin: .2rem 0 }
details { border: 1px solid var(--line); border-radius: 6px; padding: .4rem .8rem; margin: .4rem 0 }
summary { cursor: pointer } dt { color: var(--soft) } dd { margin: 0 0 .4rem 0; overflow-wrap: anywhere }
"""


def page(report: Report, against: Sequence[Difference] = ()) -> str:
    """The whole page."""
    body = [
        "<h1>How well memory works</h1>",
        *(f'<p class="note">{escape(note)}</p>' for note in report.notes),
        *_against(against),
    ]
    for dataset in dict.fromkeys(dataset for dataset, _ in report.sets):
        body += _dataset(report, dataset)
    body += _times(report)
    body += ["<h2>What the measures say</h2>", _described(MEANING)]
    body += ["<h2>About this run</h2>", _described(report.about)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>How well memory works</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _dataset(report: Report, dataset: str) -> Iterator[str]:
    modes = [mode for of, mode in report.sets if of == dataset]
    found = {mode: report.headline(dataset, mode, (*MEASURES, *CONTEXT, *SESSIONS)) for mode in modes}
    names = [name for name in (*MEASURES, *CONTEXT, *SESSIONS) if any(name in of for of in found.values())]
    asked = report.chosen(dataset, modes[0])
    counted = f"{len(asked):,} questions about {len({r.cluster for r in asked}):,} conversations or sessions"
    yield f"<h2>{escape(dataset)}</h2>"
    yield _table(
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
        yield _table("Details kept by snapshots, in percent", ("kind", "of all said", "asked about"), survivals(kept))
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


def _described(terms: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in terms.items())}</dl>"


def _times(report: Report) -> Iterator[str]:
    if report.times:
        yield "<h2>Times</h2>"
        rows = [
            (what, str(len(ms)), f"{quantile(ms, 0.5):.1f}", f"{quantile(ms, 0.95):.1f}")
            for what, ms in report.times.items()
        ]
        yield _table("Milliseconds, the model's included", ("what", "n", "p50", "p95"), rows)
        yield from (draw.histogram(f"How long it took: {what}", "ms", ms) for what, ms in report.times.items())


def _against(found: Sequence[Difference]) -> Iterator[str]:
    for dataset, mode in dict.fromkeys((one.dataset, one.mode) for one in found):
        yield f"<h2>{escape(f'{dataset}, {mode}, against the other run')}</h2>"
        rows = [cells(one) for one in found if (one.dataset, one.mode) == (dataset, mode)]
        yield _table(
            "Paired by question, drawn by conversation", ("measure", "n", "before", "by", "95 %", "verdict"), rows
        )


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in line)}</tr>" for line in rows)
    return f'<div class="wide"><table><caption>{escape(caption)}</caption><tr>{head}</tr>{lines}</table></div>'
