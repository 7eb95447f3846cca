"""The words by which the facets are known: which phrase stands for which value. English only.

The values are the names of the starter book's labels and of a tenant's own facets, so that what is noticed falls under
a label without any vector. The phrases are their names, aliases and texts, and what `lexicon.toml` adds.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from carryover.core.persona import Polarity
from carryover.persona.starter import seeds

ARTICLES = frozenset(("a", "an", "the"))
# What `avoid` names, where it is wanted after all.
_WANTED = {
    "jargon": ("tone", "technical language"),
    "slang": ("tone", "casual"),
    "flattery": ("tone", "encouraging"),
    "follow-up questions": ("tone", "guiding questions"),
    "buzzwords": ("tone", "formal"),
}
# What is asked for by saying that there is too much of the other.
OPPOSITE = {
    "short answers": "detailed answers",
    "detailed answers": "short answers",
    "formal": "casual",
    "casual": "formal",
    "technical language": "simple language",
    "simple language": "technical language",
}
# These mean other things as well: they count as programming only beside something else that does.
_UNSURE = frozenset(
    re.findall(
        r"\S+",
        "go rust swift java ruby c r react express spring flask unity spark oracle dart perl scala julia windows shell "
        "scheme basic racket kafka snowflake helm meteor next ember crystal assembly angular excel access word notes",
    )
)
_EVERYDAY = frozenset(
    re.findall(
        r"\S+",
        "go c r express spring flask unity spark oracle meteor ember crystal basic next notes word access shell "
        "notebook notebooks",
    )
)
_LOOSE = frozenset(("format", "tone", "length", "avoid"))  # whose phrases name nothing else
_TOO_WIDE = frozenset(
    (
        "code",
        "tl",
        "dr",
        "steps",
        "details",
        "detail",
        "proper",
        "figures",
        "data",
        "stories",
        "story",
        "no explanation",
    )
)  # names of labels that say nothing by themselves
_WORD = re.compile(r"[^\W_]+(?:[-'./&;+#][^\W_]+)*[+#]{0,2}|\.net\b")
_LONGEST = 7  # words of a term


@dataclass(frozen=True, slots=True)
class Term:
    """A value that a phrase stands for. `unsure`: only where the text around it is about programming."""

    facet: str
    value: str
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A term in a text: of its words, the first and the one after the last."""

    term: Term
    first: int
    end: int


class Lexicon:
    """The phrases of all facets, with a tenant's own."""

    def __init__(self, facets: Mapping[str, Sequence[str]] | None = None) -> None:
        self._terms: dict[tuple[str, ...], list[Term]] = {}
        for seed in seeds(facets):
            for phrase in (seed.name, *seed.aliases, *(seed.texts if seed.facet in _LOOSE else ())):
                self._add(phrase, seed.facet, seed.name)
        for facet, more in _more().items():
            for value, phrases in more.items():
                for phrase in phrases:
                    self._add(phrase, facet, value)

    def _add(self, phrase: str, facet: str, value: str) -> None:
        key = _key(bare_words(phrase))
        if key and len(key) <= _LONGEST and phrase not in _TOO_WIDE:
            known = self._terms.setdefault(key, [])
            if all(term.facet != facet for term in known):
                known.append(Term(facet, value, facet == "stack" and len(key) == 1 and key[0] in _UNSURE))

    def terms(self) -> Iterable[Sequence[Term]]:
        """What each phrase stands for, in all facets."""
        return self._terms.values()

    def at(
        self, words: Sequence[str], first: int, polarity: Polarity, facets: frozenset[str] | None = None
    ) -> Place | None:
        """The longest term that begins at this word and can be wanted, or not wanted, in one of the facets."""
        for end in range(min(len(words), first + _LONGEST), first, -1):
            meant = [wanted for term in self._terms.get(_key(words[first:end]), ()) if (wanted := _as(term, polarity))]
            meant = [term for term in meant if facets is None or term.facet in facets]
            if meant:
                return Place(min(meant, key=lambda term: (term.facet == "avoid") != (polarity == "avoid")), first, end)
        return None

    def all(self, words: Sequence[str], polarity: Polarity, facets: frozenset[str] | None = None) -> list[Place]:
        """Every term in order; none lies within another."""
        places: list[Place] = []
        at = 0
        while at < len(words):
            place = self.at(words, at, polarity, facets)
            if place is not None:
                places.append(place)
            at = place.end if place is not None else at + 1
        return places


def _as(term: Term, polarity: Polarity) -> Term | None:
    """What the term stands for in this polarity: what can only be avoided is something else when it is wanted."""
    if term.facet != "avoid" or polarity == "avoid":
        return term
    wanted = _WANTED.get(term.value)
    return None if wanted is None else Term(*wanted)


def is_everyday(words: Sequence[str]) -> bool:
    """Whether this is a word that people mostly say of something else than a tool of its name."""
    return len(words) == 1 and words[0] in _EVERYDAY


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, signs as in `c++`, `.net` and `step-by-step` included."""
    return _WORD.findall(text.lower())


def bare_words(text: str) -> list[str]:
    """The same without articles."""
    return [word for word in words_of(text) if word not in ARTICLES]


def _key(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(singular, words))


def singular(word: str) -> str:
    """The word without its plural's ending, roughly."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@cache
def _more() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((files(__package__ or "") / "lexicon.toml").read_text("utf-8"))
