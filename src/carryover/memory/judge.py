"""Judging one sentence: is it a decision, a fact, a task or a standing instruction, and how much does it matter?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from carryover.core.sentences import Sentence
from carryover.core.snapshot import FindingKind, Found
from carryover.memory import claims, cues, wants
from carryover.memory.dates import valid_from
from carryover.memory.ground import atoms
from carryover.memory.speech import Spoken, alone, paired, points_back, statement
from carryover.memory.subject import subject_of
from carryover.memory.words import content, is_english

FACT_FROM = 1.8  # what a statement with a number, a day or a name must weigh to be kept as a fact
BARE_FACT_FROM = 2.0  # and one without
LONGEST_SENTENCE = 1_200  # characters; a longer one is no speech
DOCUMENT_FROM = 24  # more sentences than that are a pasted text, not speech

_SAYS_I = re.compile(r"\b(?:i|i['’]\w+|my|we|we['’]\w+|our)\b", re.IGNORECASE)
_IN_TRYING = re.compile(
    r"\bi(?:['’]m| am) (?:\w+ )?(?:trying to|looking (?:for|to|at)|not sure|having (?:trouble"
    r"|issues))|\bi (?:just )?want(?:ed)? to (?:make sure|ensure"
    r"|improve|understand|know|see|optimi[sz]e)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"(?:do|does|did|is|are|am|can|could|should|would|will|shall|have|has|what|how|which|where|when|who|why|any)\b",
    re.IGNORECASE,
)
_SUBORDINATE = re.compile(
    r"\b(?:know|how|what|which|that|when|if|where|why|because|as|until|before|since|who"
    r"|so)\b[^,;.—–]*$",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_PLACE = re.compile(r"(?:^|\s)`?~?/\w[\w.-]*/|https?://")
_TWO_IN_ONE = re.compile(
    r"(?:(?:[,;]|\s[—–-])?\s(?:and|but|so)\s|,\s)"
    r"(?=(?-i:[A-Z])\w+ (?:will |(?-i:[a-z]+s) )|(?:also\s)?(?:i|we)(?:['’]ll|\s(?:also\s|still\s)?(?:need"
    r"|have to|must|will|prefer)|['’]re going)\b)",
    re.IGNORECASE,
)
_VAGUE = re.compile(r"\b(?:it|that|this|them)(?: out| in)?(?: sometime| too| soon)?[!.\s]*$", re.IGNORECASE)
_NARRATION = re.compile(
    r"\b(?:let me|now i|i['’]ll|let['’]s|i can see|i see|likely|probably|you must|you need"
    r"|should)\b",
    re.IGNORECASE,
)

_TASK_LIST = re.compile(
    r"^(?:todos?|to[- ]dos?|tasks?|action items?|next steps?|remaining(?: (?:work|tasks"
    r"|items))?|open (?:tasks|items|points)"
    r"|still to do|left to do|pending|outstanding|we still (?:need|have) to.*)$",
    re.IGNORECASE,
)
_DECISION_LIST = re.compile(
    r"^(?:(?:key |final )?decisions?(?: made)?|agreed|we agreed(?: on)?|conclusions?)$", re.IGNORECASE
)
_CHOSE = re.compile(
    r"\b(?:i|we)(?:['’]ve| have)? (?:went with|chose|decided (?:to|on|against)|settled on|opted for"
    r"|switched (?:to|from)|chosen)\b",
    re.IGNORECASE,
)
_LEFT_OPEN = re.compile(
    r"\b(?:still needs? to be|we still need to|remaining (?:work|tasks?|items?|steps?):"
    r"|not yet (?:implemented|done|fixed|tested)|todo:|still pending|what(?:['’]s| is) (?:still )?(?:left"
    r"|missing|open):)",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|last (?:\w+)|next (?:\w+)|since|recently"
    r"|this (?:week|month|year|summer|weekend|morning)|(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    r"|(?:at|on|until|by) \d|(?:in|until|since|by|of|from|this|next|last|before) may|january|february|march"
    r"|april|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)
_WHO_DOES = re.compile(
    r"^(?:(?:and|then|so|ok),? )*(?P<who>[A-Z][\w’'-]{1,20})(?:(?P<told>,? (?:please|pls) \w|, \w)"
    r"|(?P<will> (?:will|is going to) (?!be\b|have\b|never\b|love\b|like\b)\w)| (?P<does>[a-z]{2,15}s)\b \w)"
)
_STATIVE = re.compile(
    r"(?:is|was|has|likes?|loves?|hates?|prefers?|lives?|works?|wants?|needs?|knows?|thinks?|says?|owns?|seems?|looks?"
    r"|feels?|uses?|means?|plays?|speaks?|goes|knows|gets|keeps|eats|drinks|sleeps|always|does(?=n))$",
    re.IGNORECASE,
)
_ABOUT_ONE = re.compile(r"^(?:the|my|our|(?-i:[A-Z])[\w’'.]+|mum|mom|dad) ", re.IGNORECASE)
_CONCRETE = re.compile(
    r"^(?:i|we) (?:also |mostly |now |still )?(?:use|own|run|live|work|study|teach|drive|sell|rent|grow"
    r"|have (?:an?|two|three|\d))\b",
    re.IGNORECASE,
)
# What only softens a statement: a condition that is none, and "just so you know".
_POLITE = re.compile(
    r"(?<=.{12})[,;]?\s(?:just )?(?:so (?:that )?you know|in case (?:you|it|that|anyone)\b.*|if you (?:need|want"
    r"|care|like|must)\b.*"
    r"|for what it['’]s worth|if that helps|if it helps)[.!]*$",
    re.IGNORECASE,
)
_NAMED_SUBJECT = re.compile(
    r"(?!(?:I|We|You|It|This|That|There|The|What|They|He|She|And|But|So|If|Then|Also|These|Those|Let|Here|Not|No"
    r"|Some|Many"
    r"|Most|All|Each|Every|Everything|Nothing|Anything)\b|\w+ing\b)[A-Z][\w-]+(?: [A-Z][\w-]+)?(?:['’]s)? (?:is"
    r"|has|was|had|works|lives"
    r"|wants|needs|can['’]t|doesn['’]t|isn['’]t|prefers|likes|loves|hates|moved|left|runs|uses|owns|leads|got)\b"
)
_POSSESSED = re.compile(r"^(?:my|our) \w+ \w", re.IGNORECASE)
_SHOULD = re.compile(r"\b(?:should|could|would|might|apparently|will)\b|['’]ll\b", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"\b(?:don['’]t know|not sure|no idea|can['’]t tell|not decided|unclear|to be seen)\b", re.IGNORECASE
)
_PLEASE = re.compile(r"\b(?:please|pls)\b", re.IGNORECASE)
_YOU = re.compile(r"\b(?:you|your|yours)\b", re.IGNORECASE)
_UNSURE = re.compile(r"\b(?:maybe|perhaps|might|wonder(?:ing)?|possibly|if only|what if)\b", re.IGNORECASE)
_NO_OBJECT = re.compile(
    r"^(?:always|never|i (?:would |really )?(?:prefer|like|love|hate|want)"
    r"|i['’]d prefer)\s?(?:it|that|this|them|so)?[.!]*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: FindingKind
    weight: float  # 0..1: how sure the cue is
    pinned: bool = False


def findings(one: Spoken) -> list[Found]:
    """What the sentences of one turn state, each for itself."""
    result: list[Found] = []
    before, since = one.before, one.before_seq
    for sentence in _read(one):
        if len(sentence.text) > LONGEST_SENTENCE:
            continue
        whole = statement(sentence.text)
        asked = "?" in sentence.text[-3:] and ("?" in whole[-3:] or _ASKS.match(whole) is not None)
        for said in (whole,) if asked else _parts(whole):
            verdict = _verdict(said, sentence, one, asked)
            full = since > 0 and len(content(said)) >= 3 and bool(atoms(said))  # the one before is of an earlier turn
            bare = since > 0 and not atoms(said)  # and says too little to be worth that
            text = alone(said, "" if bare else before, one, full=full) if verdict else None
            if verdict and text and is_english(said[: cues.LONGEST]):
                made = found(verdict, text, said, sentence.quote, one)
                leans = since and before and paired(before) in text
                result.append(replace(made, first=since) if leans else made)
        before, since = ("" if asked else whole), 0
    return result


def _parts(said: str) -> list[str]:
    """Two statements in one sentence ("I have to ... and I need to ..."), apart."""
    parts = _TWO_IN_ONE.split(said)
    return parts if all(part.count(" ") > 1 and not _VAGUE.search(part) for part in parts) else [said]


def _read(one: Spoken) -> Sequence[Sentence]:
    """The sentences of a turn; of a pasted document only its ends, and where somebody says "I" or "we"."""
    last = len(one.sentences)
    if not one.person or last <= DOCUMENT_FROM:
        return one.sentences
    return [s for n, s in enumerate(one.sentences) if n < 4 or n >= last - 4 or (not s.item and _SAYS_I.search(s.text))]


def found(verdict: Verdict, text: str, said: str, quote: str, one: Spoken) -> Found:
    """The statement with its subject and salience, cited to the one turn."""
    return Found(
        kind=verdict.kind,
        text=text,
        quote=quote,
        first=one.turn.seq,
        last=one.turn.seq,
        subject=subject_of(said, verdict.kind, one.speaker),
        salience=salience(verdict, text, one),
        pinned=verdict.pinned,
        valid_from=valid_from(said, one.turn.created_at) if verdict.kind != "task" else None,
    )


def salience(verdict: Verdict, text: str, one: Spoken) -> float:
    """0..1 from the kind, the cue, the details that the text carries, and who spoke."""
    base = {"decision": 0.5, "task": 0.45, "fact": 0.25}[verdict.kind] + (0.3 if verdict.pinned else 0.0)
    details = min(len(atoms(text)), 4) * 0.04
    role = 0.05 if one.turn.role == "user" else -0.05 if one.person else -0.1
    return round(max(0.05, min(1.0, base + 0.25 * verdict.weight + details + role)), 3)


def _verdict(said: str, sentence: Sentence, one: Spoken, asked: bool) -> Verdict | None:
    shown = _POLITE.sub("", cues.unquoted(said[: cues.LONGEST]))
    if (
        len(said) < 6
        or sentence.quoted
        or cues.SARCASM.search(shown)
        or (shown.startswith(('"', "“", "‘")) and shown.endswith(('"', "”", "’")))
    ):
        return None
    if sentence.box == "x":
        return None
    if not one.person:
        return None if asked else _of_agent(said, shown, sentence)
    if asked:
        return _asked(shown, one)
    return (
        _listed(said, sentence)
        or _pinned(said, shown, one)
        or _settled(shown, sentence)
        or _task(shown, one)
        or _fact(said, shown, sentence)
    )


def _asked(shown: str, one: Spoken) -> Verdict | None:
    """A question that is none: a request with a date, or for how the user wants to be served."""
    if not one.turn.name and wants.PINNED.search(shown) and wants.REQUEST.search(shown):
        return Verdict("fact", 0.8, pinned=True)
    return Verdict("task", 0.5) if wants.REQUEST.search(shown) and wants.DEADLINE.search(shown) else None


def _listed(said: str, sentence: Sentence) -> Verdict | None:
    """An item under a heading that says what its items are, or an open check box."""
    if sentence.box == " " or (sentence.item and _TASK_LIST.match(sentence.under)):
        return Verdict("task", 0.8) if len(content(said)) > 1 else None
    return Verdict("decision", 0.8) if sentence.item and _DECISION_LIST.match(sentence.under) else None


def _pinned(said: str, shown: str, one: Spoken) -> Verdict | None:
    if not wants.PINNED.search(shown) or _UNSURE.search(shown) or _NO_OBJECT.match(shown) or len(content(said)) < 1:
        return None
    return Verdict("fact", 0.8, pinned=one.turn.role == "user")


def _settled(shown: str, sentence: Sentence) -> Verdict | None:
    if cues.HYPOTHETICAL.search(shown) or claims.FEELING.search(shown):
        return None
    if cues.DECISION.search(shown):
        return None if cues.REPORTED.search(shown) else Verdict("decision", 0.8)
    ordered = not sentence.item and not shown.endswith(":") and cues.ORDER.search(shown) and len(content(shown)) > 1
    return Verdict("decision", 0.4) if ordered else None


def _task(shown: str, one: Spoken) -> Verdict | None:
    if len(content(shown)) < 2 or cues.HYPOTHETICAL.search(shown) or claims.FEELING.search(shown):
        return None
    due = wants.DEADLINE.search(shown) is not None
    if _assigned(shown, one):
        return Verdict("task", 0.6)
    need = wants.TASK.search(shown)
    if need and not _SUBORDINATE.search(shown[: need.start()]) and not _VAGUE.search(shown):
        return Verdict("task", 0.9 if due else 0.6) if not cues.REPORTED.search(shown) else None
    if wants.PROMISE.search(shown) and (due or wants.DEFERRED.search(shown)):
        return Verdict("task", 0.6 if due else 0.4) if not cues.REPORTED.search(shown) else None
    return Verdict("task", 0.6) if due and wants.REQUEST.search(shown) else None


def _assigned(shown: str, one: Spoken) -> bool:
    """Whether one of those who speak is said to do something ("Tess does badges", "Kurt, order 40 boxes please")."""
    if not one.among:
        return False
    match = _WHO_DOES.match(shown)
    if not match or match["who"].lower() not in one.among:
        return False
    told = match["told"] is not None and (
        cues.IMPERATIVE.match(shown[match.end("who") + 2 :]) is not None or "please" in shown
    )
    return told or match["will"] is not None or (match["does"] is not None and not _STATIVE.match(match["does"]))


def _fact(said: str, shown: str, sentence: Sentence) -> Verdict | None:
    marked, own = claims.FACT_MARK.search(shown), claims.OWN.search(shown)
    myself, state = claims.SELF.search(shown), claims.STATE.search(shown) or claims.ANY.search(shown)
    own = own or (state and _POSSESSED.match(shown))
    if not (marked or own or myself or state):
        return None
    details, when, digit = atoms(said), _WHEN.search(shown) is not None, _DIGIT.search(said) is not None
    if points_back(said) and not (digit or when or details):
        return None
    weight = max(2.0 if marked or own else 0.0, 1.6 if myself else 0.0, 1.0 if state else 0.0)
    named = _NAMED_SUBJECT.match(said) is not None
    weight += min(len(details), 3) * 0.6 + (0.4 if when else 0.0)
    weight += min(len(content(said)) - 3, 4) * 0.2 + (
        0.8 if state and (_PLACE.search(said) or subject_of(said, "fact", "user")) else 0.0
    )
    weight += 0.3 if digit else 0.0
    weight += 0.3 if named else 0.0
    weight += 0.4 if _ABOUT_ONE.search(shown) or _CONCRETE.search(shown) else 0.0
    weight -= 2.0 if cues.CHATTER.search(shown) else 0.0
    weight -= 0.8 if claims.OPINION.search(shown) or claims.FEELING.search(shown) else 0.0
    weight -= 0.8 if cues.REPORTED.search(shown) and _SHOULD.search(shown) else 0.0
    weight -= 0.6 if shown.endswith("!") else 0.0
    weight -= 0.7 if _YOU.search(shown) else 0.0
    weight -= 2.0 if cues.HYPOTHETICAL.search(shown) or _UNKNOWN.search(shown) else 0.0
    weight -= 2.5 if cues.PROPOSAL.search(shown) or _PLEASE.search(shown) else 0.0
    weight -= 0.5 if _IN_TRYING.search(shown) else 0.0
    weight -= 0.5 if (sentence.item or shown.endswith(":")) and not (own or myself) else 0.0
    weight -= 1.5 if cues.IMPERATIVE.search(shown) else 0.0
    enough = FACT_FROM if digit or when or details or named else BARE_FACT_FROM
    return Verdict("fact", min(1.0, weight / 5)) if weight >= enough else None


def _of_agent(said: str, shown: str, sentence: Sentence) -> Verdict | None:
    """An agent explains much and states little: what it did, promised for later, chose, or knows of the user."""
    if cues.HYPOTHETICAL.search(shown) or shown.endswith(":") or (sentence.item and cues.IMPERATIVE.search(shown)):
        return None
    if (
        not sentence.item
        and wants.PROMISE.search(shown)
        and (wants.DEADLINE.search(shown) or wants.DEFERRED_AGENT.search(shown))
    ):
        return Verdict("task", 0.5)
    if not _NARRATION.search(shown) and _LEFT_OPEN.search(shown) and len(content(shown)) > 2:
        return Verdict("task", 0.3)
    if _CHOSE.search(shown):
        return Verdict("decision", 0.3)
    if not _NARRATION.search(shown) and (claims.REPORT.search(shown) or claims.YOUR.search(shown)) and atoms(said):
        return Verdict("fact", 0.4)
    return None
