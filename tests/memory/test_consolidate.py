"""Consolidation as a job: what it reads, when it makes nothing, and that a snapshot is saved whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from carryover.core.errors import NotFound, ProviderUnavailable
from carryover.core.job import subject_of
from carryover.core.scope import Scope
from carryover.core.session import Draft, Turn, retraction
from carryover.core.snapshot import Extraction, Finding, Found, Snapshot
from carryover.core.usage import Cap, Usage
from carryover.log import lifecycle
from carryover.memory import consolidate as consolidate_module
from carryover.memory.consolidate import ask
from carryover.memory.rules import Rules
from carryover.store import events, queue, sessions, snapshots, usages
from carryover.store.events import Filter
from carryover.store.store import Store
from clocks import FrozenClock
from talk import LIMITS, consolidate, say, worker

ADA = subject_of("ada", "s1")


@dataclass
class Reader:
    """An extractor that notes what it is given, finds every user turn, and can be made to wait or to fail."""

    name: str = "reader"
    id: str = "reader/1"
    read: list[list[int]] = field(default_factory=list)
    live: list[list[str]] = field(default_factory=list)
    failing: Exception | None = None
    started: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event | None = None
    used: Usage = field(default_factory=lambda: Usage("reader", 1, 80, 20, money=Decimal("0.01")))

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        return self.used

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        self.read.append([turn.seq for turn in turns])
        self.live.append([finding.text for finding in live])
        self.started.set()
        if self.go_on is not None:
            assert self.go_on.wait(20)
        if self.failing is not None:
            raise self.failing
        found = tuple(Found("fact", t.text, t.text, t.seq, t.seq, t.text.lower()) for t in turns if t.role == "user")
        return Extraction(found, (), f"Up to {turns[-1].seq}.", self.name), self.used


def newest(store: Store, scope: Scope, session: str = "s1") -> Snapshot | None:
    with store.read(scope) as tx:
        return snapshots.latest(tx, "ada", session)


def spent(store: Store, scope: Scope) -> tuple[Usage, Usage]:
    with store.read(scope) as tx:
        return usages.spent(tx, tx.now), usages.reserved(tx, tx.now)


def texts(snapshot: Snapshot | None) -> list[str]:
    assert snapshot is not None
    return [finding.text for finding in snapshot.findings]


def test_silence_makes_one_snapshot_of_all_turns(store: Store, scope: Scope, clock: FrozenClock) -> None:
    reader = Reader()
    for n in range(50):
        say(store, scope, "s1", [f"Line {n}."])
        clock.pass_(1000)
    at_work = worker(store, reader)
    assert at_work.drain() == 0
    clock.pass_(LIMITS.idle_ms)
    assert at_work.drain() == 1
    assert reader.read == [list(range(1, 51))]
    made = newest(store, scope)
    assert made is not None
    assert (made.version, made.through, made.by, made.summary) == (1, 50, "reader", "Up to 50.")
    assert len(made.findings) == 50


def test_the_next_run_reads_only_what_is_new(store: Store, scope: Scope, clock: FrozenClock) -> None:
    reader = Reader()
    say(store, scope, "s1", ["Mia lives in Rome."])
    consolidate(store, scope, "s1", reader)
    say(store, scope, "s1", ["Mia has a cat."])
    clock.pass_(LIMITS.idle_ms)
    worker(store, reader).drain()
    assert reader.read == [[1], [2]]
    assert reader.live == [[], ["Mia lives in Rome."]]
    made = newest(store, scope)
    assert texts(made) == ["Mia lives in Rome.", "Mia has a cat."]
    assert made is not None
    assert made.summary == "Up to 1. Up to 2."


def test_a_summary_grows_no_longer_than_it_may(store: Store, scope: Scope, clock: FrozenClock) -> None:
    class Wordy(Reader):
        def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
            extraction, usage = super().extract(turns, live)
            return replace(extraction, summary=f"Part {turns[-1].seq} was {'long ' * size}indeed."), usage

    for size in (20, 20, 20, 20, 20, 20, 20, 150):
        reader = Wordy()
        say(store, scope, "s1", ["Go on."])
        consolidate(store, scope, "s1", reader)
        made = newest(store, scope)
        assert made is not None
        assert len(made.summary) <= max(consolidate_module.SUMMARY_CHARS, size * 5 + 30)
        assert f"Part {made.through} was" in made.summary
        assert ("Part 1 was" in made.summary) == (made.through < 6)


def test_what_is_saved_with_a_snapshot(store: Store, scope: Scope) -> None:
    said = "Mia lives in Rome and works at the harbour, where she repairs boats. " * 5
    say(store, scope, "s1", [said, "ok " * 400])
    consolidate(store, scope, "s1", Reader())
    with store.read(scope) as tx:
        event = events.newest(tx, "ada", Filter(action="consolidate"), limit=5)
        index = queue.get(tx, "index", ADA)
        total = usages.totals(tx, 0, tx.now + 1, "job")
        turns = sessions.get(tx, "ada", "s1").tokens
    assert [e.detail for e in event] == [{"version": 1, "through": 2, "findings": 1, "by": "reader"}]
    assert index is not None
    assert [(row.group, row.jobs, row.usage.turns_covered) for row in total] == [("consolidate", 1, 2)]
    made = newest(store, scope)
    assert made is not None
    kept = (len("\n".join([made.summary, *texts(made)])) + 3) // 4
    assert total[0].usage.tokens_saved == turns - kept > 0
    assert total[0].usage.tokens == 100


def test_a_long_log_is_read_in_bounded_runs(
    store: Store, scope: Scope, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consolidate_module, "MOST_TURNS", 20)
    reader = Reader()
    say(store, scope, "s1", [f"Line {n}." for n in range(50)])
    clock.pass_(LIMITS.idle_ms)
    worker(store, reader).drain()
    assert [(run[0], run[-1]) for run in reader.read] == [(1, 20), (21, 40), (41, 50)]
    made = newest(store, scope)
    assert made is not None
    assert (made.version, made.through) == (3, 50)


def test_turns_are_bounded_by_their_tokens_too(
    store: Store, scope: Scope, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consolidate_module, "MOST_TOKENS", 1000)
    monkeypatch.setattr(consolidate_module, "PAGE_TURNS", 2)
    reader = Reader()
    say(store, scope, "s1", ["word " * 800 for _ in range(6)])
    clock.pass_(LIMITS.idle_ms)
    worker(store, reader).drain()
    assert [len(run) for run in reader.read] == [2, 2, 2]


def test_nothing_new_makes_nothing(store: Store, scope: Scope) -> None:
    reader = Reader()
    say(store, scope, "s1", ["Hello."])
    consolidate(store, scope, "s1", reader)
    with store.write(scope) as tx:
        queue.arm(tx, [("consolidate", ADA, tx.now)])
    assert worker(store, reader).drain() == 1
    assert len(reader.read) == 1
    with store.read(scope) as tx:
        assert queue.get(tx, "consolidate", ADA) is None


def test_a_session_in_conversation_is_armed_again_and_makes_nothing(
    store: Store, scope: Scope, clock: FrozenClock
) -> None:
    reader = Reader()
    say(store, scope, "s1", ["Hello."])
    with store.write(scope) as tx:
        queue.arm(tx, [("consolidate", ADA, tx.now)])
        until = sessions.get(tx, "ada", "s1").active_until
    worker(store, reader).drain()
    assert reader.read == []
    assert newest(store, scope) is None
    with store.read(scope) as tx:
        job = queue.get(tx, "consolidate", ADA)
    assert job is not None
    assert job.due == until
    clock.pass_(LIMITS.idle_ms)
    worker(store, reader).drain()
    assert reader.read == [[1]]


def test_whoever_asks_gets_it_now(store: Store, scope: Scope) -> None:
    reader = Reader()
    say(store, scope, "s1", ["Hello."])
    lifecycle.hold(store, scope, "ada", "s1", 3600)
    assert ask(store, scope, "ada", "s1").status == "idle"
    assert worker(store, reader).run_one(["consolidate"], tenant="acme", subject=ADA)
    assert newest(store, scope) is not None
    with pytest.raises(NotFound):
        ask(store, scope, "ada", "nowhere")
    say(store, scope, "s1", ["Again."])
    with store.read(scope) as tx:
        assert sessions.status(sessions.get(tx, "ada", "s1"), tx.now) == "active"


def test_findings_of_the_same_users_other_sessions_are_known(store: Store, scope: Scope) -> None:
    reader = Reader()
    for session, agent, user, line in (
        ("s1", "ada", "mia", "From s1."),
        ("s2", "bob", "mia", "From bob."),
        ("s3", "ada", "zoe", "From zoe."),
        ("s4", "ada", None, "From nobody."),
        ("s5", "bob", None, "From bob's nobody."),
    ):
        say(store, scope, session, [line], agent=agent, user=user)
        consolidate(store, scope, session, reader, agent=agent)
    reader.live.clear()
    say(store, scope, "s6", ["x"], user="mia")
    consolidate(store, scope, "s6", reader)
    say(store, scope, "s7", ["x"])
    consolidate(store, scope, "s7", reader)
    assert sorted(reader.live[0]) == ["From bob.", "From s1."]
    assert reader.live[1] == ["From nobody."]


def test_an_erased_session_is_skipped(store: Store, scope: Scope) -> None:
    reader = Reader()
    say(store, scope, "s1", ["Hello."])
    lifecycle.delete(store, scope, "ada", "s1")
    with store.write(scope) as tx:
        queue.arm(tx, [("consolidate", ADA, tx.now)])
    assert worker(store, reader).drain() == 1
    assert reader.read == []


def in_background(store: Store, reader: Reader) -> threading.Thread:
    thread = threading.Thread(target=worker(store, reader).drain)
    thread.start()
    assert reader.started.wait(20)
    return thread


def test_a_session_erased_while_it_thinks_leaves_nothing(store: Store, scope: Scope) -> None:
    reader = Reader(go_on=threading.Event())
    say(store, scope, "s1", ["Secret."])
    lifecycle.close(store, scope, "ada", "s1")
    thread = in_background(store, reader)
    lifecycle.delete(store, scope, "ada", "s1")
    assert reader.go_on is not None
    reader.go_on.set()
    thread.join()
    assert newest(store, scope) is None
    with store.read(scope) as tx:
        assert snapshots.live(tx, [("ada", "s1")]) == []


def test_turns_that_arrive_while_it_thinks_are_the_next_runs(store: Store, scope: Scope, clock: FrozenClock) -> None:
    reader = Reader(go_on=threading.Event())
    say(store, scope, "s1", ["First."])
    lifecycle.close(store, scope, "ada", "s1")
    thread = in_background(store, reader)
    say(store, scope, "s1", ["Second."])
    assert reader.go_on is not None
    reader.go_on.set()
    thread.join()
    made = newest(store, scope)
    assert made is not None
    assert (made.version, made.through) == (1, 1)
    assert worker(store, reader).drain() == 0  # in conversation again
    clock.pass_(LIMITS.idle_ms)
    assert worker(store, reader).drain() == 1
    assert reader.read == [[1], [2]]


def test_two_workers_make_one_snapshot(store: Store, scope: Scope) -> None:
    reader = Reader(go_on=threading.Event())
    say(store, scope, "s1", ["Hello."])
    lifecycle.close(store, scope, "ada", "s1")
    thread = in_background(store, reader)
    assert worker(store, reader).drain() == 0
    assert reader.go_on is not None
    reader.go_on.set()
    thread.join()
    assert reader.read == [[1]]
    with store.read(scope) as tx:
        assert [s.version for s in snapshots.listed(tx, "ada", "s1")] == [1]


def test_an_extractor_that_fails_is_tried_again_and_never_counts_as_done(
    store: Store, scope: Scope, clock: FrozenClock
) -> None:
    consumed = Usage("reader", 1, 70, 0)
    reader = Reader(failing=ProviderUnavailable("away; it will be tried again", usage=consumed))
    say(store, scope, "s1", ["Hello."])
    lifecycle.close(store, scope, "ada", "s1")
    worker(store, reader).drain()
    assert newest(store, scope) is None
    with store.read(scope) as tx:
        job = queue.get(tx, "consolidate", ADA)
    assert job is not None
    assert job.reason == "ProviderUnavailable: away; it will be tried again"
    assert job.due > clock.now()
    assert spent(store, scope)[0].tokens == 70  # paid for all the same
    reader.failing = None
    clock.pass_(60_000)
    worker(store, reader).drain()
    assert newest(store, scope) is not None


def test_a_fault_while_saving_leaves_neither_snapshot_nor_usage(
    store: Store, scope: Scope, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("power cut")

    say(store, scope, "s1", ["Hello."])
    clock.pass_(LIMITS.idle_ms)
    with monkeypatch.context() as patched:
        patched.setattr(consolidate_module.events, "add", broken)
        worker(store, Reader()).drain()
    with store.read(scope) as tx:
        assert snapshots.latest(tx, "ada", "s1") is None
        assert usages.totals(tx, 0, tx.now + 1, "tenant") == []
        job = queue.get(tx, "consolidate", ADA)
    assert job is not None
    assert job.reason == "RuntimeError: power cut"
    clock.pass_(60_000)
    worker(store, Reader()).drain()
    made = newest(store, scope)
    assert made is not None
    assert made.version == 1
    with store.read(scope) as tx:
        assert [row.jobs for row in usages.totals(tx, 0, tx.now + 1, "tenant")] == [1]


@pytest.mark.parametrize("cap", [Cap(tokens=250), Cap(money=Decimal("0.025"))])
def test_a_cap_holds_and_the_rest_waits(store: Store, scope: Scope, clock: FrozenClock, cap: Cap) -> None:
    reader = Reader()
    for n in range(4):
        say(store, scope, f"s{n}", ["Hello."])
        lifecycle.close(store, scope, "ada", f"s{n}")
    worker(store, reader, cap).drain()
    used, reserved = spent(store, scope)
    assert (used.tokens, used.money, reserved.calls) == (200, Decimal("0.02"), 0)
    with store.read(scope) as tx:
        assert usages.waiting(tx) == 2
    assert len(reader.read) == 2
    clock.pass_(86_400_000)
    worker(store, reader, cap).drain()
    assert len(reader.read) == 4


def test_rules_consume_nothing_and_say_so(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["Let's use PostgreSQL for the ledger.", "Done."])
    consolidate(store, scope, "s1", Rules())
    made = newest(store, scope)
    assert made is not None
    assert [(f.kind, f.by) for f in made.findings] == [("decision", "rules")]
    with store.read(scope) as tx:
        total = usages.totals(tx, 0, tx.now + 1, "tenant")[0].usage
    assert (total.calls, total.tokens, total.money, total.turns_covered) == (0, 0, 0, 2)


def test_what_was_taken_back_before_is_never_read(store: Store, scope: Scope, clock: FrozenClock) -> None:
    reader = Reader()
    say(store, scope, "s1", ["We use MySQL.", "Noted.", retraction(1, 2), Draft("user", "We use PostgreSQL.")])
    consolidate(store, scope, "s1", reader)
    assert reader.read == [[4]]
    made = newest(store, scope)
    assert (texts(made), made and made.through) == (["We use PostgreSQL."], 4)


def test_where_all_that_is_new_was_taken_back_nobody_is_asked(store: Store, scope: Scope) -> None:
    reader = Reader()
    say(store, scope, "s1", ["We use PostgreSQL."])
    consolidate(store, scope, "s1", reader)
    say(store, scope, "s1", ["We use MySQL.", retraction(2, 2)])
    consolidate(store, scope, "s1", reader)
    assert reader.read == [[1]]
    made = newest(store, scope)
    assert made is not None
    assert (made.version, made.through, made.by, texts(made)) == (2, 3, "reader", ["We use PostgreSQL."])
    with store.read(scope) as tx:
        assert queue.get(tx, "consolidate", ADA) is None  # nothing is left to do


def test_a_run_sees_what_turns_behind_it_take_back(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consolidate_module, "MOST_TURNS", 2)
    reader = Reader()
    say(store, scope, "s1", [*(Draft("user", f"Line {n}.") for n in range(1, 5)), retraction(2, 3)])
    consolidate(store, scope, "s1", reader)
    assert reader.read == [[1], [4]]
    made = newest(store, scope)
    assert (texts(made), made and made.through) == (["Line 1.", "Line 4."], 5)


def test_what_was_taken_back_later_stays_consolidated(store: Store, scope: Scope) -> None:
    reader = Reader()
    say(store, scope, "s1", ["We use MySQL."])
    consolidate(store, scope, "s1", reader)
    say(store, scope, "s1", [retraction(1, 1), Draft("user", "We use PostgreSQL.")])
    consolidate(store, scope, "s1", reader)
    assert texts(newest(store, scope)) == ["We use MySQL.", "We use PostgreSQL."]
