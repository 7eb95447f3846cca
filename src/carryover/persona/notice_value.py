"""What a phrase that is liked or not comes to: what facets know of it, else the phrase itself. English only."""

from __future__ import annotations

import re
from collections.abc import Sequence

from carryover.core.persona import LONGEST_PHRASE, PERSONAL, Polarity
from carryover.persona import lexicon_cues as cues
from carryover.persona import lexicon_nouns as nouns
from carryover.persona.lexicon import Lexicon, bare_words, is_everyday, singular
from carryover.persona.lint import orders, refused

_CUT = re.compile(
    r"\s*(?:[,;:!?…]|\.(?=\s|$)|\b(?:because|since|due to|so that|as (?:i|it|they|my|this|we|these|he|she)\b|if|"
    r"although|though|while|unless|"
    r"for (?:[a-z]+ )?reasons|thanks to|in order to|but|which|despite|regardless|even|and (?:it|that|find|have|"
    r"must|try|am|i|we|my)|so i|when(?:ever)? (?:i|it|we)|"
    r"to (?:be honest|avoid|reduce|support|help|minimi[sz]e|protect|manage|save|ensure|understand|fully|keep|"
    r"make|improve|maintain|get|see|track)|please|thanks|thank you|any ?more|at all|these days|lately|"
    r"anyway|a lot|so much|very much|whatsoever|at this point|right now|from now on|going forward|"
    r"in (?:the )?future|in general|generally|"
    r"whenever possible|as much as possible|if possible|the most|more than anything|with a passion|tbh|lol|"
    r"honestly|no matter|wherever|by the way)\b).*$"
)
_TWO = re.compile(
    r"^((?:more |very )?[\w-]+), (?=(?!(?:i|but|so|and|because|can|what|how|which|as|it|that|you|"
    r"we|or|not|they|the|a|an|there|then|my|please)\b)(?!.*\b(?:is|are)\b)[\w-]+ [\w-]+)"
)  # "clear, simple answers"
_LIGHT = re.compile(
    r"^(?:to |(?:be|being|having|have|see|seeing|using|use|eating|eat|drinking|drink|consuming|consume|wearing|wear|"
    r"receive|receiving|read|given|buying|purchase|purchasing|taking|doing|it when (?:you|people|answers|"
    r"responses) (?:use|are|give me|write|put|include|keep|add)|"
    r"it when|when you (?:use|are|give me|write|put|include|add)|you to (?:be|use|give me|write|keep it|"
    r"keep things)|you (?:were|are|used|gave me|kept it|be|wrote)|any|all|some|every|my|our|those|more|most|"
    r"a|an|the|any kind of|any type of|any form of|anything (?:involving|that involves|related to|about|with)|"
    r"excessive use of|products? (?:by|from)) )+"
)
_TURNS = (
    (re.compile(r"^(?:to )?(?:not|never) (?:to |be |have )?"), True),
    (re.compile(r"^(?:to )?(?:avoid|avoiding|stay away from|staying away from|steer clear of|skip|skipping) "), None),
    (re.compile(r"^(?:no|without|less|fewer) "), True),
)
_NOTHING = re.compile(
    r"^(?:it|this|that|these|those|them|him|her|you|your|how|what|where|me|myself|us|something|"
    r"anything(?! \w+y?\b)|everything|nothing|one|ones|"
    r"things?|to know|to see|to hear|to say|to ask|to think|to be|to get|to make|to have|to add|to do|to try|"
    r"to go|to use|more|less|a|an|the|and|or|so|"
    r"well|both|either|neither|some|any|here|there|not|no|idea|option|approach|way|help|question|sound|look|"
    r"part|fact|first|second|last|latter|former|rest|time|other|another|same)\b(?!-)"
)
_POINTS = re.compile(
    r"\b(?:it|you|your|this|these|those|him|her|them|again|now|today|tomorrow|later|yesterday|"
    r"he|she|…)(?!\w)"
)
_SOLID = re.compile(
    r"^(?:taste|smell|scent|thought|idea|sound|sight|look|feel|feeling|texture|noise|sounds|"
    r"concept)(?: and [a-z]+)? of\b"
)
_NEUTRAL = frozenset(
    re.findall(
        r"\S+",
        "answer answers response responses reply replies explanation explanations explained your you to in with "
        "as for of and or using use used when on that things "
        "stuff everything text texts writing written output outputs result results way ways style format "
        "formatting formatted tone language languages programming "
        "code coding code-related much more lots lot very really quite rather pretty being be are is it them "
        "please any all overly my me us our so over from i about long-term "
        "than get given see have having read presented put into like kind sort type bit little too always only "
        "just every content messages message information info "
        "explaining structured structure feedback summaries project projects work working development apps app "
        "new good clean nice some most both where by at instead "
        "generally usually and/or plain layout form listed shown framework frameworks library libraries tool "
        "tools editor database databases tutorials lessons topics",
    )
)
_CODE = re.compile(
    r"\b(?:code|coding|codes|program|programs|programming|programmer|script|scripts|scripting|language|"
    r"languages|framework|backend|frontend|back end|front end|app|apps|"
    r"use|uses|using|server|database|stack|develop|developer|development|library|libraries|typed|compiler|"
    r"compiled|api|apis|repo|project|projects|tests|devops|deploy|queries|service|services)\b"
)


