"""What a statement is about, as a key: two statements with one key and two values cannot both be in force.

A key is made only where a statement has the form of an attribute with one value ("the API limit is 500", "I live
in Lyon", "let's use PostgreSQL for the ledger"). Everything else has the key "" and never replaces anything.
"""

from __future__ import annotations

import re

from carryover.core.snapshot import FindingKind
from carryover.memory.words import MONTH, WEEKDAY, content

_LEAD = re.compile(
    r"^(?:(?:actually|now|correction|update|fyi|note(?: that)?|confirmed|so|and|but|turns out"
    r"|it turns out)\b[,:]?\s+)+",
    re.I,
)
_ATTRIBUTE = re.compile(
    r"^(?P<about>[^.!?;]{2,90}?)\s*(?:(?:\s(?:is|are|will be|has been|have been|was)|['’]s)\s+(?:now |currently "
    r"|still |only )*"
    r"(?:changed|moved|raised|lowered|increased|decreased|reduced|extended|postponed|updated|set|bumped|renamed"
    r"|pushed(?: back)?|due)?\s?"
    r"(?:from .{1,40}? )?(?:to |at |on |by )?(?:now )?|\s(?:now )?(?:changed|moved|went|rose|dropped|switched"
    r"|equals)\s(?:from .{1,40}? )?(?:to )?|\s?[:=]\s+)"
    r"(?P<value>\S.*)$",
    re.IGNORECASE,
)
_PLACED = re.compile(
    r"^(?P<about>[^.!?;]{2,60}?)\s(?:now )?(?:(?:is|are) (?:now )?)?(?:lives?|runs?|located|hosted|deployed|stored"
    r"|kept|moved)(?: over)? "
    r"(?:in|on|at|to|under)\s(?P<value>\S.*)$",
    re.IGNORECASE,
)
_PERSONAL = (
    (
        re.compile(
            r"\bi(?:'m| am|’m)? (?:now |currently )?(?:live|living|based|moved|relocated|moving) (?:in|to|at)\b", re.I
        ),
        "live",
    ),
    (re.compile(r"\bi(?:'m| am|’m)? (?:now |currently )?(?:work|working|employed) (?:at|for)\b", re.I), "work"),
    (re.compile(r"\bi(?:'m| am|’m) \d{1,3}(?: years old)?[.!]?$", re.I), "age"),
    (re.compile(r"\bcall me (?-i:[A-Z])", re.I), "name"),
    (
        re.compile(
            r"\b(?:answer|respond|reply|speak|write)(?: to me)?(?: back)?(?: only)? in (?:english|german|french"
            r"|spanish|italian|portuguese"
            r"|dutch|polish|japanese|chinese|korean|russian|arabic|hindi|turkish|swedish)\b",
            re.I,
        ),
        "language of answers",
    ),
)
_CHOICE = re.compile(
    r"\b(?:use|using|go with|going with|went with|switch(?:ed|ing)? to|stick with|adopt|choose|chose|chosen|pick"
    r"|picked|mov(?:e|ed|ing) to"
    r"|settled on|decided on|deploy to|store it in|default to)\s(?P<value>[^.;:!?]{1,60}?)\s(?:for"
    r"|as)\s(?P<about>[^.;:!?]{2,60})",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"\s(?:because|since|so|as it|which|instead|rather|until|but|and|in order|due to|after all)\b.*"
    r"|,.*|\s[—–-]\s.*",
    re.IGNORECASE,
)
_AFTER_VALUE = re.compile(r"\s(?:for|in|on|of|per|when|during|under|at|with)\s.*")
_DATE = re.compile(
    rf"(?:the )?(?:{'|'.join(sorted([*MONTH, *WEEKDAY], key=len, reverse=True))})\b"
    rf"|\d{{4}}-\d\d-\d\d|\d{{1,2}}(?:st|nd|rd|th)\b"
    r"|tomorrow\b|next (?:week|month)\b|\d{1,2}/\d{1,2}",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\d{1,2}(?::\d\d)?\s?(?:am|pm)\b|\d{1,2}:\d\d\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?:about |around |exactly |up to |roughly )?[$€£~<>≤≥]?\s?\d")
