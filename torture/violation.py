"""A promise that was broken."""

from __future__ import annotations

from dataclasses import dataclass

# What the table counts by itself; every other kind is told as well, and fails the run.
COUNTED = ("lost", "duplicated", "reordered", "invented", "phantom")


@dataclass(frozen=True)
class Violation:
    """Its kind, one of `COUNTED` or another word, and where it was seen."""

    kind: str
    detail: str
