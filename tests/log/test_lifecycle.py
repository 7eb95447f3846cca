"""Hold, close, time to live, delete: due times to the millisecond."""

from __future__ import annotations

from typing import Any

import pytest

from carryover.core.errors import Forbidden, Invalid, NotFound
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log import lifecycle, stream
from carryover.log.append import Limits
from carryover.store import queue
from carryover.store.store import Store
from logbook import ACME, Book

AGENT = "default"


@pytest.fixture
def book(store: Store) -> Book:
    made = Book(store)
    made.append("s", "one")
    return made


def job(book: Book, kind: str = "consolidate") -> Job | None:
    with book.store.read(ACME) as tx:
        return queue.get(tx, kind, f"{AGENT}/s")


def due(book: Book, kind: str = "consolidate") -> int:
    armed = job(book, kind)
    assert armed is not None
    return armed.due


def expire(store: Store) -> int:
    derivation = lifecycle.expiry()
    return Worker(store, {derivation.kind: derivation}, lambda _: Cap()).drain()


def actions(book: Book) -> list[str]:
    return [event.action for event in stream.newest(book.store, ACME, AGENT).events][::-1]


def test_closing_makes_consolidation_due_now_and_once(book: Book, clock: Any) -> None:
    clock.pass_(10)
    closed = lifecycle.close(book.store, ACME, AGENT, "s")
    assert (closed.status, closed.updated_at, due(book)) == ("closed", clock.at, clock.at)
    revision = job(book)
    clock.pass_(10)
    assert lifecycle.close(book.store, ACME, AGENT, "s") == closed
    assert job(book) == revision
    assert actions(book) == ["open", "append", "close"]


@pytest.mark.parametrize("seconds", [1, 600, lifecycle.LONGEST_HOLD_S])
def test_a_hold_moves_consolidation_exactly(book: Book, clock: Any, seconds: int) -> None:
    held = lifecycle.hold(book.store, ACME, AGENT, "s", seconds)
    assert due(book) == clock.at + seconds * 1000
    clock.pass_(seconds * 1000 - 1)
    assert (held.status, book.session("s").status) == ("active", "active")
    clock.pass_(1)
    assert book.session("s").status == "idle"


def test_a_later_append_or_close_ends_a_hold(book: Book, clock: Any) -> None:
    lifecycle.hold(book.store, ACME, AGENT, "s", 6000)
    clock.pass_(10)
    book.append("s", "two")
    assert due(book) == clock.at + book.limits.idle_ms
    lifecycle.hold(book.store, ACME, AGENT, "s", 6000)
    lifecycle.close(book.store, ACME, AGENT, "s")
    assert due(book) == clock.at


def test_a_hold_arms_nothing_where_nothing_is_new(book: Book) -> None:
    with book.store.write(ACME) as tx:
        queue.cancel(tx, f"{AGENT}/s")
    lifecycle.hold(book.store, ACME, AGENT, "s", 60)
    assert job(book) is None


@pytest.mark.parametrize("seconds", [0, -1, lifecycle.LONGEST_HOLD_S + 1])
def test_a_hold_that_cannot_be_is_refused(book: Book, seconds: int) -> None:
    with pytest.raises(Invalid, match=f"seconds is {seconds}; use 1 to"):
        lifecycle.hold(book.store, ACME, AGENT, "s", seconds)
    with pytest.raises(Invalid, match=f"seconds is {min(seconds, 0)}; use 1 to .* or null for never"):
        lifecycle.set_ttl(book.store, ACME, AGENT, "s", min(seconds, 0))


def test_a_session_expires_so_long_after_its_last_append(book: Book, clock: Any) -> None:
    lifecycle.set_ttl(book.store, ACME, AGENT, "s", 60)
    clock.pass_(30_000)
    book.append("s", "two")
    assert book.session("s").expires_at == due(book, "expire") == clock.at + 60_000
    clock.pass_(59_999)
    assert expire(book.store) == 0
    clock.pass_(1)
    assert expire(book.store) == 1
    with pytest.raises(NotFound):
        book.session("s")
    (event,) = stream.newest(book.store, ACME, AGENT).events
    assert (event.action, event.session_id, event.detail) == ("expire", "s", {"turns": 2})


