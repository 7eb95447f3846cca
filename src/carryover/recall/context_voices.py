"""Where a context tells a finding, and how: only words of the user bind, and each line says whose words it has.

What is not marked is the user's, or says itself which person said it.
"""

from __future__ import annotations

from carryover.core.headings import DECISIONS, FACTS, TASKS, WISHES
from carryover.core.session import Turn
from carryover.core.snapshot import Finding
from carryover.core.voice import Voice, is_outside, unmarked, voice_of
from carryover.guard.names import name_of
from carryover.guard.orders import commands, overrides
from carryover.recall.context_known import Known
from carryover.recall.context_text import day, one_line

RULES = "rules"  # they say of persons who speaks; a model may not
_SHOWN: dict[Voice, str] = {"assistant": "assistant", "tool": "tool output", "web": "web page", "injected": "program"}


def item(finding: Finding, voice: Voice) -> str:
    """One list item; with the day on which it was said, which is what "last Friday" in it counts from."""
    text = one_line(unmarked(finding.text))
    text = text.removeprefix("(User) ") if finding.pinned else text
    shown = "assistant" if voice == "person" and finding.by != RULES else _SHOWN.get(voice, "")
    if voice == "assistant" and text.startswith("(Assistant) "):
        shown = ""
    if voice == "user" and (finding.pinned or finding.kind == "task"):
        return f"- {text}"
    at = "" if finding.kind == "task" else day(finding.learned_at)
    said = ", ".join(part for part in (shown, at) if part)
    return f"- {text} ({said})" if said else f"- {text}"


def heading_of(finding: Finding, voice: Voice) -> str | None:
    """The section that the finding may stand in; None where it may not be told at all."""
    text = unmarked(finding.text)
    if overrides(text) or (is_outside(voice) and commands(text)):
        return None
    if finding.pinned and voice == "user":
        return WISHES
    if finding.pinned or finding.kind == "fact" or is_outside(voice):
        return FACTS
    return TASKS if finding.kind == "task" else DECISIONS


def ranked(known: Known) -> dict[str, list[Finding]]:
    """The findings of each section: facts by what they weigh, age counting a little; the others newest first."""
    found: dict[str, list[Finding]] = {WISHES: [], TASKS: [], DECISIONS: [], FACTS: []}
    for finding in known.findings:
        heading = heading_of(finding, known.voice(finding))
        if heading is not None:
            found[heading].append(finding)
    facts = found[FACTS]
    weight = {f.id: f.salience - 0.05 * age / len(facts) for age, f in enumerate(facts)}
    return found | {FACTS: sorted(facts, key=lambda f: -weight[f.id])}


def who_said(turn: Turn) -> str:
    """Who speaks: tools and programs as such, whatever they are called, and nobody by the name of a role."""
    voice = voice_of(turn.role, turn.kind, turn.name)
    name = name_of(turn.name)
    if is_outside(voice):
        return f"{_SHOWN[voice]} of {name}" if name else _SHOWN[voice]
    return name or turn.role
