"""The view of a session over a store: what it reads, what it keeps, and what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core import telemetry
from carryover.core.errors import Invalid, NotFound
from carryover.core.scope import Scope
from carryover.core.session import Draft
from carryover.core.strategy import View
from carryover.log import lifecycle
from carryover.store import strategies, views
from carryover.store.store import Store
from carryover.store.tables import bodies, turns
from carryover.strategies.kept import Kept
from carryover.strategies.verbs import Strategies
from carryover.strategies.view import Viewing, view
from clocks import FrozenClock
from logbook import ACME, Book

TRIM = {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}
COMPACT = {"mode": "compact", "compact_trigger_turns": 3, "compact_keep": 1, "clear_at_least_tokens": 1}


class Heard:
    """What was counted while it listened."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], float] = {}

    def count(self, name: str, by: float, labels: Any) -> None:
        key = name, ",".join(str(labels[label]) for label in sorted(labels))
        self.counts[key] = self.counts.get(key, 0) + by

    def observe(self, name: str, value: float, labels: Any) -> None:
        self.count(name, 1, {})

    def span(self, name: str, attributes: dict[str, Any]) -> None:
        return None


@pytest.fixture
def heard() -> Iterator[Heard]:
    listener = Heard()
    telemetry.install(listener)
    yield listener
    telemetry.remove(listener)


@pytest.fixture
def book(store: Store) -> Book:
    return Book(store)


def looked(book: Book, strategy: dict[str, Any] | None = None, kept: Kept | None = None, **more: Any) -> View:
    return view(book.store, more.pop("scope", ACME), kept or Kept(), Viewing("s", strategy=strategy, **more))


def talk(book: Book, first: int, last: int) -> None:
    """Turns of a user with a call and its output each."""
    for n in range(first, last + 1):
        book.append(
            "s",
            Draft("user", f"question {n}"),
            Draft("assistant", '{"path": "x"}', "tool_call", "look", f"c{n}"),
            Draft("tool", f"output {n} " * 200, "tool_result", call_id=f"c{n}"),
            Draft("assistant", f"answer {n}"),
        )


def everything(store: Store) -> list[Any]:
    with store.read(ACME) as tx:
        return [
            tx.conn.execute(sa.select(table).where(table.c.tenant == tx.tenant).order_by(table.c.seq)).all()
            for table in (turns, bodies)
        ]


def test_the_log_is_byte_for_byte_what_it_was(book: Book) -> None:
    talk(book, 1, 6)
    before = everything(book.store)
    for strategy in (None, TRIM, COMPACT, {"mode": "summarize", "max_user_turns": 3, "keep_last_turns": 1}):
        for format in ("generic", "openai", "openai-chat", "anthropic"):
            assert looked(book, strategy, format=format).items
    assert everything(book.store) == before


def test_trim_shows_the_last_turns(book: Book) -> None:
    talk(book, 1, 5)
    seen = looked(book, TRIM)
    assert [item["content"] for item in seen.items if item["role"] == "user"] == ["question 4", "question 5"]
    assert (seen.version, seen.cut_seq, seen.trigger, seen.over_budget) == (20, 13, "turns", False)
    assert seen.tokens_before > seen.tokens_after


def test_compact_shows_placeholders_for_old_outputs(book: Book) -> None:
    talk(book, 1, 4)
    seen = looked(book, COMPACT)
    outputs = [item["content"] for item in seen.items if item["kind"] == "tool_result"]
    assert outputs[0] == "⟦removed: tool output for look (call_id=c1); reason=context_compaction⟧"
    assert outputs[3] == "output 4 " * 200
    assert [item["kind"] for item in seen.items] == ["message", "tool_call", "tool_result", "message"] * 4


def test_the_beginning_stays_until_the_next_cut(book: Book) -> None:
    kept = Kept()
    for n in range(1, 12):
        talk(book, n, n)
        seen = looked(book, TRIM, kept)
        moved = seen.cut_seq != 1 and n in (5, 8, 11)
        assert (seen.prefix_tokens_shared == seen.prefix_tokens_before) is not moved, n


def test_what_is_kept_says_the_same_as_what_is_read_anew(book: Book) -> None:
    kept = Kept()
    for n in range(1, 9):
        talk(book, n, n)
        if n % 3 == 0:
            version = book.session("s").version
            note = [{"type": "retraction", "first": version - 1, "last": version}]
            book.append("s", Draft("system", note, "retraction"))
        for strategy in (TRIM, COMPACT):
            assert looked(book, strategy, kept) == looked(book, strategy)


