"""The plain strategy: centroids of users, and what is told of those nearest to a user."""

from __future__ import annotations

import pytest

from carryover.core.persona import Code, Preference
from carryover.persona import plain
from carryover.persona.book import Codebook, packed, unpacked
from worded import Worded, said

WORDS = Worded()
FLOOR = 3
TASTES = (("odes", "vast"), ("maps", "terse"), ("plays", "sly"))


def user(n: int) -> list[Preference]:
    """One of three sorts of users, who say what all of their sort say, and something of their own."""
    form, tone = TASTES[n % 3]
    return [
        said(f"u{n}", form, WORDS),
        said(f"u{n}", tone, WORDS, facet="tone", n=1),
        said(f"u{n}", "gongs", WORDS, facet="avoid", polarity="avoid", n=2),
        said(f"u{n}", f"zebra {n}", WORDS, facet="domain", n=3),
    ]


@pytest.fixture(scope="module")
def book() -> Codebook:
    everyone = [one for n in range(1200) for one in user(n)]
    return plain.fit(plain.empty(WORDS.name), everyone, floor=FLOOR)


def told(code: Code, book: Codebook) -> set[tuple[str, str]]:
    return {(book.labels[vote.label or 0].name, vote.polarity) for vote in code.votes if vote.shown}


def test_a_user_is_told_by_what_users_like_them_say(book: Codebook) -> None:
    for n in range(3):
        form, tone = TASTES[n]
        code = plain.code_of(user(n), book)
        assert told(code, book) >= {(form, "like"), (tone, "like"), ("gongs", "avoid")}
        assert (code.book_version, code.sessions, code.preferences) == (2, 4, 4)
        shares = [vote.share for vote in code.votes]
        assert all(0 <= share <= 1.000001 for share in shares)
        assert shares == sorted(shares, reverse=True)


def test_what_few_users_say_is_in_no_label(book: Codebook) -> None:
    assert b"zebra" not in packed(book)


def test_a_single_valued_facet_tells_one_line(book: Codebook) -> None:
    mixed = [*user(0), *user(1), *user(2)]
    code = plain.code_of(mixed, book)
    shown = [vote.facet for vote in code.votes if vote.shown]
    assert all(shown.count(facet) <= 1 for facet in ("format", "tone"))


def test_fewer_users_than_centroids_make_no_book_and_that_is_told() -> None:
    empty = plain.empty(WORDS.name)
    few = [one for n in range(plain.CENTROIDS - 1) for one in user(n)]
    assert plain.fit(empty, few, floor=FLOOR) is empty
    assert plain.code_of(user(1), empty).votes == ()
    assert "128 users" in (plain.nothing_because(empty) or "")
    enough = plain.fit(empty, [one for n in range(plain.CENTROIDS) for one in user(n)], floor=2)
    assert enough.version == 2
    assert plain.nothing_because(enough) is None


def test_all_users_alike_are_one_centroid() -> None:
    same = [said(f"u{n}", "maps", WORDS) for n in range(300)]
    book = plain.fit(plain.empty(WORDS.name), same, floor=FLOOR)
    assert len(book.tells) == 1
    assert told(plain.code_of(same[:1], book), book) == {("maps", "like")}


def test_who_said_nothing_with_a_vector_is_told_nothing(book: Codebook) -> None:
    assert plain.code_of([], book) == Code(2, (), 0, 0)
    assert plain.code_of([said("u", "maps")], book).votes == ()
    assert plain.code_of([said("u", "maps", Worded(name="worded@9"))], book).votes == ()


def test_the_names_and_the_order_of_users_do_not_matter(book: Codebook) -> None:
    everyone = [one for n in range(1200) for one in user(n)]
    assert packed(plain.fit(plain.empty(WORDS.name), everyone[::-1], floor=FLOOR)) == packed(book)


def test_ids_stay_with_what_they_were_given_to(book: Codebook) -> None:
    ids = {label.name: id for id, label in book.labels.items() if not label.starter}
    others = [one for n in range(1200) if n % 3 for one in user(n)]
    again = plain.fit(book, others, floor=FLOOR)
    assert {label.name: id for id, label in again.labels.items() if label.name in ids} == {
        name: id for name, id in ids.items() if name not in TASTES[0]
    }
    assert all(again.labels[ids[name]].retired == 3 for name in TASTES[0])
    assert unpacked(packed(again)).tells == again.tells
