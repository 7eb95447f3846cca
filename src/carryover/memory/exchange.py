"""What only several turns together say: a proposal that is accepted, a question that is answered, a task taken on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from carryover.core.sentences import Sentence
from carryover.core.snapshot import Found
from carryover.memory import claims, cues, wants
from carryover.memory.ground import atoms
from carryover.memory.judge import Verdict, found
from carryover.memory.speech import LONGEST_TEXT, Spoken, paired, shorten, statement
from carryover.memory.words import content, is_english

_ASKS_FOR_CHOICE = re.compile(
    r"\b(?:which|what|where|when|who|how (?:many|much|long|often|big|old)|prefer|or|any(?:thing|body|one)?|is there)\b",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"\b(?:use|using|prefer|go with|choose|pick|should|shall|target|deploy|store|take|decided?)\b", re.IGNORECASE
)
_EITHER = re.compile(r"\b[\w'’.-]+(?: [\w'’.-]+){0,3},? or (?:the |just |an? )?[\w'’.-]+", re.IGNORECASE)
_SMALL_TALK = re.compile(
    r"\b(?:how are you|how(?:['’]s| is| have| was)|what['’]s up|what do you think"
    r"|anything else|how can i help"
    r"|what (?:would|can) (?:you like )?(?:me|i) (?:to )?(?:do|help)|would you like me"
    r"|do you want me|shall i|should i (?:go|proceed|continue|start))\b",
    re.IGNORECASE,
)
_NOT_AN_ANSWER = re.compile(
    r"^\W*(?:(?:no|nope|sure|ok(?:ay)?|i don['’]t know|not sure|idk|dunno|maybe|thanks?|why|what|how|who"
    r"|continue|proceed"
    r"|go on|hm+|nothing|none|not)\b|(?:yes|yeah|yep)\W*$)",
    re.IGNORECASE,
)
# "I do", "on it", "will do that tomorrow": somebody takes on what was asked for or advised.
_TAKES_ON = re.compile(
    r"\b(?:i(?:['’]ll| will)? (?:do|take|handle) (?:it|that|this|both|care of (?:it|that))|will do|i['’]m on it|on it"
    r"|i (?:can|will|do)|leave (?:it|that) to me|(?:i['’]ll|will) bring (?:it|one|some)|me!)(?=\W|$)|^me\b",
    re.IGNORECASE,
)
_ASKS_WHO = re.compile(
    r"^(?:and |so |ok,? |but )*who\b|\bwho(?:['’]s| is| has| can| will| wants| could|\s\w+s)\b.*\?$", re.IGNORECASE
)
_ADVICE = re.compile(
    r"\b(?:i(?:['’]d| would)|you (?:could|should|might)|i (?:suggest|recommend))\b (?!be\b|like to know|say\b)\w",
    re.IGNORECASE,
)
# An offer of something that an agent does for later; whatever it does at once needs no task.
_FOR_LATER = re.compile(
    r"\b(?:i (?:can|could)|shall i|should i|would you like|do you want|want me to)\b.*\b(?:alert|reminder?"
    r"|remind|notif\w+"
    r"|calendar|follow up|check back|keep an eye|watch|let you know)\b|\bwould you like a reminder\b",
    re.IGNORECASE,
)
_PLEASE = re.compile(r"^\W*(?:please|pls|yes|yeah|yep|sure|ok(?:ay)?)\b[^?]{0,60}$", re.IGNORECASE)
_OPTION = re.compile(
    r"^\W*(?:(?:ok|okay|yes|yeah|let['’]?s|we|i|i['’]ll|and|then|please|go|do|take|with|for|use|pick|choose|option"
    r"|number|the|no\.?|it['’]s|prefer|want|would|i['’]d|like)\W+)*"
    r"(?P<which>[1-9]|[a-d]|first|second|third|fourth|last|former|latter)(?: (?:one|option))?\b(?P<rest>[^?]{0,60})$",
    re.IGNORECASE,
)
_WHETHER = re.compile(r"(?:is|are|was|were|do|does|did|has|have)\b", re.IGNORECASE)
_CHOOSES = re.compile(r"\b(?:option|let['’]?s|go with|take)\b", re.IGNORECASE)
_PLACE = {"first": 0, "former": 0, "second": 1, "latter": 1, "third": 2, "fourth": 3, "last": -1}
_GOES_ON = re.compile(
    r"(?:(?:because|since|by|in|on|at|for|with|from|until|as|plus)\b|\w+ed\b)[^?]{0,60}$", re.IGNORECASE
)
FURTHEST = 3  # turns back in which an acceptance may find what it accepts


def findings(earlier: Sequence[Spoken], one: Spoken) -> list[Found]:
    """What a person's turn makes of the turns before it, mostly of the last one."""
    if not one.person or not one.sentences:
        return []
    others = [other for other in earlier[-FURTHEST:] if other.sentences and other.speaker != one.speaker]
    if not others:
        return []
    agreed = _agreement(others, one)
    if others[-1] is not earlier[-1]:
        return agreed
    return _option(others[-1], one) or _taken_on(others[-1], one) or agreed or _answer(others[-1], one)


def _option(before: Spoken, one: Spoken) -> list[Found]:
    """The item of a list that the reply picks by its place."""
    reply = one.sentences[0].text
    match = _OPTION.match(reply[:120])
    options = [s for s in before.sentences if s.item and content(s.text)] if match else []
    if not match or not 2 <= len(options) <= 9 or reply.rstrip().endswith("?"):
        return []
    which = match["which"].lower()
    place = _PLACE.get(which, int(which) - 1 if which.isdigit() else ord(which[0]) - ord("a"))
    if place >= len(options) or (which in "abcd" and not _CHOOSES.search(reply)):
        return []
    return [_together(before, options[place], one, Verdict("decision", 0.9))]


