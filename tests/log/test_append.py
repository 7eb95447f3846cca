"""Appending: all or nothing, once, in order."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.clock import EARLIEST, LATEST
from carryover.core.errors import Forbidden, Invalid, NotFound, TooLarge, VersionConflict
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Append, Draft, Json, Turn, live, retraction
from carryover.log import lifecycle, stream
from carryover.log.append import DEEPEST, Limits, append, prepare
from carryover.store import queue
from carryover.store import turns as store_turns
from carryover.store.store import Store
from carryover.store.tables import metadata
from logbook import ACME, Book


@pytest.fixture
def book(store: Store) -> Book:
    return Book(store)


def keyed(content: str, key: str, **more: Any) -> Draft:
    return Draft("user", content, idempotency_key=key, **more)


def everything(store: Store) -> dict[str, list[str]]:
    with store.read(EVERY_TENANT) as tx:
        conn = tx.conn
        return {table.name: sorted(map(repr, conn.execute(sa.select(table)))) for table in metadata.sorted_tables}


def actions(book: Book) -> list[str]:
    return [event.action for event in stream.newest(book.store, book.scope, "default").events][::-1]


# Versions and order


def test_a_batch_is_one_step_of_the_version_per_turn(book: Book, clock: Any) -> None:
    first = book.append("s", "one")
    clock.pass_(5)
    second = book.append("s", Draft("assistant", "two"), Draft("tool", "three", "tool_result", "grep", "call-1"))
    assert (first.version, second.version) == (1, 3)
    assert [p.seq for p in (*first.turns, *second.turns)] == [1, 2, 3]
    turns = book.turns("s")
    assert [t.id for t in turns] == [p.id for p in (*first.turns, *second.turns)]
    assert [(t.role, t.kind, t.name, t.call_id, t.content) for t in turns] == [
        ("user", "message", None, None, "one"),
        ("assistant", "message", None, None, "two"),
        ("tool", "tool_result", "grep", "call-1", "three"),
    ]
    assert [t.received_at for t in turns] == [clock.at - 5, clock.at, clock.at]
    head = book.session("s")
    assert (head.version, head.turn_count, head.created_at, head.updated_at) == (3, 3, clock.at - 5, clock.at)
    assert head.token_count == sum(t.tokens for t in turns) == 4
    assert actions(book) == ["open", "append", "append"]


def test_when_it_was_said_may_lie_anywhere(book: Book, clock: Any) -> None:
    book.append("s", Draft("user", "a", created_at=EARLIEST), Draft("user", "b", created_at=LATEST), "c")
    assert [t.created_at for t in book.turns("s")] == [EARLIEST, LATEST, clock.at]


@pytest.mark.parametrize("expected", [-1, 0, 2, 99])
def test_an_unexpected_version_saves_nothing(book: Book, expected: int) -> None:
    book.append("s", "one")
    before = everything(book.store)
    with pytest.raises(VersionConflict, match=f"session 's' is at version 1, not {expected}; read it again") as refusal:
        book.append("s", "two", expected_version=expected)
    assert refusal.value.facts == {"current_version": 1}
    assert everything(book.store) == before


def test_the_expected_version_of_a_new_session_is_zero(book: Book) -> None:
    with pytest.raises(VersionConflict, match="at version 0, not 1"):
        book.append("s", "one", expected_version=1)
    with pytest.raises(NotFound):
        book.session("s")
    assert book.append("s", "one", expected_version=0).version == 1
    assert book.append("s", "two", expected_version=1).version == 2


def test_threads_that_expect_versions_fill_the_log_without_a_gap(book: Book) -> None:
    def work(name: int) -> None:
        for n in range(20):
            version = 0
            while True:
                try:
                    book.append("s", f"{name}:{n}", expected_version=version)
                    break
                except VersionConflict as conflict:
                    version = conflict.facts["current_version"]

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turns = book.turns("s")
    assert [t.seq for t in turns] == list(range(1, 121))
    said = [t.text.split(":") for t in turns]
    for name in range(6):
        assert [int(n) for who, n in said if int(who) == name] == list(range(20))


# Idempotency


def test_a_repeated_append_answers_as_the_first_one_and_saves_nothing(book: Book, clock: Any) -> None:
    drafts = (keyed("one", "k1"), keyed("two", "k2"))
    first = book.append("s", *drafts, expected_version=0)
    book.append("s", "three")
    before = everything(book.store)
    clock.pass_(1000)
    assert book.append("s", *drafts, expected_version=0) == replace(first, saved=False)
    assert everything(book.store) == before


def test_a_partly_repeated_batch_saves_what_is_new(book: Book) -> None:
    first = book.append("s", keyed("one", "k1"), keyed("two", "k2"))
    second = book.append("s", keyed("two", "k2"), "plain", keyed("three", "k3"), expected_version=2)
    assert (second.saved, second.version) == (True, 4)
    assert [p.seq for p in second.turns] == [2, 3, 4]
    assert second.turns[0] == first.turns[1]
    assert [t.content for t in book.turns("s")] == ["one", "two", "plain", "three"]
    assert book.append("s", keyed("two", "k2"), keyed("three", "k3")).saved is False


@pytest.mark.parametrize(
    "other",
    [
        keyed("two", "k"),
        keyed("one", "k", name="x"),
        keyed("one", "k", call_id="x"),
        keyed("one", "k", kind="reasoning"),
        keyed("one", "k", metadata={"a": 1}),
        Draft("assistant", "one", idempotency_key="k"),
    ],
)
def test_a_key_with_other_content_is_refused(book: Book, other: Draft) -> None:
    book.append("s", keyed("one", "k"))
    before = everything(book.store)
    with pytest.raises(
        Invalid, match=r"idempotency_key 'k' was used for another turn of this session \(seq 1\)"
    ) as refusal:
        book.append("s", "new", other)
    assert refusal.value.facts == {"field": "idempotency_key", "seq": 1}
    assert everything(book.store) == before


def test_a_key_belongs_to_one_session(book: Book) -> None:
    assert book.append("s", keyed("one", "k")).saved
    assert book.append("t", keyed("two", "k")).saved
    assert book.append("s", keyed("three", "k"), agent_id="other").saved


def test_the_same_turn_said_at_another_time_is_a_repetition(book: Book) -> None:
    book.append("s", keyed("one", "k", created_at=5))
    assert not book.append("s", keyed("one", "k", created_at=9)).saved


def test_two_of_the_same_key_in_one_commit(book: Book) -> None:
    requests = [Append("s", (keyed(content, "k"),)) for content in ("one", "one", "two")]
    futures = [book.log.submit(ACME, prepare(ACME, request, book.limits)) for request in requests]
    book.log.flush(book.log.line_of(book.scope))
    first, second = futures[0].result(0), futures[1].result(0)
    assert (first.saved, second.saved) == (True, False)
    assert first.turns == second.turns
    with pytest.raises(Invalid, match="was used for another turn"):
        futures[2].result(0)
    assert book.log.commits == 1
    assert [t.content for t in book.turns("s")] == ["one"]


def test_what_was_refused_in_a_commit_was_not_seen_by_those_behind_it(book: Book) -> None:
    book.append("s", keyed("old", "used"))
    refused = Append("s", (keyed("one", "k"), keyed("other", "used")))
    stale = Append("s", (keyed("two", "j"),), expected_version=7)
    behind = Append("s", (keyed("one", "k"), keyed("two", "j")))
    futures = [book.log.submit(ACME, prepare(ACME, one, book.limits)) for one in (refused, stale, behind)]
    book.log.flush(book.log.line_of(book.scope))
    assert isinstance(futures[0].exception(0), Invalid)
    assert isinstance(futures[1].exception(0), VersionConflict)
    assert (futures[2].result(0).saved, futures[2].result(0).version) == (True, 3)
    assert [t.content for t in book.turns("s")] == ["old", "one", "two"]


def test_a_batch_may_not_hold_a_key_twice(book: Book) -> None:
    with pytest.raises(Invalid, match="two turns of one batch have the same idempotency_key"):
        book.append("s", keyed("one", "k"), keyed("one", "k"))


# What may be appended


CONTENTS = [
    "hi", "", "a\x00b", "\ud800 alone", "naïve 😀", [], [{"type": "text", "text": "x"}], [1, None, True, [1.5]],
    [{"type": "unknown", "z": 1, "a": {"deep": [10**40]}}],
]  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS, ids=repr)
def test_content_comes_out_as_it_went_in(book: Book, content: Any) -> None:
    book.append("s", Draft("user", content, metadata={"m": "\ud800", "n": [content]}))
    (turn,) = book.turns("s")
    assert turn.content == content
    assert json.loads(turn.metadata or "") == {"m": "\ud800", "n": [content]}


@pytest.mark.parametrize("body", ['[ {"b": 1.0, "a": 1e2, "b": 2} ]', '"\\u00e9"', '["\\ud800", 1E+400]', "[\n]"])
def test_json_text_comes_out_byte_for_byte(book: Book, body: str) -> None:
    book.append("s", Draft("user", Json(body), metadata=Json('{ "x":1.50 }')))
    (turn,) = book.turns("s")
    assert (turn.body, turn.metadata) == (body, '{ "x":1.50 }')


def nested(levels: int) -> Any:
    content: Any = "x"
    for _ in range(levels):
        content = [content]
    return content


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (Draft("robot", "x"), "role"),  # type: ignore[arg-type]
        (Draft("user", "x", "shout"), "kind"),  # type: ignore[arg-type]
        (Draft("user", {"text": "x"}), "content"),  # type: ignore[arg-type]
        (Draft("user", None), "content"),  # type: ignore[arg-type]
        (Draft("user", 7), "content"),  # type: ignore[arg-type]
        (Draft("user", [float("nan")]), "content"),
        (Draft("user", Json("[NaN]")), "content"),
        (Draft("user", Json("[-Infinity]")), "content"),
        (Draft("user", Json("{")), "content"),
        (Draft("user", Json("")), "content"),
        (Draft("user", Json('"\ud800"')), "content"),
        (Draft("user", Json("[" * 5000 + "]" * 5000)), "content"),
        (Draft("user", nested(DEEPEST + 1)), "content"),
        (Draft("user", "x", metadata=[1]), "metadata"),  # type: ignore[arg-type]
        (Draft("user", "x", metadata=Json("[]")), "metadata"),
        (Draft("user", "x", metadata=Json("{]")), "metadata"),
        (Draft("user", "x", metadata={"a": nested(DEEPEST)}), "metadata"),
        (Draft("user", "x", name="two\nlines"), "name"),
        (Draft("user", "x", call_id="\x00"), "call_id"),
        (Draft("user", "x", name="n" * 513), "name"),
        (Draft("user", "x", idempotency_key="\ud800"), "idempotency_key"),
        (Draft("user", "x", created_at=LATEST + 1), "created_at"),
        (Draft("user", "x", created_at=EARLIEST - 1), "created_at"),
    ],
)
def test_a_turn_that_cannot_be_is_refused_by_its_place_and_field(book: Book, draft: Draft, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        book.append("s", "fine", draft)
    assert refusal.value.facts["field"] == f"turns[1].{field}"
    with pytest.raises(NotFound):
        book.session("s")


def test_the_deepest_nesting_can_be_read_from_a_deep_stack(book: Book) -> None:
    book.append("s", Draft("user", nested(DEEPEST)))

    def deep(levels: int) -> Any:
        return deep(levels - 1) if levels else book.turns("s")[0].content

    assert deep(500) == nested(DEEPEST)


@pytest.mark.parametrize(
    ("about", "field"),
    [
        ({"session_id": "a/b"}, "session_id"),
        ({"session_id": "sessions"}, "session_id"),
        ({"agent_id": ""}, "agent_id"),
        ({"user_id": "a b"}, "user_id"),
        ({"metadata": {"a": float("nan")}}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"drafts": ()}, "turns"),
    ],
)
def test_a_request_that_cannot_be_is_refused(book: Book, about: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        append(book.log, ACME, replace(Append("s", (Draft("user", "x"),)), **about), book.limits)
    assert refusal.value.facts["field"] == field


def test_limits_are_exact(store: Store) -> None:
    book = Book(store, Limits(turn_bytes=10, batch_turns=3))
    book.append("s", "12345678", "é" * 4)
    for content in ("123456789", "é" * 4 + "x"):
        with pytest.raises(TooLarge, match="larger than 10 bytes; split it") as refusal:
            book.append("s", content)
        assert refusal.value.facts == {"field": "turns[0].content", "limit": 10}
    with pytest.raises(TooLarge):
        book.append("s", Draft("user", "x", metadata={"abc": "def"}))
    book.append("s", "1", "2", "3")
    with pytest.raises(TooLarge, match="holds 4 turns and may hold 3; append in batches"):
        book.append("s", "1", "2", "3", "4")


# Whose it is


@pytest.mark.parametrize("scope", [Scope("acme", rights=frozenset({"read"})), Scope("acme", rights=frozenset())])
def test_a_key_that_may_not_write_does_not(book: Book, scope: Scope) -> None:
    with pytest.raises(Forbidden):
        book.append("s", "x", scope=scope)


def test_the_first_append_says_whose_session_it_is(book: Book) -> None:
    book.append("s", "one", user_id="ana")
    book.append("s", "two")
    book.append("s", "three", user_id="ana")
    with pytest.raises(Invalid, match="session 's' belongs to 'ana', not to 'bo'"):
        book.append("s", "four", user_id="bo")
    book.append("t", "one")
    with pytest.raises(Invalid, match="session 't' belongs to no user, not to 'bo'"):
        book.append("t", "two", user_id="bo")
    assert (book.session("s").user_id, book.session("s").version) == ("ana", 3)


def test_a_narrowed_key_writes_inside_its_scope_only(book: Book) -> None:
    ana = Scope("acme", user="ana")
    book.append("hers", "one", scope=ana)
    assert book.session("hers").user_id == "ana"
    book.append("his", "one", user_id="bo")
    book.append("nobodys", "one")
    for session in ("his", "nobodys"):
        with pytest.raises(NotFound):
            book.append(session, "two", scope=ana)
    with pytest.raises(NotFound):
        book.append("new", "one", scope=ana, user_id="bo")
    with pytest.raises(NotFound):
        book.append("new", "one", scope=Scope("acme", agent="a"), agent_id="b")
    assert book.session("his").version == 1


def test_metadata_of_a_session_merges(book: Book) -> None:
    book.append("s", "one", metadata={"a": 1, "b": {"x": 1}})
    book.append("s", "two")
    book.append("s", "three", metadata={"b": {"y": 2}, "c": None})
    assert book.session("s").metadata == {"a": 1, "b": {"y": 2}, "c": None}


# What it sets in motion


def due(book: Book, kind: str, session: str = "s") -> int | None:
    with book.store.read(ACME) as tx:
        job = queue.get(tx, kind, f"default/{session}")
    return None if job is None else job.due


def test_an_append_arms_consolidation_after_silence_and_indexing_at_once(store: Store, clock: Any) -> None:
    book = Book(store, Limits(idle_ms=7000, index_ms=10))
    book.append("s", "one")
    assert (due(book, "consolidate"), due(book, "index"), due(book, "expire")) == (clock.at + 7000, clock.at + 10, None)
    clock.pass_(5)
    book.append("s", "two")
    assert (due(book, "consolidate"), due(book, "index")) == (clock.at + 7000, clock.at + 5)
    assert book.session("s").status == "active"
    clock.pass_(7000)
    assert book.session("s").status == "idle"


def test_an_append_reopens_what_was_closed(book: Book, clock: Any) -> None:
    book.append("s", "one")
    assert lifecycle.close(book.store, ACME, "default", "s").status == "closed"
    assert due(book, "consolidate") == clock.at
    book.append("s", "two")
    assert book.session("s").status == "active"
    assert due(book, "consolidate") == clock.at + book.limits.idle_ms
    assert actions(book) == ["open", "append", "close", "open", "append"]
    assert stream.newest(book.store, ACME, "default").events[1].detail == {"reopened": True}


def test_a_store_opened_again_goes_on_where_it_was(book: Book, clock: Any) -> None:
    book.append("s", keyed("one", "k"))
    with Store.open(book.store.url, clock=clock) as again:
        other = Book(again)
        assert other.append("s", keyed("one", "k")).saved is False
        assert other.append("s", "two", expected_version=1).version == 2
    assert [t.content for t in book.turns("s")] == ["one", "two"]


# All or nothing


class Crash(Exception):
    """The process could have ended here."""


def test_a_crash_at_any_statement_leaves_nothing(store: Store) -> None:
    book = Book(store, Limits(ttl_s={"default": 60}))
    book.append("known", keyed("old", "old"), metadata={"a": 1})
    before = everything(store)
    statement, crashed = 0, True
    while crashed:
        left = [statement]

        def crash(*_: Any, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Crash

        sa.event.listen(store.engine, "before_cursor_execute", crash)
        try:
            book.append("known", keyed("old", "old"), keyed("new", "new"), metadata={"b": 2})
            crashed = False
        except Crash:
            assert everything_outside(store, crash) == before, f"after {statement} statements"
        finally:
            if sa.event.contains(store.engine, "before_cursor_execute", crash):
                sa.event.remove(store.engine, "before_cursor_execute", crash)
        statement += 1
    assert statement > 8  # begin, head, keys, turns, bodies, head, event id, events, jobs
    assert [t.content for t in book.turns("known")] == ["old", "new"]


def everything_outside(store: Store, listener: Any) -> dict[str, list[str]]:
    sa.event.remove(store.engine, "before_cursor_execute", listener)
    return everything(store)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_around_the_commit_is_all_or_nothing(book: Book, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    book.append("s", "one")
    before = everything(book.store)
    commit = type(book.store.engine.dialect).do_commit

    def crash(self: Any, connection: Any) -> None:
        if when == "after":
            commit(self, connection)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(type(book.store.engine.dialect), "do_commit", crash)
        with pytest.raises(Crash):
            book.append("s", keyed("two", "k"))
    assert (everything(book.store) == before) is (when == "before")
    # Whatever became of it, the same request again puts things right.
    assert book.append("s", keyed("two", "k")).version == 2
    assert [t.content for t in book.turns("s")] == ["one", "two"]


# Taking back


def test_a_retraction_takes_back_turns_before_it_and_leaves_them_in_the_log(book: Book) -> None:
    book.append("s", "one", "two", retraction(1, 2))  # of the same batch
    book.append("s", "three", retraction(4, 4), retraction(1, 5))
    turns = book.turns("s")
    assert [turn.retracts for turn in turns] == [None, None, (1, 2), None, (4, 4), (1, 5)]
    assert [turn.content for turn in turns if turn.kind == "message"] == ["one", "two", "three"]


@pytest.mark.parametrize(("first", "last"), [(1, 4), (1, 3), (3, 3), (2, 99)])
def test_nothing_is_taken_back_that_is_not_there_yet(book: Book, first: int, last: int) -> None:
    book.append("s", "one")
    before = everything(book.store)
    with pytest.raises(Invalid, match=f"turn 3 would take back the turns up to {last}.*at most 2"):
        book.append("s", keyed("two", "k"), retraction(first, last))
    assert everything(book.store) == before
    assert book.append("s", keyed("another two", "k"), retraction(1, 2)).version == 3  # the key was not taken


@pytest.mark.parametrize(
    "content",
    [
        "take it back",
        [],
        [{}],
        ["retraction"],
        [{"type": "retraction", "first": 1}],
        [{"type": "retraction", "first": 0, "last": 1}],
        [{"type": "retraction", "first": 2, "last": 1}],
        [{"type": "retraction", "first": True, "last": 1}],
        [{"type": "retraction", "first": 1.0, "last": 1}],
        [{"type": "retraction", "first": "1", "last": 1}],
        [{"type": "text", "first": 1, "last": 1}],
        [{"type": "retraction", "first": 1, "last": 1, "why": "a slip"}],
        [{"type": "retraction", "first": 1, "last": 1}] * 2,
    ],
)
def test_a_retraction_says_exactly_what_it_takes_back(book: Book, content: Any) -> None:
    book.append("s", "one")
    with pytest.raises(Invalid, match=r"turns\[1\] is no retraction; its role is 'system'") as refusal:
        book.append("s", "two", Draft("system", content, "retraction"))
    assert refusal.value.facts["field"] == "turns[1].content"
    with pytest.raises(Invalid, match=r"turns\[0\] is no retraction"):
        book.append("s", replace(retraction(1, 1), role="user"))
    assert book.session("s").version == 1


def test_what_is_live_is_what_nobody_took_back(book: Book) -> None:
    book.append("s", "1", "2", "3", retraction(2, 2), "5", retraction(2, 3), "7", retraction(7, 7), "9")
    turns = book.turns("s")
    assert [turn.content for turn in live(turns)] == ["1", "5", "9"]
    assert [turn.content for turn in live(turns, [(9, 12), (1, 1)])] == ["5"]
    assert [turn.content for turn in live(turns[:3])] == ["1", "2", "3"]
    with book.store.read(book.scope) as tx:
        assert store_turns.retractions(tx, "default", "s") == [(2, 2), (2, 3), (7, 7)]
        assert store_turns.retractions(tx, "default", "s", 4) == [(2, 3), (7, 7)]


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9)), max_size=8), st.integers(0, 30))
def test_live_is_what_counting_says(runs: list[tuple[int, int]], seen: int) -> None:
    told = [Turn(n, f"t{n}", "user", Json('"x"'), "message", 0, 1, 0) for n in range(1, seen + 1)]
    taken = [(first, first + length) for first, length in runs]
    expected = [turn for turn in told if not any(first <= turn.seq <= last for first, last in taken)]
    assert live(told, taken) == expected