def test_a_view_that_nothing_changed_reads_no_turns(book: Book) -> None:
    talk(book, 1, 5)
    kept = Kept()
    first = looked(book, COMPACT, kept)
    statements: list[str] = []
    sa.event.listen(book.store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert looked(book, COMPACT, kept) == first
    assert [told.split()[:3] for told in statements if "turns" in told] == [["SELECT", "turns.id", "FROM"]]
    assert not [told for told in statements if "bodies" in told]
    assert not [told for told in statements if told.lstrip().upper().startswith(("INSERT", "UPDATE"))]


def test_a_session_that_was_erased_and_begun_anew_is_another_one(book: Book, clock: FrozenClock) -> None:
    kept = Kept()
    talk(book, 1, 5)
    assert looked(book, TRIM, kept).cut_seq == 13
    lifecycle.delete(book.store, ACME, "default", "s")
    clock.pass_(1)
    talk(book, 6, 10)
    assert looked(book, TRIM, kept).items[0]["content"] == "question 9"


def test_each_move_is_told_once_over_all_processes(book: Book, heard: Heard) -> None:
    talk(book, 1, 8)
    before = dict(heard.counts)
    threads = [threading.Thread(target=looked, args=(book, TRIM)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = {key: count - before.get(key, 0) for key, count in heard.counts.items() if key[0] == "memory_trigger"}
    assert told == {("memory_trigger", "trim,turns"): 2}
    looked(book, TRIM)
    assert heard.counts["memory_trigger", "trim,turns"] == 2


def test_a_dry_run_leaves_no_trace(book: Book, heard: Heard) -> None:
    talk(book, 1, 8)
    dry = looked(book, {**TRIM, "mode": "summarize"}, dry_run=True)
    with book.store.read(ACME) as tx:
        assert views.told(tx, "default", "s", dry.hash) == 0
    assert not [name for name, _ in heard.counts if name.startswith("memory_")]
    assert looked(book, {**TRIM, "mode": "summarize"}) == dry


def test_after_a_dry_run_the_view_is_told_all_the_same(book: Book, heard: Heard) -> None:
    talk(book, 1, 8)
    kept = Kept()
    looked(book, TRIM, kept, dry_run=True)
    looked(book, TRIM, kept)
    assert heard.counts["memory_trigger", "trim,turns"] == 2


def test_a_strategy_of_the_conversation_and_one_of_the_request(book: Book) -> None:
    talk(book, 1, 5)
    with book.store.write(ACME) as tx:
        strategies.put(tx, "default", "s", TRIM)
        strategies.put(tx, "default", "", {"mode": "compact", "keep_last_turns": 1, "compact_keep": 3})
    seen = looked(book, {"keep_last_turns": 3})
    assert (seen.strategy.mode, seen.strategy.keep_last_turns, seen.strategy.compact_keep) == ("trim", 3, 3)
    assert [seen.sources[name] for name in ("mode", "keep_last_turns", "compact_keep", "token_budget")] == [
        "conversation",
        "request",
        "agent",
        "default",
    ]


@pytest.mark.parametrize("scope", [Scope("other"), Scope("acme", agent="other"), Scope("acme", user="eve")])
def test_others_see_nothing(book: Book, scope: Scope) -> None:
    talk(book, 1, 1)
    with pytest.raises(NotFound):
        looked(book, scope=scope)


def test_a_wire_that_is_none(book: Book) -> None:
    talk(book, 1, 1)
    with pytest.raises(Invalid, match="use one of generic"):
        looked(book, format="carrier-pigeon")


def test_one_view_after_the_other_of_a_growing_log_from_many_threads(book: Book) -> None:
    kept = Kept()
    talk(book, 1, 1)
    stop = threading.Event()
    wrong: list[str] = []

    def watch() -> None:
        last = 0
        while not stop.is_set():
            seen = looked(book, COMPACT, kept)
            if seen.version < last or len(seen.items) != seen.version:
                wrong.append(f"{len(seen.items)} items at version {seen.version}")
            last = seen.version

    threads = [threading.Thread(target=watch) for _ in range(3)]
    for thread in threads:
        thread.start()
    talk(book, 2, 30)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_anthropic_takes_apart_from_the_messages(book: Book) -> None:
    book.append("s", Draft("system", "Answer in one line."), Draft("user", "hi"))
    seen = looked(book, format="anthropic")
    assert ([block["text"] for block in seen.system], len(seen.items)) == (["Answer in one line."], 1)
    assert looked(book, format="openai").system == ()


def test_models_that_may_not_be_named(book: Book) -> None:
    book.append("s", "hi")
    verbs = Strategies(book.store, ACME, Kept(), frozenset(("rules", "test:small")))
    for fields in ({"summarizer_model": "test:large"},):
        for refused in (
            lambda fields=fields: verbs.view("s", strategy=fields),
            lambda fields=fields: verbs.set_conversation("s", fields),
            lambda fields=fields: verbs.set_agent("default", fields),
        ):
            with pytest.raises(Invalid, match="use one of rules, test:small"):
                refused()
    assert verbs.set_conversation("s", {"summarizer_model": "test:small"}).strategy.summarizer_model == "test:small"


def test_the_etag_stands_for_the_whole_answer(book: Book) -> None:
    talk(book, 1, 2)
    asked, inherited = looked(book, {"mode": "none"}), looked(book)
    assert (asked.items, asked.hash) == (inherited.items, inherited.hash)
    assert asked.etag != inherited.etag  # another one said so