def values(
    what: str, cue: cues.Cue, polarity: Polarity, around: str, lexicon: Lexicon
) -> list[tuple[str, str, Polarity]]:
    """Facet, value and polarity of what is liked or not; where no facet knows it, the phrase itself."""
    what = _TWO.sub(r"\1 ", what)
    what, polarity = _turned(_CUT.sub("", what).strip(" '.*_-"), polarity)
    known = [one for one in in_facets(what, polarity, around, lexicon) if one[0] != "domain" or cue.topic]
    if known:
        return [(facet, value, polarity) for facet, value in known]
    if tool := [] if cue.closed else tool_of(what, lexicon):
        return [(facet, value, polarity) for facet, value in tool if not is_everyday(bare_words(what))]
    facet = facet_of(what, polarity) or ("avoid" if polarity == "avoid" and _IN_ANSWERS.search(around) else None)
    if (cue.closed and facet != "avoid") or orders(around) is not None:
        return []  # what was cut off may have made an order of it
    if in_facets(what, "avoid", around, lexicon):
        return []  # what a facet knows only as something to avoid: nobody is told to do it
    phrase = phrase_of(what)
    return [] if phrase is None else [(facet or PERSONAL, phrase, polarity)]


def tool_of(what: str, lexicon: Lexicon) -> list[tuple[str, str]]:
    """The known tool that a phrase is, also with one word before it, or what kind it is behind it: `plain python
    code`."""
    words = bare_words(what)
    while len(words) > 1 and words[-1] in _KINDS:
        words = words[:-1]
    for first in range(min(2, len(words)) if len(words) < 4 else 0):
        place = lexicon.at(words, first, "like", frozenset(("stack",)))
        if place is not None and place.end == len(words) and (first == 0 or not place.term.unsure):
            return [(place.term.facet, place.term.value)]
    return []


def bare_of(what: str) -> str:
    """The phrase without what goes on behind it."""
    return _CUT.sub("", _TWO.sub(r"\1 ", what)).strip(" '.*_-,")


