"""Signals in what the work came to: tests, what was shipped, what was left open, and what was claimed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from carryover.coding.digests import fingerprint, outcome, quotes, review, signals_calls
from carryover.coding.digests.course import Act, Course
from carryover.coding.digests.signals_people import corrected, interrupted
from carryover.core.digest import Signal
from carryover.core.session import Source

IDLE_MS = 30 * 60_000
_SPAWNS = re.compile(
    r"\A(?:task|agent|(?:spawn|run|dispatch)_?(?:sub)?_?agent|sub_?agent|delegate\w*|new_?task|workflow)\Z", re.I
)
_CLAIM = re.compile(
    r"\ball (?:\w+ ){0,2}tests (?:now )?pass|\b(?:is|are|has been|have been) (?:now )?(?:fully )?(?:fixed|resolved)\b"
    r"|\b(?:successfully|everything (?:now )?works|it works now|task complete|implementation is complete)\b"
    r"|\b(?:is|are) now working\b|^(?:done|fixed|all done|completed?)[.!]",
    re.IGNORECASE | re.MULTILINE,
)
_HEDGE = re.compile(
    r"\bfail|\bnot\b|n't\b|\berror|\bbroken|\bexcept|\bunable|\bhowever\b|\bpre-?existing|\bunrelated|\bstill\b|\bremaining\b",
    re.I,
)


def ended_red(course: Course) -> Iterator[Signal]:
    told = [trial for trial in review.trials(course) if trial.passed is not None]
    if told and not told[-1].passed:
        last = told[-1]
        text = f"the last of {len(told)} runs of tests failed: {last.head}"
        yield Signal("ended_red", last.head, text, 1, len(told), sources=(quotes.of_trial(course, last.call),))


def fixed(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[review.Arc]] = defaultdict(list)
    for arc in review.arcs(course):
        found[arc.green.head].append(arc)
    failed = sum(trial.passed is False for trial in review.trials(course))
    for head, arcs in sorted(found.items()):
        text = f"tests went from red to green {len(arcs)} times: {head}"
        sources = [quotes.of_trial(course, trial.call) for arc in arcs[:2] for trial in (arc.red, arc.green)]
        yield Signal("test_fixed", head, text, len(arcs), failed, good=True, sources=tuple(sources))


def untested(course: Course) -> Iterator[Signal]:
    changed = review.of_code(course)
    if changed and not review.trials(course):
        classes = Counter(fingerprint.of_path(edit.paths[0]) for edit in changed)
        key = min(classes, key=lambda name: (-classes[name], name))
        text = f"{len(changed)} edits of code, and no test was run"
        yield Signal("untested_edits", key, text, 1, 1, sources=_texts(course, changed))


def false_success(course: Course) -> Iterator[Signal]:
    said = next((act for act in reversed(course.acts) if act.own and act.kind == "text" and act.branch == "main"), None)
    if said is None or not _CLAIM.search(said.text) or _HEDGE.search(said.text):
        return
    told = [trial for trial in review.trials(course) if trial.passed is not None and trial.call.n < said.n]
    before = [call for call in course.calls if call.n < said.n and call.tool in ("shell", "edit", "write")]
    failed = told[-1].call if told and not told[-1].passed else None
    if failed is None and before and before[-1].failed:
        failed = before[-1]
    if failed is not None:
        text = f"it said it was done after {failed.about} had failed"
        sources = (quotes.of_result(course, failed), quotes.of_text(course, said))
        yield Signal("false_success", failed.about, text, 1, 1, sources=sources)


def shipped(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for act, name in review.shipped(course):
        found[name].append(act)
    for name, acts in sorted(found.items()):
        text = f"{len(acts)} times {name} succeeded"
        yield Signal("shipped", name, text, len(acts), good=True, sources=quotes.of(course, acts))


def clean(course: Course) -> Iterator[Signal]:
    changed = [edit.n for edit in review.edits(course)]
    told = [trial for trial in review.trials(course) if trial.passed is not None]
    if not changed or not told or not told[-1].passed or told[-1].call.n < changed[0]:
        return
    refused = any(call.status == "rejected" for call in course.calls)
    if refused or corrected(course) or interrupted(course) or any(signals_calls.streaks(course)):
        return
    text = f"{len(changed)} edits, tested with {told[-1].head}, and nothing to object to"
    yield Signal("clean_run", told[-1].head, text, 1, 1, good=True, sources=(quotes.of_trial(course, told[-1].call),))


def left_open(course: Course) -> Iterator[Signal]:
    acts = [act for act in course.acts if act.own and act.branch == "main" and act.kind in ("prompt", "text", "call")]
    if not acts:
        return
    if any(call.result_seq for call in course.calls):
        waiting = [call for call in course.calls if not call.result_seq and call.status is None]
        if waiting:
            text = f"{len(waiting)} calls never came back"
            sources = _texts(course, waiting)
            yield Signal(
                "left_open", f"call: {waiting[-1].about}", text, len(waiting), len(course.calls), sources=sources
            )
    plans = [call for call in course.of("plan") if call.pending is not None and not call.failed]
    if plans and plans[-1].pending:
        text = f"{plans[-1].pending} entries of the plan were not done"
        yield Signal("left_open", "plan", text, 1, 1, sources=_texts(course, plans[-1:]))
    gone = outcome.left(course, acts)
    if gone is not None and gone[1].kind == "prompt":
        text = "the last prompt had no answer"
        yield Signal("left_open", "prompt", text, 1, len(course.prompts) or None, sources=_texts(course, [gone[1]]))


def idle_gaps(course: Course) -> Iterator[Signal]:
    acts: list[Act] = []
    last: int | None = None
    for act in course.acts:
        if act.at is not None and act.own:
            if last is not None and act.at - last > IDLE_MS:
                acts.append(act)
            last = act.at
    if acts:
        text = f"nothing happened for more than half an hour, {len(acts)} times"
        yield Signal("idle_gap", "gap", text, len(acts), sources=_texts(course, acts))


def spawned(course: Course) -> list[Act]:
    """The calls that began a sub-agent."""
    return [call for call in course.of("agent") if _SPAWNS.match(call.name.replace("-", "_"))]


def delegation(course: Course) -> Iterator[Signal]:
    made = [call for call in spawned(course) if call.status == "ok"]
    if made:
        text = f"sub-agents did {len(made)} pieces of work"
        yield Signal("delegation", "agent", text, len(made), len(course.calls), good=True, sources=_texts(course, made))


def failed_agents(course: Course) -> Iterator[Signal]:
    every = spawned(course)
    acts = [call for call in every if call.failed or call.detail.get("status") in ("failed", "error")]
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for act in acts:
        found[fingerprint.of_error(act.result, printed=False) or "no message"].append(act)
    for said, failed in sorted(found.items()):
        text = f"{len(failed)} of {len(every)} sub-agents failed"
        yield Signal(
            "subagent_failed", f"agent: {said}", text, len(failed), len(every), sources=quotes.of(course, failed)
        )


def _texts(course: Course, acts: list[Act]) -> tuple[Source, ...]:
    return tuple(dict.fromkeys(quotes.of_text(course, act) for act in acts[: quotes.FIRST]))
