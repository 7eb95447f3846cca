"""A summary without a model: what an extractor finds in the turns, what the user asked for, and which tools ran.

It is put together from words of the conversation alone, and the same turns give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carryover.core.ports import Extractor
from carryover.core.session import Turn
from carryover.core.snapshot import Finding, FindingKind, Found
from carryover.guard import findings as guard
from carryover.strategies.sections import (
    DECISIONS,
    DONE,
    FACTS,
    TASKS,
    TOOLS,
    WANTS,
    normal,
    one_line,
    parsed,
    sentences,
)

REQUESTS = 8  # of the user that are told: the first one, and the newest
_LEAST_WORDS = 3
_KINDS: tuple[tuple[FindingKind, str], ...] = (("decision", DECISIONS), ("fact", FACTS), ("task", TASKS))
_INSERTED = re.compile(r"\s*[<{\[]")  # messages that programs put into a user's mouth
_CHATTER = re.compile(
    r"\W*(?:thanks?|thx|hi|hey|hello|good (?:morning|evening|day|to)|bye|wow|glad|great|nice|cool|awesome|amazing"
    r"|congrat\w*|ok|okay|yes|yeah|yep|sure|exactly|sounds|perfect|aww|haha|lol)\b",
    re.IGNORECASE,
)
_FAILURE = re.compile(
    r"\W*(?:error|exception|traceback|failed|failure|fatal|not found|permission denied|exit code [1-9])\b",
    re.IGNORECASE,
)
_TOOL = re.compile(r"(?P<name>.+): called (?P<called>\d+) times?(?:, failed (?P<failed>\d+) times?)?")


def sections_of(extractor: Extractor, turns: Sequence[Turn], base: str, chars: int) -> dict[str, list[str]]:
    """The lines of a summary of these turns that goes on from the text `base`, the oldest first.

    Of the new findings those with the least weight are left out, until the rest is little longer than `chars`.
    """
    before = parsed(base)
    known = _known(before)
    extraction, _ = extractor.extract(turns, known)
    extraction = guard.guarded(extraction, turns, known)
    ends = {end.finding_id: end.status for end in extraction.closed if end.found is None}
    over = {end.found: end.status for end in extraction.closed if end.found is not None}
    found = [(n, one) for n, one in enumerate(extraction.found) if n not in over]
    kept = _weightiest([one for _, one in found], chars)
    decided = [normal(one.text) for one in kept if one.kind == "decision"]
    told = {heading: [f.text for f in known if f.kind == kind and f.id not in ends] for kind, heading in _KINDS}
    for kind, heading in _KINDS:
        new = [one.text for one in kept if one.kind == kind and not one.pinned]
        told[heading] += new if kind == "decision" else [t for t in new if not any(d in normal(t) for d in decided)]
    done = [f.text for f in known if ends.get(f.id) == "done"]
    done += [one.text for n, one in enumerate(extraction.found) if over.get(n) == "done"]
    return told | {
        WANTS: [*before.get(WANTS, ()), *_wants(turns, kept)],
        DONE: [*before.get(DONE, ()), *done],
        TOOLS: _tools(turns, before.get(TOOLS, ())),
    }


def _known(before: dict[str, list[str]]) -> list[Finding]:
    """What the base says, as findings that the turns may end."""
    return [
        Finding(f"base-{kind}-{n}", kind, line, "open" if kind == "task" else "active", 0, (), "summary")
        for kind, heading in _KINDS
        for n, line in enumerate(before.get(heading, ()))
    ]


def _weightiest(found: Sequence[Found], chars: int) -> list[Found]:
    """As many as `chars` hold, those with the most weight, in the order in which they were said."""
    kept: set[int] = set()
    for n in sorted(range(len(found)), key=lambda n: (-found[n].pinned, -found[n].salience, -n)):
        chars -= len(one_line(found[n].text)) + 3
        if chars < 0 and kept:
            break
        kept.add(n)
    return [found[n] for n in sorted(kept)]


def _wants(turns: Sequence[Turn], found: Sequence[Found]) -> list[str]:
    """The user's requests in brief that no finding tells, and behind them, where they stay longest, standing wishes."""
    known = [normal(one.text) for one in found]
    requests: dict[str, str] = {}
    for turn in turns:
        if turn.kind == "message" and turn.role == "user":
            text = turn.text
            line = "" if _INSERTED.match(text) else guard.told(_request(text))
            key = normal(line)
            if key and not any(key in one for one in known):
                requests.pop(key, None)
                requests[key] = line
    said = list(requests.values())
    brief = said if len(said) <= REQUESTS else [said[0], *said[1 - REQUESTS :]]
    return [*brief, *(one.text for one in found if one.pinned)]


def _request(text: str) -> str:
    """The first sentence that is more than a greeting or thanks."""
    telling = (one for one in sentences(text) if len(one.split()) >= _LEAST_WORDS and not _CHATTER.match(one))
    return next(telling, "")


@dataclass(slots=True)
class _Use:
    """How often a tool was called, and how often it failed."""

    called: int = 0
    failed: int = 0


def _tools(turns: Sequence[Turn], before: Iterable[str]) -> list[str]:
    """One line a tool, the one that was first called first; calls that the base counts are counted on."""
    uses: dict[str, _Use] = {}
    for line in before:
        if counted := _TOOL.fullmatch(line):
            uses[counted["name"]] = _Use(int(counted["called"]), int(counted["failed"] or 0))
    names = {turn.call_id: turn.name for turn in turns if turn.kind == "tool_call" and turn.name}
    for turn in turns:
        name = guard.told(one_line(names.get(turn.call_id) or turn.name or "tool", 60)) or "tool"
        if turn.kind == "tool_call":
            uses.setdefault(name, _Use()).called += 1
        elif turn.kind == "tool_result" and _FAILURE.match(turn.text[:80]):
            uses.setdefault(name, _Use()).failed += 1
    return [
        f"{name}: called {_times(use.called)}" + (f", failed {_times(use.failed)}" if use.failed else "")
        for name, use in uses.items()
    ]


def _times(n: int) -> str:
    return f"{n} time" if n == 1 else f"{n} times"
