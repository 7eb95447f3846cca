"""What only two turns together say: a proposal that the user accepts, a question that the user answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from carryover.core.snapshot import Found
from carryover.memory import cues
from carryover.memory.ground import atoms
from carryover.memory.judge import Verdict, found
from carryover.memory.sentences import Sentence
from carryover.memory.speech import LONGEST_TEXT, Spoken, shorten, statement
from carryover.memory.words import content

_ASKS_FOR_CHOICE = re.compile(
    r"\b(?:which|what|where|when|who|how (?:many|much|long|often|big|old)|prefer|or)\b", re.IGNORECASE
)
_CHOICE = re.compile(r"\b(?:use|using|prefer|go with|choose|pick|should|shall|target|deploy|store)\b", re.IGNORECASE)
_SMALL_TALK = re.compile(
    r"\b(?:how are you|how(?:['’]s| is| have| was)|what['’]s up|what do you think"
    r"|anything else|how can i help"
    r"|what (?:would|can) (?:you like )?(?:me|i) (?:to )?(?:do|help)|would you like me"
    r"|do you want me|shall i|should i (?:go|proceed|continue|start))\b",
    re.IGNORECASE,
)
_NOT_AN_ANSWER = re.compile(
    r"^\W*(?:yes|no|yeah|nope|sure|ok(?:ay)?|i don['’]t know|not sure|idk|maybe|thanks?|why"
    r"|what|how|who|continue|proceed|go on)\b",
    re.IGNORECASE,
)


def findings(before: Spoken, one: Spoken) -> list[Found]:
    """What the user's turn makes of the agent's turn just before it; nothing for other pairs."""
    if before.turn.role != "assistant" or one.turn.role != "user" or not before.sentences or not one.sentences:
        return []
    return _agreement(before, one) or _answer(before, one)


def _agreement(before: Spoken, one: Spoken) -> list[Found]:
    replies = [s.text for s in one.sentences[:2]]
    reply = replies[0]
    if not cues.ACCEPT.match(reply[:200]) or cues.REJECT.search(reply[:200]) or reply.rstrip().endswith("?"):
        return []
    if any(cues.REJECT.match(text[:200]) for text in replies[1:]):
        return []
    proposal = _chosen(_proposals(before), one)
    if proposal is None:
        return []
    verdict = Verdict("decision", 0.9)
    said = statement(proposal.text)
    answer = f" ({one.label}: {shorten(reply, 60)})"
    text = shorten(said, LONGEST_TEXT - len(answer)) + answer
    made = found(verdict, text, said, proposal.quote, before)
    return [replace(made, last=one.turn.seq, salience=min(1.0, round(made.salience + 0.1, 3)), valid_from=None)]


def _proposals(before: Spoken) -> list[Sentence]:
    told = [s for s in before.sentences if len(s.text) <= cues.LONGEST]
    return [
        s
        for s in told
        if cues.PROPOSAL.search(cues.unquoted(s.text)) and not _SMALL_TALK.search(s.text) and len(content(s.text)) > 2
    ]


def _chosen(proposals: Sequence[Sentence], one: Spoken) -> Sentence | None:
    """The proposal that the reply's words take up, else the last one."""
    if not proposals:
        return None
    replied = {word for s in one.sentences[:2] for word in content(s.text[:300])}
    shared = [len(replied & set(content(p.text))) for p in proposals]
    return proposals[max(range(len(proposals)), key=lambda n: (shared[n], n))]


def _answer(before: Spoken, one: Spoken) -> list[Found]:
    question, first = before.sentences[-1].text, one.sentences[0]
    answer = first.text
    if not question.endswith("?") or len(question) > 160 or len(answer) > 80 or answer.endswith("?"):
        return []
    if _SMALL_TALK.search(question) or not _ASKS_FOR_CHOICE.search(question) or _NOT_AN_ANSWER.match(answer):
        return []
    if cues.CHATTER.search(answer) or cues.CHATTER.search(question):
        return []
    if not atoms(answer) and not (_CHOICE.search(question) and 0 < len(content(answer)) <= 6):
        return []
    if len(content(answer)) > 8 or len(one.sentences) > 3:
        return []
    choice = _CHOICE.search(question) is not None
    verdict = Verdict("decision" if choice else "fact", 0.6)
    made = found(verdict, f"{question} {one.label}: {answer}", answer, first.quote, one)
    return [replace(made, first=before.turn.seq, subject="", valid_from=None)]
