"""What is kept of a session opens with its own key, in its own place, and while the key lives."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.errors import DataLoss, Invalid, KeyLost, StoreUnavailable
from carryover.core.scope import Scope
from carryover.core.session import Draft, retraction
from carryover.store import marked, migrate, rekeying, sealing, sessions, sessions_sealed, turns
from carryover.store.keyring import Keyring, default_url
from carryover.store.sealing import Sealing
from carryover.store.store import Store, Tx
from carryover.store.tables import bodies, metadata
from carryover.store.tables import sessions as session_rows
from carryover.store.tables import turns as turn_rows
from carryover.store.vault import Vault
from clocks import FrozenClock
from logbook import Book

ACME = Scope("acme")
SECRET = "the launch is on Friday"


@pytest.fixture
def book(store: Store) -> Book:
    """Of a store that seals."""
    store.sealing = Sealing(Vault(Keyring(default_url(store.url))))
    sessions_sealed.begins(store)
    return Book(store)


def everything(store: Store) -> str:
    """All that the tables hold, as one text."""
    with store.read(Scope("*")) as tx:
        return "\n".join(
            repr(tuple(row)) for table in metadata.sorted_tables for row in tx.conn.execute(sa.select(table))
        )


def kept_bodies(tx: Tx) -> list[str]:
    """What is kept of each turn, in order."""
    mine = sa.select(bodies.c.body).where(bodies.c.tenant == tx.tenant)
    return list(tx.conn.execute(mine.order_by(bodies.c.seq)).scalars())


def unsealed(store: Store) -> None:
    """The store is as one of a program that does not seal."""
    assert store.sealing is not None
    store.sealing.wanted = False


def test_nothing_of_a_turn_or_a_sessions_metadata_can_be_read_in_the_tables(book: Book) -> None:
    said = Draft("user", SECRET, metadata={"about": SECRET}, idempotency_key="k")
    book.append("s", said, metadata={"title": SECRET})
    assert SECRET not in everything(book.store)
    (turn,) = book.turns("s")
    assert (turn.text, turn.metadata) == (SECRET, f'{{"about":"{SECRET}"}}')
    assert book.session("s").metadata == {"title": SECRET}


def test_each_session_has_a_key_of_its_own(book: Book) -> None:
    for name in ("a", "b", "c"):
        book.append(name, SECRET)
    with book.store.read(ACME) as tx:
        keys = {sessions.key_of(tx, "default", name) for name in ("a", "b", "c")}
        assert len(keys) == 3
        assert None not in keys
        assert sessions.key_of(tx, "default", "none") is None


def test_equal_texts_are_kept_unlike(book: Book) -> None:
    book.append("s", "yes", "yes")
    with book.store.read(ACME) as tx:
        first, second = tx.conn.execute(
            sa.select(bodies.c.body).where(bodies.c.tenant == "acme").order_by(bodies.c.seq)
        ).scalars()
    assert first != second


def test_a_dropped_key_erases_in_copies_too(book: Book) -> None:
    book.append("gone", SECRET)
    book.append("kept", SECRET)
    assert book.store.sealing is not None
    with book.store.read(ACME) as tx:
        key = sessions.key_of(tx, "default", "gone")
    assert key is not None
    assert book.store.sealing.drop([key]) == 1
    assert book.turns("gone") == []
    assert [turn.text for turn in book.turns("kept")] == [SECRET]
    assert book.store.sealing.drop([key]) == 0


def test_a_drop_elsewhere_holds_here_after_a_while(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "KEPT_S", 0.0)
    book.append("s", SECRET)
    with book.store.read(ACME) as tx:
        key = sessions.key_of(tx, "default", "s")
    assert key is not None
    with closing(Sealing(Vault(Keyring(default_url(book.store.url))))) as other:
        other.drop([key])
    assert book.turns("s") == []
    with pytest.raises(KeyLost):
        book.append("s", "more")


def test_what_was_moved_changed_or_cut_does_not_open(book: Book) -> None:
    book.append("s", SECRET, "another")
    with book.store.read(ACME) as tx:
        first, second = tx.conn.execute(
            sa.select(bodies.c.body).where(bodies.c.tenant == "acme").order_by(bodies.c.seq)
        ).scalars()
        assert tx.opened("bodies/default/s/1", first) is not None
        flipped = first[:-6] + ("A" if first[-6] != "A" else "B") + first[-5:]
        for place, kept in (
            ("bodies/default/s/1", second),
            ("bodies/default/t/1", first),
            ("bodies/default/s/1", flipped),
            ("bodies/default/s/1", first[:-4]),
            ("bodies/default/s/1", first[:9]),
            ("bodies/default/s/1", marked.MARK + "no base64!"),
        ):
            with pytest.raises(DataLoss, match="restore it"):
                tx.opened(place, kept)
        with pytest.raises(DataLoss):
            tx.within(Scope("other")).opened("bodies/default/s/1", first)


def test_without_the_keyring_nothing_is_shown_and_it_says_what_to_do(book: Book, tmp_path: Path) -> None:
    book.append("s", SECRET)
    assert book.store.sealing is not None
    book.store.sealing.close()
    book.store.sealing = None
    with pytest.raises(KeyLost, match="no keyring was opened"):
        book.turns("s")
    book.store.sealing = Sealing(Vault(Keyring(f"sqlite:///{tmp_path / 'another.db'}")))
    with pytest.raises(KeyLost, match="restore the keyring"):
        book.turns("s")


@given(st.text(max_size=40))
def test_any_readable_text_is_read_as_it_was(text: str) -> None:
    for given_text in (text, marked.MARK + text, 2 * marked.MARK + text):
        kept = marked.readable(given_text)
        assert marked.said(kept) == given_text
        assert not marked.is_sealed(kept)


def test_any_text_is_opened_as_it_was_sealed(book: Book) -> None:
    texts = ["", "a", marked.MARK, marked.MARK * 2, "\ud800", "é\x00\n" * 1000, "x" * 1_000_000]
    with book.store.write(ACME) as tx:
        key = tx.new_key()
        assert key is not None
        kept = [(f"p/{n}", tx.closed(key, f"p/{n}", text)) for n, text in enumerate(texts)]
        assert tx.opened_all(kept) == texts
        assert kept[0][1] == ""
        assert all(marked.is_sealed(one) and sealing.key_of(one) == key for _, one in kept[1:])
        mixed = [kept[1], ("p", marked.readable(marked.MARK + "b")), kept[2]]
        assert tx.opened_all(mixed) == ["a", marked.MARK + "b", marked.MARK]


def test_a_repeated_append_is_known_by_what_was_said(book: Book) -> None:
    said = Draft("user", SECRET, idempotency_key="k")
    assert book.append("s", said).saved
    assert not book.append("s", said).saved
    with pytest.raises(Invalid, match="was used for another turn"):
        book.append("s", Draft("user", "something else", idempotency_key="k"))
    both = book.append("s", said, Draft("user", SECRET, idempotency_key="k2"))
    assert (both.version, [place.seq for place in both.turns]) == (2, [1, 2])


def test_all_of_a_session_is_sealed_anew_under_another_key(book: Book) -> None:
    drafts = [Draft("user", f"{SECRET} {n}", idempotency_key=f"k{n}" if n % 2 else None) for n in range(1203)]
    book.append("s", *drafts, metadata={"title": SECRET})
    book.append("s", retraction(2, 3))
    before = book.turns("s")
    with book.store.read(ACME) as tx:
        old, links = sessions.key_of(tx, "default", "s"), turns.linked(tx, "default", "s", 0, 5000)
    with book.store.write(ACME) as tx:
        assert rekeying.rekey(tx, "default", "s")
    assert book.store.sealing is not None
    assert old is not None
    book.store.sealing.drop([old])
    assert book.turns("s") == before
    assert book.session("s").metadata == {"title": SECRET}
    with book.store.read(ACME) as tx:
        again = turns.linked(tx, "default", "s", 0, 5000)
        assert [(one.row["salt"], one.row["chain"], one.row["body"]) for one in again] == [
            (one.row["salt"], one.row["chain"], one.row["body"]) for one in links
        ]
        assert all(one.is_sealed for one in again)
    assert not book.append("s", drafts[1]).saved


def test_a_database_of_an_older_program_is_sealed_while_appends_go_on(database_url: str, clock: FrozenClock) -> None:
    with Store.open(database_url, clock=clock) as store:
        book = Book(store)
        for n in range(5):
            said = Draft("user", f"{SECRET} {n}", metadata={"n": n}, idempotency_key="k")
            book.append(f"old{n}", said, metadata={"title": SECRET})
        before = {f"old{n}": book.turns(f"old{n}") for n in range(5)}
        assert SECRET in everything(store)
        store.sealing = Sealing(Vault(Keyring(default_url(database_url))))
        assert not sessions_sealed.begins(store, only_new=True)
        book.append("readable", SECRET)
        assert len(sessions_sealed.unsealed(store)) == 6
        writing = Thread(target=lambda: [book.append(f"old{n % 5}", f"more {SECRET}") for n in range(50)])
        writing.start()
        told: list[int] = []
        assert rekeying.seal(store, told.append) >= 6
        writing.join()
        assert len(told) >= 6
        assert sessions_sealed.unsealed(store) == []
        assert rekeying.seal(store, told.append) == 0
        assert SECRET not in everything(store)
        for name, turns_before in before.items():
            assert book.turns(name)[:1] == turns_before
        assert not book.append("old1", Draft("user", f"{SECRET} 1", metadata={"n": 1}, idempotency_key="k")).saved
        assert sum(len(book.turns(f"old{n}")) for n in range(5)) == 55


def test_older_programs_are_shut_out_once_something_may_be_sealed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(database_url) as store:
        assert sessions_sealed.begins(store, only_new=True)
    monkeypatch.setattr(migrate, "HEAD", "0006")
    with pytest.raises(StoreUnavailable, match="below 0007 may not use it"):
        Store.open(database_url)


def test_who_does_not_want_it_seals_nothing_new_and_reads_what_is_sealed(book: Book) -> None:
    book.append("sealed", SECRET)
    unsealed(book.store)
    book.append("readable", "all may know")
    book.append("sealed", f"and {SECRET}")
    assert [turn.text for turn in book.turns("sealed")] == [SECRET, f"and {SECRET}"]
    assert "all may know" in everything(book.store)
    assert SECRET not in everything(book.store)


def test_keys_are_drawn_ahead_by_those_who_begin_many_sessions(book: Book) -> None:
    assert book.store.sealing is not None
    keyring = book.store.sealing.vault.keyring

    def held() -> int:
        found = keyring.look()
        return 0 if found is None else found.keys

    book.append("first", "a")
    assert held() == 1
    for n in range(20):
        book.append(f"s{n}", "a")
    assert 21 <= held() <= 63
    with book.store.read(ACME) as tx:
        used = tx.conn.execute(sa.select(session_rows.c.key).where(session_rows.c.tenant == "acme")).scalars().all()
    assert len({bytes(key) for key in used}) == 21


def test_a_refused_append_leaves_no_session(book: Book) -> None:
    with suppress(Invalid):
        book.append("s", Draft("user", SECRET, idempotency_key="a"), Draft("user", "b", idempotency_key="a"))
    with book.store.read(ACME) as tx:
        assert tx.conn.execute(sa.select(turn_rows.c.seq).where(turn_rows.c.tenant == "acme")).all() == []


def test_without_a_keyring_nothing_is_sealed_under_a_made_up_key(database_url: str) -> None:
    with Store.open(database_url) as store, store.write(ACME) as tx:
        assert tx.new_key() is None
        with pytest.raises(KeyLost, match="no keyring was opened"):
            tx.closed(b"8 bytes!", "p", "text")
