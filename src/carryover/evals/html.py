"""What pages of figures share: they stand alone, with no script and nothing from elsewhere, in light or dark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_LIGHT = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#6e7781", "#bf3989", "#9a6700", "#1b7c83")
_DARK = ("#4493f8", "#f0883e", "#3fb950", "#ab7df8", "#9198a1", "#f778ba", "#d29922", "#39c5cf")
_STYLE = (
    """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff; --shade: #f6f8fa;
  LIGHT }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117;
  --shade: #151b23; DARK } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.25 } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: 1rem 0; font-size: 14px;
  font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft) } caption span { display: inline-block; position: sticky; left: 0;
  max-width: min(58rem, calc(100vw - 2rem)) } th, td { border: 1px solid var(--line); padding: .25rem .5rem;
  white-space: nowrap; text-align: right } th:first-child, td:first-child { text-align: left }
th { background: var(--shade); white-space: normal; vertical-align: bottom }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 8rem }
figure { margin: 1.5rem 0 } figcaption { font-weight: 600 } svg { width: 100%; max-width: 640px; height: auto }
svg text { fill: var(--soft); font-size: 11px } .grid { stroke: var(--line) } .zero { stroke: var(--soft) }
.legible { max-width: none } .legible text { font-size: 12px } .spark { width: 120px; height: 24px; flex: none;
  margin-left: auto }
@media (max-width: 40rem) { .legible text { font-size: 19px } }
.key { margin-right: 1rem; white-space: nowrap; display: inline-block }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .35em } .curve { stroke-width: 2 }
SERIES
.note { border-left: 3px solid var(--series-1); padding-left: .8rem } li { margin: .2rem 0 }
details { border: 1px solid var(--line); border-radius: 6px; padding: .4rem .8rem; margin: .4rem 0 }
summary { cursor: pointer } dt { color: var(--soft) } dd { margin: 0 0 .4rem 0; overflow-wrap: anywhere }
code { background: var(--shade); border-radius: 4px; padding: .1em .3em; font-size: .92em; overflow-wrap: anywhere }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem }
.tiles div { background: var(--shade); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem }
.tiles dd { font-size: 1.5rem; font-weight: 600; line-height: 1.2; margin: 0 } .soft { color: var(--soft) }
.card summary { display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: center }
.card .name { flex: 1 1 18rem; overflow-wrap: anywhere } .card summary::before { content: "▸"; color: var(--soft) }
.card[open] summary::before { content: "▾" } .card summary::-webkit-details-marker { display: none }
.badge { border: 1px solid var(--line); border-radius: 1em; padding: 0 .6em; font-size: .85em; color: var(--soft);
  white-space: nowrap } .badge.marked { border-color: var(--series-3); color: var(--series-3) }
.card dd { border-left: 3px solid var(--line); padding-left: .6rem; white-space: pre-wrap }
""".replace("LIGHT", "; ".join(f"--series-{n}: {colour}" for n, colour in enumerate(_LIGHT)))
    .replace("DARK", "; ".join(f"--series-{n}: {colour}" for n, colour in enumerate(_DARK)))
    .replace(
        "SERIES",
        "\n".join(
            f".series-{n} {{ fill: var(--series-{n}); background: var(--series-{n}) }} "
            f".curve.series-{n} {{ fill: none; stroke: var(--series-{n}) }}"
            for n in range(len(_LIGHT))
        ),
    )
)
_CODE = re.compile(r"`([^`]+)`")


def whole(title: str, body: Iterable[str]) -> str:
    """A page with these parts one below the other."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join([f"<h1>{escape(title)}</h1>", *body])
        + "\n</body>\n</html>\n"
    )


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in line)}</tr>" for line in rows)
    told = f"<caption><span>{escape(caption)}</span></caption>"
    return f'<div class="wide"><table>{told}<tr>{head}</tr>{lines}</table></div>'


def described(terms: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in terms.items())}</dl>"


def tiles(told: Mapping[str, str]) -> str:
    """The few numbers that are looked for first, each with its name."""
    made = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in told.items())
    return f'<dl class="tiles">{made}</dl>'


def marked(text: str) -> str:
    """The text with what stands in backquotes as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def notes(texts: Iterable[str]) -> list[str]:
    return [f'<p class="note">{escape(text)}</p>' for text in texts]
