"""Reading: pages, windows and lists."""

from __future__ import annotations

from typing import Any

import pytest

from carryover.core.errors import Forbidden, Invalid, NotFound
from carryover.core.paging import make_cursor
from carryover.core.scope import Scope
from carryover.log import read
from carryover.store.store import Store
from logbook import ACME, Book


@pytest.fixture
def book(store: Store) -> Book:
    made = Book(store)
    made.append("s", *(f"turn {n}" for n in range(1, 8)))
    return made


def test_a_page_follows_the_turn_that_was_seen_last(book: Book) -> None:
    session, turns = read.page(book.store, ACME, "default", "s", after=2, limit=3)
    assert session.version == 7
    assert [t.seq for t in turns] == [3, 4, 5]
    assert read.page(book.store, ACME, "default", "s", after=7)[1] == []
    assert [t.seq for t in read.page(book.store, ACME, "default", "s", after=-5, limit=1)[1]] == [1]


def test_a_window_is_the_end_of_the_log(book: Book) -> None:
    _, turns = read.window(book.store, ACME, "default", "s", 3)
    assert [t.content for t in turns] == ["turn 5", "turn 6", "turn 7"]
    assert len(read.window(book.store, ACME, "default", "s", 1000)[1]) == 7


def test_every_turn_is_read_page_by_page(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "PAGE", 2)
    assert [t.seq for t in read.every(book.store, ACME, "default", "s", 5)] == [1, 2, 3, 4, 5]
    assert [t.seq for t in read.every(book.store, ACME, "default", "s", 99)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_limits_that_cannot_be_are_refused(book: Book, limit: int) -> None:
    with pytest.raises(Invalid, match=f"last_n is {limit}; use 1 to 1000"):
        read.window(book.store, ACME, "default", "s", limit)
    for ask in (
        lambda: read.page(book.store, ACME, "default", "s", limit=limit),
        lambda: read.listed(book.store, ACME, "default", limit=limit),
    ):
        with pytest.raises(Invalid, match=f"limit is {limit}; use 1 to 1000"):
            ask()


def verbs(book: Book, scope: Scope, agent: str, session: str) -> list[Any]:
    return [
        lambda: read.session(book.store, scope, agent, session),
        lambda: read.page(book.store, scope, agent, session),
        lambda: read.window(book.store, scope, agent, session),
    ]


@pytest.mark.parametrize(
    ("scope", "agent", "session"),
    [
        (ACME, "default", "unknown"),
        (ACME, "other", "s"),
        (Scope("zeta"), "default", "s"),
        (Scope("acme", agent="other"), "default", "s"),
        (Scope("acme", user="ana"), "default", "s"),
    ],
)
def test_what_lies_outside_does_not_exist(book: Book, scope: Scope, agent: str, session: str) -> None:
    for ask in verbs(book, scope, agent, session):
        with pytest.raises(NotFound, match=f"session {session!r} of agent {agent!r} does not exist here"):
            ask()


def test_reading_wants_the_right_to(book: Book) -> None:
    none = Scope("acme", rights=frozenset())
    for ask in [*verbs(book, none, "default", "s"), lambda: read.listed(book.store, none, "default")]:
        with pytest.raises(Forbidden):
            ask()


def test_lists_are_newest_first_and_page_without_a_gap(store: Store, clock: Any) -> None:
    book = Book(store)
    for n in range(5):
        book.append(f"s{n}", "x")
        clock.pass_(n % 2)  # some change in the same millisecond
    book.append("s0", "again")
    seen: list[str] = []
    cursor = None
    pages = 0
    while pages == 0 or cursor:
        page, cursor = read.listed(store, ACME, "default", limit=2, cursor=cursor)
        seen += [one.session_id for one in page]
        pages += 1
    assert seen == ["s4", "s0", "s3", "s2", "s1"]
    assert pages == 3
    assert read.listed(store, ACME, "default", limit=5)[1] is None
    assert read.listed(store, ACME, "nobody") == ([], None)


@pytest.mark.parametrize("cursor", ["x", "bm9wZQ", "!!!", "WzFd", make_cursor(1, "s"), make_cursor("1", "s", "a"), "é"])
def test_a_cursor_that_is_not_ours_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(Invalid, match="is not one of ours; pass next_cursor as it was answered"):
        read.listed(store, ACME, "default", cursor=cursor)
