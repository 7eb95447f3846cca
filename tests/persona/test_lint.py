"""What may be told to a model: no attack passes, and harmless phrases do."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.persona import LONGEST_PHRASE
from carryover.persona.lint import harmless, refused
from carryover.persona.starter import seeds
from persona.attacks import ATTACKS, HARMLESS


def test_the_lists_are_long_and_differ() -> None:
    assert len(set(ATTACKS)) >= 60
    assert len(set(HARMLESS)) >= 80
    assert not set(ATTACKS) & set(HARMLESS)


@pytest.mark.parametrize("phrase", ATTACKS, ids=ascii)
def test_no_attack_passes(phrase: str) -> None:
    assert refused(phrase), phrase


@pytest.mark.parametrize("phrase", HARMLESS)
def test_what_is_harmless_passes(phrase: str) -> None:
    assert refused(phrase) is None


def test_attacks_do_not_pass_for_their_case_or_their_surroundings() -> None:
    for phrase in ATTACKS:
        if any(map(str.isalpha, phrase)) and len(phrase) < LONGEST_PHRASE - 12:
            assert refused(phrase.upper()) or phrase.upper() == phrase
            assert refused(f"tea and {phrase}"), phrase


def test_whatever_is_told_of_a_label_may_be_told() -> None:
    assert not [seed.name for seed in seeds() if refused(seed.name)]


@given(st.text(max_size=200))
def test_what_passes_is_one_line_of_letters(text: str) -> None:
    if refused(text) is None:
        assert 0 < len(text.strip()) <= LONGEST_PHRASE
        assert not set(text.strip()) & set('"“”<>`{}[]|\\:;@$%^*_=\n\r\t')
        assert not any(unicodedata.category(char)[0] == "N" for char in text)


@given(st.text(max_size=200))
def test_what_is_made_harmless_stands_between_quotation_marks(text: str) -> None:
    made = harmless(text)
    assert not set(made) & set('"“”„«»\n\r\t\u2028\u2029\x0b\x0c')
    assert all(unicodedata.category(char)[0] != "C" for char in made)
    assert made == unicodedata.normalize("NFC", made) == harmless(made)
    assert made == " ".join(made.split())


def test_a_long_text_is_refused_at_once() -> None:
    assert refused("a" * 10_000_000) == f"it is longer than {LONGEST_PHRASE} characters"
