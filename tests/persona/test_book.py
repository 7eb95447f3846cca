"""The codebook: what a label is known by, how far it reaches, and that a packed book is the same book."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.persona import FACETS, PERSONAL, Label
from carryover.persona.book import (
    FIRST_LEARNED,
    FIRST_OWN,
    Codebook,
    assign,
    assign_many,
    choices,
    current,
    form,
    own_id,
    packed,
    resown,
    seeded,
    starter_book,
    unpacked,
)
from carryover.persona.starter import Seed, seeds
from worded import Worded, said

WORDS = Worded("bullets dots points", "tables grids columns", "friendly warm kind")
SEEDS = (
    Seed(1, "format", "bullets", "Likes bullets.", "Avoids bullets.", ("bullet list",), ("short bullets",)),
    Seed(2, "format", "tables", "Likes tables.", "Avoids tables.", ("a grid",), ("wide tables",)),
    Seed(101, "tone", "friendly", "Likes it friendly.", "Avoids it friendly.", (), ("friendly words",)),
)
BOOK = starter_book(SEEDS, WORDS)
BARE = starter_book(SEEDS, None)


def place(book: Codebook, value: str, facet: str = "format") -> tuple[str, int | None]:
    return assign(book, facet, value, WORDS.vector(value))


def test_a_value_is_the_label_that_it_names_in_whatever_spelling() -> None:
    for value in ("bullets", "Bullet", " the  BULLETS ", "bullet lists", "Bullet-List"):
        assert place(BARE, value) == ("format", 1), value
    assert place(BARE, "a grid") == place(BARE, "grids") == ("format", 2)
    assert place(BARE, "bullets and tables") == ("format", None)


def test_without_a_name_the_nearest_centroid_decides_where_it_reaches() -> None:
    assert place(BOOK, "dots") == ("format", 1)
    assert place(BOOK, "columns") == ("format", 2)
    assert place(BOOK, "limericks") == ("format", None)
    assert place(BARE, "dots") == ("format", None)
    assert assign(BOOK, "format", "dots", None) == ("format", None)


def test_a_value_under_the_wrong_facet_is_known_by_its_name_and_not_by_what_is_near() -> None:
    assert place(BOOK, "friendly", "format") == ("tone", 101)
    assert place(BOOK, "bullets", "unheard of") == ("format", 1)
    assert place(BOOK, "warm", "format") == ("format", None)
    assert place(BOOK, "dots", "unheard of") == ("unheard of", None)


def test_a_name_that_two_other_facets_have_says_nothing() -> None:
    two = starter_book([replace(SEEDS[0], facet=facet, id=n) for n, facet in enumerate(("stack", "domain"), 1)], None)
    assert assign(two, "stack", "bullets", None) == ("stack", 1)
    assert assign(two, "format", "bullets", None) == ("format", None)


def test_what_is_of_no_facet_finds_one_by_name_or_very_near() -> None:
    assert place(BOOK, "friendly", PERSONAL) == ("tone", 101)
    assert place(BOOK, "warm", PERSONAL) == ("tone", 101)
    assert place(BOOK, "shellfish", PERSONAL) == (PERSONAL, None)


def test_many_are_assigned_as_one_by_one() -> None:
    values = ["dots", "bullet", "grids columns", "limericks", "kind", "friendly words", "", "points points tables"]
    many = [said("u", value, WORDS, facet=facet) for facet in ("format", "tone", PERSONAL, "own") for value in values]
    assert assign_many(BOOK, many) == [assign(BOOK, one.facet, one.value, one.vector) for one in many]
    assert assign_many(BOOK, []) == []


def test_vectors_of_another_space_do_not_count() -> None:
    other = replace(said("u", "dots", WORDS), space="another")
    assert assign_many(BOOK, [other]) == [("format", None)]
    short = np.ones(3, "<f4").tobytes()
    assert assign(BOOK, "format", "dots", short) == ("format", None)


def test_a_retired_label_forwards_and_never_for_ever() -> None:
    labels = {n: Label(n, "format", f"l{n}", "", "") for n in range(5)}
    labels[0] = replace(labels[0], retired=2, retired_into=1)
    labels[1] = replace(labels[1], retired=3, retired_into=2)
    labels[3] = replace(labels[3], retired=2, retired_into=4)
    labels[4] = replace(labels[4], retired=2, retired_into=3)
    assert current(labels, 0) == current(labels, 2) == labels[2]
    assert current(labels, 3) is None
    assert current(labels, 99) is None
    assert current(labels, None) is None


@given(st.dictionaries(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 12)), max_size=10))
def test_forwarding_ends_whatever_forwards_to_what(into: dict[int, int | None]) -> None:
    labels = {
        id: Label(id, "format", "", "", "", retired=None if to is None else 2, retired_into=to)
        for id, to in into.items()
    }
    for id in range(13):
        found = current(labels, id)
        assert found is None or found.retired is None


def test_users_are_offered_what_stands_in_the_order_of_the_facets() -> None:
    gone = replace(BARE.labels[1], retired=2)
    assert [label.id for label in choices(BARE)] == [1, 2, 101]
    assert [label.id for label in choices(replace(BARE, labels={**BARE.labels, 1: gone}))] == [2, 101]


def test_a_packed_book_is_the_same_book_and_always_the_same_bytes() -> None:
    book = replace(BOOK, learned={"format": {"dash": 1}}, tells=((("1+", 0.5),), ()), fitted=3, purity=0.97)
    again = unpacked(packed(book))
    assert packed(again) == packed(book) == packed(replace(book, labels=dict(reversed(book.labels.items()))))
    for facet, cells in book.cells.items():
        for name in ("mean", "centroids", "labels", "reach", "sown"):
            np.testing.assert_array_equal(getattr(cells, name), getattr(again.cells[facet], name))
    assert replace(again, cells={}) == replace(book, cells={})
    assert packed(unpacked(packed(Codebook()))) == packed(Codebook())


def test_seeds_that_are_there_already_change_nothing() -> None:
    assert seeded(BOOK, SEEDS, WORDS) is BOOK
    more = seeded(BOOK, (*SEEDS, Seed(3, "format", "prose", "Likes prose.", "Avoids prose.")), WORDS)
    assert place(more, "prose") == ("format", 3)
    old, new = BOOK.cells["format"], more.cells["format"]
    assert new.centroids[: len(old.centroids)].tobytes() == old.centroids.tobytes()
    assert new.mean.tobytes() == old.mean.tobytes()


def test_a_facet_of_a_tenants_own_has_the_same_ids_wherever_it_is_set_up() -> None:
    own = (Seed(0, "unit", "metric", "Prefers metric units.", "Does not want them."),)
    book = seeded(BOOK, own, WORDS)
    id = own_id("unit", "Metric")
    assert id >= FIRST_OWN
    assert book.facets == (*FACETS, "unit")
    assert place(book, "metric", "unit") == ("unit", id)
    assert starter_book((*own, *SEEDS), None).labels[id].name == "metric"
    assert book.next_id == FIRST_LEARNED


def test_in_another_space_the_shipped_centroids_are_made_anew() -> None:
    other = Worded(name="worded@2")
    book = resown(BOOK, SEEDS, other)
    assert book.space == other.name
    assert book.labels == BOOK.labels
    assert assign(book, "format", "short bullets", other.vector("short bullets")) == ("format", 1)
    assert set(book.cells) == {"format", "tone"}


def test_the_shipped_labels_make_a_book_without_any_model() -> None:
    book = starter_book(seeds(), None)
    assert all(id < FIRST_LEARNED and label.starter for id, label in book.labels.items())
    assert not book.cells
    for seed in seeds():
        for name in (seed.name, *seed.aliases):
            assert assign(book, seed.facet, name, None)[1] is not None, name


def test_spellings_of_one_phrase_have_one_form() -> None:
    for one, other in (("bullet points", "Bullet-Points"), ("queries", "query"), ("a table", "tables"), ("ＡＢ", "ab")):
        assert form(one) == form(other)
    assert form("c++") != form("c#") != form("c")
    assert form("glass") == "glass"
    assert form(".NET") == ".net"
    assert form("") == form("🦓") == ""