def facet_of(what: str, polarity: Polarity) -> str | None:
    """The facet that the nouns of a phrase name; None where they name none, or only what an answer is about."""
    words = bare_words(what)
    end = next((n for n, word in enumerate(words) if n and word in _LINKS), len(words))
    if not words:
        return None
    head, link = singular(words[end - 1]), words[end : end + 1]
    if polarity == "avoid" and (head in nouns.ORNAMENTS or singular(words[0]) in nouns.ORNAMENTS):
        return "avoid"
    sized = any(word in nouns.SIZES or _SIZED.search(word) for word in words[: end + 2])
    if head in nouns.MEASURES or (sized and head in nouns.SPOKEN):
        return None if link and link[0] in ("about", "on", "for") else "length"
    if head in nouns.SPOKEN:
        return None if link and link[0] in _ABOUT else "length" if "fit" in words else "format"
    if head in nouns.TONES:
        return "tone"
    return "format" if head in nouns.FORMS and not (link and link[0] in _ABOUT) else None


_IN_ANSWERS = re.compile(r"\b(?:your|answers?|repl(?:y|ies)|responses?|explanations?|when you|from you)\b")
_KINDS = frozenset(
    ("code", "programs", "program", "scripts", "language", "components", "apps", "images", "queries", "projects")
)
_ABOUT = frozenset(("of", "about", "on", "for", "to", "from"))
_LINKS = _ABOUT | {"with", "in", "that", "which", "at", "by", "as", "without", "where", "like", "first", "between"}
_SIZED = re.compile(r"-(?:page|word|line|sentence|paragraph|length|long|sized)s?$")


def in_facets(what: str, polarity: Polarity, around: str, lexicon: Lexicon) -> list[tuple[str, str]]:
    """What the facets know of a phrase that says nothing else."""
    words = bare_words(what)
    places = lexicon.all(words, polarity)
    covered = {n for place in places for n in range(place.first, place.end)}
    about = sum(place.term.facet == "domain" for place in places)
    if (
        not places
        or 0 < about < len(places)
        or any(word not in _NEUTRAL for n, word in enumerate(words) if n not in covered)
    ):
        return []
    alone = len(words) == places[0].end - places[0].first and not is_everyday(words)
    sure = [place.term for place in places if alone or not place.term.unsure or is_code(around, lexicon)]
    sure = [term for term in sure if polarity == "like" or term.facet not in ("domain", "expertise")]
    return list(dict.fromkeys((term.facet, term.value) for term in sure))


def is_code(around: str, lexicon: Lexicon) -> bool:
    """Whether a text tells of programming: it names something that means nothing else, or two things that may."""
    if _CODE.search(around):
        return True
    terms = [place.term for place in lexicon.all(bare_words(around), "like", frozenset(("stack",)))]
    return any(not term.unsure for term in terms) or len(terms) > 1


def _turned(what: str, polarity: Polarity) -> tuple[str, Polarity]:
    """The bare object, and the polarity turned round by what stands before it: `not to`, `avoiding`."""
    before = ""
    while before != what:
        before = what
        for pattern, turns in _TURNS:
            if match := pattern.match(what):
                what = what[match.end() :]
                polarity = _contrary(polarity) if turns or polarity == "avoid" else "avoid"
        what = _LIGHT.sub("", what)
    return what.strip(), polarity


def _contrary(polarity: Polarity) -> Polarity:
    return "avoid" if polarity == "like" else "like"


def phrase_of(what: str) -> str | None:
    """A phrase in the user's own words that may be told; None where there is none."""
    if (not _SOLID.match(what) and _NOTHING.match(what)) or _POINTS.search(what):
        return None
    words: Sequence[str] = what.split()
    while words and len(" ".join(words)) > LONGEST_PHRASE:
        words = words[:-1]
    while words and words[-1] in _DANGLING:
        words = words[:-1]
    phrase = " ".join(word for word in words if word not in ("a", "an", "the")).strip(" '.-")
    return None if len(phrase) < 3 or refused(phrase) is not None else phrase


_DANGLING = frozenset(
    (
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "with",
        "for",
        "to",
        "and",
        "or",
        "that",
        "as",
        "like",
        "such",
        "by",
        "from",
        "at",
        "is",
        "are",
        "when",
        "due",
        "i",
        "my",
        "not",
        "than",
        "who",
        "have",
    )
)