def _taken_on(before: Spoken, one: Spoken) -> list[Found]:
    """A task that somebody asked for, advised or offered, and somebody takes on."""
    reply = " ".join(s.text for s in one.sentences[:3])[:200]
    last = before.sentences[-1]
    if reply.rstrip().endswith("?") or cues.REJECT.match(reply) or len(last.text) > 200:
        return []
    task = Verdict("task", 0.7)
    if _FOR_LATER.search(last.text) and _PLEASE.match(reply) and not one.turn.name:
        return [_together(before, last, one, task)]
    if not _TAKES_ON.search(reply):
        return []
    if last.text.endswith("?"):
        return [_together(before, last, one, task)] if _ASKS_WHO.search(last.text) else []
    advised = _ADVICE.search(last.text) and not before.turn.name
    return [_together(before, last, one, task)] if advised and re.search(r"\b(?:will|['’]ll)\b", reply) else []


def _agreement(others: Sequence[Spoken], one: Spoken) -> list[Found]:
    replies = [s.text for s in one.sentences[:2]]
    reply = replies[0]
    if not cues.ACCEPT.match(reply[:200]) or cues.REJECT.search(reply[:200]) or reply.rstrip().endswith("?"):
        return []
    if any(cues.REJECT.match(text[:200]) for text in replies[1:]):
        return []
    before, proposal = others[-1], _chosen(_proposals(others[-1]), one)
    replied = {word for s in one.sentences[:2] for word in content(s.text[:300])}
    for other in others[-2::-1]:
        wanted = _chosen(_proposals(other), one)
        if wanted and len(replied & set(content(wanted.text))) > (
            len(replied & set(content(proposal.text))) if proposal else 0
        ):
            before, proposal = other, wanted
    if proposal is None:
        return []
    due = wants.DEADLINE.search(reply) is not None and _OFFER.search(proposal.text) is not None
    return [_together(before, proposal, one, Verdict("task" if due else "decision", 0.9))]


_OFFER = re.compile(r"\b(?:shall|should|can|could) i\b|\bi (?:can|could)\b|\bdo you want me\b", re.IGNORECASE)


def _proposals(before: Spoken) -> list[Sentence]:
    told = [s for s in before.sentences if len(s.text) <= cues.LONGEST and not s.quoted]
    return [
        s
        for s in told
        if cues.PROPOSAL.search(cues.unquoted(s.text))
        and not (_SMALL_TALK.search(s.text) or claims.FEELING.search(s.text))
        and len(content(s.text)) > 2
    ]


def _chosen(proposals: Sequence[Sentence], one: Spoken) -> Sentence | None:
    """The proposal that the reply's words take up, else the last one."""
    if not proposals:
        return None
    replied = {word for s in one.sentences[:2] for word in content(s.text[:300])}
    shared = [len(replied & set(content(p.text))) for p in proposals]
    return proposals[max(range(len(proposals)), key=lambda n: (shared[n], n))]


def _together(before: Spoken, said: Sentence, one: Spoken, verdict: Verdict) -> Found:
    """What was proposed or asked, with the reply behind it, cited to both turns."""
    bare = statement(said.text)
    answer = f" ({one.label}: {paired(shorten(one.sentences[0].text, 80))})"
    text = paired(shorten(bare, LONGEST_TEXT - len(answer))) + answer
    made = found(verdict, text, bare, said.quote, before)
    return replace(made, last=one.turn.seq, salience=min(1.0, round(made.salience + 0.1, 3)), valid_from=None)


def _answer(before: Spoken, one: Spoken) -> list[Found]:
    question, first = before.sentences[-1].text, one.sentences[0]
    answer = first.text
    if len(one.sentences) == 2 and len(content(answer)) <= 3 and _GOES_ON.match(one.sentences[1].text):
        answer = f"{answer} {one.sentences[1].text}"
    if not question.endswith("?") or len(question) > 160 or len(answer) > 100 or answer.endswith("?") or first.quoted:
        return []
    states = _WHETHER.match(statement(question)) and len(content(answer)) > 2 and any(map(str.isdigit, answer))
    asks = (_ASKS_FOR_CHOICE.search(question) or states) and not wants.REQUEST.search(question)
    if _SMALL_TALK.search(question) or not asks or _NOT_AN_ANSWER.match(answer):
        return []
    if cues.CHATTER.search(answer) or cues.CHATTER.search(question) or cues.HYPOTHETICAL.search(cues.unquoted(answer)):
        return []
    choice = (_CHOICE.search(question) is not None and len(content(question)) <= 6) or _picks(question, answer)
    if not atoms(answer) and not (choice and 0 < len(content(answer)) <= 8):
        return []
    if len(content(answer)) > 10 or len(one.sentences) > 3 or not is_english(question):
        return []
    verdict = Verdict("decision" if choice else "fact", 0.6)
    made = found(verdict, f"{paired(question)} {one.label}: {paired(answer)}", answer, first.quote, one)
    return [replace(made, first=before.turn.seq, subject="", valid_from=None)]


def _picks(question: str, answer: str) -> bool:
    """Whether the answer takes one side of "oak or laminate?"."""
    either = _EITHER.search(question)
    if either is None:
        return False
    sides = [set(content(side)) for side in re.split(r"\bor\b", either[0])]
    said = content(answer)
    taken = [side for side in sides if side.intersection(said)]
    return len(taken) == 1 and not taken[0].isdisjoint(said[:3])
