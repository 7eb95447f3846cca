"""Ends of tasks: which ones later turns report as done or dropped.

An end has to name its task: by most of the task's words, by its verb in the past with one of its other words, or by a
subject that is part of it ("the cert is renewed"). Where two tasks could be meant, none ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from carryover.core.sentences import Sentence
from carryover.core.snapshot import Closed, Finding, Found
from carryover.memory import cues
from carryover.memory.speech import Spoken, shorten, statement
from carryover.memory.words import content, stem, words

CLOSE_FROM = 0.6  # share of a task's content words that its end must name
LONGEST = 16  # content words of a sentence that ends a task: a longer one tells of many things

# Words that say that something is to be done, or was, and not what.
_FRAME = frozenset(
    stem(word)
    for word in words("""need todo task remind reminder remember forget step next done finish finished complete
    completed fix fixed send sent write wrote written ship shipped merge merged resolve resolved pay paid call
    add added today must should owe want gotta
    tomorrow tonight monday tuesday wednesday thursday friday saturday sunday week month end day time morning evening
    afternoon weekend lunch before after until start january february march april june july august september october
    november december
    user assistant everything promised committed will going must have had begin start
    started create created make made implement
    implemented update updated never mind forget cancel cancelled drop dropped scrap eod asap finally first later work
    working please new check set setup book booked schedule scheduled buy bought order get submit submitted review
    reviewed deploy deployed handle handled ask asked""")
)
_BEFORE_VERB = frozenset(
    stem(word)
    for word in words("""need todo task remind reminder remember forget user assistant definitely probably start must
    should owe want also first next step please then""")
)
_PAST = {
    stem(pair.partition("/")[0]): pair.partition("/")[2]
    for pair in words("""sent/send wrote/write written/write bought/buy paid/pay told/tell spoke/speak spoken/speak
    got/get found/find made/make took/take taken/take brought/bring went/go gave/give given/give did/do done/do put/put
    built/build met/meet rang/ring read/read ran/run sold/sell left/leave held/hold kept/keep rewrote/rewrite
    rewritten/rewrite redone/redo chose/choose drew/draw threw/throw cut/cut swept/sweep fed/feed taught/teach""")
}
_ENDED = (
    r"(?:done|finished|completed|fixed|resolved|solved|shipped|merged|sent|submitted|paid|booked|handled|deployed"
    r"|delivered|closed|implemented|wrapped up|taken care of|took care of|sorted(?: out)?|called|emailed|renewed"
    r"|migrated|added|updated|wrote|written|bought|ordered|reviewed|published|released|returned|picked up|checked off"
    r"|cleaned up|set up|scheduled|uploaded|pushed|restructured|signed|posted|created|removed|refactored|installed"
    r"|passed|tested|filed|replied|answered|translated|rotated|rewritten|documented|cancell?ed|moved|changed|found|made"
    r"|set|told|asked|spoke|redone|rebuilt|built|brought|drawn|cut|laid|fed|hung|dealt|kept|held|met|chosen|given|taken"
    r"|over|\w{2,20}ed)"
)
_DID = re.compile(
    rf"\b(?:i|we)(?:['’]ve| have|['’]m| am)?(?: just| already| now| finally| also| both| all)* {_ENDED}\b"
    rf"|^(?:just |finally |all |already |ok,? |okay,? |and )*(?:{_ENDED}|got)\b",
    re.IGNORECASE,
)
_IS_DONE = re.compile(
    rf"(?:\b(?:is|are|was|were|has been|have been|got)|['’]s(?: been)?)(?: now| already| all| finally| \w+ly)*"
    rf" (?:{_ENDED}|live|out|in place|with (?:the |my |our )?\w+|up|through|online)\b"
    r"|\b(?:went out|went live|came in|came through|went through|arrived|runs? (?:in|on|since)|has? landed)\b"
    r"|^(?:the |my |our )?(?:\w+ ){1,3}(?:sent|ordered|done|booked|paid|merged|shipped|signed|submitted|passed|fixed"
    r"|finished|delivered|uploaded|closed|posted)\b",
    re.IGNORECASE,
)
_DROPPED = re.compile(
    r"^\W*(?:ok(?:ay)?,? |actually,? |oh,? )*(?:never ?mind|forget (?:about |it)?|scrap|cancel|call off|skip"
    r"|drop|scratch) (?!by\b)\w"
    r"|\b(?:i|we)(?: no longer|['’]ve|\s(?:don['’]t|do not|won['’]t)) (?:have to|need(?: to)?|want to|cancell?ed"
    r"|scrapped|dropped) \w"
    r"|\b(?:is|are|was|has been) (?:cancell?ed|called off|no longer (?:needed|necessary))\b"
    r"|^\W*(?:there['’]s )?no need(?: for it)?(?: any ?more| now)?\b|\bcan wait\b",
    re.IGNORECASE,
)
_NOT_DONE = re.compile(
    r"\b(?:not|n['’]t|never|almost|nearly|half|halfway|partly|partially|barely|haven['’]t|hasn['’]t|isn['’]t|to be"
    r"|will be|can be|must be|needs? to|have to|want to|going to|once|when|after|until|before|if|unless|should|would"
    r"|could|might|by)\b[^.;]{0,30}\b"
    r"(?:done|finished|complete[ds]?|fixed|resolved|solved|shipped|merged|sent|submitted|paid|booked|handled"
    r"|deployed|delivered|\w{2,20}ed)\b"
    r"|\b(?:i|we) (?:still|need|have to|must|should|will|['’]ll|might)\b|['’]ll\b|\b(?:not|n['’]t|never) \w*\s?yet\b"
    r"|\b(?:started (?:on|with)|working on|still)\b",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|great|yes|yep|and|all|it['’]?s|that['’]?s|is|that|it|now|just|i|i['’]ve"
    r"|did|have|both|them|already"
    r"|with)\W+)*(?:done|finished|completed|did it|did that|(?<=just )did|fixed|sent|shipped|never ?mind|forget it"
    r"|cancel that|no need(?: any ?more)?)"
    r"(?:\s(?:it|that|this|now|already|both|with that))*(?:\W*$|,)",
    re.IGNORECASE,
)
_BARE_DROP = re.compile(r"never ?mind|forget|cancel|no need", re.IGNORECASE)
# What stands before the verb of a state: "the cert" of "the cert is renewed".
_STATE = re.compile(
    r"^(?:the |my |our |your |all |both )?(?P<about>[^,;:!?]{2,60}?)(?:['’]s\b|\s(?:is|are|was|were|has|have|went|came"
    r"|arrived|got|runs?|passed|ordered|sent|done|booked|paid|merged|finished|delivered|signed|submitted)\b)",
    re.IGNORECASE,
)
_DROPPED_WHAT = re.compile(
    r"^\W*(?:ok(?:ay)?,? |actually,? |oh,? )*(?:never ?mind|forget(?: about)?|scrap|cancel|call off|skip|drop) "
    r"(?:the |my |our )?(?P<about>[^,;:.!?]{2,60})"
    r"|^(?:the |my |our )?(?P<waits>[^,;:.!?]{2,40}?) can wait\b",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"^\W*(?:it|they|them|that|this|these|those|he|she|i|we|one|all|everything)\W*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Task:
    id: str  # of an earlier finding, else ""
    n: int | None  # its place among what was found
    said_in: int  # its last turn, 0 for an earlier finding
    every: frozenset[str]  # the stems of all its words
    stems: frozenset[str]  # of those that say what is to be done
    numbers: frozenset[str]
    verbs: frozenset[str]  # the words that may say what to do: the first ones


def closed_tasks(spoken: Sequence[Spoken], found: Sequence[Found], live: Sequence[Finding]) -> list[Closed]:
    """Every task, earlier or of this run, that a later sentence ends; each is ended once."""
    waiting = [_task(f.text, f.id, None, 0) for f in live if f.kind == "task" and f.status == "open"]
    waiting += [_task(f.text, "", n, f.last) for n, f in enumerate(found) if f.kind == "task"]
    closed: list[Closed] = []
    for at, one in enumerate(spoken):
        for sentence in one.sentences if waiting else ():
            end = _end(sentence, one)
            if end:
                for task in _ended(sentence, spoken, at, waiting, end):
                    waiting.remove(task)
                    closed.append(_close(task, sentence, one, end))
    return closed


def _task(text: str, id: str, n: int | None, said_in: int) -> _Task:
    said = content(text)
    stems = frozenset(said)
    first = [_PAST.get(word, word) for word in said if word not in _BEFORE_VERB]
    return _Task(id, n, said_in, stems, (stems - _FRAME) or stems, _numbers(text), frozenset(first[:2]))


def _numbers(text: str) -> frozenset[str]:
    return frozenset(word for word in words(text) if word[0].isdigit())


def _end(sentence: Sentence, one: Spoken) -> str:
    if sentence.box == "x":
        return "done"
    if (
        sentence.quoted
        or sentence.text.endswith("?")
        or not (one.person or _DID.search(sentence.text) or not sentence.item)
    ):
        return ""
    text = cues.unquoted(statement(sentence.text[: cues.LONGEST]))
    if one.person and (_BARE.match(text) or _DROPPED.search(text)):
        return "dropped" if _DROPPED.search(text) or _BARE_DROP.search(text) else "done"
    states = _IS_DONE.search(text) if one.person or (not sentence.item and text.count(" ") < 8) else None
    reports = _DID.search(text) if not sentence.item or one.person else None
    if not (reports or states) or _NOT_DONE.search(text) or cues.HYPOTHETICAL.search(text):
        return ""
    if len(content(text)) > LONGEST:
        return ""
    return "done"


def _ended(sentence: Sentence, spoken: Sequence[Spoken], at: int, waiting: Sequence[_Task], end: str) -> list[_Task]:
    open_now = [task for task in waiting if task.said_in < spoken[at].turn.seq]
    text = statement(sentence.text[: cues.LONGEST])
    if _BARE.match(text):
        return _only(open_now, _spoken_of(spoken, at))
    said, numbers = frozenset(content(text)), _numbers(text)
    named = [task for task in open_now if _names(task, said, numbers)]
    if named:
        return named
    what = _DROPPED_WHAT.search(text) if end == "dropped" else _STATE.search(text)
    about = frozenset(content(next(filter(None, what.groups()), ""))) if what else frozenset[str]()
    by_subject = _only(open_now, lambda task: about <= task.every and bool(about & task.stems)) if about else []
    return by_subject or (_only(open_now, _by_verb(text, said)) if end == "done" else [])


def _only(tasks: Sequence[_Task], meant: Callable[[_Task], bool]) -> list[_Task]:
    some = [task for task in tasks if meant(task)]
    return some if len(some) == 1 else []


def _spoken_of(spoken: Sequence[Spoken], at: int) -> Callable[[_Task], bool]:
    """Whether a task was said in the two turns before, or is named in the last one."""
    near = {one.turn.seq for one in spoken[max(0, at - 2) : at]}
    before = spoken[at - 1].sentences[-3:] if at else ()
    last = frozenset(word for sentence in before for word in content(sentence.text[:300]))
    return lambda task: task.said_in in near or (2 * len(task.stems & last) >= len(task.stems))


def _by_verb(text: str, said: frozenset[str]) -> Callable[[_Task], bool]:
    """Whether a task's verb stands in the past, with another of its words or with nothing that is not its own."""
    past = {_PAST.get(word, word) for word in said if word in _PAST}
    past |= {stem(word) for word in words(text)[:6] if word.endswith("ed")}
    rest = said - past - _FRAME - _PAST.keys()
    first = statement(text).split(",")[0]
    alone = len(words(first)) <= 3 and not (frozenset(content(first)) - past - _PAST.keys())

    def meant(task: _Task) -> bool:
        return bool(past & task.verbs) and (alone or bool(rest & (task.stems - past)))

    return meant


def _names(task: _Task, said: frozenset[str], numbers: frozenset[str]) -> bool:
    if task.numbers and numbers and not task.numbers & numbers:
        return False
    shared = len(task.stems & said)
    return shared >= min(2, len(task.stems)) and shared >= CLOSE_FROM * len(task.stems)


def _close(task: _Task, sentence: Sentence, one: Spoken, end: str) -> Closed:
    seq = one.turn.seq
    reason = f'turn {seq}: {"dropped" if end == "dropped" else "done"}, "{shorten(sentence.text, 160)}"'
    return Closed(task.id, "done", sentence.quote, seq, seq, reason, found=task.n)
