"""Signals in how calls of tools went: errors, repetitions, loops, and edits that did not fit."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from carryover.coding.digests import fingerprint, quotes, review, testing
from carryover.coding.digests.course import Act, Course
from carryover.core.digest import Signal
from carryover.core.session import Source

Key = TypeVar("Key", str, tuple[str, str])

STREAK = 3
WINDOW, FAILURES, ALIKE, ALIKE_FAILURES = 12, 6, 10, 3
READS, EDITS, WITHIN = 3, 4, 10
MOST = 20  # signals of one kind in a session
_UNREAD = re.compile(
    r"has not been read|have not read|must (?:first )?(?:use (?:your )?the Read|read) (?:the |this )?(?:file|tool)"
    r"|read (?:the file|it) (?:first|before)",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    r"(?:has been |was )(?:unexpectedly )?modified since|changed since (?:it was |you )?(?:last )?read", re.I
)
_SEVERAL = re.compile(
    r"Found \d+ (?:matches|occurrences)|multiple (?:matches|occurrences)|matches multiple|\d+ occurrences? but expected"
    r"|not unique|appears \d+ times|expected 1 occurrence",
    re.IGNORECASE,
)
_NOT_THERE = re.compile(
    r"string to (?:be )?replaced? (?:was )?not found|old_?str(?:ing)? (?:was )?not found|old text (?:was )?not found"
    r"|search (?:text|string|block) (?:was )?not found|could not find (?:the )?(?:string|old_?str(?:ing)?|exact)"
    r"|failed to find (?:expected lines|context)|invalid context|0 occurrences found|no match(?:es)? found for"
    r"|did not (?:match|appear)|does not (?:match|appear|contain the)|apply_patch verification failed"
    r"|hunk .*failed|patch (?:failed|does not apply)",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"does not exist|no such file or directory|file not found|not found: |path not found|no such directory|ENOENT"
    r"|cannot find (?:the )?(?:path|file)|os error 2|directory does not exist",
    re.IGNORECASE,
)
_READING = re.compile(r"\A(?:cat|sed|head|tail|ls|nl|wc|rg|grep|find|tree|less|stat|cd|bat|type)\Z")


def tool_errors(course: Course) -> Iterator[Signal]:
    by_tool: defaultdict[str, list[Act]] = defaultdict(list)
    for call in course.calls:
        by_tool[call.tool].append(call)
    for tool, made in sorted(by_tool.items()):
        failed = [call for call in made if call.failed]
        if failed:
            text = f"{len(failed)} of {len(made)} calls of {tool} failed"
            yield Signal("tool_errors", tool, text, len(failed), len(made), sources=quotes.of(course, failed))


def errors(course: Course) -> Iterator[Signal]:
    made = Counter(_where(call) for call in course.calls)
    found: defaultdict[tuple[str, str], list[Act]] = defaultdict(list)
    for call in course.calls:
        if call.failed:
            found[_where(call), error_of(call)].append(call)
    for (where, said), acts in _most_frequent(found):
        yield Signal("error", f"{where}: {said}", said, len(acts), made[where], sources=quotes.of(course, acts))


def streaks(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[list[Act]]] = defaultdict(list)
    for run in _runs(course.calls):
        if len(run) >= STREAK:
            found[_commonest([_where(call) for call in run])].append(run)
    for where, runs in sorted(found.items()):
        longest = max(len(run) for run in runs)
        text = f"{longest} calls in a row failed, mostly {where}"
        acts = [call for run in runs for call in run[:1]] if len(runs) > 1 else runs[0]
        yield Signal("error_streak", where, text, len(runs), len(course.calls), sources=quotes.of(course, acts))


def same_failed(course: Course) -> Iterator[Signal]:
    by_input: defaultdict[str, list[Act]] = defaultdict(list)
    for call in course.calls:
        if call.failed:
            by_input[call.input or str(call.n)].append(call)
    found: defaultdict[tuple[str, str], list[Act]] = defaultdict(list)
    for acts in by_input.values():
        if len(acts) > 1:
            found[_where(acts[0]), error_of(acts[0])] += acts
    failed = sum(call.failed for call in course.calls)
    for (where, said), acts in _most_frequent(found):
        text = f"the same call of {where} failed {len(acts)} times"
        yield Signal("same_call_failed", f"{where}: {said}", text, len(acts), failed, sources=quotes.of(course, acts))


def loops(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[Act]] = defaultdict(list)
    start = 0
    while start + WINDOW <= len(course.calls):
        window = course.calls[start : start + WINDOW]
        failed = [call for call in window if call.failed]
        where, times = Counter(call.about for call in window).most_common(1)[0]
        if len(failed) >= FAILURES or (times >= ALIKE and len(failed) >= ALIKE_FAILURES):
            found[_commonest([_where(call) for call in failed]) if times < ALIKE else where] += failed
            start += WINDOW
        else:
            start += 1
    for where, acts in sorted(found.items()):
        text = f"{len(acts)} failures among few calls, mostly {where}"
        yield Signal("runaway_loop", where, text, len(acts), len(course.calls), sources=quotes.of(course, acts))


def unread(course: Course) -> Iterator[Signal]:
    changing = course.of("edit", "write")
    for key, pattern in (("edit: not read", _UNREAD), ("edit: changed since it was read", _CHANGED)):
        acts = [call for call in changing if call.failed and pattern.search(call.result[:600])]
        if acts:
            text = f"{len(acts)} of {len(changing)} edits were refused: the file was {key.partition(': ')[2]}"
            yield Signal("edit_before_read", key, text, len(acts), len(changing), sources=quotes.of(course, acts))


def mismatches(course: Course) -> Iterator[Signal]:
    changing = course.of("edit", "write")
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for call in changing:
        if call.failed and call.tool == "edit":
            if _SEVERAL.search(call.result[:600]):
                found["edit: several matches"].append(call)
            elif _NOT_THERE.search(call.result[:600]):
                found["edit: text not found"].append(call)
    for key, acts in sorted(found.items()):
        text = f"{len(acts)} of {len(changing)} edits did not fit the file: {key.partition(': ')[2]}"
        yield Signal("edit_mismatch", key, text, len(acts), len(changing), sources=quotes.of(course, acts))


def wrong_paths(course: Course) -> Iterator[Signal]:
    looking = [call for call in course.calls if call.tool in ("read", "search") or _is_reading(call)]
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for call in looking:
        if call.failed and _MISSING.search(call.result[:600]):
            found[f"{call.tool}: {fingerprint.of_path(call.paths[0]) if call.paths else 'path'}"].append(call)
    for key, acts in _most_frequent(found):
        text = f"{len(acts)} of {len(looking)} looks at files went where nothing is"
        yield Signal("wrong_path", key, text, len(acts), len(looking), sources=quotes.of(course, acts))


def rereads(course: Course) -> Iterator[Signal]:
    open_reads: defaultdict[str, dict[str, list[Act]]] = defaultdict(dict)
    again: list[list[Act]] = []
    reads = 0
    for call in course.calls:
        paths = [course.path(path) for path in call.paths]
        if call.tool in ("edit", "write"):
            for path in paths:
                again += [acts for acts in open_reads.pop(path, {}).values() if len(acts) >= READS]
        elif paths and not call.failed and call.tool in ("read", "shell"):
            reads += 1
            part = call.span if call.tool == "read" else call.command
            for path in paths[:1]:
                open_reads[path].setdefault(part, []).append(call)
    again += [acts for parts in open_reads.values() for acts in parts.values() if len(acts) >= READS]
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for acts in again:
        found[fingerprint.of_path(acts[0].paths[0])] += acts[1:]
    for key, acts in _most_frequent(found):
        text = f"{len(acts)} of {reads} reads showed what had been read before"
        yield Signal("reread", f"read: {key}", text, len(acts), reads, sources=_texts(course, acts))


def reverts(course: Course) -> Iterator[Signal]:
    taken: dict[tuple[str, str, str], Act] = {}
    found: defaultdict[str, list[Act]] = defaultdict(list)
    changing = [call for call in review.edits(course) if call.edits]
    for call in changing:
        for path, old, new in call.edits:
            if old and new and old != new and taken.pop((path, new, old), None) is not None:
                found[fingerprint.of_path(path)].append(call)
            else:
                taken[path, old, new] = call
    for key, acts in _most_frequent(found):
        text = f"{len(acts)} of {len(changing)} edits took back an earlier one"
        yield Signal("edit_revert", f"edit: {key}", text, len(acts), len(changing), sources=_texts(course, acts))


def churn(course: Course) -> Iterator[Signal]:
    places: defaultdict[str, list[tuple[int, Act]]] = defaultdict(list)
    for n, call in enumerate(course.calls):
        if call.tool in ("edit", "write") and not call.failed:
            for path in call.paths:
                places[course.path(path)].append((n, call))
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for path, made in sorted(places.items()):
        for (first, call), (last, _) in zip(made, made[EDITS - 1 :], strict=False):
            if last - first < WITHIN:
                found[fingerprint.of_path(path)].append(call)
                break
    for key, acts in _most_frequent(found):
        text = f"{len(acts)} of {len(places)} files were edited {EDITS} times or more within {WITHIN} calls"
        yield Signal("edit_churn", f"edit: {key}", text, len(acts), len(places), sources=_texts(course, acts))


def error_of(call: Act) -> str:
    """What the call failed with, as a key. A run of tests that fails says so and no more: that is what it is for."""
    if call.tool == "shell" and call.command and testing.run_of(call.command) is not None:
        return "tests failed"
    silent = f"exit code {call.exit_code}" if call.exit_code else "no message"
    return fingerprint.of_error(call.result, printed=call.tool == "shell") or silent


def _where(call: Act) -> str:
    return call.about if call.tool in ("shell", "mcp", "other", "agent") else call.tool


def _runs(calls: Sequence[Act]) -> Iterator[list[Act]]:
    """The failed calls that follow each other; what was called off between them does not part them."""
    run: list[Act] = []
    for call in calls:
        if call.failed:
            run.append(call)
        elif call.status != "cancelled":
            if run:
                yield run
            run = []
    if run:
        yield run


def _is_reading(call: Act) -> bool:
    return call.tool == "shell" and _READING.match(call.about.partition(" ")[2]) is not None


def _commonest(names: Sequence[str]) -> str:
    counted = Counter(names)
    return min(counted, key=lambda name: (-counted[name], name))


def _most_frequent(found: Mapping[Key, list[Act]]) -> list[tuple[Key, list[Act]]]:
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST]


def _texts(course: Course, acts: Sequence[Act]) -> tuple[Source, ...]:
    return tuple(dict.fromkeys(quotes.of_text(course, act) for act in acts[: quotes.FIRST]))
