"""A turn that was spoken, and how its sentences become texts that read alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from carryover.core.sentences import Sentence
from carryover.core.session import Turn
from carryover.guard.names import name_of
from carryover.memory import cues
from carryover.memory.words import words

LONGEST_TEXT = 240
LONGEST_NAME = 40

_LEAD_IN = re.compile(
    r"(?:(?:ok(?:ay)?|yes|yeah|yep|sure|great|well|so|also|and|but|oh|hey|hi|hello|hmm+|btw|by the way|thanks"
    r"|thank you|cool|wow"
    r"|alright|right|perfect|nice|no|anyway|look|basically|plus|awesome|honestly|fyi|sounds good|got it|good|fine"
    r"|absolutely"
    r"|exactly|definitely|agreed|(?:hey|hi|hello|thanks|wow|yeah|yep|sure|oh),? [A-Z][a-z]+)(?:[,!.…—–-]+\s+"
    r"|\s+(?=(?:so|and|but|i|we|let|my|our|the|this)\b)))+",
    re.IGNORECASE,
)
_TAIL_QUESTION = re.compile(
    r"(?:,|\s[—–-]|;)?\s(?:(?:and|so|but)\s)?(?:can|could|would|will|do|does|should|what|how|which|any|is there"
    r"|are there|right|ok(?:ay)?"
    r"|correct|please help)\b[^,?]{0,200}\?[\s\"'”)]*$|,\s(?:can|could|would|how|what|which|should"
    r"|do)\b[^?]{0,300}\?[\s\"'”)]*$",
    re.IGNORECASE,
)
_TAIL_DOUBT = re.compile(
    r"(?:,|\s[—–-])?\s(?:and|but|so|because|now)\s(?:now\s)?(?:i['’]m|i am|i was"
    r"|i just)\s(?:\w+\s)?(?:wondering|not sure|unsure|curious)\b.*$"
    r"|,\s(?:you know|i guess|i think),?\s(?:and\s)?i(?:['’]m| am) (?:wondering|not sure)\b.*$",
    re.IGNORECASE,
)
_SELF = re.compile(r"\b(?:i|my|me|mine|myself)\b|\bi['’]", re.IGNORECASE)
_POINTS_BACK = re.compile(
    r"^(?:(?:it|they|he|she|that|this|these|those)(?:['’](?:s|re|ll|ve|d)\b|\s(?:\w+ly\s)?(?:is|was|are|were|will"
    r"|would|has|have|had|should|can|must|does"
    r"|do|did|takes?|uses?|runs?|needs?|costs?|works?|lives?|means?|makes?|went|got|gives?|also|just|all|only"
    r"|really|prefers?|wants?"
    r"|thinks?|said|says|starts?|ends?|comes?|came|keeps?|helps?|became|\w+ed)\b)|their\b|his\b|her\b|its\b)",
    re.IGNORECASE,
)
_BREAK = re.compile(
    r"[;—–]\s|,\s(?=(?:and|but|so|which|because|while|since|although)\b)|\s(?=(?:because|which"
    r"|while|although)\b)|,\s"
)
_CURLY = dict.fromkeys(map(ord, "“”"), " ")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A turn with its sentences. `person`: a human speaks, the user or, in a chat of people, one with a name."""

    turn: Turn
    sentences: tuple[Sentence, ...]
    among: frozenset[str] = frozenset()  # the first names of all who speak in the session, in lower case
    before: str = ""  # what the same person stated last, in turn `before_seq`
    before_seq: int = 0

    @property
    def person(self) -> bool:
        return self.turn.role == "user" or self.turn.name is not None

    @property
    def speaker(self) -> str:
        """Who "I" is: the name where it is known, else the role."""
        return (self.turn.name or self.turn.role).lower()

    @property
    def label(self) -> str:
        return name_of(self.turn.name) or self.turn.role.capitalize()


def statement(text: str) -> str:
    """`text` without what only opens a sentence ("Ok, so ...") and without a question hung on its end."""
    bare = text[match.end() :] if (match := _LEAD_IN.match(text)) else text
    if bare.endswith("?") or "?" in bare[-3:]:
        tail = _TAIL_QUESTION.search(bare)
        if tail and tail.start() > 15:
            bare = bare[: tail.start()].rstrip(" ,;—–-")
    doubt = _TAIL_DOUBT.search(bare)
    if doubt and doubt.start() > 25:
        bare = bare[: doubt.start()]
    return bare or text


def points_back(said: str) -> bool:
    """Whether a sentence begins with a word that only the one before explains ("It is 500 now")."""
    return _POINTS_BACK.match(said) is not None


def alone(said: str, before: str, one: Spoken, *, full: bool = False) -> str | None:
    """`said` as a text that reads without its turn, at most `LONGEST_TEXT` characters; None where it cannot.

    A sentence that points back ("It is 500 now") takes the one before along, unless it is `full` enough by itself;
    who speaks is named where it matters.
    """
    if not full and points_back(said):
        if (
            not before
            or len(before) + len(said) > LONGEST_TEXT - 20
            or points_back(before)
            or cues.CHATTER.search(before)
        ):
            return None
        before, said = paired(before), paired(said)
        said = f"{before} {said}" if before[-1:] in ".!?:…" else f"{before}. {said}"
    who = f"{one.label}: " if one.turn.name or _SELF.search(said) else ""
    return who + shorten(said, LONGEST_TEXT - len(who))


def shorten(text: str, most: int) -> str:
    """`text`, or its beginning up to the last break of the sentence that fits."""
    if len(text) <= most:
        return text
    head = text[: most - 2]
    breaks = [match.start() for match in _BREAK.finditer(head)]
    good = [at for at in breaks if at >= most // 3]
    return (head[: good[-1]] if good else head.rsplit(" ", 1)[0]).rstrip(" ,;—–-") + " …"


def paired(text: str) -> str:
    """`text` without a quotation mark or backtick that lacks its partner: beside another text, the two would seem to
    quote what stands between them.
    """
    for mark in '`"':
        if text.count(mark) % 2:
            text = " ".join(text.rpartition(mark)[::2]).strip()
    return text if text.count("“") == text.count("”") else text.translate(_CURLY).strip()


def normal(text: str) -> str:
    """`text` for comparing: words in lower case, without speaker, lead-in and punctuation."""
    return " ".join(
        words(statement(re.sub(r"^[^:\n]{1,42}: (?=\S)", "", text, count=1) if text[:1].isupper() else text))
    )
