"""What a process keeps of sessions it showed: little, whatever it is asked for."""

from __future__ import annotations

from dataclasses import replace

from carryover.core.session import Draft
from carryover.core.strategy import View
from carryover.store import sessions
from carryover.store.store import Store
from carryover.strategies import kept as module
from carryover.strategies.kept import Entry, Kept
from carryover.strategies.view import Viewing, view
from logbook import ACME, Book


def looked(store: Store, kept: Kept, session: str, **more: bool) -> View:
    return view(store, ACME, kept, Viewing(session, **more))


def entry(store: Store, kept: Kept, session: str) -> Entry:
    with store.read(ACME) as tx:
        return kept.entry(tx.tenant, sessions.get(tx, "default", session, lock=False))


def test_so_many_sessions_are_kept_as_there_is_room_for(store: Store) -> None:
    book, kept = Book(store), Kept(most_bytes=100_000)
    for n in range(6):
        book.append(f"s{n}", Draft("user", "words " * 4_000))  # 24 kB, and as much for its view
        for dry_run in (False, True):
            seen = looked(store, kept, f"s{n}", dry_run=dry_run)
            assert seen.items[0]["content"] == "words " * 4_000
    there = [entry(store, kept, f"s{n}").sketches != [] for n in (5, 4, 0)]
    assert there == [True, True, False]


def test_one_that_is_larger_than_all_room_is_shown_all_the_same(store: Store) -> None:
    book, kept = Book(store), Kept(most_bytes=1_000)
    book.append("s", Draft("user", "words " * 4_000))
    first = looked(store, kept, "s")
    assert looked(store, kept, "s") == first
    assert entry(store, kept, "s").sketches != []


def test_views_that_are_too_large_are_not_kept(store: Store) -> None:
    book, kept = Book(store), Kept()
    book.append("s", Draft("user", "words"))
    small = looked(store, kept, "s")
    held = entry(store, kept, "s")
    held.remember("large", replace(small, tokens_after=module.BYTES))
    assert [one.items for one in held.views.values()] == [small.items]
    held.remember("half", replace(small, items=("half",), tokens_after=module.BYTES // 4 - 1))
    assert [one.items for one in held.views.values()] == [("half",)]
