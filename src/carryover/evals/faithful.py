"""What memory kept of the details that were said, and whether what it says was said: without a model that judges.

A detail is a number, a date, an identifier or a name (`memory.ground.atoms`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from carryover.core.sentences import MOST_CHARS
from carryover.core.session import Turn
from carryover.core.snapshot import Finding
from carryover.evals.report import Kept
from carryover.memory import ground
from carryover.memory.questions import kind_of
from carryover.recall.context_text import day, quarter

NAMES = {"cloze": "names"}
_AROUND = 80  # characters before and after a detail that nobody said
# What the writer of a context adds of its own: it says where a line comes from.
_NAME = re.compile(r"[^\W\d]+(?: [^\W\d]+)+")
_WHERE = re.compile(r"\bturns? \d+(?: of \d+)?|\(\d{1,2} \w{3} \d{4}\)$", re.MULTILINE)


def details(turns: Iterable[Turn]) -> frozenset[str]:
    """The details that people said in these turns; what a program said in reply is not counted."""
    people = (turn for turn in turns if turn.kind == "message" and (turn.role == "user" or turn.name is not None))
    return frozenset(atom for turn in people for atom in ground.atoms(turn.text[:MOST_CHARS]))


def survival(said: Iterable[str], findings: Iterable[Finding]) -> dict[str, tuple[int, int]]:
    """By kind, how many of the details the findings carry in their texts or quotes, and of how many."""
    said = frozenset(said)
    text = "\n".join(part for f in findings for part in (f.text, *(source.quote for source in f.sources)))
    kept = ground.carried(said, text.lower())
    of, survived = (Counter(_kind(atom) for atom in atoms) for atoms in (said, kept))
    return {kind: (survived[kind], of[kind]) for kind in sorted(of)}


def unsupported(findings: Iterable[Finding], cited: Callable[[Finding], Sequence[Turn]]) -> list[str]:
    """`detail: statement` of each detail of a finding that the very turns which it cites do not hold."""
    return [
        _told(atom, finding.text)
        for finding in findings
        for atom in sorted(ground.unsupported(finding.text, cited(finding)))
    ]


def cited_of(sessions: Mapping[str, Sequence[Turn]]) -> Callable[[Finding], Sequence[Turn]]:
    """The turns of these sessions that a finding cites."""
    by_place = {(session, turn.seq): turn for session, turns in sessions.items() for turn in turns}

    def cited(finding: Finding) -> Sequence[Turn]:
        places = ((s.session_id, seq) for s in finding.sources for seq in range(s.first, s.last + 1))
        return [by_place[place] for place in places if place in by_place]

    return cited


def kept(
    sessions: Mapping[str, Sequence[Turn]],
    findings: Sequence[Finding],
    asked: Iterable[Turn],
    contexts: Iterable[str],
) -> Kept:
    """What the findings carry of the sessions, and of the turns that are asked about; and what nobody said."""
    spoken = Spoken.of(sessions)
    texts = [text for text in contexts if text]
    strange = unsupported(findings, cited_of(sessions)) + [
        detail for text in texts for detail in spoken.unsupported(text)
    ]
    return Kept(
        dataset="",
        cluster="",
        survived=survival(details(turn for turns in sessions.values() for turn in turns), findings),
        asked=survival(details(asked), findings),
        statements=len(findings),
        contexts=len(texts),
        unsupported=tuple(dict.fromkeys(strange)),
    )


@dataclass(slots=True)
class Spoken:
    """All that was said in some sessions, to hold contexts against. What was looked up once is known."""

    text: str
    known: dict[str, bool]

    @classmethod
    def of(cls, sessions: Mapping[str, Sequence[Turn]]) -> Spoken:
        turns = [turn for said in sessions.values() for turn in said]
        days = {shown(turn.created_at) for turn in turns for shown in (day, quarter)}
        parts = (part for turn in turns for part in (turn.text.replace("**", ""), turn.name or "", turn.role))
        joined = "\n".join((*parts, *days, *sessions))
        said = {atom: True for turn in turns for atom in ground.atoms(turn.text)}
        return cls(" ".join(joined.split()).lower(), said)

    def unsupported(self, markdown: str) -> list[str]:
        """The details of a context that nobody said, its headings and the places that it names left aside."""
        lines = (line.removeprefix("- ") for line in markdown.splitlines() if line.startswith("- "))
        told = {line: _details_of(line) for line in lines}
        new = frozenset(atom for atoms in told.values() for atom in atoms if atom not in self.known)
        if new:
            found = ground.carried(new, self.text)
            self.known |= {atom: atom in found for atom in new}
        return [_told(atom, line) for line, atoms in told.items() for atom in sorted(atoms) if not self.known[atom]]


def _told(atom: str, text: str) -> str:
    """The detail, and the words around it."""
    at = max(text.lower().find(atom) - _AROUND, 0)
    return f"{atom}: {text[at : at + 2 * _AROUND + len(atom)]}"


def _details_of(line: str) -> frozenset[str]:
    """The details of a line of a context. It joins lines of a turn, so that names may run into each other: by words."""
    # A quotation is no detail of its own here: its marks are the writer's.
    atoms = ground.atoms(_WHERE.sub("", line).replace("‹", "<").replace('"', "\n"))
    return frozenset(part for atom in atoms for part in (atom.split() if _NAME.fullmatch(atom) else (atom,)))


def _kind(atom: str) -> str:
    kind = kind_of(atom)
    return NAMES.get(kind, f"{kind}s")
