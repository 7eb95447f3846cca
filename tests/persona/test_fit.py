"""Fits of a codebook: what becomes a label, what stays as it is, and what is never told."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.core.persona import Label, Preference
from carryover.persona.book import FIRST_LEARNED, Codebook, assign, assign_many, current, form, packed, starter_book
from carryover.persona.fit import fit, grow
from carryover.persona.starter import Seed
from worded import Worded, by_users, said

WORDS = Worded("bullets dots points", "tables grids columns", "prose paragraphs", "rhymes verses poems", "maps charts")
SEEDS = (
    Seed(1, "format", "bullets", "Likes bullets.", "Avoids bullets.", ("bullet list",), ("short bullets",)),
    Seed(2, "format", "tables", "Likes tables.", "Avoids tables.", (), ("wide tables",)),
)
START = starter_book(SEEDS, WORDS)
FLOOR = 3
OTHERS = [f"{a} {b}" for a in ("slow", "loud", "green", "tall") for b in ("boats", "horses", "engines", "rivers")]


def placed(book: Codebook, preferences: list[Preference], *, far: bool = False) -> list[Preference]:
    """With the labels of the book; where only the `far` ones are placed, the others keep theirs."""
    found = assign_many(book, preferences)
    return [
        one if far and one.label is not None else replace(one, facet=facet, label=label)
        for one, (facet, label) in zip(preferences, found, strict=True)
    ]


def learned(book: Codebook) -> list[Label]:
    return [label for label in book.labels.values() if not label.starter and label.retired is None]


def names(book: Codebook) -> set[str]:
    return {label.name for label in learned(book)}


def by_name(book: Codebook, name: str) -> Label:
    return next(label for label in learned(book) if label.name == name)


def place(book: Codebook, value: str) -> int | None:
    return assign(book, "format", value, WORDS.vector(value))[1]


def test_what_enough_users_say_becomes_a_label_and_paraphrases_share_it() -> None:
    book = fit(START, by_users(5, ["rhymes", "verses", "prose"], WORDS), floor=FLOOR)
    assert names(book) == {"rhymes", "prose"}
    assert place(book, "rhymes") == place(book, "verses") == place(book, "poems") == by_name(book, "rhymes").id
    assert by_name(book, "rhymes").users == 5
    assert by_name(book, "rhymes").likes == "Prefers answers with rhymes."
    assert (book.version, book.fitted) == (2, 2)


def test_what_is_near_a_shipped_label_is_that_label() -> None:
    book = fit(START, by_users(5, ["dots", "points", "grids"], WORDS), floor=FLOOR)
    assert learned(book) == []
    assert place(book, "dots") == 1
    assert place(book, "grids") == 2
    assert book.labels[1].likes == "Likes bullets."
    assert book.learned["format"] == {"dot": 1, "point": 1, "grid": 2}


def test_what_too_few_users_say_is_nowhere_however_often_they_say_it() -> None:
    heavy = [said(f"u{n % 2}", "rhymes about zebras", WORDS, n=n) for n in range(60)]
    book = fit(START, [*heavy, *by_users(4, ["prose"], WORDS, name="v")], floor=FLOOR)
    assert names(book) == {"prose"}
    assert b"zebra" not in packed(book)
    assert place(book, "rhymes about zebras") is None


def test_what_only_slipped_into_a_facet_makes_no_label_there() -> None:
    rightly = by_users(5 * FLOOR, ["rhymes"], WORDS)
    slipped = by_users(FLOOR, ["rhymes"], WORDS, facet="tone", name="v")
    for make in (grow, fit):
        made = make(START, placed(START, [*rightly, *slipped]), floor=FLOOR)
        assert [(label.facet, label.name) for label in learned(made)] == [("format", "rhymes")]
        assert assign(made, "tone", "rhymes", None) == ("format", by_name(made, "rhymes").id)


def test_a_far_value_stays_without_a_label() -> None:
    book = fit(START, by_users(5, ["prose"], WORDS), floor=FLOOR)
    assert place(book, "submarines") is None


@pytest.mark.parametrize("count", [0, 1])
def test_no_user_or_one_leaves_the_shipped_labels(count: int) -> None:
    book = fit(START, by_users(count, ["rhymes", "prose"], WORDS), floor=FLOOR)
    assert learned(book) == []
    assert place(book, "dots") == 1
    assert grow(START, by_users(count, ["rhymes"], WORDS), floor=FLOOR) is START


def test_all_the_same_sentence_is_one_label() -> None:
    empty = Codebook(space=WORDS.name)
    for start in (empty, START):
        book = fit(start, by_users(50, ["rhymes"], WORDS), floor=FLOOR)
        assert names(book) == {"rhymes"}
        assert place(book, "rhymes") == by_name(book, "rhymes").id
    assert place(fit(empty, by_users(50, ["rhymes"], WORDS), floor=FLOOR), "submarines") is None


def test_contradictions_are_one_label_with_both_polarities() -> None:
    likes = by_users(4, ["rhymes"], WORDS)
    avoids = [replace(one, polarity="avoid") for one in by_users(4, ["rhymes"], WORDS, name="v")]
    assert len(learned(fit(START, likes + avoids, floor=FLOOR))) == 1


def test_more_phrases_than_centroids_still_make_a_book() -> None:
    spread = [said(f"u{n}", f"{OTHERS[n % 16]} {chr(97 + n % 26)}{chr(97 + n // 26)}", WORDS) for n in range(600)]
    book = fit(START, spread, floor=FLOOR)
    assert 4 <= len(learned(book)) <= 64
    assert len(book.cells["format"].labels) <= 64 + len(START.cells["format"].labels)
    again = fit(book, spread, floor=FLOOR)
    assert {label.id for label in learned(again)} & {label.id for label in learned(book)}


def test_labels_that_still_stand_keep_their_ids_and_names_in_a_refit() -> None:
    one = by_users(5, ["rhymes", "prose"], WORDS)
    book = fit(START, one, floor=FLOOR)
    more = by_users(9, ["verses"], WORDS, name="v")
    again = fit(book, one + more, floor=FLOOR)
    assert {label.id: label.name for label in learned(again)} == {label.id: label.name for label in learned(book)}
    assert by_name(again, "rhymes").users == 14


def test_a_label_whose_users_are_gone_is_retired_and_what_it_said_is_forgotten() -> None:
    both = by_users(5, ["rhymes", "prose"], WORDS)
    book = fit(START, both, floor=FLOOR)
    id = by_name(book, "rhymes").id
    left = [one for one in both if one.value == "prose" or one.user_id in ("u0", "u1")]
    for next in (fit(book, placed(book, left), floor=FLOOR), grow(book, placed(book, left), floor=FLOOR)):
        assert next.labels[id].retired == 3
        assert current(next.labels, id) is None
        assert b"rhyme" not in packed(next)
        assert place(next, "rhymes") is None
        assert place(next, "prose") == by_name(book, "prose").id
        assert id not in next.cells["format"].labels


def test_a_label_that_another_stands_for_forwards_to_it() -> None:
    book = fit(START, by_users(5, ["rhymes"], WORDS), floor=FLOOR)
    split = replace(book, labels={**book.labels, 1001: Label(1001, "format", "odes", "", "", 5)})
    cells = book.cells["format"]
    twin = cells.plus(cells.centroids[~cells.sown], [1001], 0.5)
    split = replace(split, cells={"format": twin})
    again = fit(split, by_users(5, ["rhymes"], WORDS), floor=FLOOR)
    assert again.labels[1001].retired_into == 1000
    assert current(again.labels, 1001) == by_name(again, "rhymes")


def test_growth_adds_what_no_label_stood_for_and_leaves_the_rest_to_the_byte() -> None:
    before = placed(fitted := fit(START, by_users(5, ["prose"], WORDS), floor=FLOOR), by_users(5, ["prose"], WORDS))
    new = placed(fitted, by_users(4, ["rhymes", "verses"], WORDS, name="v"))
    assert all(one.label is None for one in new)
    book = grow(fitted, before + new, floor=FLOOR)
    assert names(book) == {"prose", "rhymes"}
    assert {id: label for id, label in book.labels.items() if id in fitted.labels} == dict(fitted.labels)
    old, cells = fitted.cells["format"], book.cells["format"]
    assert cells.centroids[: len(old.centroids)].tobytes() == old.centroids.tobytes()
    assert cells.mean.tobytes() == old.mean.tobytes()
    assert place(book, "poems") == by_name(book, "rhymes").id == by_name(fitted, "prose").id + 1
    assert grow(book, placed(book, before + new, far=True), floor=FLOOR) is book


def test_growth_waits_for_enough_users() -> None:
    new = placed(START, by_users(2, ["rhymes"], WORDS))
    assert grow(START, new, floor=FLOOR) is START
    assert names(grow(START, [*new, said("v", "verses", WORDS)], floor=FLOOR)) == set()
    assert names(grow(START, [*new, said("v", "rhymes", WORDS)], floor=FLOOR)) == {"rhymes"}


USERS = st.integers(0, 7)
VALUES = st.sampled_from(["rhymes", "verses", "prose", "dots", "maps", "charts", "zebras", "green boats"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.lists(st.tuples(USERS, VALUES), min_size=1, max_size=12)),
        st.tuples(st.just("erase"), st.lists(USERS, min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["fit", "grow"]), st.just([])),
    ),
    max_size=9,
)


@settings(max_examples=60)
@given(STEPS)
def test_whatever_happens_ids_stay_and_nothing_is_told_that_few_said(steps: list[tuple[str, list]]) -> None:
    book, known, count = START, list[Preference](), 0
    meant: dict[int, str] = {}  # what an id was first given to
    for step, what in steps:
        if step == "say":
            new = [said(f"u{user}", value, WORDS, n=(count := count + 1)) for user, value in what]
            known += placed(book, new)
        elif step == "erase":
            known = [one for one in known if int(one.user_id[1:]) not in what]
        else:
            before = book
            book = (fit if step == "fit" else grow)(book, known, floor=FLOOR)
            check(book, before, known, meant)
            if step == "grow":
                gone = {id for id, label in book.labels.items() if label.retired is not None}
                stood = {id: label for id, label in before.labels.items() if id not in gone}
                assert {id: book.labels[id] for id in stood} == stood
                for one in known:
                    if one.label not in gone:
                        assert current(book.labels, one.label) == current(before.labels, one.label)
            known = placed(book, known, far=True)


def check(book: Codebook, before: Codebook, known: list[Preference], meant: dict[int, str]) -> None:
    said_by: dict[str, set[str]] = {}
    for one in known:
        for word in form(one.value).split():
            said_by.setdefault(word, set()).add(one.user_id)
    for id, label in book.labels.items():
        if label.starter:
            continue
        assert id >= FIRST_LEARNED
        assert id in before.labels or id >= before.next_id
        assert before.labels.get(id, label).retired in (None, label.retired)  # none comes back
        if label.retired is None:
            meant.setdefault(id, label.facet)
            assert all(len(said_by.get(word, ())) >= FLOOR for word in form(label.name).split()), label.name
        else:
            assert (label.name, label.likes, label.avoids) == ("", "", "")
        assert current(book.labels, id) is None or current(book.labels, id).retired is None  # type: ignore[union-attr]
    assert set(meant) <= set(book.labels)
    for term in book.learned.get("format", {}):
        assert len({one.user_id for one in known if form(one.value) == term}) >= FLOOR


def test_the_same_preferences_make_the_same_book_in_any_order_and_process() -> None:
    spoken = [said(f"u{n % 40}", OTHERS[n % 16] + (" please" if n % 3 else ""), WORDS, n=n) for n in range(400)]
    first = fit(START, spoken, floor=FLOOR)
    for seed in (1, 2):
        random.Random(seed).shuffle(spoken)
        assert packed(fit(START, spoken, floor=FLOOR)) == packed(first)


@pytest.mark.parametrize("seed", ["1", "77"])
def test_the_hash_seed_of_a_process_changes_no_label(seed: str) -> None:
    program = (
        "import hashlib; from carryover.persona.book import packed; from carryover.persona.fit import fit, grow;"
        "from worded import Worded, by_users;"
        "from carryover.persona.book import Codebook;"
        "w = Worded('rhymes verses', 'maps charts');"
        "p = by_users(5, ['rhymes', 'verses', 'maps', 'charts', 'prose', 'boats', 'long walks', 'dry wit'], w);"
        "b = fit(Codebook(space=w.name), p, floor=3);"
        "print(sorted((l.id, l.name, l.users) for l in b.labels.values()), sorted(b.learned['format'].items()))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**environment, "PYTHONHASHSEED": hashed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashed in (seed, "0")
    }
    assert len(told) == 1
    assert "rhymes" in told.pop()


def test_centroids_hold_when_they_are_centred_anew() -> None:
    cells = START.cells["format"]
    vectors = np.asarray(WORDS.embed(["bullets", "short bullets", "tables", "wide tables"]), np.float32)
    np.testing.assert_allclose(cells.absolute(), vectors, atol=2e-3)
