"""What strategies cost, as one HTML page that stands alone: tables, and plots of size, cost and stability."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from carryover.evals import draw, html
from carryover.evals.strategies_report import ALL, MEANING, MEASURES, Report

_COST = next(measure for measure in MEASURES if measure.name == "cost")
_STABILITY = next(measure for measure in MEASURES if measure.name == "stability")


def page(report: Report) -> str:
    """The whole page."""
    body = [*html.notes(report.notes)]
    for dataset in report.datasets:
        body += _dataset(report, dataset)
    body += _warnings(report)
    body += ["<h2>What the figures say</h2>", html.described(MEANING)]
    body += ["<h2>About this run</h2>", html.described(report.about)]
    return html.whole("What strategies cost", body)


def _dataset(report: Report, dataset: str) -> Iterator[str]:
    heads, rows = report.table(dataset)
    yield f"<h2>{escape(dataset)}</h2>"
    yield html.table(f"{report.counted(dataset)}; with 95 % intervals over conversations", heads, rows)
    costs = {name: report.figure(dataset, name, _COST) for name in report.strategies}
    yield draw.amounts(
        "Cost of a request, in tokens at full price", {name: of.mean for name, of in costs.items() if of is not None}
    )
    stable = {name: report.figure(dataset, name, _STABILITY) for name in report.strategies}
    shares = {name: 100 * of.mean for name, of in stable.items() if of is not None}
    if shares:
        yield draw.amounts("Stability: how much of the view before a view begins with", shares, " %")
    if dataset != ALL:
        yield from _longest(report, dataset)


def _longest(report: Report, dataset: str) -> Iterator[str]:
    """How the input grows in the conversation with the most requests."""
    first = report.of(dataset, next(iter(report.strategies)))
    talk = max(first, key=lambda result: result.requests).talk
    curves = {
        result.strategy: [(float(x), float(y)) for x, y in result.curve]
        for name in report.strategies
        for result in report.of(dataset, name)
        if result.talk == talk
    }
    yield draw.traces(f"Tokens of each request of {talk}", "request", curves)


def _warnings(report: Report) -> Iterator[str]:
    if report.warnings:
        yield "<h2>Warnings</h2>"
        told = [f"{name}: {text}" for name, texts in report.warnings.items() for text in texts]
        yield f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in told)}</ul>"
