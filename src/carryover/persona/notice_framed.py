"""What a frame of speech says to be a preference: a known value where the phrase is all of it, else as it was said."""

from __future__ import annotations

import re
from dataclasses import dataclass

from carryover.core.persona import PERSONAL
from carryover.persona import lexicon_cues as cues
from carryover.persona import lexicon_frames as frames
from carryover.persona import lexicon_nouns as nouns
from carryover.persona.lexicon import Lexicon, bare_words, is_everyday
from carryover.persona.lint import orders
from carryover.persona.notice_asked import LANGUAGE, POLITE, Asked
from carryover.persona.notice_self import is_role
from carryover.persona.notice_value import bare_of, facet_of, in_facets, phrase_of, tool_of

_LONGEST = 9  # words of a value in the user's own words
_OTHERS = re.compile(
    r"^(?:you|it|that|this|these|those|to|me|him|her|them|what|how|if|not|no|less|fewer|more|without|avoid)\b|"
    r"\b(?:over|rather than|instead of|than)\b"
)
_THEIRS = re.compile(r"\b(?:if|he|she|they|who|whose|people|users?|customers?|boss|friends?|colleagues?|says?|said)\b")
_LEADING = re.compile(
    r"^(?:(?:an?|the|any|all|some|many|much|so|too|such|those|these|your|more|lots of|plenty of|a lot of|every|of) )+"
)
_FOR = re.compile(r" (?:for|when|where|in) .*")
_PARTS = re.compile(r", (?:and |or )?| (?:and|or|nor) ")
_INSISTS = re.compile(
    r"\bi (?:already |have )?(?:asked|told|said|meant|was asking)\b|\bnot (?:what|the [a-z]+(?: that)?) i (?:wanted|"
    r"asked|meant)|\b(?:in mind|remember|assume|you got [a-z ]+ wrong)\b|^(?:actually|again)\b"
)
_THIS = re.compile(r"^(?:the|an?|my|our|your|this|that|another|some) ")
_ONE = re.compile(r"^(?:an?|one|the|another|some|this|my|our|your|using|how|whether) ")
_STYLE = frozenset(("format", "length", "tone", "avoid", "stack"))
_CLOSED = frozenset(("domain", "expertise", "stack"))


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A value that no facet knows, and where it was said."""

    frame: frames.Frame
    what: str
    clause: str
    standing: bool


def framed(clause: str, lexicon: Lexicon, *, standing: bool, hints: bool = False) -> list[Asked]:
    """What the first frame that fits says, if it holds a phrase that may be told; of `hints`, only what is implied."""
    bare = frames.POLITELY.sub("", opened(clause))
    if LANGUAGE.search(bare):
        return []
    standing = standing or _INSISTS.search(clause) is not None
    for frame in frames.FRAMES:
        if (frame.lasting and not standing) or (hints and frame.sure):
            continue
        match = frame.pattern.search(bare)
        if match is None or (cues.NOT_MINE if frame.sure else _THEIRS).search(bare[: match.start()]):
            continue
        if found := _found(frame, match["what"], bare, clause, lexicon, standing):
            return found
    return []


def opened(clause: str) -> str:
    """The clause without what stands before a request or a statement and says nothing of what is wanted."""
    opening = frames.OPENING.match(clause)
    return clause[opening.end() :] if opening else clause


def _found(frame: frames.Frame, said: str, bare: str, clause: str, lexicon: Lexicon, standing: bool) -> list[Asked]:
    what = frames.CLOSING.sub("", bare_of(said)).strip(" ,'.")
    if not what or _OTHERS.search(what) or (frame.sure and not standing and cues.ONCE.search(what)):
        return []
    if not frame.sure and frame.facet == "domain" and _THIS.match(what):
        return []
    explicit = frame.sure and (standing or POLITE.match(clause) is None)
    for part in dict.fromkeys((what, _LEADING.sub("", what), _FOR.sub("", what))):
        if known := _known(frame, part, bare, lexicon):
            return [Asked(facet, value, frame.polarity, explicit) for facet, value in known]
    phrase = phrase_of(_LEADING.sub("", what))
    if frame.known or phrase is None or len(phrase.split()) > _LONGEST or orders(clause) is not None:
        return []
    facet = _FACETS.get(frame.facet, _by_noun)(_Unknown(frame, what, clause, standing))
    return [] if facet is None else [Asked(facet, phrase, frame.polarity, explicit)]


def _known(frame: frames.Frame, what: str, bare: str, lexicon: Lexicon) -> list[tuple[str, str]]:
    """What facets know of a phrase that says nothing else, or of every part of it."""
    if frame.facet in _CLOSED:
        return _named(frame, what, lexicon)
    parts = [in_facets(part, frame.polarity, bare, lexicon) for part in (what, *_PARTS.split(what))]
    found = parts[0] or ([one for part in parts[1:] for one in part] if all(parts[1:]) else [])
    return [one for one in found if one[0] in _STYLE]


def _named(frame: frames.Frame, what: str, lexicon: Lexicon) -> list[tuple[str, str]]:
    """The known name that a phrase is; of a tool also with one word before it: `plain python`."""
    if not frame.sure and is_everyday(bare_words(what)):
        return []
    if frame.facet == "stack":
        return tool_of(what, lexicon)
    words = bare_words(what)
    place = lexicon.at(words, 0, "like", frozenset((frame.facet,)))
    return [(place.term.facet, place.term.value)] if place is not None and place.end == len(words) else []


def _by_noun(one: _Unknown) -> str | None:
    """The facet that the nouns of an unknown value name, else that of its frame."""
    facet = facet_of(one.what, one.frame.polarity)
    if not one.frame.by_noun or one.frame.lasting or not one.frame.sure:
        return facet or one.frame.facet or None
    once = _ONE.match(one.what) is not None and facet != "length"
    return None if once and not one.standing else facet or one.frame.facet or None


def _unwanted(one: _Unknown) -> str | None:
    """What is not wanted in answers: what they are adorned with, else only what is asked for with some weight."""
    ornament = facet_of(_LEADING.sub("", one.what), "avoid") is not None
    if one.what.split()[0] in nouns.NOT_UNWANTED or (not ornament and re.match(r"(?:the|my|our|this|that) ", one.what)):
        return None
    meant = ornament or one.standing or re.search(r"\b(?:please|never|stop|quit|your (?:last )?[a-z]+)\b", one.clause)
    return "avoid" if meant else None


def _role(one: _Unknown) -> str | None:
    return "expertise" if one.frame.sure or is_role(one.what) else None


def _topic(one: _Unknown) -> str | None:
    return None if _ONE.match(one.what) or len(one.what.split()) > 5 else "domain"


def _tool(one: _Unknown) -> str | None:
    if (
        len(one.what.split()) > 4
        or _ONE.match(one.what)
        or _ADVERB.search(one.what)
        or facet_of(one.what, "like") is not None
    ):
        return None
    if one.frame.sure and one.frame.polarity == "avoid" and not _TECHNICAL.search(one.clause):
        return PERSONAL
    return "stack" if one.frame.sure or (_KEPT.search(one.clause) and _TECHNICAL.search(one.clause)) else None


def _length(one: _Unknown) -> str | None:
    return "length" if facet_of(one.what, "like") == "length" or one.standing else None


def _sound(one: _Unknown) -> str | None:
    return "tone" if len(one.what.split()) <= 7 else None


_TECHNICAL = re.compile(
    r"\b(?:bugs?|deploy\w*|code|coding|server|api|compil\w+|config\w*|refactor\w*|endpoint|tests?|database|debug\w*|"
    r"scripts?|migrat\w+|upgrad\w+|crash\w*|library|libraries|builds?|error|errors|memory|fix|fixed|fixing)\b"
)
_ADVERB = re.compile(r"ly\b|\b(?:and|or|is|are|to)\b")  # of how a tool is used, or of several
_KEPT = re.compile(r"\b(?:codebase|code base|repo|repository|setup|set-up|cluster|pipeline)\b")
_FACETS = {"avoid": _unwanted, "expertise": _role, "domain": _topic, "stack": _tool, "tone": _sound, "length": _length}
