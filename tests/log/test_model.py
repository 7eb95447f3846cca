"""Whatever is done to a log in whatever order, it behaves as a plain list of turns would."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from carryover.core.errors import Invalid, NotFound, VersionConflict
from carryover.core.session import Appended, Draft
from carryover.log import lifecycle, read
from carryover.store.store import Store
from logbook import ACME, Book

NAMES = st.sampled_from(["a", "b"])
KEYS = st.none() | st.sampled_from(["k1", "k2", "k3"])
WORDS = st.sampled_from(["yes", "no", "é\x00\ud800"])
TURNS = st.lists(st.tuples(WORDS, KEYS), min_size=1, max_size=4, unique_by=lambda turn: turn[1] or object())


@dataclass
class Tick:
    at: int = 1_790_000_000_000

    def now(self) -> int:
        self.at += 1
        return self.at


@dataclass
class Model:
    """A session as anyone would write it down."""

    turns: list[tuple[str, str | None]] = field(default_factory=list)
    closed: bool = False
    places: dict[str, int] = field(default_factory=dict)


class LogBehavesAsAList(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.folder.name) / 'carryover.db'}"
        self.clock = Tick()
        self.book = Book(Store.open(self.url, clock=self.clock))
        self.model: dict[str, Model] = {}

    def teardown(self) -> None:
        self.book.store.close()
        self.folder.cleanup()

    @rule(name=NAMES, turns=TURNS, expected=st.none() | st.integers(0, 8))
    def append(self, name: str, turns: list[tuple[str, str | None]], expected: int | None) -> None:
        model = self.model.get(name, Model())
        drafts = tuple(Draft("user", word, idempotency_key=key) for word, key in turns)
        clash = any(key in model.places and model.turns[model.places[key] - 1][0] != word for word, key in turns if key)
        fresh = [(word, key) for word, key in turns if key is None or key not in model.places]
        if clash:
            with pytest.raises(Invalid):
                self.book.append(name, *drafts, expected_version=expected)
        elif fresh and expected is not None and expected != len(model.turns):
            with pytest.raises(VersionConflict) as conflict:
                self.book.append(name, *drafts, expected_version=expected)
            assert conflict.value.facts["current_version"] == len(model.turns)
        else:
            self.check(self.book.append(name, *drafts, expected_version=expected), model, turns, fresh)
            if fresh:
                self.model[name] = model

    def check(
        self, done: Appended, model: Model, turns: list[tuple[str, str | None]], fresh: list[tuple[str, str | None]]
    ) -> None:
        assert done.saved is bool(fresh)
        expected: list[int] = []
        for word, key in turns:
            if key is None or key not in model.places:
                model.turns.append((word, key))
                if key is not None:
                    model.places[key] = len(model.turns)
                expected.append(len(model.turns))
            else:
                expected.append(model.places[key])
        assert [place.seq for place in done.turns] == expected
        assert done.version == max(expected)
        if fresh:
            assert done.version == len(model.turns)
            model.closed = False

    @rule(name=NAMES)
    def close(self, name: str) -> None:
        self.on(name, lambda: lifecycle.close(self.book.store, ACME, "default", name), closed=True)

    @rule(name=NAMES)
    def hold(self, name: str) -> None:
        self.on(name, lambda: lifecycle.hold(self.book.store, ACME, "default", name, 60))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.on(name, lambda: lifecycle.delete(self.book.store, ACME, "default", name))
        self.model.pop(name, None)

    def on(self, name: str, verb: Any, closed: bool | None = None) -> None:
        if name not in self.model:
            with pytest.raises(NotFound):
                verb()
            return
        verb()
        if closed is not None:
            self.model[name].closed = closed

    @rule()
    def reopen(self) -> None:
        self.book.store.close()
        self.book = Book(Store.open(self.url, clock=self.clock))

    @rule(name=NAMES, after=st.integers(0, 6), limit=st.integers(1, 4))
    def page(self, name: str, after: int, limit: int) -> None:
        if name in self.model:
            _, turns = read.page(self.book.store, ACME, "default", name, after=after, limit=limit)
            assert [turn.content for turn in turns] == [w for w, _ in self.model[name].turns[after : after + limit]]
            _, turns = read.window(self.book.store, ACME, "default", name, limit)
            assert [turn.content for turn in turns] == [w for w, _ in self.model[name].turns[-limit:]]

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "book"):
            return
        sessions, _ = read.listed(self.book.store, ACME, "default")
        assert {one.session_id: (one.version, one.status == "closed") for one in sessions} == {
            name: (len(model.turns), model.closed) for name, model in self.model.items()
        }
        for name, model in self.model.items():
            turns = self.book.turns(name)
            assert [turn.seq for turn in turns] == list(range(1, len(model.turns) + 1))
            assert [(turn.content, turn.idempotency_key) for turn in turns] == model.turns


TestLogBehavesAsAList = LogBehavesAsAList.TestCase
TestLogBehavesAsAList.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
