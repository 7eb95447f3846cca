"""The activity stream: pages back, and forwards without a gap."""

from __future__ import annotations

import threading

import pytest

from carryover.core.errors import Forbidden, Invalid, NotFound
from carryover.core.event import Event, Filter
from carryover.core.scope import Scope
from carryover.log import stream
from carryover.store.store import Store
from logbook import ACME, Book


@pytest.fixture
def book(store: Store) -> Book:
    return Book(store)


def test_pages_hold_every_event_once(book: Book) -> None:
    for n in range(4):
        book.append(f"s{n}", "x", "y")
    seen: list[Event] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        page = stream.newest(book.store, ACME, "default", limit=3, cursor=cursor)
        seen += page.events
        cursor, pages = page.next_cursor, pages + 1
    assert pages == 3
    assert [(e.action, e.session_id) for e in seen[::-1]] == [
        (action, f"s{n}") for n in range(4) for action in ("open", "append")
    ]
    assert seen[0].detail == {"version": 2, "turns": 2}


def test_filters_hold_on_every_page(book: Book) -> None:
    for n in range(4):
        book.append(f"s{n % 2}", "x")
    want = Filter(action="append", session="s1")
    first = stream.newest(book.store, ACME, "default", want, limit=1)
    second = stream.newest(book.store, ACME, "default", want, limit=1, cursor=first.next_cursor)
    assert [e.detail["version"] for e in (*first.events, *second.events)] == [2, 1]
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["x", "WyJhIl0", "é"])
def test_a_cursor_that_is_not_ours_is_refused(book: Book, cursor: str) -> None:
    with pytest.raises(Invalid, match="is not one of ours"):
        stream.newest(book.store, ACME, "default", cursor=cursor)
    with pytest.raises(Invalid):
        stream.newest(book.store, ACME, "default", limit=0)


def test_a_follower_misses_nothing_that_others_append_at_once(book: Book) -> None:
    book.append("before", "x")
    seen = stream.now(book.store, ACME, "default")
    done = threading.Event()

    def write(name: int) -> None:
        for n in range(25):
            book.append(f"{name}-{n}", "x")

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    followed: list[Event] = []

    def follow() -> None:
        nonlocal seen
        while True:
            last_look = done.is_set()
            found = stream.after(book.store, ACME, "default", seen, limit=7)
            followed.extend(found)
            if found:
                seen = found[-1].id
            elif last_look:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    for thread in threads:
        thread.join()
    done.set()
    follower.join()
    ids = [e.id for e in followed]
    assert ids == sorted(set(ids))
    opened = [e.session_id for e in followed if e.action == "open"]
    assert sorted(opened) == sorted(f"{name}-{n}" for name in range(4) for n in range(25))
    assert len(followed) == 200


def test_a_key_sees_its_own(book: Book) -> None:
    book.append("hers", "x", user_id="ana")
    book.append("his", "x", user_id="bo")
    ana = Scope("acme", user="ana")
    assert {e.session_id for e in stream.newest(book.store, ana, "default").events} == {"hers"}
    assert {e.session_id for e in stream.after(book.store, ana, "default", 0)} == {"hers"}
    assert stream.newest(book.store, ana, "default", Filter(user="bo")).events == ()
    for look in (
        lambda scope: stream.newest(book.store, scope, "default"),
        lambda scope: stream.after(book.store, scope, "default", 0),
        lambda scope: stream.now(book.store, scope, "default"),
    ):
        with pytest.raises(NotFound, match="agent 'default' does not exist here"):
            look(Scope("acme", agent="other"))
        with pytest.raises(Forbidden):
            look(Scope("acme", rights=frozenset()))
