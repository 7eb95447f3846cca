"""What each session says about one pattern: whether it could have shown it, how often it did, and what it took."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from carryover.coding.patterns import contrast, risk
from carryover.coding.patterns.clusters import key_of, merged
from carryover.core.clock import Time
from carryover.core.digest import Digest
from carryover.core.pattern import Pattern
from carryover.core.step import Tool

_MINOR = re.compile(r"\d+\.\d+")
# What can happen in calls of these tools, and so is counted per call; all else is counted per session.
_EDITS, _LOOKS = ("edit", "write"), ("read", "search")
_PER_CALL: dict[str, tuple[str, ...]] = {
    "edit_before_read": _EDITS,
    "edit_mismatch": _EDITS,
    "edit_revert": _EDITS,
    "wrong_path": _LOOKS,
    "reread": ("read",),
}
_BY_TOOL, _TOOLS = ("tool_errors", "error"), get_args(Tool)  # their keys begin with the tool, or a shell's command


@dataclass(frozen=True, slots=True)
class Observed:
    """A session that could have shown the pattern: it happened `events` times in `chances` (0: not countable).

    What else it says is for the guard rails; None is unknown. `written_by` is the minor version of the agent's program
    and the model.
    """

    repo: str
    flavor: str
    at: Time
    events: int
    chances: int
    tokens: int | None = None
    active_s: int | None = None
    interrupts: int | None = None
    failed: bool | None = None
    written_by: tuple[str, str] = ("", "")


def observed(digests: Sequence[Digest], pattern: Pattern) -> list[Observed]:
    """The main sessions with a time that could have shown the pattern, in the order of their beginnings.

    Signals with nearly the pattern's key count as in detection.
    """
    keys = Counter(key_of(signal) for digest in digests for signal in digest.signals if signal.kind == pattern.signal)
    stands_for = merged(keys, [pattern.key])
    what = risk.of(pattern.signal, pattern.key)
    found: list[Observed] = []
    for digest in digests:
        if digest.kind != "main" or digest.started_at is None:
            continue
        shown = [
            signal.count
            for signal in digest.signals
            if signal.kind == pattern.signal and stands_for[key_of(signal)] == pattern.key
        ]
        if pattern.signal == contrast.KIND:
            shown = [1] if pattern.key in contrast.habits_of(digest) else []
        if shown or risk.holds(what, digest):
            found.append(_observed(digest, digest.started_at, sum(shown), _chances(digest, pattern, sum(shown))))
    return sorted(found, key=lambda one: (one.at, one.flavor, one.repo))


def _observed(digest: Digest, at: Time, events: int, chances: int) -> Observed:
    spend = digest.tokens
    version = _MINOR.search(digest.versions[-1]) if digest.versions else None
    return Observed(
        repo=digest.repo,
        flavor=digest.flavor,
        at=at,
        events=events,
        chances=chances,
        tokens=None if spend is None else spend.input + spend.cache_read + spend.cache_write + spend.output,
        active_s=digest.active_s,
        interrupts=digest.interrupts,
        failed=None if digest.outcome == "unknown" else digest.outcome in ("errored", "abandoned"),
        written_by=(version[0] if version else "", digest.models[-1] if digest.models else ""),
    )


def _chances(digest: Digest, pattern: Pattern, events: int) -> int:
    """How many calls could have shown it."""
    tools = _PER_CALL.get(pattern.signal, ())
    about = pattern.key.partition(":")[0]
    if pattern.signal in _BY_TOOL and about in _TOOLS:
        tools = (about,)
    calls = sum(digest.tools[tool].calls for tool in tools if tool in digest.tools)
    return max(calls, events) if tools else 0