_NAMED = re.compile(r"[`\"“'(]?(?:[A-Z]|~?/\w|[a-z]+-[\w-]*\d|\w+[_./@]\w|[a-z]+[A-Z]|`)")
# Nouns whose value is a name; of most other nouns many things can be true at once.
_NO_NOUN = re.compile(
    r",|\b(?:i|i['’]\w+|we|we['’]\w+|you|they|he|she|it|that|this|there|which|who|what|because"
    r"|since|if|when|as|and|or|not)\b",
    re.IGNORECASE,
)
_BENEFIT = re.compile(
    r"(?:(?:it|nes|anc|enc)$|^(?:eas|speed|flexibl|now|exampl|instanc|free|sur|reason|fun|simpl"
    r"|consistenc|performanc))"
)
_SINGLE = frozenset(
    content("""deadline date name title version branch owner lead manager email phone address birthday url host hostname
    region timezone zone path folder directory database language framework stack library repo repository model provider
    currency username handle password key endpoint domain theme color colour food movie book song band team venue hotel
    location city country school employer job role boss doctor partner dog cat editor ide os license licence""")
)


def subject_of(text: str, kind: FindingKind, speaker: str) -> str:
    """The key of a statement; `speaker` is who "I" and "my" are, in lower case."""
    bare = _LEAD.sub("", text).strip().rstrip(".!")
    if kind == "task":
        return ""
    for pattern, about in _PERSONAL:
        if pattern.search(bare):
            return f"{speaker} {about}"
    if kind == "decision":
        choice = _CHOICE.search(bare)
        return _key(choice["about"], "", "choice") if choice and not _praise(choice["about"]) else ""
    attribute = _ATTRIBUTE.match(bare)
    if attribute and not (
        "`" in attribute["about"] and bare[attribute.end("about") : attribute.start("value")].strip() in ":="
    ):
        return _of_attribute(attribute["about"], attribute["value"], speaker)
    placed = _PLACED.match(bare)
    return _key(_owned(placed["about"], speaker), "", "place") if placed and _NAMED.match(placed["value"]) else ""


def related(key: str, other: str) -> bool:
    """Whether one key only says more than the other: same sort of value, and its words include the other's."""
    words, _, sort = key.rpartition(" (")
    other_words, _, other_sort = other.rpartition(" (")
    if not words or not other_words or sort != other_sort:
        return False
    mine, theirs = set(words.split()), set(other_words.split())
    return mine <= theirs or theirs <= mine


def _of_attribute(about: str, value: str, speaker: str) -> str:
    if _NO_NOUN.search(about):
        return ""
    sort = _sort(value)
    head = content(re.split(r"\b(?:of|for|on|in|at)\b", about)[0])[-1:]
    favourite = re.search(r"\bfavou?rite\b", about, re.IGNORECASE) is not None
    if not sort or (sort == "name" and not favourite and (not head or head[0] not in _SINGLE)):
        return ""
    rest = _AFTER_VALUE.search(_CUT.sub("", value)) if sort != "name" else None
    return _key(_owned(about, speaker), rest[0] if rest else "", sort)


def _praise(purpose: str) -> bool:
    """Whether "for ..." says why and not what for ("for flexibility")."""
    stems = content(_CUT.sub("", purpose))
    return not stems or _BENEFIT.search(stems[-1]) is not None or purpose.lower().endswith(("ity", "ness"))


def _sort(value: str) -> str:
    for sort, pattern in (("time", _CLOCK), ("date", _DATE), ("number", _NUMBER), ("name", _NAMED)):
        if pattern.match(value):
            return sort
    return ""


def _owned(about: str, speaker: str) -> str:
    return re.sub(r"\bmy\b", speaker, about, flags=re.IGNORECASE)


def _key(about: str, rest: str, sort: str) -> str:
    words = sorted({*content(_CUT.sub("", about)), *content(rest)} - {"current", "new", "now", "old"})
    return f"{' '.join(words)} ({sort})" if 0 < len(words) <= 7 else ""
