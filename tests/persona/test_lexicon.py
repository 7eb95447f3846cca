"""The words by which facets are known."""

from __future__ import annotations

import pytest

from carryover.core.persona import FACETS, Polarity
from carryover.persona.lexicon import Lexicon, bare_words
from carryover.persona.lint import refused
from carryover.persona.starter import seeds

LEXICON = Lexicon({"units": ["metric units", "imperial units"]})


@pytest.mark.parametrize(
    ("text", "polarity", "expected"),
    [
        ("bullet points", "like", [("format", "bullet points")]),
        ("the bullet point", "like", [("format", "bullet points")]),
        ("c++ and c#", "like", [("stack", "c++"), ("stack", "c#")]),
        ("emojis", "avoid", [("avoid", "emojis")]),
        ("emojis", "like", []),  # nobody is told to use them
        ("jargon", "like", [("tone", "technical language")]),
        ("analogies", "like", [("format", "analogies")]),
        ("analogies", "avoid", [("avoid", "metaphors and analogies")]),
        ("long answers", "avoid", [("avoid", "long answers")]),
        ("long answers", "like", [("length", "detailed answers")]),
        ("metric units please", "like", [("units", "metric units")]),
        ("a grey heron", "like", []),
    ],
)
def test_the_longest_phrase_counts(text: str, polarity: Polarity, expected: list[tuple[str, str]]) -> None:
    places = LEXICON.all(bare_words(text), polarity)
    assert [(place.term.facet, place.term.value) for place in places] == expected


def test_every_name_of_a_label_stands_for_it() -> None:
    for seed in seeds():
        words = bare_words(seed.name)
        polarity: Polarity = "avoid" if seed.facet == "avoid" else "like"
        place = LEXICON.at(words, 0, polarity, frozenset((seed.facet,)))
        assert place is not None, seed.name
        assert (place.term.facet, place.end) == (seed.facet, len(words)), seed.name


def test_no_value_is_refused() -> None:
    values = {term.value for terms in LEXICON.terms() for term in terms}
    assert len(values) > 200
    assert not [value for value in values if refused(value)]
    assert {term.facet for terms in LEXICON.terms() for term in terms} == {*FACETS, "units"}
