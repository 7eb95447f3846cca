"""A cue: many turns of phrase that are looked for as one."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cue:
    """Patterns read as one: those for the beginning are tried there only, the others wherever a word begins."""

    opening: re.Pattern[str] | None
    inside: re.Pattern[str] | None

    def search(self, text: str) -> re.Match[str] | None:
        found = self.opening.match(text) if self.opening else None
        return found or (self.inside.search(text) if self.inside else None)

    def match(self, text: str) -> re.Match[str] | None:
        found = self.opening.match(text) if self.opening else None
        return found or (self.inside.match(text) if self.inside else None)


def any_of(*patterns: str) -> Cue:
    every = [part for pattern in patterns for part in _alternatives(pattern)]
    opening = [part for part in every if part.startswith("^")]
    words = [part.removeprefix(r"\b") for part in every if part.startswith(r"\b")]
    rest = [part for part in every if not part.startswith(("^", r"\b"))]
    inside = ([rf"\b(?:{'|'.join(words)})"] if words else []) + rest
    return Cue(
        re.compile("|".join(opening), re.IGNORECASE) if opening else None,
        re.compile("|".join(inside), re.IGNORECASE) if inside else None,
    )


def _alternatives(pattern: str) -> list[str]:
    """The alternatives of a pattern that are not inside brackets."""
    parts, depth = [""], 0
    for piece in re.findall(r"\\.|\[(?:\\.|[^\]\\])*\]|.", pattern):
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts
