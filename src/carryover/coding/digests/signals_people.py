"""Signals in what people said and did: refusals, interrupts, corrections, and praise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from carryover.coding.digests import lexicon, quotes
from carryover.coding.digests.course import Act, Course, spoken
from carryover.core.digest import Signal

ALIKE, LEAST = 0.85, 20  # share of words of two prompts, and characters, from which one repeats the other
_NEAR = 2  # acts before a prompt among which the agent must have said or changed something


def rejections(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for call in course.calls:
        if call.status == "rejected":
            found[call.about].append(call)
    for about, acts in sorted(found.items()):
        text = f"the user refused {len(acts)} of {len(course.calls)} calls: {about}"
        sources = tuple(dict.fromkeys(quotes.of_refusal(course, act) for act in acts[: quotes.FIRST]))
        yield Signal("rejection", about, text, len(acts), len(course.calls), sources=sources)


def interrupts(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for act in interrupted(course):
        before = next((other for other in course.acts[: act.n][::-1] if other.kind in ("call", "text", "prompt")), None)
        found[before.about if before is not None and before.kind == "call" else "answer"].append(act)
    for about, acts in sorted(found.items()):
        text = f"the user broke off {len(acts)} times: {about}"
        yield Signal("interrupt", about, text, len(acts), len(course.prompts), sources=quotes.of(course, acts))


def interrupted(course: Course) -> list[Act]:
    """Each time that the user broke the agent off; that a call was refused is told as a refusal alone."""
    found: list[Act] = []
    refused = False
    for act in course.acts:
        if act.kind == "interrupt" and act.own and not refused:
            found.append(act)
        elif act.kind in ("call", "prompt"):
            refused = act.kind == "call" and act.status == "rejected"
    return found


def steering(course: Course) -> Iterator[Signal]:
    acts = [act for act in course.prompts if act.detail.get("via") == "queued" or act.detail.get("queued") is True]
    if acts:
        text = f"{len(acts)} of {len(course.prompts)} prompts were written while the agent worked"
        yield Signal("steering", "prompt", text, len(acts), len(course.prompts), sources=quotes.of(course, acts))


def rewinds(course: Course) -> Iterator[Signal]:
    acts = [act for act in course.acts if act.own and ("instead_of" in act.detail or "rewind_to" in act.detail)]
    if acts:
        text = f"the user went back {len(acts)} times and asked anew"
        yield Signal("rewind", "prompt", text, len(acts), len(course.prompts), sources=quotes.of(course, acts))


def corrections(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for act, kind in corrected(course):
        found[kind].append(act)
    later = max(len(course.prompts) - 1, 0)
    for kind, acts in sorted(found.items()):
        text = f"{len(acts)} of {later} later prompts corrected the agent: {kind}"
        yield Signal("correction", kind, text, len(acts), later, sources=quotes.of(course, acts))


def corrected(course: Course) -> list[tuple[Act, str]]:
    """The prompts that correct what the agent has just said or changed, with the kind of correction."""
    found: list[tuple[Act, str]] = []
    for act in course.prompts:
        near = [other for other in course.acts[max(act.n - _NEAR, 0) : act.n] if other.kind != "prompt"]
        answered = any(o.kind in ("text", "interrupt") or o.tool in ("edit", "write", "shell", "plan") for o in near)
        if answered and (kind := lexicon.correction(spoken(act.text))) is not None:
            found.append((act, kind))
    return found


def approvals(course: Course) -> Iterator[Signal]:
    found: defaultdict[str, list[Act]] = defaultdict(list)
    for act in course.prompts[1:]:
        if (kind := lexicon.approval(spoken(act.text))) is not None:
            found[kind].append(act)
    later = max(len(course.prompts) - 1, 0)
    for kind, acts in sorted(found.items()):
        text = f"{len(acts)} of {later} later prompts were content: {kind}"
        yield Signal("approval", kind, text, len(acts), later, good=True, sources=quotes.of(course, acts))


def repeated(course: Course) -> Iterator[Signal]:
    acts: list[Act] = []
    seen: list[frozenset[str]] = []
    for act in course.prompts:
        said = spoken(act.text)
        if len(said) < LEAST or act.detail.get("command"):
            continue
        words = lexicon.words(said)
        if any(len(words & other) >= ALIKE * len(words | other) for other in seen[-200:]):
            acts.append(act)
        seen.append(words)
    if acts:
        text = f"{len(acts)} of {len(course.prompts)} prompts repeated an earlier one"
        yield Signal("repeated_prompt", "prompt", text, len(acts), len(course.prompts), sources=quotes.of(course, acts))
