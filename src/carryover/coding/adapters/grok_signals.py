"""Grok Build's `signals.json`: what its maker counted of a session, to be held against our own counts."""

from __future__ import annotations

from pathlib import Path

from carryover.coding.adapters import grok
from carryover.coding.adapters.base import Form, Reading, table
from carryover.coding.adapters.messages import message
from carryover.coding.lines import bare, decoded
from carryover.core.step import Flavor, Supply

flavor: Flavor = grok.flavor
supplies: frozenset[Supply] = grok.supplies
places: tuple[str, ...] = grok.places
form: Form = "document"
files: tuple[str, ...] = ("signals.json",)


def claims(head: bytes, path: Path) -> bool:
    """An object of counters, of turns and of failures among them."""
    try:
        said = table(decoded(bare(head)))
    except ValueError:
        return False
    return "turnCount" in said and "toolFailureCount" in said


def read(reading: Reading, line: bytes) -> None:
    """The counters that are not zero are one note."""
    counters = {
        name: value
        for name, value in table(decoded(line)).items()
        if isinstance(value, int | float | str) and value not in (0, "", False)
    }
    session = grok.session_of(reading)
    said = ", ".join(f"{name} {value}" for name, value in sorted(counters.items()))
    detail = {"via": "signals", **counters}
    reading.of(session).add(message(reading, "note", ["grok", session, "signals"], said, detail=detail))
    reading.saw(None, "signals")


def finish(reading: Reading) -> None:
    """It is read as a whole."""
