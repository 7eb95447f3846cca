"""Plots as inline SVG: bars, curves and a histogram. Their colours are those of the page's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import count

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 24, 12, 40
COLOURS = 4  # that the style has, as `--series-0` and so on
_BINS = 24
_ids = count(1)


def bars(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """For each group a bar of each series, as shares from 0 to 1, one group below the other."""
    series = list(dict.fromkeys(name for values in groups.values() for name in values))
    row, left = 14, 190
    height = sum(row * len(values) + 10 for values in groups.values()) + 26
    scale = WIDTH - left - 50
    parts = [_line(left + scale * tick / 4, 0, left + scale * tick / 4, height - 26, "grid") for tick in range(5)]
    parts += [_text(left + scale * tick / 4, height - 10, f"{25 * tick} %", "middle") for tick in range(5)]
    y = 4
    for group, values in groups.items():
        parts.append(_text(left - 8, y + row * len(values) / 2 + 4, group, "end"))
        for name, value in values.items():
            colour = series.index(name) % COLOURS
            parts.append(
                f'<rect x="{left}" y="{y}" width="{scale * value:.1f}" height="{row - 3}" class="series-{colour}">'
                f"<title>{escape(f'{group}, {name}: {100 * value:.1f} %')}</title></rect>"
            )
            parts.append(_text(left + scale * value + 4, y + row - 4, f"{100 * value:.0f}"))
            y += row
        y += 10
    return _figure(title, series, parts, height)


def curves(title: str, axis: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """For each series the share, from 0 to 1, over a number; the numbers are spaced evenly, as they are few."""
    places = {x: n for n, x in enumerate(sorted({x for points in lines.values() for x, _ in points}))}
    step = (WIDTH - LEFT - RIGHT) / max(len(places) - 1, 1)

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + step * places[x], TOP + (HEIGHT - TOP - BOTTOM) * (1 - y)

    parts: list[str] = []
    for tick in range(5):
        y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - tick / 4)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y, "grid"), _text(LEFT - 6, y + 4, f"{25 * tick} %", "end")]
    parts += [_text(LEFT + step * n, HEIGHT - BOTTOM + 16, f"{x:g}", "middle") for x, n in places.items()]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, axis, "middle"))
    for number, (name, points) in enumerate(lines.items()):
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        parts.append(f'<polyline points="{drawn}" class="curve series-{number % COLOURS}"/>')
        for point in points:
            x, y = at(*point)
            told = escape(f"{name}, {point[0]:g}: {100 * point[1]:.1f} %")
            dot = f'cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="series-{number % COLOURS}"'
            parts.append(f"<circle {dot}><title>{told}</title></circle>")
    return _figure(title, list(lines), parts, HEIGHT)


def histogram(title: str, axis: str, values: Sequence[float]) -> str:
    """How many values lie in each of equal steps from 0 to the largest."""
    top = max(values, default=0.0) or 1.0
    counts = [0] * _BINS
    for value in values:
        counts[min(int(value / top * _BINS), _BINS - 1)] += 1
    step, most = (WIDTH - LEFT - RIGHT) / _BINS, max(counts) or 1
    parts = [_line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "grid")]
    for n, found in enumerate(counts):
        tall = (HEIGHT - TOP - BOTTOM) * found / most
        told = f"{top * n / _BINS:.1f} to {top * (n + 1) / _BINS:.1f}: {found}"
        parts.append(
            f'<rect x="{LEFT + step * n:.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" width="{step - 2:.1f}" '
            f'height="{tall:.1f}" class="series-0"><title>{told}</title></rect>'
        )
    for tick in range(5):
        x = LEFT + (WIDTH - LEFT - RIGHT) * tick / 4
        parts.append(_text(x, HEIGHT - BOTTOM + 16, f"{top * tick / 4:.0f}", "middle"))
    parts += [
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, axis, "middle"),
        _text(LEFT - 6, TOP + 10, str(most), "end"),
    ]
    return _figure(title, [], parts, HEIGHT)


def _figure(title: str, series: Sequence[str], parts: Sequence[str], height: float) -> str:
    id = f"plot-{next(_ids)}"
    keys = "".join(
        f'<span class="key"><span class="swatch series-{n % COLOURS}"></span>{escape(name)}</span>'
        for n, name in enumerate(series)
    )
    return (
        f'<figure><figcaption id="{id}">{escape(title)}</figcaption><div>{keys}</div>'
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{id}">{"".join(parts)}</svg></figure>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
