"""What people and programs get to see: JSON, lines and tables on the output; notes and progress on the errors."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from carryover.core.clock import rfc3339
from carryover.core.wire import encode
from carryover.guard.visible import printable

_PASSWORD = re.compile(r"(://[^:/@]*:|[?&](?:ssl)?password=)[^@/&]+")
_PLAIN_STEPS = 4  # how often progress is told where there is no terminal


def out(text: str = "") -> None:
    """A result."""
    typer.echo(printable(text))


def note(text: str) -> None:
    """Something to know beside the result."""
    typer.echo(printable(text), err=True)


def as_json(value: Any) -> None:
    """A value of carryover as one line of JSON."""
    typer.echo(json.dumps(encode(value), ensure_ascii=False))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as they need to be; numbers to the right; the last column ends where it ends."""
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(heads))]
    numeric = [bool(rows) and all(isinstance(row[n], int) for row in rows) for n in range(len(heads))]
    for row in cells:
        shown = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        out("  ".join(shown).rstrip())


def when(at: int) -> str:
    """`2026-11-21 05:23`, UTC."""
    return rfc3339(at)[:16].replace("T", " ")


def counted(n: int, noun: str) -> str:
    """`1 turn`, `12,400 turns`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def without_password(url: str) -> str:
    """A URL as a person may see it."""
    return _PASSWORD.sub(r"\1…", url)


def first_line(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


@contextmanager
def progress(what: str, total: int) -> Generator[Callable[[int], None]]:
    """Call what is yielded with how many more are done: a bar on a terminal, a few plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines(what, total).advance
        return
    # By name: drawing takes longer to load than most verbs take to run.
    with importlib.import_module("carryover.cli.bar").drawn(what, total) as advance:
        yield advance


class _Lines:
    """Progress as lines, a quarter of the way each."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done, self._told = what, total, 0, 0

    def advance(self, by: int) -> None:
        self._done += by
        step = self._done * _PLAIN_STEPS // max(self._total, 1)
        if step > self._told or (by and self._done == self._total and self._told < _PLAIN_STEPS):
            self._told = step
            note(f"{self._what}: {self._done:,} of {self._total:,}")
