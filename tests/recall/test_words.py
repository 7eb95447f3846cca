"""The same terms for what is indexed and for what is asked."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.recall.words import LONGEST, stem, terms

# From the examples of Porter's paper, step by step.
PORTER = {
    "caresses": "caress", "ponies": "poni", "cats": "cat", "feed": "feed", "agreed": "agre", "plastered": "plaster",
    "bled": "bled", "motoring": "motor", "sing": "sing", "conflated": "conflat", "troubled": "troubl", "sized": "size",
    "hopping": "hop", "tanned": "tan", "falling": "fall", "hissing": "hiss", "fizzed": "fizz", "failing": "fail",
    "filing": "file", "happy": "happi", "sky": "sky", "relational": "relat", "conditional": "condit",
    "rational": "ration", "digitizer": "digit", "vietnamization": "vietnam", "operator": "oper", "feudalism": "feudal",
    "hopefulness": "hope", "formality": "formal", "sensibility": "sensibl", "triplicate": "triplic",
    "formative": "form", "electrical": "electr", "goodness": "good", "revival": "reviv", "allowance": "allow",
    "inference": "infer", "adjustable": "adjust", "replacement": "replac", "adoption": "adopt", "effective": "effect",
    "probate": "probat", "rate": "rate", "cease": "ceas", "controlling": "control", "roll": "roll", "yes": "ye",
}  # fmt: skip


@pytest.mark.parametrize(("word", "expected"), PORTER.items())
def test_words_are_stemmed_as_porter_did(word: str, expected: str) -> None:
    assert stem(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The runner was running", ["the", "runner", "wa", "run"]),
        ("Café CRÈME naïve", ["cafe", "creme", "naiv"]),
        ("getHttpResponse", ["gethttprespons", "get", "http", "respons"]),
        ("snake_case v3.11", ["snake", "case", "v3", "11"]),
        ("数据库", ["数据", "据库"]),
        ("数 in 東京タワー", ["数", "in", "東京", "京タ", "タワ", "ワー"]),
        ("😀 ok 🎉", ["😀", "ok", "🎉"]),
        ("привет мир", ["привет", "мир"]),
        ("", []),
        ("?!... -- ''", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_two_writings_of_one_word_are_one_term() -> None:
    assert terms("CAFÉ") == terms("cafe\u0301") == terms("café")
    assert terms("deploy") == terms("deployed") == terms("Deploying")


@given(st.text())
def test_any_text_has_terms_that_an_index_can_hold(text: str) -> None:
    for term in terms(text):
        assert term
        assert not re.search(r"\s", term)
        assert len(term) <= 2 * LONGEST


@given(st.lists(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20), max_size=8))
def test_the_terms_of_a_text_are_those_of_its_words(words: list[str]) -> None:
    assert terms(" ".join(words)) == [term for word in words for term in terms(word)]
