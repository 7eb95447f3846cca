"""Drift: what a codebook no longer stands for, and what that asks for."""

from __future__ import annotations

from dataclasses import replace

from carryover.core.persona import Preference
from carryover.persona.book import Codebook, assign_many, starter_book
from carryover.persona.drift import FAR, POOL, Drift, drift, need, users_by_label
from carryover.persona.fit import fit
from carryover.persona.phrases import embedded, gathered
from carryover.persona.starter import Seed
from worded import Worded, by_users, said

WORDS = Worded("bullets dots", "rhymes verses")
START = starter_book((Seed(1, "format", "bullets", "Likes bullets.", "Avoids bullets."),), WORDS)
FLOOR = 3
STEADY = Drift(far=0.0, pool=0, retired=0.0, purity=1.0, preferences=10_000)


def placed(book: Codebook, preferences: list[Preference]) -> list[Preference]:
    found = assign_many(book, preferences)
    return [replace(one, label=label) for one, (_, label) in zip(preferences, found, strict=True)]


def of(book: Codebook, preferences: list[Preference]) -> Drift:
    return drift(book, gathered(preferences, book.space), FLOOR)


def test_what_no_label_stands_for_is_counted_by_user_and_pooled_by_facet() -> None:
    near, far = by_users(6, ["dots"], WORDS), by_users(4, ["rhymes", "maps"], WORDS, name="v")
    found = of(START, placed(START, near + far + far))
    assert (found.far, found.pool, found.preferences) == (round(8 / 14, 6), 8, 22)
    assert of(START, placed(START, near)).far == 0
    assert of(START, []) == Drift(0.0, 0, 0.0, 1.0, 0)


def test_a_pool_of_too_few_users_does_not_count() -> None:
    few = [said(f"u{n % 2}", f"rhymes {chr(97 + n % 26)}{chr(97 + n // 26)}", WORDS, n=n) for n in range(60)]
    assert of(START, few).pool == 0
    assert of(START, [*few, said("v", "maps", WORDS)]).pool == 61


def test_what_a_grown_book_stands_for_by_now_is_not_far() -> None:
    far = by_users(4, ["rhymes"], WORDS)
    book = fit(START, far, floor=FLOOR)
    assert of(book, far).far == 0
    assert {id: len(users) for id, users in users_by_label(book, gathered(far, book.space)).items()} == {1000: 4}


def test_much_that_is_far_asks_for_growth() -> None:
    book = replace(START, fitted=1)
    assert need(book, STEADY) == "nothing"
    assert need(book, replace(STEADY, far=FAR)) == "nothing"
    assert need(book, replace(STEADY, far=FAR + 0.01)) == "growth"
    assert need(book, replace(STEADY, pool=POOL - 1)) == "nothing"
    assert need(book, replace(STEADY, pool=POOL)) == "growth"


def test_only_a_worn_book_asks_for_a_full_fit() -> None:
    book = replace(START, fitted=1)
    assert need(book, replace(STEADY, retired=0.25)) == "nothing"
    assert need(book, replace(STEADY, retired=0.3)) == "fit"
    assert need(book, replace(STEADY, purity=0.79)) == "fit"
    assert need(replace(book, purity=0.78), replace(STEADY, purity=0.75)) == "nothing"  # it was no better when fitted


def test_the_first_full_fit_waits_for_enough_to_be_said() -> None:
    assert need(START, replace(STEADY, preferences=50)) == "nothing"
    assert need(START, replace(STEADY, preferences=50, pool=POOL)) == "growth"
    assert need(START, STEADY) == "fit"


def test_retired_labels_count_until_the_next_full_fit() -> None:
    both = by_users(5, ["rhymes", "maps"], WORDS)
    book = fit(START, both, floor=FLOOR)
    gone = next(id for id, label in book.labels.items() if label.name == "maps")
    worn = replace(book, version=3, labels={**book.labels, gone: replace(book.labels[gone], retired=3)})
    assert of(worn, both).retired == 0.5
    assert of(replace(worn, fitted=3), both).retired == 0


def test_purity_is_how_often_names_and_centroids_agree() -> None:
    spoken = by_users(4, ["rhymes", "bullets"], WORDS)
    book = fit(START, spoken, floor=FLOOR)
    assert book.purity == of(book, spoken).purity == 1.0
    renamed = replace(book, learned={"format": {"rhyme": 1}})
    assert of(renamed, spoken).purity == 0.5


def test_phrases_of_another_space_are_embedded_once_each() -> None:
    old = Worded(name="worded@0")
    mixed = by_users(3, ["rhymes", "maps"], old) + by_users(3, ["maps", "dots"], WORDS, name="v")
    phrases = gathered(mixed, WORDS.name)
    assert [phrase.value for phrase in phrases.of("format")] == ["dots", "maps"]
    asked = Worded("bullets dots", "rhymes verses")
    whole = embedded(phrases, asked)
    assert asked.embedded == ["rhymes"]
    assert sorted(phrase.value for phrase in whole.of("format")) == ["dots", "maps", "rhymes"]
    assert embedded(whole, asked) is whole
    assert len(whole.vectors) == 3
