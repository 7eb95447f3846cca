"""What is told of views: metrics that agree with a recount, and lines in the log."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from carryover.core import telemetry
from carryover.core.session import Draft
from carryover.core.strategy import View
from carryover.store.store import Store
from carryover.strategies.kept import Kept
from carryover.strategies.telling import predicted
from carryover.strategies.view import Viewing, view
from logbook import ACME, Book

COMPACT = {
    "mode": "compact",
    "compact_trigger_turns": 3,
    "compact_keep": 1,
    "clear_at_least_tokens": 1,
    "clear_tool_inputs": True,
}
TRIM = {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}


class Heard:
    """What was told while it listened: counts, and single values."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Any, ...]] = Counter()
        self.values: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)

    def count(self, name: str, by: float, labels: Any) -> None:
        self.counts[(name, *labels.values())] += int(by)

    def observe(self, name: str, value: float, labels: Any) -> None:
        self.values[(name, *labels.values())].append(value)

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


def looked(book: Book, kept: Kept, strategy: dict[str, Any], **more: Any) -> View:
    return view(book.store, ACME, kept, Viewing("s", strategy=strategy, **more))


def talk(book: Book, n: int) -> None:
    """A turn of a user with a call and its output."""
    arguments = [{"type": "tool_call", "arguments": '{"path": "' + "x" * 400 + '"}'}]
    book.append(
        "s",
        Draft("user", f"question {n}"),
        Draft("assistant", arguments, "tool_call", "look", f"c{n}"),
        Draft("tool", f"output {n} " * 200, "tool_result", call_id=f"c{n}"),
        Draft("assistant", f"answer {n}"),
    )


def test_what_was_replaced_is_counted_once_and_as_the_view_has_it(book: Book, heard: Heard) -> None:
    kept = Kept()
    for n in range(1, 13):
        talk(book, n)
        seen = looked(book, kept, COMPACT)
        looked(book, Kept(), COMPACT)  # another process
        replaced = [op for op in seen.operations if op.op == "replace"]
        items = sum(op.last - op.first + 1 for op in replaced)
        told = {kind: heard.counts["memory_compaction_items", kind] for kind in ("output", "input")}
        assert sum(told.values()) == items
        assert told["output"] == told["input"]
        assert told["output"] == max(0, (seen.cleared_seq - 1) // 4)
    triggers = {key: many for key, many in heard.counts.items() if key[0] == "memory_trigger"}
    assert triggers == {("memory_trigger", "compact", "turns"): 3}
    sides = {side: heard.values["memory_tokens_before_after", "compact", "turns", side] for side in ("before", "after")}
    assert len(sides["before"]) == len(sides["after"]) == 3
    assert all(before > after for before, after in zip(*sides.values(), strict=True))


def test_a_view_says_how_warm_it_keeps_the_cache(book: Book, heard: Heard) -> None:
    kept, views = Kept(), list[View]()
    for n in range(1, 10):
        talk(book, n)
        views.append(looked(book, kept, TRIM))
        looked(book, kept, TRIM)  # nothing has changed: nothing is told
        looked(book, Kept(), TRIM, dry_run=True)
    stable = [one.prefix_tokens_shared / one.prefix_tokens_before for one in views if one.prefix_tokens_before]
    assert heard.values["memory_prefix_stability", "trim"] == stable
    assert {round(share) for share in stable} == {0, 1}
    costs = heard.values["memory_predicted_cost_tokens", "trim"]
    assert costs == [predicted(one) for one in views]
    last = views[-1]
    rest = last.tokens_after - last.prefix_tokens_shared
    assert costs[-1] == pytest.approx(0.1 * last.prefix_tokens_shared + 1.25 * rest)


def test_the_log_says_what_was_done_and_nothing_that_was_said(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "carryover.strategies.telling"):
        for n in range(1, 5):
            talk(book, n)
        looked(book, Kept(), {**COMPACT, "memory_injection": True})
        looked(book, Kept(), {})
    told = [record.told for record in caplog.records]  # type: ignore[attr-defined]
    names = [line["event"] for line in told]
    assert names == ["session.memory_strategy_applied", "memory.injection.summary_skipped", "memory.compaction_applied"]
    assert told[1]["reason"] == "none"
    done = told[2]
    assert (done["strategy"], done["trigger"], done["outputs"], done["inputs"]) == ("compact", "turns", 3, 3)
    assert (done["agent"], done["session"]) == ("default", "s")
    assert done["tokens_before"] > done["tokens_after"]
    assert caplog.records[2].levelno == logging.INFO
    assert "question" not in caplog.text
