"""Laws of views over a store: what they leave alone, who may see what, and what is counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core import telemetry
from carryover.core.clock import DAY_MS
from carryover.core.errors import NotFound
from carryover.core.scope import Scope
from carryover.core.session import Draft, Turn
from carryover.core.strategy import FORMATS, MODES, View
from carryover.core.text import estimate_tokens
from carryover.log import lifecycle
from carryover.store import summaries
from carryover.store.store import Store
from carryover.store.tables import metadata
from carryover.strategies.kept import Kept
from carryover.strategies.resolve import resolve
from carryover.strategies.verbs import Strategies
from clocks import FrozenClock
from logbook import ACME, Book
from strategies.logs import EVENTS, KEEPING, Event, summary_of, written

WILD = written([*KEEPING, *EVENTS, *KEEPING])
TALK = [Event("user", 1), Event("round", 4)]
MARKS: dict[str, Any] = {"token_budget": 3_000, "max_user_turns": 6, "keep_last_turns": 2, "keep_last_calls": 3}
MARKS |= {"compact_trigger_turns": 4, "compact_keep": 1, "clear_at_least_tokens": 1, "summary_max_tokens": 50}
OTHERS = [Scope("other"), Scope("acme", agent="other"), Scope("acme", user="eve")]


@pytest.fixture
def book(store: Store) -> Book:
    return Book(store)


@pytest.fixture
def heard() -> Iterator[Counter[tuple[str, ...]]]:
    listener = Heard()
    telemetry.install(listener)
    yield listener.counts
    telemetry.remove(listener)


class Heard:
    """What was counted, and how often something was measured, with all labels."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def count(self, name: str, by: float, labels: Any) -> None:
        self.counts[name, *map(str, labels.values())] += int(by)

    def observe(self, name: str, value: float, labels: Any) -> None:
        self.count(name, 1, labels)

    def span(self, name: str, attributes: dict[str, Any]) -> None:
        return None


def shared_tokens(one: View, other: View, tokens: dict[int, int]) -> int:
    """How many tokens two views begin with alike."""
    alike = 0
    for was, now in zip(one.items, other.items, strict=False):
        if was != now:
            break
        alike += estimate_tokens(was["content"]) if now.get("replaced") else tokens[now["seq"]]
    return alike


def viewing(book: Book, scope: Scope = ACME) -> Strategies:
    """Who asks for views, with nothing kept from before."""
    return Strategies(book.store, scope, Kept())


def say(book: Book, clock: FrozenClock, turns: Sequence[Turn], session: str = "s", **about: Any) -> None:
    """The turns are in the log, each with its silence before it; a few of them come together."""
    for first in range(0, len(turns), 5):
        batch = turns[first : first + 5]
        if first:
            clock.pass_(batch[0].received_at - turns[first - 1].received_at)
        drafts = [Draft(one.role, one.body, one.kind, one.name, one.call_id, metadata=one.metadata) for one in batch]
        book.append(session, *drafts, **about)


def rows(store: Store, *but: str) -> dict[str, list[str]]:
    """All that the tables hold, save for some of them."""
    tables = [table for table in metadata.sorted_tables if table.name not in but and "tenant" in table.c]
    with store.read(ACME) as tx:
        found = {
            table.name: tx.conn.execute(sa.select(table).where(table.c.tenant == "acme")).all() for table in tables
        }
    return {name: sorted(map(repr, own)) for name, own in found.items()}


def test_law_01_lossless(book: Book, clock: FrozenClock) -> None:
    say(book, clock, WILD)
    before = rows(book.store, "views", "jobs", "summaries")
    for mode in MODES:
        for format in FORMATS:
            viewing(book).view("s", strategy={"mode": mode, **MARKS}, format=format)
    assert rows(book.store, "views", "jobs", "summaries") == before
    assert [(turn.seq, turn.body) for turn in book.turns("s")] == [(turn.seq, turn.body) for turn in WILD]


def test_law_08_replicas_see_the_same(book: Book, clock: FrozenClock, database_url: str) -> None:
    """One that saw the log grow, one that sees it for the first time, and one on another connection."""
    grown = viewing(book)
    for first in range(0, len(WILD), 20):
        say(book, clock, WILD[first : first + 20])
        clock.pass_(1_000)
        for mode in MODES:
            grown.view("s", strategy={"mode": mode, **MARKS})
    with Store.open(database_url, clock=clock) as other:
        for mode in MODES:
            views = [
                asked.view("s", strategy={"mode": mode, **MARKS})
                for asked in (grown, viewing(book), viewing(Book(other)))
            ]
            assert views[0] == views[1] == views[2]


