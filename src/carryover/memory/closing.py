"""Ends: tasks that later turns report as done or dropped, decisions that a later one names as replaced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from carryover.core.snapshot import Closed, Finding, Found
from carryover.memory import cues
from carryover.memory.sentences import Sentence
from carryover.memory.speech import Spoken, shorten, statement
from carryover.memory.words import content, stem, words

CLOSE_FROM = 0.6  # share of a task's content words that its end must name

# Words that say that something is to be done, or was, and not what.
_FRAME = frozenset(
    stem(word)
    for word in words("""need todo task remind reminder remember forget step next done finish finished complete
    completed fix fixed send sent write wrote written ship shipped merge merged resolve resolved pay paid call
    add added today
    tomorrow tonight monday tuesday wednesday thursday friday saturday sunday week month end day time morning evening
    user assistant everything promised committed will going must have had begin start
    started create created make made implement
    implemented update updated never mind forget cancel cancelled drop dropped scrap eod asap finally first later work
    working please new check set setup book booked schedule scheduled buy bought order get submit submitted review
    reviewed deploy deployed handle handled""")
)
_BARE = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|great|yes|yep|and|all|it['’]?s|that['’]?s|is|that|it|now|just|i|i['’]ve"
    r"|did|have|both|them|already"
    r"|with)\W+)*(?:done|finished|completed|did it|did that|fixed|sent|shipped|never ?mind|forget it"
    r"|cancel that)"
    r"(?:\s(?:it|that|this|now|already|both|with that))*\W*$",
    re.IGNORECASE,
)
_BARE_DROP = re.compile(r"never ?mind|forget|cancel", re.IGNORECASE)
_REPLACED = re.compile(
    r"\b(?:instead of|rather than|replac(?:e|es|ed|ing)|from|drop(?:ped|ping)?|no longer (?:use|using|on|with)"
    r"|away from|not)\s+"
    r"(?P<old>(?:the |our |a )?[\w.+#/`-]+(?:\s(?-i:[A-Z])[\w.+#-]*){0,2})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Task:
    id: str  # of an earlier finding, else ""
    n: int | None  # its place among what was found
    said_in: int  # its last turn, 0 for an earlier finding
    stems: frozenset[str]
    numbers: frozenset[str]


def closed_tasks(spoken: Sequence[Spoken], found: Sequence[Found], live: Sequence[Finding]) -> list[Closed]:
    """Every task, earlier or of this run, that a later sentence ends; each is ended once."""
    waiting = [_task(f.text, f.id, None, 0) for f in live if f.kind == "task" and f.status == "open"]
    waiting += [_task(f.text, "", n, f.last) for n, f in enumerate(found) if f.kind == "task"]
    closed: list[Closed] = []
    if not waiting:
        return closed
    for at, one in enumerate(spoken):
        for sentence in one.sentences:
            end = _end(sentence, one)
            if end:
                for task in _ended(sentence, spoken, at, waiting):
                    waiting.remove(task)
                    closed.append(_close(task, sentence, one, end))
    return closed


def replaced(n: int, new: Found, live: Sequence[Finding], found: Sequence[Found]) -> list[Closed]:
    """The one earlier decision whose choice the new one names as given up; none where several could be meant."""
    named = _REPLACED.search(new.text)
    old = set(content(named["old"])) if named else set[str]()
    if not old:
        return []
    reason = f"turn {new.first}: {shorten(new.quote, 160)}"
    ends = [
        Closed(f.id, "superseded", new.quote, new.first, new.last, reason, replaced_by=n)
        for f in live
        if f.kind == "decision" and _chose(f.text, old)
    ]
    ends += [
        Closed("", "superseded", new.quote, new.first, new.last, reason, found=k, replaced_by=n)
        for k, f in enumerate(found)
        if f.kind == "decision" and f.last < new.first and _chose(f.text, old)
    ]
    return ends if len(ends) == 1 else []


def _chose(text: str, old: set[str]) -> bool:
    given_up = _REPLACED.search(text)
    return old <= set(content(text)) and not (given_up and old & set(content(given_up["old"])))


def _task(text: str, id: str, n: int | None, said_in: int) -> _Task:
    stems = frozenset(content(text))
    return _Task(id, n, said_in, (stems - _FRAME) or stems, _numbers(text))


def _numbers(text: str) -> frozenset[str]:
    return frozenset(word for word in words(text) if word[0].isdigit())


def _end(sentence: Sentence, one: Spoken) -> str:
    text = cues.unquoted(sentence.text[: cues.LONGEST])
    if text.rstrip().endswith("?"):
        return ""
    if sentence.box == "x":
        return "done"
    if one.person and (_BARE.match(text) or cues.DROPPED.search(text)):
        return "dropped" if cues.DROPPED.search(text) or _BARE_DROP.search(text) else "done"
    done = cues.DID.search(text) or (one.person and cues.IS_DONE.search(text))
    if not done or cues.NOT_DONE.search(text) or cues.HYPOTHETICAL.search(text):
        return ""
    return "done"


def _ended(sentence: Sentence, spoken: Sequence[Spoken], at: int, waiting: Sequence[_Task]) -> list[_Task]:
    seq = spoken[at].turn.seq
    open_now = [task for task in waiting if task.said_in < seq]
    if _BARE.match(sentence.text):
        near = {one.turn.seq for one in spoken[max(0, at - 2) : at]}
        just_said = [task for task in open_now if task.said_in in near]
        return just_said if len(just_said) == 1 else []
    said = frozenset(content(statement(sentence.text)))
    numbers = _numbers(sentence.text)
    return [task for task in open_now if _names(task, said, numbers)]


def _names(task: _Task, said: frozenset[str], numbers: frozenset[str]) -> bool:
    if task.numbers and numbers and not task.numbers & numbers:
        return False
    shared = len(task.stems & said)
    return shared >= min(2, len(task.stems)) and shared >= CLOSE_FROM * len(task.stems)


def _close(task: _Task, sentence: Sentence, one: Spoken, end: str) -> Closed:
    seq = one.turn.seq
    reason = f'turn {seq}: {"dropped" if end == "dropped" else "done"}, "{shorten(sentence.text, 160)}"'
    return Closed(task.id, "done", sentence.quote, seq, seq, reason, found=task.n)
