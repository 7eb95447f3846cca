"""How well personas do, as one HTML page that stands alone: the headline, the goals, tables and plots."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from carryover.evals import html
from carryover.evals.persona_report import Report, Section

_NAMES = {
    "label_hit": "label hit",
    "label_hit_plain": "label hit, plain",
    "leaks": "leaks",
    "block_change_rate": "session ends that change a persona",
    "unseen_after_growth": "unseen wants after growth",
    "cost_ratio_uncached": "below full history, uncached",
    "cost_ratio_cached": "below full history, cached",
    "open_ms_p50": "ms to open, p50",
}


def page(report: Report) -> str:
    """The whole page."""
    found = {_NAMES.get(name, name): value for name, value in report.headline.items() if value is not None}
    tiles = {name: f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}" for name, value in found.items()}
    body = [*html.notes(report.notes), html.tiles(tiles), "<h2>Goals</h2>"]
    body.append(
        html.table("What has to be reached", ("goal", "measured", "wanted", ""), [g.told for g in report.goals])
    )
    for section in report.sections:
        body += _section(section)
    body += ["<h2>About this run</h2>", html.described(report.about)]
    return html.whole("How well personas do", body)


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>"
    yield f"<p>{html.marked(section.about)}</p>"
    yield from section.plots
    for table in section.tables:
        yield html.table(table.caption, table.heads, table.rows)
