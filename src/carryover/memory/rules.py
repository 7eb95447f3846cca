"""The extractor that needs no model, no key and no network: what people said, read by rules.

Sentences are found (`sentences`), judged one by one (`judge`), and completed by what only two turns together say:
an agreement to a proposal, the answer to a question, the end of a task (`exchange`, `closing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from carryover.core.sentences import INJECTED, sentences
from carryover.core.session import Turn
from carryover.core.snapshot import Closed, Extraction, Finding, Found
from carryover.core.usage import Usage
from carryover.memory import closing, cues, exchange, judge, staged, updates
from carryover.memory.ground import atoms
from carryover.memory.speech import Spoken, normal
from carryover.memory.subject import related
from carryover.memory.words import content

MOST_OF_PERSON, MOST_OF_AGENT = 10, 3  # findings of one turn, the most salient ones


class Rules:
    """Turns to findings by rules alone; deterministic, and it consumes nothing."""

    name = "rules"
    id = "rules/3"  # another number where other rules find other things

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        return Usage()

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        """What the turns say: every quote stands verbatim in its turns, every detail of a text in them as well."""
        spoken = heard(turns)
        found = _distinct(_by_turn(spoken))
        found, closed = _replacing(found, live)
        closed += closing.closed_tasks(spoken, found, live)
        found, closed = _without_reports(found, closed, live)
        extraction = Extraction(tuple(found), tuple(closed), summary(spoken), by=self.name)
        return extraction, Usage(turns_covered=len(turns))


def heard(turns: Sequence[Turn]) -> list[Spoken]:
    """What people and agents said; tools, reasoning and system prompts are not read at all."""
    said = (turn for turn in turns if turn.kind == "message" and turn.role in ("user", "assistant"))
    texts = ((turn, turn.text) for turn in said)
    spoken = [Spoken(turn, tuple(sentences(text))) for turn, text in texts if not INJECTED.match(text)]
    return _in_context(staged.in_earnest(spoken))


def _in_context(spoken: Sequence[Spoken]) -> list[Spoken]:
    """The turns with who else speaks, and with what the same person stated last, if that was just before."""
    names = frozenset(one.turn.name.split()[0].lower() for one in spoken if one.turn.name and one.turn.name.strip())
    last: dict[str, tuple[int, Spoken]] = {}
    result: list[Spoken] = []
    for n, one in enumerate(spoken):
        at, earlier = last.get(one.speaker, (-9, one))
        if one.person:
            last[one.speaker] = (n, one)
        text = earlier.sentences[-1].text if n - at <= 3 and earlier.sentences and one.person else ""
        told = bool(text) and not text.rstrip().endswith("?") and len(text) < 160
        result.append(
            replace(one, among=names, before=text if told else "", before_seq=earlier.turn.seq if told else 0)
        )
    return result


def summary(spoken: Sequence[Spoken]) -> str:
    """What the session is about, in the words of its user: of the first sentences the first that says something."""
    first = [s.text for one in spoken if one.turn.role == "user" for s in one.sentences][:8]
    fit = [text for text in first if len(text) >= 20 and not cues.CHATTER.match(text[: cues.LONGEST])]
    best = max(fit or first, key=lambda text: min(len(content(text)), 3), default="")
    return best if len(best) <= 160 else best[:160].rsplit(" ", 1)[0] + " …"


def _by_turn(spoken: Sequence[Spoken]) -> Iterable[Found]:
    for n, one in enumerate(spoken):
        of_turn = _of_turn(spoken[max(0, n - exchange.FURTHEST) : n], one)
        most = MOST_OF_PERSON if one.person else MOST_OF_AGENT
        if len(of_turn) > most:
            least = sorted(of_turn, key=lambda f: -f.salience)[most - 1].salience
            of_turn = [f for f in of_turn if f.salience >= least][:most]
        yield from of_turn


def _of_turn(earlier: Sequence[Spoken], one: Spoken) -> list[Found]:
    """What a turn makes of the ones before, and what it states by itself and has not said thereby."""
    together = exchange.findings(earlier, one)
    if not together:
        return judge.findings(one)
    reply = one.sentences[0].quote
    kinds = {f.kind for f in together}
    own = [f for f in judge.findings(one) if f.quote != reply or not (f.kind in kinds or f.kind == "fact")]
    return [*together, *own]


def _distinct(found: Iterable[Found]) -> list[Found]:
    """The first of each statement; of two within one turn on one subject the second stands beside the first."""
    kept: dict[tuple[str, str], Found] = {}
    last_on: dict[str, int] = {}
    for one in found:
        key = (one.kind, normal(one.text))
        if key in kept:
            continue
        if one.subject and last_on.get(one.subject) == one.last and not cues.CHANGE.search(one.quote):
            one = replace(one, subject="")
        if one.subject and cues.ADDITION.search(one.quote):
            one = replace(one, subject="")
        last_on[one.subject] = one.last
        kept[key] = one
    return list(kept.values())


def _without_reports(
    found: Sequence[Found], closed: Sequence[Closed], live: Sequence[Finding]
) -> tuple[list[Found], list[Closed]]:
    """Without facts that only say that a task is done: the task's end says so."""
    texts = {f.id: f.text for f in live}
    ends: dict[tuple[int, str], str] = {}
    for end in closed:
        if end.status == "done":
            task = texts.get(end.finding_id, "") if end.found is None else found[end.found].text
            ends[end.last, end.quote] = ends.get((end.last, end.quote), "") + " " + task
    places: dict[int, int] = {}
    kept: list[Found] = []
    for n, one in enumerate(found):
        task = ends.get((one.last, one.quote))
        if (
            task is None
            or one.kind != "fact"
            or one.pinned
            or atoms(one.text) - atoms(task) - {one.text.split(":")[0].lower()}
        ):
            places[n] = len(kept)
            kept.append(one)
    moved = [
        replace(
            end,
            found=None if end.found is None else places[end.found],
            replaced_by=None if end.replaced_by is None else places.get(end.replaced_by),
        )
        for end in closed
        if end.found is None or end.found in places
    ]
    return kept, moved


def _replacing(found: Sequence[Found], live: Sequence[Finding]) -> tuple[list[Found], list[Closed]]:
    """`found`, where a statement that sets one other right takes over its subject, and what that closes outright."""
    result: list[Found] = []
    closed: list[Closed] = []
    for n, one in enumerate(found):
        if one.kind != "task" and cues.CHANGE.search(one.quote):
            earlier = [*live, *result]
            alike = (e.subject for e in earlier if e.kind == one.kind and e.subject)
            keys = {subject for subject in alike if related(one.subject, subject)} if one.subject else set[str]()
            if len(keys) == 1:
                one = replace(one, subject=keys.pop())
        ended = {(c.finding_id, c.found) for c in closed}
        if one.kind != "task":
            closed += [c for c in updates.replaced(n, one, live, result) if (c.finding_id, c.found) not in ended]
        result.append(one)
    return result, closed
