"""Plots as inline SVG: bars, curves, columns over time, intervals. Their colours are those of the page's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import count
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 24, 12, 40
COLOURS = 8  # that the style has, as `--series-0` and so on
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


def traces(title: str, axis: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """For each series an amount over a number; amounts grow tenfold from one line of the grid to the next."""
    points = [point for line in lines.values() for point in line if point[1] > 0]
    far = max((x for x, _ in points), default=1.0)
    left = 68  # amounts are long where the text of a small screen is large
    low = floor(log10(min((y for _, y in points), default=1.0)))
    high = max(low + 1, ceil(log10(max((y for _, y in points), default=10.0))))

    def at(x: float, y: float) -> tuple[float, float]:
        share = (log10(max(y, 10.0**low)) - low) / (high - low)
        return left + (WIDTH - left - RIGHT) * x / far, TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    parts: list[str] = []
    for power in range(low, high + 1):
        y = at(0, 10.0**power)[1]
        parts += [_line(left, y, WIDTH - RIGHT, y, "grid"), _text(left - 6, y + 4, _short(10.0**power), "end")]
    for tick in range(5):
        x = far * tick / 4
        parts.append(_text(at(x, 1)[0], HEIGHT - BOTTOM + 18, f"{x:.0f}", "middle"))
    parts.append(_text((left + WIDTH - RIGHT) / 2, HEIGHT - 4, axis, "middle"))
    for number, (name, line) in enumerate(lines.items()):
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
        told = f"<title>{escape(name)}</title>"
        parts.append(f'<polyline points="{drawn}" class="curve series-{number % COLOURS}">{told}</polyline>')
    return _figure(title, list(lines), parts, HEIGHT, legible=True)


def amounts(title: str, values: Mapping[str, float], unit: str = "") -> str:
    """For each series a bar as long as its amount, one below the other."""
    row, left = 30, 10
    most = max(values.values(), default=0.0) or 1.0
    scale = WIDTH - left - 90
    parts: list[str] = []
    for number, (name, value) in enumerate(values.items()):
        y = row * number
        told = escape(f"{name}: {value:,.0f}{unit}")
        parts.append(
            f'<rect x="{left}" y="{y + 4}" width="{scale * value / most:.1f}" height="{row - 8}" '
            f'class="series-{number % COLOURS}"><title>{told}</title></rect>'
        )
        parts.append(_text(left + scale * value / most + 6, y + row / 2 + 5, f"{value:,.0f}{unit}"))
    return _figure(title, list(values), parts, row * len(values) + 4, legible=True)


def _short(value: float) -> str:
    return f"{value / 1000:,.0f}k" if value >= 1000 else f"{value:g}"


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


def stacked(title: str, columns: Mapping[str, Mapping[str, int]], colours: Mapping[str, int] | None = None) -> str:
    """For each column its counts one above the other, series by series; the columns are spaced evenly.

    A series may have a colour of its own, by its number. Series without a single count are left out.
    """
    named = dict.fromkeys(name for counts in columns.values() for name in counts)
    shown = [name for name in named if any(counts.get(name) for counts in columns.values())]
    shades = {name: (colours or {}).get(name, n) % COLOURS for n, name in enumerate(shown)}
    most = max((sum(counts.values()) for counts in columns.values()), default=0) or 1
    tick = -(-most // 4)
    top = -(-most // tick) * tick
    step, room = (WIDTH - LEFT - RIGHT) / max(len(columns), 1), HEIGHT - TOP - BOTTOM
    parts: list[str] = []
    for value in range(0, top + 1, tick):
        y = TOP + room * (1 - value / top)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y, "grid"), _text(LEFT - 6, y + 4, f"{value}", "end")]
    every = -(-len(columns) // 5)  # as many names as there is room for, also on a phone
    wide = min(max(step - 2, 1), 40)
    for n, (column, counts) in enumerate(columns.items()):
        x, y = LEFT + step * (n + 0.5), HEIGHT - BOTTOM
        for name, many in counts.items():
            tall = room * many / top
            y -= tall
            if many:
                told = escape(f"{column}, {name}: {many}")
                parts.append(
                    f'<rect x="{x - wide / 2:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" '
                    f'class="series-{shades[name]}"><title>{told}</title></rect>'
                )
        if n % every == 0:
            anchor = "start" if n == 0 and len(columns) > 5 else "middle"
            parts.append(_text(LEFT if anchor == "start" else x, HEIGHT - BOTTOM + 20, column, anchor))
    return _figure(title, shades, parts, HEIGHT, legible=True)


def spark(told: str, counts: Sequence[int]) -> str:
    """Counts as small columns within a line of text; `told` says what they are."""
    most, step = max(counts, default=0) or 1, 120 / max(len(counts), 1)
    parts = [
        f'<rect x="{step * n:.1f}" y="{22 - 22 * many / most:.1f}" width="{max(step - 1, 1):.1f}" '
        f'height="{22 * many / most:.1f}" class="series-0"/>'
        for n, many in enumerate(counts)
        if many
    ]
    parts.append(_line(0, 23, 120, 23, "grid"))
    return f'<svg class="spark" viewBox="0 0 120 24" role="img" aria-label="{escape(told)}">{"".join(parts)}</svg>'


def intervals(title: str, rows: Sequence[tuple[str, float, float, float]]) -> str:
    """For each (name, estimate, low, high) a point on its interval, around a line at zero, with the name above it."""
    row, reached = 46, [abs(value) for _, *values in rows for value in values if isfinite(value)]
    reach, height = max(reached, default=0.0) or 1.0, 46 * len(rows) + 34
    scale = (WIDTH - LEFT - RIGHT) / (2 * reach)

    def at(value: float) -> float:
        return LEFT + scale * (max(-reach, min(reach, value)) + reach)

    parts = [_line(at(0), 0, at(0), height - 30, "zero")]
    for n, (name, estimate, low, high) in enumerate(rows):
        y = row * n + 34
        told = escape(f"{name}: {estimate:+.3g} [{low:+.3g}, {high:+.3g}]")
        parts.append(_text(4, y - 16, name if len(name) <= 62 else f"{name[:61]}…"))
        parts.append(_line(at(low), y, at(high), y, "curve series-0"))
        dot = f'cx="{at(estimate):.1f}" cy="{y:.1f}" r="5" class="series-0"'
        parts.append(f"<circle {dot}><title>{told}</title></circle>")
    ticks = (-reach, -reach / 2, 0.0, reach / 2, reach)
    parts += [_text(at(tick), height - 8, f"{tick:+.3g}" if tick else "0", "middle") for tick in ticks]
    return _figure(title, {}, parts, height, legible=True)


def _figure(
    title: str,
    series: Sequence[str] | Mapping[str, int],
    parts: Sequence[str],
    height: float,
    *,
    legible: bool = False,
) -> str:
    """The parts with a title and a key; the text of `legible` ones has room to be larger on a small screen."""
    id = f"plot-{next(_ids)}"
    shades = series if isinstance(series, Mapping) else {name: n % COLOURS for n, name in enumerate(series)}
    keys = "".join(
        f'<span class="key"><span class="swatch series-{shade}"></span>{escape(name)}</span>'
        for name, shade in shades.items()
    )
    kind = ' class="legible"' if legible else ""
    return (
        f'<figure><figcaption id="{id}">{escape(title)}</figcaption><div>{keys}</div>'
        f'<svg{kind} viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{id}">{"".join(parts)}</svg></figure>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
