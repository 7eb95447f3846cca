"""Signals in how the model and its provider fared: a context that fills up, and calls that fail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from carryover.coding.digests import fingerprint, quotes
from carryover.coding.digests.course import Act, Course
from carryover.core.digest import Signal

FULL = 0.9
BEFORE, AFTER, SAME = 10, 5, 2  # calls around a compaction, and how many of them have to be of one kind on both sides
# Of flavors that do not say how much their models can see: what nearly all of them do.
_WINDOWS = {"claude-code": 200_000}


def compacted(course: Course) -> list[Act]:
    """The times when the whole context was compacted; that old results were cut out of it is none."""
    return [act for act in course.acts if act.kind == "compaction" and act.own and not act.detail.get("micro")]


def compactions(course: Course) -> Iterator[Signal]:
    acts = compacted(course)
    if acts:
        text = f"the context was compacted {len(acts)} times"
        yield Signal("compaction", "context", text, len(acts), sources=quotes.of(course, acts))


def mid_task(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[Act]] = defaultdict(list)
    every = compacted(course)
    for act in every:
        before = Counter(call.about for call in [c for c in course.calls if c.n < act.n][-BEFORE:])
        after = Counter(call.about for call in [c for c in course.calls if c.n > act.n][:AFTER])
        both = {about: min(n, after[about]) for about, n in before.items() if after[about]}
        if sum(both.values()) >= SAME:
            found[min(both, key=lambda about: (-both[about], about))].append(act)
    for about, acts in sorted(found.items()):
        text = f"{len(acts)} of {len(every)} compactions came in the middle of {about}"
        yield Signal("mid_task_compaction", about, text, len(acts), len(every), sources=quotes.of(course, acts))


def peak(course: Course) -> int | None:
    """The most tokens that a call of the model was given; None where nothing tells."""
    given = [spend.input + spend.cache_read + spend.cache_write for spend in course.facts.spends]
    return max(given, default=None)


def pressure(course: Course) -> Iterator[Signal]:
    most = peak(course)
    said = [spend.window for spend in course.facts.spends if spend.window]
    window = max(said) if said else _WINDOWS.get(course.facts.flavor)
    if most is None or window is None or (not said and most > window):
        return
    if most > FULL * window:
        text = f"the context grew to {most} of {window} tokens"
        yield Signal("context_pressure", "context", text, 1, 1)


def trouble(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for act in course.acts:
        if act.kind == "failure" and act.own:
            found[fingerprint.of_error(act.text) or "no message"].append(act)
    for said, acts in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        yield Signal("api_trouble", f"api: {said}", said, len(acts), sources=quotes.of(course, acts))
