"""What one sentence of a user says of how they want to be served. English only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from carryover.core.persona import Polarity
from carryover.persona import lexicon_cues as cues
from carryover.persona import notice_asked as asked
from carryover.persona import notice_self as oneself
from carryover.persona.lexicon import OPPOSITE, Lexicon, bare_words
from carryover.persona.notice_framed import framed, opened
from carryover.persona.notice_value import values


@dataclass(frozen=True, slots=True)
class Said:
    """A preference without the turn that it stands in."""

    facet: str
    value: str
    polarity: Polarity
    explicit: bool = True
    correction: bool = False


@dataclass(frozen=True, slots=True)
class _Clause:
    """A part of a sentence that says one thing."""

    text: str
    standing: bool  # the sentence is about more than this one answer
    correction: bool
    asks: bool = False  # a question: it says nothing outright


_SHORT = (
    (re.compile(r"\bcan['’]?t\b|\bcan not\b"), "cannot"),
    (re.compile(r"\bwon['’]t\b|\bwont\b"), "will not"),
    (re.compile(r"n['’]t\b"), " not"),
    (re.compile(r"\b(do|does|is|are|was|should|would)nt\b"), r"\1 not"),
    (re.compile(r"\bi['’]?m\b"), "i am"),
    (re.compile(r"\b(i|we|you|they)['’]ve\b"), r"\1 have"),
    (re.compile(r"\bive\b"), "i have"),
    (re.compile(r"\b(we|you|they)['’]re\b"), r"\1 are"),
    (re.compile(r"\b(\w+)['’]ll\b"), r"\1 will"),
    (re.compile(r"\b(?:i['’]d\b|id(?= (?:rather|prefer|like|love)\b))"), "i would"),
    (re.compile(r"\b(we|you)['’]d\b"), r"\1 would"),
    (re.compile(r"\b(it|that|there|here|what|he|she)['’]s\b"), r"\1 is"),
    (re.compile(r"\blet['’]s\b"), "let us"),
    (re.compile(r"\bgotta\b"), "have to"),
    (re.compile(r"\bwanna\b"), "want to"),
    (
        re.compile(
            r"\b(?:if possible|if you can|if you could|if you like|if needed|where possible|when possible|"
            r"if it helps|if that helps),? ?"
        ),
        "",
    ),
)
_QUOTATION = re.compile(r"[\"“][^\"”]{1,300}[\"”]|`[^`]{1,200}`")
_BRACKETS = re.compile(r"\s*\([^()]{0,120}\)")
# Where another thing is said; what was left out is put back.
_BREAKS = (
    (
        re.compile(
            r"\s*;\s+|\s+[-–—]+\s+|\s*—\s*|(?<!anything)(?<!nothing),? (?:but|however|whereas|while|"
            r"although|though|yet) (?=\w)|,? so (?=i |we |please |keep |use |be |do not |give |avoid |stick )|"
            r"\.{2,}\s*"
        ),
        "\n",
    ),
    (
        re.compile(
            r",? and (?=(?:i|we|please|do not|never|always|use|keep|stop|no more|give me|skip|be|make|write|"
            r"my|your|our) )"
        ),
        "\n",
    ),
    (re.compile(r", (?=(?:i|we|please|do not|never|stop|no|not|use|keep|avoid|just|skip|my|our|you) )"), "\n"),
    (re.compile(r", (?=(?:avoiding|preferring) )"), "\ni "),
)
_GOES_ON = re.compile(
    r",? (?:and|or) (?=(?:also |even |especially |strongly |much |greatly |then |always |instead |"
    r"strictly |therefore |must |only |cannot |will not |do not |am not |am )*"
    r"(?:prefer|love|hate|dislike|like|enjoy|despise|loathe|detest|refuse|avoid|cannot stand|"
    r"do not (?:like|want|eat|use|consume)|will not|cannot|only (?:eat|use|buy|wear|listen|read|"
    r"watch))\b)"
)  # the subject is said once
_AIM = re.compile(r"\b(?:to|please|can you|could you) (?:[a-z]+ )?[a-z]+$")
_REASON = re.compile(
    r"(?<=\w),? (?:because|since|as|due to) (?:i|it|they|we|of|my|that|this|he|she|there|its|"
    r"the)\b.*$"
)
_GERUND = {"i avoiding": "i avoid", "i preferring": "i prefer"}
_BECAUSE = re.compile(
    r"^(?:because|since|as|due to|when|whenever|after|once|given|for|with|in|to|"
    r"being) [^,]{3,120}, (?=i |we |please |do not |use |keep |my |our |never |always |give )"
)


def said(text: str, lexicon: Lexicon) -> list[Said]:
    """Every preference in a sentence, none twice; a sentence is given by itself, on one line."""
    sentence = spoken_out(text)
    if cues.HYPOTHETICAL.search(sentence) or cues.THIS_ONCE.search(sentence):
        return []
    standing = cues.STANDING.search(sentence) is not None
    corrects = cues.CORRECTS.search(sentence) is not None
    found: dict[tuple[str, str], Said] = {}
    for clause, asks in _clauses(sentence):
        for one in _of_clause(_Clause(clause, standing, corrects, asks), lexicon):
            found.setdefault((one.facet, one.value), one)
    return list(found.values())


def spoken_out(text: str) -> str:
    """The sentence in lower case without what is quoted or bracketed, its contractions spoken out."""
    lowered = _BRACKETS.sub("", _QUOTATION.sub(" … ", text.lower().replace("’", "'")))
    for pattern, full in _SHORT:
        lowered = pattern.sub(full, lowered)
    return " ".join(lowered.split())


def _clauses(sentence: str) -> Iterator[tuple[str, bool]]:
    """Its parts, and whether each is a question that asks for no way to be answered."""
    asks = sentence.endswith("?")
    for pattern, cut in _BREAKS:
        sentence = pattern.sub(cut, sentence)
    sentence = _GOES_ON.sub(lambda found: found[0] if _AIM.search(found.string[: found.start()]) else "\ni ", sentence)
    parts = [part.strip(" ,.!*_-") for part in sentence.split("\n")]
    for n, part in enumerate(parts):
        for gerund, verb in _GERUND.items():
            part = part.replace(gerund, verb)
        clause = _BECAUSE.sub("", _REASON.sub("", part))
        question = asks and n == len(parts) - 1 and not asked.POLITE.match(clause)
        if clause:
            yield clause.rstrip("? "), question


def _of_clause(clause: _Clause, lexicon: Lexicon) -> list[Said]:
    if not clause.asks and (found := _complaint(clause, lexicon)):
        return found
    if found := framed(clause.text, lexicon, standing=clause.standing, hints=clause.asks):
        return [Said(one.facet, one.value, one.polarity, one.explicit, clause.correction) for one in found]
    if clause.asks:
        return []
    changed = clause.correction or oneself.is_change(clause.text)
    if found := [Said(*one, True, changed) for one in oneself.told(opened(clause.text), lexicon)]:
        return found
    if found := _wished(clause, lexicon):
        return found
    return [
        Said(one.facet, one.value, one.polarity, one.explicit, clause.correction or one.correction)
        for one in asked.asked(clause.text, lexicon, standing=clause.standing)
    ]


_TOO = re.compile(r"\btoo (?P<count>many |much )?(?P<what>.+)")
_NOT_OF_ANSWERS = re.compile(r"\b(?:i|we) (?:am|are|was|have|find)\b|\b(?:seems?|might be|may be|could be|would be)\b")
_ENOUGH = re.compile(r"\bnot (?P<what>[a-z-]+) enough\b")
_ABOUT = re.compile(
    r"\b(?:that|this|it|your|answers?|repl(?:y|ies)|responses?|explanations?|those|these|you|"
    r"tone|still|way|bit)\b|^too "
)


def _complaint(clause: _Clause, lexicon: Lexicon) -> list[Said]:
    """`that is too long`: the contrary is wanted, and instead of what there was."""
    if (lacking := _ENOUGH.search(clause.text)) and _ABOUT.search(clause.text):
        places = lexicon.all(bare_words(lacking["what"]), "like")
        return [Said(p.term.facet, p.term.value, "like", True, True) for p in places[:1]]
    found = _TOO.search(clause.text)
    if found is None or _ABOUT.search(clause.text) is None or _NOT_OF_ANSWERS.search(clause.text):
        return []
    words = bare_words(found["what"])[:4]
    if found["count"]:
        if words[:1] in (["detail"], ["text"], ["information"], ["explanation"]):
            return [Said("length", "short answers", "like", True, True)]
        place = lexicon.at(words, 0, "avoid")
        return [] if place is None else [Said(place.term.facet, place.term.value, "avoid", True, True)]
    facets = frozenset(("length", "tone"))
    place = lexicon.at(words, 0, "like", facets)
    if place is None and words[:1] == ["basic"]:
        return [Said("tone", "technical language", "like", True, True)]
    if place is None:
        return (
            [Said("tone", "simple language", "like", True, True)]
            if words[:1] in (["complicated"], ["complex"], ["advanced"])
            else []
        )
    contrary = OPPOSITE.get(place.term.value)
    if contrary is None:
        return [Said(place.term.facet, place.term.value, "avoid", True, True)]
    return [Said(place.term.facet, contrary, "like", True, True)]


def _wished(clause: _Clause, lexicon: Lexicon) -> list[Said]:
    """`i like`, `i cannot stand` and the hundred other ways to say so."""
    for cue in cues.CUES:
        match = cue.pattern.search(clause.text)
        if match is None or cues.NOT_MINE.search(clause.text[: match.start()]):
            continue
        groups = match.groupdict()
        what = groups.get("what") or groups.get("other") or ""
        sure, correction = cue.sure, cue.correction or clause.correction
        found = [
            Said(facet, value, polarity, sure, correction)
            for facet, value, polarity in values(what, cue, cue.polarity, clause.text, lexicon)
        ]
        if groups.get("rival") and found:
            contrary: Polarity = "avoid" if cue.polarity == "like" else "like"
            found += [
                Said(facet, value, polarity, sure, correction)
                for facet, value, polarity in values(groups["rival"], cue, contrary, clause.text, lexicon)
            ]
        return found
    return []