def test_expiry_survives_a_restart(database_url: str, clock: Any) -> None:
    with Store.open(database_url, clock=clock) as store:
        Book(store, Limits(ttl_s={AGENT: 60})).append("s", "one")
    clock.pass_(60_000)
    with Store.open(database_url, clock=clock) as store:
        assert Book(store).session("s").ttl_s == 60
        assert expire(store) == 1
        with pytest.raises(NotFound):
            Book(store).session("s")


def test_a_default_time_to_live_is_of_its_agent_and_of_new_sessions(store: Store, clock: Any) -> None:
    Book(store).append("old", "one")
    book = Book(store, Limits(ttl_s={AGENT: 60}))
    book.append("old", "two")
    book.append("new", "one")
    book.append("new", "one", agent_id="other")
    assert book.session("old").expires_at is None
    assert book.session("new").expires_at == clock.at + 60_000
    assert book.session("new", "other").expires_at is None


def test_a_time_to_live_can_be_taken_back(book: Book, clock: Any) -> None:
    lifecycle.set_ttl(book.store, ACME, AGENT, "s", 60)
    assert lifecycle.set_ttl(book.store, ACME, AGENT, "s", None).expires_at is None
    clock.pass_(60_000)
    assert expire(book.store) == 1  # it finds that nothing has expired
    assert book.session("s").version == 1
    assert job(book, "expire") is None


def test_an_append_between_load_and_save_saves_the_session(book: Book, clock: Any) -> None:
    lifecycle.set_ttl(book.store, ACME, AGENT, "s", 60)
    clock.pass_(60_000)
    with book.store.write(ACME) as tx:
        claimed = queue.claim(tx, ["expire"], lease_ms=1000)
    assert claimed is not None
    derivation = lifecycle.expiry()
    with book.store.read(ACME) as tx:
        work = derivation.load(tx, claimed)
    assert work == 1
    book.append("s", "two")
    with book.store.write(ACME) as tx:
        queue.finish(tx, claimed)
        derivation.save(tx, claimed, work, None)
    assert book.session("s").version == 2
    assert due(book, "expire") == clock.at + 60_000


def test_a_clock_set_back_does_not_forget_an_expiry(book: Book, clock: Any) -> None:
    lifecycle.set_ttl(book.store, ACME, AGENT, "s", 60)
    clock.pass_(60_000)
    with book.store.write(ACME) as tx:
        claimed = queue.claim(tx, ["expire"], lease_ms=1000)
    assert claimed is not None
    clock.pass_(-5)
    with book.store.read(ACME) as tx:
        assert lifecycle.expiry().load(tx, claimed) == 1


def test_deleting_counts_what_went(book: Book, clock: Any) -> None:
    receipt = lifecycle.delete(book.store, ACME, AGENT, "s")
    assert (receipt.session_id, receipt.erased_at, receipt.counts["turns"]) == ("s", clock.at, 1)
    assert actions(book) == ["delete"]
    with pytest.raises(NotFound):
        lifecycle.delete(book.store, ACME, AGENT, "s")


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        (Scope("zeta"), NotFound),
        (Scope("acme", agent="other"), NotFound),
        (Scope("acme", user="ana"), NotFound),
        (Scope("acme", rights=frozenset({"read"})), Forbidden),
    ],
)
def test_nobody_else_changes_the_life_of_a_session(book: Book, scope: Scope, error: type[Exception]) -> None:
    for verb in (
        lambda: lifecycle.close(book.store, scope, AGENT, "s"),
        lambda: lifecycle.hold(book.store, scope, AGENT, "s", 60),
        lambda: lifecycle.set_ttl(book.store, scope, AGENT, "s", 60),
        lambda: lifecycle.delete(book.store, scope, AGENT, "s"),
    ):
        with pytest.raises(error):
            verb()
    assert book.session("s").status == "active"
