"""What a cluster of phrases is called, and the sentences that tell it.

A label's name is a phrase that enough distinct users share, or words that each of enough of them used, the ones that
set the cluster apart first (class-based TF-IDF, arXiv 2203.05794). What fewer users said is in no label.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from carryover.persona.book import form, words_of
from carryover.persona.lint import refused
from carryover.persona.phrases import Phrase

MOST_WORDS = 3  # of a name that is made of words
_WORTH = 0.4  # of the best word's score, that a further one must have
_SENTENCES = {
    "format": ("Prefers answers with {}.", "Does not want {}."),
    "tone": ("Prefers this tone: {}.", "Does not want this tone: {}."),
    "length": ("Prefers this length: {}.", "Does not want {}."),
    "expertise": ("Describes themselves as: {}.", "Does not want to be taken for: {}."),
    "domain": ("Is interested in {}.", "Is not interested in {}."),
    "stack": ("Works with {}.", "Does not want to use {}."),
    "avoid": ("", "Does not want {}."),
}
# Words that say nothing by themselves.
_EMPTY = re.compile(
    r"a|about|after|all|an|and|any|are|as|at|be|before|by|can|do|for|from|get|have|i|if|in|into|is|it|like|me|more|my|no|"
    r"not|of|on|only|or|other|out|over|so|some|that|the|them|then|there|they|this|to|up|use|very|want|what|when|with|"
    r"without|you|your"
)
_ARTICLE = re.compile(r"^(?:an?|the|some|my|your)\s+(?=\S)")


def sentences(facet: str, name: str) -> tuple[str, str]:
    """How a persona tells that a user likes, and that they do not want, what the label stands for."""
    likes, avoids = _SENTENCES.get(facet, (f"As to {facet}, prefers: {{}}.", f"As to {facet}, does not want: {{}}."))
    return likes.format(name), avoids.format(name)


def shared_forms(phrases: Iterable[Phrase], floor: int) -> list[str]:
    """The phrases, in whatever spelling, that enough distinct users share; what most say first."""
    users: dict[str, set[int]] = {}
    for phrase in phrases:
        users.setdefault(phrase.form, set()).update(phrase.said_by)
    found = [(-len(who), said) for said, who in users.items() if said and len(who) >= floor]
    return [said for _, said in sorted(found)]


def shared_words(phrases: Iterable[Phrase], floor: int) -> dict[str, int]:
    """The words that enough distinct users used, and how many did."""
    return {word: users for word, users in word_counts(phrases).items() if users >= floor}


def word_counts(phrases: Iterable[Phrase]) -> dict[str, int]:
    """By word, how many distinct users used it."""
    users: dict[str, set[int]] = {}
    for phrase in phrases:
        for word in set(phrase.form.split()):
            users.setdefault(word, set()).update(phrase.said_by)
    return {word: len(who) for word, who in users.items()}


def name_of(phrases: Sequence[Phrase], everywhere: Counter[str], floor: int) -> str | None:
    """What the cluster is called; None where nothing is said by enough users, or may be told.

    `everywhere` counts by word the users of all clusters of the facet.
    """
    for said in shared_forms(phrases, floor):
        name = _spelled(phrases, said)
        if refused(name) is None:
            return name
    words = _telling(phrases, everywhere, floor)
    name = " ".join(words)
    return name if words and refused(name) is None else None


def is_shared(name: str, words: Iterable[str]) -> bool:
    """Whether every word of the name is among those that enough users use."""
    return set(words_of(name)) <= set(words)


def _spelled(phrases: Sequence[Phrase], said: str) -> str:
    """The phrase as most write it, without an article before it."""
    spellings = Counter[str]()
    for phrase in phrases:
        if phrase.form == said:
            spellings[_ARTICLE.sub("", " ".join(phrase.value.lower().split()))] += len(phrase.said_by)
    return min(spellings, key=lambda spelling: (-spellings[spelling], spelling))


def _telling(phrases: Sequence[Phrase], everywhere: Counter[str], floor: int) -> list[str]:
    """The words that set the cluster apart, in the order in which they are mostly said."""
    own = {word: users for word, users in shared_words(phrases, floor).items() if _EMPTY.fullmatch(word) is None}
    if not own:
        return []
    average = sum(everywhere.values()) / max(len(everywhere), 1)
    score = {word: count * math.log(1 + average / max(everywhere[word], 1)) for word, count in own.items()}
    best = sorted(score, key=lambda word: (-score[word], word))[:MOST_WORDS]
    best = [word for word in best if score[word] >= _WORTH * score[best[0]]]
    return sorted((_as_written(phrases, word) for word in best), key=lambda word: _place(phrases, word))


def _as_written(phrases: Sequence[Phrase], word: str) -> str:
    spellings = Counter[str]()
    for phrase in phrases:
        for part in phrase.value.lower().split():
            if form(part) == word:
                spellings[part.strip(".,;:!?()\"'")] += len(phrase.said_by)
    return min(spellings, key=lambda spelling: (-spellings[spelling], spelling)) if spellings else word


def _place(phrases: Sequence[Phrase], word: str) -> tuple[float, str]:
    places = [(phrase.value.lower().find(word), len(phrase.said_by)) for phrase in phrases if word in phrase.value]
    total = sum(users for _, users in places)
    return sum(place * users for place, users in places) / total if total else 0.0, word
