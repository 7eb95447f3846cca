"""Shortening a statement to its core: clauses that carry no detail go, details and conditions stay."""

from __future__ import annotations

import re

from carryover.memory.ground import atoms, carried
from carryover.memory.speech import statement
from carryover.memory.words import content

WORTH = 0.85  # of its length: what is hardly shorter stays as it was
_LEAST_WORDS = 3  # that carry content

_LABEL = re.compile(r"\(?[A-Z][^:()\n]{0,40}[:)] (?=\S)")
# Where a clause begins that may go by itself.
_CLAUSE = re.compile(
    r"(?=;\s)|(?=\s[—–-]\s)|(?=\s\()|(?<=\))(?=[\s,;.])"
    r"|(?=,\s(?:and|but|so|which|who|where|because|since|as|while|although|though|plus)\b)"
    r"|(?=\s(?:because|which|although|so that)\b)|(?<=[.!?])(?=\s)"
)
# A clause with one of these says when the rest holds, or that it does not.
_LIMITS = re.compile(
    r"\b(?:not|never|no|none|nothing|nobody|neither|nor|without|unless|except|only|until|if|instead|but|however"
    r"|rather|avoid|stop)\b|n['’]t\b",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"\b(?:really|very|actually|basically|literally|totally|honestly|simply|obviously|of course),?\s", re.IGNORECASE
)


def brief(text: str) -> str:
    """`text` in fewer of its own words, in their order, with every atom; `text` where that would save little.

    The first clause stays, and each further one that carries a detail that is not there yet, or a condition.
    """
    label = _LABEL.match(text)
    who = label[0] if label else ""
    first, *further = _CLAUSE.split(statement(_FILLER.sub("", text[len(who) :])))
    kept = [first]
    for clause in further:
        if _LIMITS.search(clause) or atoms(clause) - carried(atoms(clause), (who + "".join(kept)).lower()):
            kept.append(clause)
    short = who + "".join(kept).strip(" ,;—–-")
    holds_all = carried(atoms(text), short.lower()) == atoms(text)
    if len(short) > WORTH * len(text) or len(content(short)) < _LEAST_WORDS or not holds_all:
        return text
    return short
