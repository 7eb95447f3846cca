"""Erasing what a selection names: sessions, runs of turns, times, agents; holds, receipts, and what is broken off."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core import chain
from carryover.core.erasure import Receipt, Selection, run_of
from carryover.core.errors import Conflict, Forbidden, Held, Invalid, NotFound, StoreUnavailable
from carryover.core.persona import EXPLICIT, Preference, Quote
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import ERASED, Draft, retraction
from carryover.core.step import About
from carryover.core.usage import Cap
from carryover.core.wire import encode
from carryover.jobs.worker import Worker
from carryover.log import forget, legal, lifecycle, stream
from carryover.memory import consolidate
from carryover.memory.choice import Extractors
from carryover.memory.rules import Rules
from carryover.recall import index
from carryover.store import (
    erasures,
    migrate,
    origins,
    preferences,
    profiles,
    queue,
    sessions,
    sessions_sealed,
    snapshots,
    turns,
)
from carryover.store.codes_kept import Codes
from carryover.store.sealing import Sealing
from carryover.store.store import Store
from carryover.store.tables import bodies
from carryover.store.tables import turns as rows
from carryover.store.vault import Vault
from carryover.strategies.kept import Kept
from carryover.strategies.view import Viewing, view
from logbook import ACME, Book
from waiting import until

AGENT = "default"
TALK = (
    "We decided to use PostgreSQL for the ledger.",
    "The canary sings at dawn, and its name is Walrus.",
    "We decided to ship on Friday.",
    "My favourite colour is zinc.",
)


@pytest.fixture
def store(store: Store, vault: Vault) -> Store:
    """A store that seals, as one does that is opened by its settings."""
    store.sealing = Sealing(vault)
    sessions_sealed.begins(store)
    return store


@pytest.fixture
def book(store: Store) -> Book:
    made = Book(store)
    made.append("s", *(Draft("user", text, idempotency_key=f"k{n}") for n, text in enumerate(TALK, 1)), user_id="ana")
    return made


@pytest.fixture
def means(store: Store) -> forget.Means:
    return forget.Means(store)


def erase(means: forget.Means, scope: Scope = ACME, **asked: Any) -> Receipt:
    return forget.erase(means, scope, Selection(**asked))


def run_of_s(first: int, last: int) -> dict[str, Any]:
    return {"agent_id": AGENT, "session_id": "s", "first": first, "last": last}


def worker(store: Store) -> Worker:
    made = [consolidate.consolidation(Extractors(Rules(), lambda _: None)), index.indexing(), lifecycle.expiry()]
    made.append(forget.forgetting(forget.Means(store)))
    return Worker(store, {one.kind: one for one in made}, lambda _: Cap())


def kept_words(store: Store, word: str) -> list[str]:
    with store.read(EVERY_TENANT) as tx:
        tables = erasures.rows.metadata.sorted_tables
        return [t.name for t in tables for row in tx.conn.execute(sa.select(t)) if word in repr(row)]


def test_a_run_of_turns_leaves_tombstones_and_all_readers_pass_them_over(book: Book, means: forget.Means) -> None:
    store = book.store
    receipt = erase(means, **run_of_s(2, 2))
    assert (receipt.turns, receipt.sessions, receipt.counts["turns"], receipt.keys) == (1, 0, 1, 1)
    assert [turn.seq for turn in book.turns("s")] == [1, 3, 4]
    head = book.session("s")
    assert (head.version, head.token_count) == (4, sum(turn.tokens for turn in book.turns("s")))
    with store.read(ACME) as tx:
        assert [turn.seq for turn in turns.last(tx, AGENT, "s", 2)] == [3, 4]
        assert [turn.seq for turn in turns.last(tx, AGENT, "s", 3)] == [1, 3, 4]
        assert [turn.seq for turn in turns.after(tx, AGENT, "s", 1, 1)] == [3]
        assert turns.between(tx, AGENT, "s", 2, 2) == []
        assert [sketch.seq for sketch in turns.sketches(tx, AGENT, "s", 1, 4)] == [1, 2, 3, 4]
        row = tx.conn.execute(sa.select(rows).where(rows.c.tenant == "acme", rows.c.seq == 2)).one()
        assert (row.kind, row.role, row.tokens) == (ERASED, "user", 0)
        assert (row.name, row.metadata, row.salt) == (None, None, None)
        assert tx.conn.execute(sa.select(sa.func.count()).where(bodies.c.tenant == "acme")).scalar_one() == 3


def test_the_chain_still_holds_over_a_tombstone(book: Book, means: forget.Means) -> None:
    erase(means, **run_of_s(2, 3))
    before = None
    with book.store.read(ACME) as tx:
        for link in turns.linked(tx, AGENT, "s", 0, 10):
            row = link.row
            leaf = bytes.fromhex(row["digest"]) if row["kind"] == ERASED else chain.leaf(row["salt"], row)
            before = chain.link(before, leaf)
            assert before == bytes(row["chain"])
        assert before == sessions.get(tx, AGENT, "s").chain


def test_what_is_sent_again_late_does_not_come_back(book: Book, means: forget.Means) -> None:
    erase(means, **run_of_s(2, 2))
    again = book.append("s", Draft("user", TALK[1], idempotency_key="k2"))
    assert (again.saved, again.turns[0].seq) == (False, 2)
    assert [turn.seq for turn in book.turns("s")] == [1, 3, 4]
    kept = book.append("s", Draft("user", TALK[0], idempotency_key="k1"))
    assert (kept.saved, kept.turns[0].seq) == (False, 1)  # sealed anew, it is still known by what it said
    with pytest.raises(Invalid):
        book.append("s", Draft("user", "other words", idempotency_key="k1"))


def test_nobody_appends_a_tombstone(book: Book) -> None:
    with pytest.raises(Invalid, match="kind 'erased' is unknown"):
        book.append("s", Draft("user", "x", kind=ERASED))  # type: ignore[arg-type]


def test_what_was_made_of_them_is_made_anew_of_those_that_are_left(book: Book, means: forget.Means, clock: Any) -> None:
    store = book.store
    clock.pass_(book.limits.idle_ms)
    worker(store).drain()
    with store.read(ACME) as tx:
        before = snapshots.latest(tx, AGENT, "s")
    assert before is not None
    assert {f.sources[0].first for f in before.findings} >= {1, 3}
    receipt = erase(means, **run_of_s(3, 4))  # the last ones: whoever reads on has nothing to go by
    assert receipt.counts["snapshots"] == 1
    with store.read(ACME) as tx:
        assert snapshots.latest(tx, AGENT, "s") is None
    worker(store).drain()
    with store.read(ACME) as tx:
        after = snapshots.latest(tx, AGENT, "s")
        assert after is not None
        assert (after.version, after.through) == (1, 4)
        assert {f.sources[0].last for f in after.findings} == {1, 2}
        assert [queue.get(tx, kind, f"{AGENT}/s") for kind in ("consolidate", "index")] == [None, None]
        assert list(index.damage.sessions_behind(tx.within(EVERY_TENANT))) == []
    assert kept_words(store, "Friday") == []


def test_a_view_that_was_kept_shows_it_no_more(book: Book, means: forget.Means) -> None:
    kept = Kept()
    shown = view(book.store, ACME, kept, Viewing("s"))
    assert "canary" in json.dumps(shown.items)
    erase(means, **run_of_s(2, 2))
    again = view(book.store, ACME, kept, Viewing("s"))
    assert "canary" not in json.dumps(again.items)
    assert len(again.items) == len(shown.items) - 1


def test_a_retraction_is_not_erased_so_that_nothing_comes_back(book: Book, means: forget.Means) -> None:
    book.append("s", retraction(1, 1))
    receipt = erase(means, **run_of_s(3, 5))
    assert receipt.turns == 2
    shown = view(book.store, ACME, Kept(), Viewing("s", strategy={"mode": "trim"}))
    assert TALK[0] not in json.dumps(shown.items)


def test_a_time_takes_turns_out_of_some_sessions_and_others_whole(book: Book, means: forget.Means, clock: Any) -> None:
    clock.pass_(1000)
    since = clock.at
    book.append("s", "said later")
    book.append("late", "all of it later", user_id="ana")
    book.append("other", "of another agent", agent_id="b")
    clock.pass_(1000)
    book.append("s", "after that")
    asked = Selection(agent_id=AGENT, since=since, until=clock.at)
    told = forget.preview(means, ACME, asked)
    assert (told.sessions, told.turns, {(one.session_id, one.whole) for one in told.some}) == (
        2,
        2,
        {("s", False), ("late", True)},
    )
    receipt = forget.erase(means, ACME, asked)
    assert (receipt.sessions, receipt.turns) == (1, 2)
    assert [turn.seq for turn in book.turns("s")] == [1, 2, 3, 4, 6]
    assert [turn.content for turn in book.turns("other", "b")] == ["of another agent"]
    with pytest.raises(NotFound):
        book.session("late")


def test_a_session_that_was_read_out_of_logs_goes_whole(book: Book, means: forget.Means, clock: Any) -> None:
    since = clock.at
    clock.pass_(1000)
    book.append("s", "said later")
    with book.store.write(ACME) as tx:
        origins.put(tx, [(AGENT, "s", "/logs/a", About(title="t", first_at=1))])
    with pytest.raises(Conflict, match="kept whole"):
        erase(means, **run_of_s(1, 1))
    assert len(book.turns("s")) == 5
    receipt = erase(means, agent_id=AGENT, session_id="s", since=since + 1000)
    assert (receipt.sessions, receipt.turns) == (1, 5)


def test_an_agent_goes_with_all_its_sessions_and_only_it(book: Book, means: forget.Means) -> None:
    for n in range(45):
        book.append(f"many-{n}", "walrus", agent_id="zoo")
    receipt = erase(means, agent_id="zoo")
    assert (receipt.sessions, receipt.turns, receipt.keys) == (45, 45, 45)
    assert kept_words(book.store, "zoo") == []
    assert len(book.turns("s")) == 4
    assert erase(means, agent_id="zoo").counts.get("turns", 0) == 0  # once more finds nothing, and is no error
    for ask in (forget.erase, forget.preview):
        with pytest.raises(NotFound):
            ask(means, ACME, Selection(agent_id="never"))
    assert forget.preview(means, ACME, Selection(agent_id="zoo")).sessions == 0


def test_a_user_goes_over_all_agents(book: Book, means: forget.Means) -> None:
    with pytest.raises(NotFound):
        forget.preview(means, ACME, Selection(user_id="nobody"))  # before there was any erasure
    book.append("t", "of ana too", agent_id="b", user_id="ana")
    book.append("u", "of ben", user_id="ben")
    receipt = erase(means, user_id="ana")
    assert (receipt.sessions, receipt.turns, receipt.user_id) == (2, 5, "ana")
    assert kept_words(book.store, "'ana'") == []
    assert len(book.turns("u")) == 1
    assert [event.action for event in stream.newest(book.store, ACME, forget.STREAM).events] == ["forget"]


def test_a_receipt_is_signed_and_what_is_kept_of_it_names_nobody(book: Book, means: forget.Means) -> None:
    receipt = erase(means, agent_id=AGENT, session_id="s", user_id="ana")
    key = forget.public_key(book.store, ACME)
    assert erasures.is_genuine(encode(receipt), key)
    for forged in (replace(receipt, turns=3), replace(receipt, session_id="t"), replace(receipt, signature="AAAA")):
        assert not erasures.is_genuine(encode(forged), key)
    assert not erasures.is_genuine(encode(receipt), replace(key, public_key="A" * 43 + "="))
    kept = forget.receipt(book.store, ACME, receipt.id)
    assert erasures.is_genuine(encode(kept), key)
    assert (kept.subject, kept.counts) == (receipt.subject, receipt.counts)
    assert (kept.agent_id, kept.session_id, kept.user_id) == (None, None, None)
    with pytest.raises(NotFound):
        forget.receipt(book.store, Scope("zeta"), receipt.id)
    with pytest.raises(NotFound):
        forget.receipt(book.store, ACME, "erasure_none")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", ["rows", "keys"])
def test_what_was_broken_off_is_finished_by_the_next_worker(
    book: Book, means: forget.Means, clock: Any, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    store, where = book.store, (book.store.sealing, "drop") if after == "rows" else (erasures, "end")

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(*where, killed)
        with pytest.raises(Killed):
            erase(means, agent_id=AGENT, session_id="s")
    with pytest.raises(NotFound):
        book.session("s")
    with store.read(ACME) as tx:
        (id,) = erasures.unfinished(tx)
    with pytest.raises(NotFound):
        forget.receipt(store, ACME, id)
    clock.pass_(forget.LATE_MS)
    worker(store).drain()
    receipt = forget.receipt(store, ACME, id)
    assert (receipt.turns, receipt.keys) == (4, 1 if after == "rows" else 0)
    with store.read(ACME) as tx:
        assert erasures.unfinished(tx) == []
    assert kept_words(store, "'s'") == ["events"]  # the one that says that it is deleted


def broken_off(monkeypatch: pytest.MonkeyPatch, means: forget.Means, **asked: Any) -> str:
    """The id of an erasure whose process was killed when its first rows were gone."""

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(forget, "_drop", killed)
        patched.setattr(forget, "_BATCH", 1)
        with pytest.raises(Killed):
            erase(means, **asked)
    with means.store.read(ACME) as tx:
        (id,) = erasures.unfinished(tx)
    return id


@pytest.mark.parametrize("ended_by", ["whoever asks", "a worker meanwhile"])
@pytest.mark.parametrize(
    "asked", [{"agent_id": AGENT, "session_id": "s"}, run_of_s(2, 3), {"user_id": "ana"}, {"agent_id": AGENT}]
)
def test_asking_again_for_what_was_broken_off_finishes_it(
    book: Book, means: forget.Means, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], ended_by: str
) -> None:
    id = broken_off(monkeypatch, means, **asked)
    if ended_by == "a worker meanwhile":
        real = forget.finish

        def late(of: forget.Means, scope: Scope, id: str, *told: Any) -> Receipt:
            real(of, Scope("acme"), id)
            return real(of, scope, id, *told)

        monkeypatch.setattr(forget, "finish", late)
    receipt = erase(means, **asked)
    assert (receipt.id, receipt.turns, receipt.keys) == (id, 2 if "first" in asked else 4, 1)
    assert Selection(**{name: getattr(receipt, name) for name in Selection.__dataclass_fields__}) == Selection(**asked)
    assert erasures.is_genuine(encode(receipt), forget.public_key(book.store, ACME))
    with book.store.read(ACME) as tx:
        assert erasures.unfinished(tx) == []
    assert erase(means, **asked).turns == 0  # as ever


def test_deleting_again_what_was_broken_off_finishes_it(
    book: Book, means: forget.Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleted(scope: Scope) -> tuple[Any, ...]:
        return book.store, scope, AGENT, "s"

    id = broken_off(monkeypatch, means, agent_id=AGENT, session_id="s")
    ben = Scope("acme", user="ben")
    for ask in (lambda: erase(means, ben, agent_id=AGENT, session_id="s"), lambda: lifecycle.delete(*deleted(ben))):
        with pytest.raises(NotFound):
            ask()
    assert lifecycle.delete(*deleted(Scope("acme", user="ana"))).id == id
    with pytest.raises(NotFound):
        lifecycle.delete(*deleted(ACME))


def test_what_came_after_it_was_broken_off_is_erased_too(
    book: Book, means: forget.Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = broken_off(monkeypatch, means, agent_id=AGENT, session_id="s")
    book.append("s", "begun anew", user_id="ana")
    receipt = erase(means, agent_id=AGENT, session_id="s")
    assert receipt.id != id
    assert (receipt.sessions, receipt.turns) == (1, 1)


def test_a_narrowed_key_knows_of_erasures_of_its_own_alone(book: Book, means: forget.Means) -> None:
    ana, ben, other = Scope("acme", user="ana"), Scope("acme", user="ben"), Scope("acme", agent="b")
    own = Scope("acme", agent=AGENT)
    book.append("all", "of nobody", agent_id="b")
    made = {
        "session": (erase(means, agent_id=AGENT, session_id="s"), (ana, own)),
        "user": (erase(means, user_id="ana"), (ana,)),
        "agent": (erase(means, agent_id="b"), (other,)),
        "again": (book.append("late", "x") and erase(means, since=0, agent_id=AGENT), (own,)),
        "time": (book.append("later", "x") and erase(means, since=0), ()),
    }
    for what, (receipt, knowing) in made.items():
        for scope in (ana, ben, other, own):
            if scope in knowing:
                assert forget.receipt(book.store, scope, receipt.id).turns == receipt.turns, what
                continue
            with pytest.raises(NotFound) as refused:
                forget.receipt(book.store, scope, receipt.id)
            with pytest.raises(NotFound) as ghost:
                forget.receipt(book.store, scope, "erasure_none")
            assert str(refused.value).replace(receipt.id, "") == str(ghost.value).replace("erasure_none", ""), what
        assert forget.receipt(book.store, ACME, receipt.id).id == receipt.id
    # That it was there is no business of theirs either.
    for scope in (ben, other):
        with pytest.raises(NotFound):
            erase(means, scope, agent_id=AGENT, session_id="s")
    assert erase(means, ana, agent_id=AGENT, session_id="s").turns == 0


def test_an_erasure_that_has_begun_is_never_said_to_have_changed_nothing(
    book: Book, means: forget.Means, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("nothing was saved")

    with monkeypatch.context() as patched:
        patched.setattr(erasures, "end", away)
        with pytest.raises(StoreUnavailable, match="a worker finishes it") as told:
            erase(means, agent_id=AGENT, session_id="s")
    assert told.value.facts["unknown"]
    with pytest.raises(NotFound):
        book.session("s")
    clock.pass_(forget.LATE_MS)
    worker(book.store).drain()
    with book.store.read(ACME) as tx:
        assert erasures.unfinished(tx) == []


def test_what_expires_leaves_no_key_behind(book: Book, clock: Any) -> None:
    with book.store.read(ACME) as tx:
        key = sessions.get(tx, AGENT, "s").key
    assert key is not None
    lifecycle.set_ttl(book.store, ACME, AGENT, "s", 1)
    clock.pass_(1000)
    worker(book.store).drain()
    sealing = book.store.sealing
    assert sealing is not None
    assert sealing.vault.keyring.keys([key]) == {key: None}
    with book.store.read(ACME) as tx:
        left = sa.select(erasures.rows.c.id).where(erasures.rows.c.tenant == "acme")
        assert tx.conn.execute(left).all() == []


HOLDS = [
    {"agent": AGENT, "session": "s"},
    {"agent": AGENT},
    {"user": "ana"},
    {"agent": AGENT, "user": "ana"},
]


@pytest.mark.parametrize("named", HOLDS)
def test_a_legal_hold_keeps_what_it_names_until_it_is_released(
    book: Book, means: forget.Means, clock: Any, named: dict[str, str]
) -> None:
    store = book.store
    hold = legal.place(store, ACME, reason="case 12", **named)
    assert legal.listed(store, ACME) == [hold]
    asked = (
        *({"agent_id": AGENT, "session_id": "s"}, {"agent_id": AGENT}, {"user_id": "ana"}),
        *(run_of_s(1, 1), {"since": 0}),
    )
    for one in asked:
        with pytest.raises(Held, match=r"case 12") as refused:
            erase(means, **one)
        assert refused.value.facts == {"hold_id": hold.id, "reason": "case 12"}
        assert forget.preview(means, ACME, Selection(**one)).holds == (hold,)
    with pytest.raises(Held):
        lifecycle.delete(store, ACME, AGENT, "s")
    lifecycle.set_ttl(store, ACME, AGENT, "s", 1)
    clock.pass_(1000)
    worker(store).drain()
    assert len(book.turns("s")) == 4
    released = legal.release(store, ACME, hold.id)
    assert legal.release(store, ACME, hold.id) == released
    assert released.released_at == clock.at
    assert legal.listed(store, ACME) == []
    assert legal.listed(store, ACME, released=True) == [released]
    clock.pass_(lifecycle.HELD_MS)
    worker(store).drain()
    with pytest.raises(NotFound):
        book.session("s")


@pytest.mark.parametrize("named", [{"user": "ana"}, {"agent": AGENT, "session": "t"}])
def test_a_hold_that_is_placed_meanwhile_keeps_what_is_known_of_the_user_with_what_is_left(
    book: Book, store: Store, vault: Vault, monkeypatch: pytest.MonkeyPatch, named: dict[str, str]
) -> None:
    book.append("t", "We decided to rest.", user_id="ana")
    said = Preference("pr", "ana", "tone", "casual", "like", True, False, EXPLICIT, Quote(AGENT, "t", 1, "casual"), 1)
    with store.write(ACME) as tx:
        preferences.add(tx, vault, [said])
        profiles.touch(tx, "ana")
    means = forget.Means(store, Codes(vault, None, 60))
    placed: list[str] = []
    finish = forget.finish

    def late(*given: Any) -> Receipt:
        placed.append(legal.place(store, ACME, reason="case 12", **named).id)
        return finish(*given)

    monkeypatch.setattr(forget, "_BATCH", 1)
    monkeypatch.setattr(forget, "finish", late)
    receipt = erase(means, user_id="ana")
    assert (receipt.sessions, receipt.holds) == (1, tuple(placed))
    assert [turn.content for turn in book.turns("t")] == ["We decided to rest."]
    with store.read(ACME) as tx:
        assert [one.value for one in preferences.of_user(tx, vault, "ana")] == ["casual"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", ["asked", "expired"])
def test_a_hold_waits_for_what_is_being_erased_and_an_erasure_for_a_hold(
    book: Book, means: forget.Means, clock: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    store, waits = means.store, "SELECT count(*) FROM pg_locks WHERE NOT granted"
    real, looked = forget._whole, threading.Event()

    def waiting() -> bool:
        with store.engine.connect() as conn:
            return conn.exec_driver_sql(waits).scalar_one() > 0

    def slow(*given: Any) -> None:
        holder.start()
        until(lambda: waiting() or looked.is_set())
        assert not looked.is_set()  # else it would be answered for, and be gone
        real(*given)

    def place() -> None:
        legal.place(store, ACME, session="s", agent=AGENT, reason="case 12")
        looked.set()

    holder = threading.Thread(target=place)
    monkeypatch.setattr(forget, "_whole", slow)
    if how == "asked":
        erase(means, agent_id=AGENT, session_id="s")
    else:
        lifecycle.set_ttl(store, ACME, AGENT, "s", 1)
        clock.pass_(1000)
        worker(store).run_one(["expire"], tenant="acme")
    holder.join(30)
    assert looked.is_set()
    with pytest.raises(NotFound):
        book.session("s")


def test_a_hold_keeps_nothing_else(book: Book, means: forget.Means) -> None:
    book.append("t", "of ben", user_id="ben")
    book.append("s", "of another agent", agent_id="b")
    legal.place(book.store, ACME, session="s", agent=AGENT, reason="case 12")
    legal.place(book.store, Scope("zeta"), agent=AGENT, reason="another tenant's")
    assert erase(means, agent_id=AGENT, session_id="t").turns == 1
    assert erase(means, agent_id="b").turns == 1


def test_a_hold_shuts_out_programs_that_do_not_know_of_holds(book: Book) -> None:
    legal.place(book.store, ACME, user="ana", reason="case 12")
    compatible = migrate.look(book.store.engine, book.store.dialect).compatible
    assert compatible is not None
    assert compatible >= "0007"


def test_holds_are_for_admins_and_have_a_reason(book: Book) -> None:
    writer = replace(ACME, rights=frozenset({"read", "write"}))
    for ask in (
        lambda: legal.place(book.store, writer, user="ana", reason="x"),
        lambda: legal.listed(book.store, writer),
        lambda: legal.release(book.store, writer, "hold_x"),
        lambda: legal.place(book.store, Scope("acme", agent="b"), user="ana", reason="x"),
    ):
        with pytest.raises(Forbidden):
            ask()
    with pytest.raises(Invalid, match="reason"):
        legal.place(book.store, ACME, user="ana", reason=" ")
    with pytest.raises(Invalid, match="nothing is named"):
        legal.place(book.store, ACME, reason="x")
    with pytest.raises(NotFound):
        legal.release(book.store, ACME, "hold_x")


def test_a_narrowed_key_erases_what_is_its_own(book: Book, means: forget.Means) -> None:
    book.append("t", "of ben", user_id="ben", agent_id="b")
    ana, b = Scope("acme", user="ana"), Scope("acme", agent="b")
    for scope, asked in ((ana, {"agent_id": AGENT}), (b, {"user_id": "ben"})):
        with pytest.raises(Forbidden):
            erase(means, scope, **asked)
    for scope, asked in (
        *((ana, {"user_id": "ben"}), (b, {"agent_id": AGENT}), (ana, {"agent_id": "b", "session_id": "t"})),
        (Scope("zeta"), {"agent_id": AGENT, "session_id": "s"}),
        (Scope("zeta"), {"user_id": "ana"}),
    ):
        with pytest.raises(NotFound):
            erase(means, scope, **asked)
    writer = replace(ACME, rights=frozenset({"read", "write"}))
    with pytest.raises(Forbidden):
        erase(means, writer, since=0)
    with pytest.raises(Forbidden):
        erase(means, replace(ACME, rights=frozenset({"read"})), agent_id=AGENT)
    assert (len(book.turns("s")), len(book.turns("t", "b"))) == (4, 1)
    assert erase(means, ana, user_id="ana").turns == 4
    assert erase(means, b, agent_id="b").turns == 1


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"first": 1, "last": 2},
        {"session_id": "s", "first": 3, "last": 2},
        {"session_id": "s", "first": 0, "last": 2},
        {"session_id": "s", "first": 1},
        {"session_id": "sessions"},
        {"user_id": "no/slash"},
        {"since": 5, "until": 5},
    ],
)
def test_what_cannot_be_selected(means: forget.Means, asked: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        erase(means, **asked)


def test_runs_of_turns_are_written_with_two_dots() -> None:
    assert (run_of("3..9"), run_of("3"), run_of(None)) == ((3, 9), (3, 3), None)
    for wrong in ("", "3-9", "..9", "3..", "a"):
        with pytest.raises(Invalid, match=r"3\.\.9"):
            run_of(wrong)


def test_turns_that_are_not_there(book: Book, means: forget.Means) -> None:
    with pytest.raises(NotFound, match="the turns 1 to 4"):
        erase(means, **run_of_s(4, 9))
    erase(means, **run_of_s(2, 2))
    assert erase(means, **run_of_s(2, 2)).turns == 0
