"""Whatever is done to logs in whatever order, they behave as plain lists of turns would, each tenant's for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from carryover.core.errors import Conflict, Invalid, NotFound, VersionConflict
from carryover.core.scope import Scope
from carryover.core.session import Appended, Draft, retraction
from carryover.jobs.run import run
from carryover.log import lifecycle, read, stream
from carryover.store import check, queue
from carryover.store.store import Store
from clocks import FrozenClock
from fuzz.lengths import TIMEOUT_S, lasting
from logbook import Book

pytestmark = pytest.mark.timeout(TIMEOUT_S)
TENANTS = count()
WHO = st.sampled_from([0, 1])
NAMES = st.sampled_from(["a", "b"])
KEYS = st.none() | st.sampled_from(["k1", "k2", "k3"])
WORDS = st.sampled_from(["yes", "no", "é\x00\ud800", ""])
TURNS = st.lists(st.tuples(WORDS, KEYS), min_size=1, max_size=4, unique_by=lambda turn: turn[1] or object())


@dataclass
class Model:
    """A session as anyone would write it down: what was said, under which keys, and when it is over."""

    turns: list[tuple[Any, str | None]] = field(default_factory=list)
    closed: bool = False
    places: dict[str, int] = field(default_factory=dict)
    ttl_s: int | None = None
    expires_at: int | None = None


class Logs(RuleBasedStateMachine):
    def __init__(self, url: str, clock: FrozenClock) -> None:
        super().__init__()
        self.url, self.clock = url, clock
        self.store = Store.open(url, clock=clock)
        names = [f"log{next(TENANTS)}" for _ in range(2)]
        self.scopes = [Scope(name) for name in names]
        self.models: list[dict[str, Model]] = [{}, {}]
        self.heard: list[int] = [0, 0]  # the newest event that each tenant was told of
        self.happened: list[list[str]] = [[], []]
        self.spent: list[set[tuple[str, str]]] = [set(), set()]  # keys of erased sessions

    def teardown(self) -> None:
        """What is left behind is sound: heads, chains, indexes, and nothing of what was erased."""
        faults = check.check(self.store)
        self.store.close()
        assert faults == []

    def book(self, who: int) -> Book:
        return Book(self.store, scope=self.scopes[who])

    @rule(who=WHO, name=NAMES, turns=TURNS, expected=st.none() | st.integers(0, 8))
    def append(self, who: int, name: str, turns: list[tuple[str, str | None]], expected: int | None) -> None:
        model = self.models[who].get(name, Model())
        drafts = tuple(Draft("user", word, idempotency_key=key) for word, key in turns)
        clash = next(filter(None, (self.refusal(who, name, model, word, key) for word, key in turns)), None)
        fresh = [(word, key) for word, key in turns if key is None or key not in model.places]
        if clash:
            with pytest.raises(clash):
                self.book(who).append(name, *drafts, expected_version=expected)
        elif fresh and expected is not None and expected != len(model.turns):
            with pytest.raises(VersionConflict) as conflict:
                self.book(who).append(name, *drafts, expected_version=expected)
            assert conflict.value.facts["current_version"] == len(model.turns)
        else:
            done = self.book(who).append(name, *drafts, expected_version=expected)
            self.appended(who, name, model, done, turns, fresh)

    def refusal(self, who: int, name: str, model: Model, word: str, key: str | None) -> type[Exception] | None:
        """Why no turn can have this key; what was said in an erased session does not come back."""
        if key in model.places:
            return Invalid if model.turns[model.places[key] - 1][0] != word else None
        return Conflict if (name, key) in self.spent[who] else None

    def appended(
        self, who: int, name: str, model: Model, done: Appended, turns: list[tuple[Any, str | None]],
        fresh: list[tuple[Any, str | None]],
    ) -> None:  # fmt: skip
        assert done.saved is bool(fresh)
        expected: list[int] = []
        if fresh and (model.closed or not model.turns):
            self.happened[who].append("open")
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
            self.happened[who].append("append")
            assert done.version == len(model.turns)
            model.closed = False
            model.expires_at = None if model.ttl_s is None else self.clock.at + model.ttl_s * 1_000
            self.models[who][name] = model

    @rule(who=WHO, name=NAMES, first=st.integers(1, 4), more=st.integers(0, 3))
    def retract(self, who: int, name: str, first: int, more: int) -> None:
        """Turns that are there can be taken back, and stay; others cannot."""
        model = self.models[who].get(name, Model())
        draft = retraction(first, first + more)
        if first + more > len(model.turns):
            with pytest.raises(Invalid):
                self.book(who).append(name, draft)
        else:
            done = self.book(who).append(name, draft)
            self.appended(who, name, model, done, [(draft.content, None)], [(draft.content, None)])

    @rule(who=WHO, name=NAMES)
    def close(self, who: int, name: str) -> None:
        if self.on(who, name, lambda *at: lifecycle.close(*at)):
            model = self.models[who][name]
            self.happened[who] += [] if model.closed else ["close"]
            model.closed = True

    @rule(who=WHO, name=NAMES)
    def hold(self, who: int, name: str) -> None:
        if self.on(who, name, lambda *at: lifecycle.hold(*at, 60)):
            self.happened[who].append("hold")

    @rule(who=WHO, name=NAMES, seconds=st.none() | st.sampled_from([1, 5, 1_000]))
    def limit(self, who: int, name: str, seconds: int | None) -> None:
        if self.on(who, name, lambda *at: lifecycle.set_ttl(*at, seconds)):
            model = self.models[who][name]
            model.ttl_s = seconds
            model.expires_at = None if seconds is None else self.clock.at + seconds * 1_000

    @rule(who=WHO, name=NAMES)
    def delete(self, who: int, name: str) -> None:
        if self.on(who, name, lambda *at: lifecycle.delete(*at)):
            self.erased(who, name)
            self.happened[who].append("delete")

    def erased(self, who: int, name: str) -> None:
        self.spent[who] |= {(name, key) for key in self.models[who].pop(name).places}

    def on(self, who: int, name: str, verb: Callable[..., Any]) -> bool:
        """Whether the session was there, and so the verb did what it says."""
        at = self.store, self.scopes[who], "default", name
        if name not in self.models[who]:
            with pytest.raises(NotFound):
                verb(*at)
            return False
        verb(*at)
        return True

    @rule(who=WHO)
    def expire(self, who: int) -> None:
        """Whoever looks erases what is over by now, and nothing else."""
        for _ in range(4):
            with self.store.write(self.scopes[who]) as tx:
                job = queue.claim(tx, ["expire"], lease_ms=1)
            if job is not None:
                run(self.store, job, lifecycle.expiry())
        over = [n for n, m in self.models[who].items() if m.expires_at is not None and m.expires_at <= self.clock.at]
        for name in over:
            self.erased(who, name)
            self.happened[who].append("expire")

    @rule(ms=st.sampled_from([0, 1, 700, 6_000, -300]))
    def pass_(self, ms: int) -> None:
        """Time goes on, or a clock is set back."""
        self.clock.pass_(ms)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.url, clock=self.clock)

    @rule(who=WHO, name=NAMES, after=st.integers(0, 6), limit=st.integers(1, 4))
    def page(self, who: int, name: str, after: int, limit: int) -> None:
        if name in self.models[who]:
            said = [word for word, _ in self.models[who][name].turns]
            at = self.store, self.scopes[who], "default", name
            assert [turn.content for turn in read.page(*at, after=after, limit=limit)[1]] == said[after : after + limit]
            assert [turn.content for turn in read.window(*at, limit)[1]] == said[-limit:]

    @rule(who=WHO, limit=st.integers(1, 2))
    def pages(self, who: int, limit: int) -> None:
        """Page by page, each session comes once."""
        cursor, found = None, []
        for _ in range(4):
            some, cursor = read.listed(self.store, self.scopes[who], "default", limit=limit, cursor=cursor)
            found += [one.session_id for one in some]
            if cursor is None:
                break
        assert sorted(found) == sorted(self.models[who])

    @invariant()
    def each_tenant_sees_its_own_logs_whole(self) -> None:
        for who, models in enumerate(self.models):
            listed, _ = read.listed(self.store, self.scopes[who], "default")
            assert {one.session_id: (one.version, one.status == "closed", one.expires_at) for one in listed} == {
                name: (len(model.turns), model.closed, model.expires_at) for name, model in models.items()
            }
            for name, model in models.items():
                turns = self.book(who).turns(name)
                assert [turn.seq for turn in turns] == list(range(1, len(model.turns) + 1))
                assert [(turn.content, turn.idempotency_key) for turn in turns] == model.turns
                assert len({turn.id for turn in turns}) == len(turns)

    @invariant()
    def the_stream_tells_what_happened_and_its_ids_grow(self) -> None:
        for who, scope in enumerate(self.scopes):
            news = stream.after(self.store, scope, "default", self.heard[who])
            ids = [event.id for event in news]
            assert ids == sorted(set(ids))
            assert [event.action for event in news] == self.happened[who]
            self.heard[who] = max([self.heard[who], *ids])
            self.happened[who] = []


def test_logs_behave_as_lists(database_url: str, clock: FrozenClock) -> None:
    shorter = database_url.startswith("postgresql")
    run_state_machine_as_test(lambda: Logs(database_url, clock), settings=lasting(2 if shorter else 7, 20))