def test_law_09_a_view_of_what_did_not_change_does_nothing(
    book: Book, clock: FrozenClock, heard: Counter[tuple[str, ...]]
) -> None:
    say(book, clock, WILD)
    for mode in MODES:
        given = {"mode": mode, **MARKS}
        first = viewing(book).view("s", strategy=given)
        before, told = rows(book.store), _moves_told(heard)
        assert viewing(book).view("s", strategy=given) == first
        assert (rows(book.store), _moves_told(heard)) == (before, told)
        asked = viewing(book)
        asked.view("s", strategy=given)
        counted = heard.copy()
        assert asked.view("s", strategy=given) == first
        assert heard == counted


def _moves_told(heard: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    told = ("memory_trigger", "memory_tokens_before_after", "memory_compaction_items")
    return {key: many for key, many in heard.items() if key[0] in told}


def test_law_12_all_who_look_while_a_log_grows_come_to_one_view(book: Book, clock: FrozenClock) -> None:
    turns = written([*TALK * 25])
    say(book, clock, turns[:5])
    seen: list[View] = []
    done = threading.Event()

    def look() -> None:
        asked = viewing(book)
        while not done.is_set():
            seen.append(asked.view("s", strategy={"mode": "compact", **MARKS}))
        seen.append(asked.view("s", strategy={"mode": "compact", **MARKS}))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    say(book, clock, turns[5:])
    done.set()
    for thread in threads:
        thread.join()
    by_version: dict[int, set[str]] = {}
    for view in seen:
        by_version.setdefault(view.version, set()).add(view.etag)
    assert max(by_version) == len(turns)
    assert all(len(etags) == 1 for etags in by_version.values())
    ordered = sorted(seen, key=lambda view: view.version)
    assert [view.cleared_seq for view in ordered] == sorted(view.cleared_seq for view in ordered)
    assert ordered[-1].cleared_seq > 1


def test_law_19_a_field_that_was_cleared_was_never_set(book: Book, clock: FrozenClock) -> None:
    say(book, clock, WILD[:30])
    asked = viewing(book)
    asked.set_agent("default", {"mode": "trim", "max_user_turns": 4})
    never = asked.effective("s")
    asked.set_conversation("s", {"mode": "compact", "keep_last_turns": 1})
    once = asked.view("s", strategy={"mode": "none"})
    assert (once.strategy.mode, once.sources["mode"], once.sources["keep_last_turns"]) == (
        "none",
        "request",
        "conversation",
    )
    assert asked.effective("s").stored == {"mode": "compact", "keep_last_turns": 1}
    asked.set_conversation("s", {"mode": None, "keep_last_turns": None})
    cleared = asked.effective("s")
    assert replace(cleared, version=never.version) == never
    assert cleared.version > never.version
    assert asked.view("s").strategy.mode == "trim"


@pytest.mark.parametrize("scope", OTHERS)
def test_law_20_who_may_not_see_a_session_sees_no_view_of_it(book: Book, clock: FrozenClock, scope: Scope) -> None:
    say(book, clock, WILD[:30], user_id="mia")
    asked = viewing(book, scope)
    for refused in (
        lambda: asked.view("s", strategy={"mode": "trim"}),
        lambda: asked.effective("s"),
        lambda: asked.set_conversation("s", {"mode": "trim"}),
    ):
        with pytest.raises(NotFound):
            refused()


def test_law_20_no_view_tells_of_another_user_or_tenant(book: Book, clock: FrozenClock) -> None:
    for scope, user in ((ACME, "mia"), (ACME, "eve"), (Scope("other"), "mia")):
        with_summary(book, clock, f"of-{user}-in-{scope.tenant}", user, scope)
    book.append("here", "Good morning.", user_id="mia")
    told = viewing(book).view("here", strategy={"memory_injection": True, "injection_reach": "user"})
    assert told.injected == "used"
    text = "".join(str(item["content"]) for item in told.items)
    assert "of-mia-in-acme" in text
    assert "of-eve" not in text
    assert "other" not in text


def test_law_21_what_is_erased_or_too_old_is_told_no_more(book: Book, clock: FrozenClock) -> None:
    with_summary(book, clock, "old", "mia")
    clock.pass_(8 * DAY_MS)
    with_summary(book, clock, "new", "mia")
    book.append("here", "Good morning.", user_id="mia")
    given = {"memory_injection": True, "injection_max_age_days": 10}

    def told() -> tuple[str | None, bool, bool]:
        view = viewing(book).view("here", strategy=given)
        text = "".join(str(item["content"]) for item in view.items)
        return view.injected, "Decided in old" in text, "Decided in new" in text

    assert told() == ("used", True, True)
    clock.pass_(3 * DAY_MS)
    assert told() == ("used", False, True)
    lifecycle.delete(book.store, ACME, "default", "new")
    assert told() == ("stale", False, False)


def with_summary(book: Book, clock: FrozenClock, session: str, user: str, scope: Scope = ACME) -> None:
    """A session that has settled something."""
    drafts = [Draft("user", "Hello there."), Draft("assistant", "Hello.")]
    book.append(session, *drafts, scope=scope, user_id=user)
    clock.pass_(1_000)
    strategy, _ = resolve({"mode": "summarize"}, {}, {})
    text = f"Decisions:\n- Decided in {session}."
    made = replace(summary_of(strategy, 2, 0, text), id="", agent_id="default", session_id=session, user_id=user)
    with book.store.write(scope) as tx:
        summaries.put(tx, made, version=2, attempts=1)
    clock.pass_(1_000)


@pytest.mark.parametrize("mode", ["none", "trim", "compact"])
def test_law_24_the_beginning_that_stays_is_as_long_as_it_is_said_to_be(
    book: Book, clock: FrozenClock, mode: str
) -> None:
    asked, turns, given = viewing(book), written([*TALK * 8, *KEEPING[:30]]), {"mode": mode, **MARKS}
    tokens = {turn.seq: turn.tokens for turn in turns}
    users = [n for n, turn in enumerate(turns) if turn.role == "user" and turn.kind == "message"]
    for n, end in zip(users, [*users[1:], len(turns)], strict=True):
        before = asked.view("s", strategy=given) if n else None
        say(book, clock, [turns[n]])
        if before is not None:
            now = asked.view("s", strategy=given)
            assert now.prefix_tokens_before == before.tokens_after
            assert now.prefix_tokens_shared == shared_tokens(before, now, tokens)
        clock.pass_(1_000)
        say(book, clock, turns[n + 1 : end])
        clock.pass_(turns[end].received_at - turns[end - 1].received_at if end < len(turns) else 1_000)


@pytest.mark.parametrize("mode", MODES)
def test_law_24_what_is_counted_is_what_is_seen(
    book: Book, clock: FrozenClock, heard: Counter[tuple[str, ...]], mode: str
) -> None:
    asked, cleared, moves = viewing(book), set[int](), 0
    turns = written([*TALK * 20])
    given = {"mode": mode, **MARKS, "clear_tool_inputs": True}
    for first in range(0, len(turns), 6):
        say(book, clock, turns[first : first + 6])
        clock.pass_(1_000)
        view = asked.view("s", strategy=given)
        cleared |= {item["seq"] for item in view.items if item.get("replaced")}
    results = {turn.seq for turn in turns if turn.kind == "tool_result"}
    assert heard["memory_compaction_items", "output"] == len(cleared & results)
    assert heard["memory_compaction_items", "input"] == len(cleared - results)
    moves = sum(many for key, many in heard.items() if key[0] == "memory_trigger")
    assert (moves > 0) == (mode != "none")
    for side in ("before", "after"):
        measured = sum(many for key, many in heard.items() if key[0] == "memory_tokens_before_after" and side in key)
        assert measured == moves
    assert view.tokens_before == sum(turn.tokens for turn in turns)


def test_law_24_who_only_tried_takes_nothing_from_who_asks_next(
    book: Book, clock: FrozenClock, heard: Counter[tuple[str, ...]]
) -> None:
    say(book, clock, written([*TALK * 20]))
    asked, given = viewing(book), {"mode": "trim", **MARKS}
    tried = asked.view("s", strategy=given, dry_run=True)
    assert not _moves_told(heard)
    assert asked.view("s", strategy=given) == tried
    assert _moves_told(heard)
