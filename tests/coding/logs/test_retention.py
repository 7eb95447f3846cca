"""The archive stays within its budget, and what nobody has digested stays in the archive."""

from __future__ import annotations

import io
import json
import random
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.coding.logs import archive, retention
from carryover.core.budget import Budget, Evicted
from carryover.core.clock import DAY_MS
from carryover.core.digest import DIGEST_VERSION, Digest
from carryover.core.errors import DataLoss
from carryover.core.event import Filter
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.step import About
from carryover.store import archive as vault
from carryover.store import cursors, digests, events, origins
from carryover.store.archive import START
from carryover.store.cursors import Cursor, Stamp
from carryover.store.store import Store

AGENT = "claude-code"
DAY = 20_000
TENANTS = count()


@dataclass(frozen=True)
class Log:
    """A log of so many records, last written on that day, of sessions that were digested or not."""

    name: str
    records: int
    day: int
    sessions: tuple[str, ...]
    digested: bool = True
    rewritten: bool = False

    @property
    def path(self) -> str:
        return f"/{self.name}"

    def plain(self, generation: int = 0) -> bytes:
        rng = random.Random(f"{self.name}{generation}")
        return b"".join(self.record(rng, n) for n in range(self.records))

    def record(self, rng: random.Random, n: int) -> bytes:
        noise = rng.randbytes(120).hex()
        made: dict[str, Any] = {"uuid": f"{self.name}{n}", "type": "progress" if n % 3 == 0 else "user"}
        made["data" if n % 3 == 0 else "toolUseResult"] = {"noise": noise}
        if n % 4 == 0:
            made["message"] = {"content": [{"type": "tool_result", "content": rng.randbytes(2400).hex()}]}
        return (json.dumps(made) + "\n").encode()


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SHORTEST", 8_000)
    monkeypatch.setattr(archive, "LONGEST", 16_000)


def fill(store: Store, scope: Scope, logs: list[Log]) -> None:
    with store.write(scope) as tx:
        for log in logs:
            for generation in range(1 + log.rewritten):
                plain = log.plain(generation)
                cut = list(archive.cut(io.BytesIO(plain), START, len(plain)))
                vault.put(tx, log.path, generation, cut)
                stamp = Stamp(1, 1, len(plain), log.day * DAY_MS * 10**6)
                content = archive.content("", cut)
                cursors.put(tx, [Cursor(log.path, AGENT, stamp, len(plain), "", content, generation=generation)])
            origins.put(tx, [(AGENT, session, log.path, About()) for session in log.sessions])
        for log in logs:
            for session in log.sessions:
                hash = origins.source_hash(tx, AGENT, session) if log.digested else "of another log"
                digests.put(tx, Digest(AGENT, session, AGENT, DIGEST_VERSION, hash))


def fresh() -> Scope:
    return Scope(f"t{next(TENANTS)}")


def usage(store: Store, scope: Scope) -> int:
    with store.read(scope) as tx:
        return vault.size(tx)


def whole(store: Store, scope: Scope, log: Log) -> bool:
    """Whether the log comes back byte for byte; if not, it says so."""
    with store.read(scope) as tx:
        try:
            assert b"".join(archive.restore(tx, log.path)) == log.plain(int(log.rewritten))
        except DataLoss:
            return False
        return True


def evict(store: Store, scope: Scope, soft: int, hard: int, days: int | None = None) -> Evicted:
    return retention.evict(store, scope, Budget(soft, hard, days), DAY * DAY_MS)


def logs_of(draw: Any) -> list[Log]:
    return [
        Log(
            f"log{n}",
            draw(st.integers(1, 20)),
            draw(st.integers(DAY - 100, DAY)),
            tuple(f"s{n}-{m}" for m in range(draw(st.integers(0, 2)))),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for n in range(draw(st.integers(0, 5)))
    ]


def sound(store: Store) -> None:
    with store.read(EVERY_TENANT) as tx:
        assert vault.faults(tx) == []


def safe(store: Store, scope: Scope, logs: list[Log], done: Evicted, hard: int) -> None:
    """The promises that hold whatever the budget is, and wherever a run was killed."""
    lost = {one.path for one in done.data_loss}
    for log in logs:
        may_go = log.digested and log.sessions
        assert may_go or log.path in lost or whole(store, scope, log)
    if lost:  # only once there was nothing else to take
        for log in logs:
            if log.digested and log.sessions:
                with store.read(scope) as tx:
                    assert [piece for piece in vault.kept(tx, log.path) if piece.hash] == []
    assert usage(store, scope) <= hard
    sound(store)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.floats(0, 1.2), st.floats(0, 1.2), st.none() | st.integers(1, 120))
def test_whatever_is_held_the_promises_hold(
    store: Store, data: st.DataObject, soft: float, hard: float, days: int | None
) -> None:
    scope, logs = fresh(), logs_of(data.draw)
    fill(store, scope, logs)
    before = usage(store, scope)
    low, high = sorted((int(before * soft), int(before * hard)))
    done = evict(store, scope, low, high, days)
    after = usage(store, scope)
    assert (done.final_usage, done.freed) == (after, before - after)
    safe(store, scope, logs, done, high)
    with store.read(scope) as tx:
        kept = {log.path: vault.kept(tx, log.path) for log in logs}
    digested = [log for log in logs if log.digested and log.sessions]
    if after > low:
        assert not [piece for log in digested for piece in kept[log.path] if piece.hash]
    if before <= low and days is None:
        assert done.evictions == {}
        assert all(whole(store, scope, log) for log in logs)
    if days is not None:
        assert not [log for log in digested if log.day < DAY - days and any(piece.hash for piece in kept[log.path])]
    again = evict(store, scope, low, high, days)
    assert (again.evictions, again.freed) == ({}, 0)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.floats(0, 1), st.integers(0, 40))
def test_killed_anywhere_nothing_is_torn_and_the_next_run_ends_it(
    store: Store, data: st.DataObject, soft: float, kill: int
) -> None:
    scope, logs = fresh(), logs_of(data.draw)
    fill(store, scope, logs)
    low = high = int(usage(store, scope) * soft)
    left = iter(range(kill))

    class Killed(Exception):
        pass

    def dying(*args: Any) -> Any:
        if next(left, None) is None:
            raise Killed
        return Store.transact(store, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "transact", dying)
        try:
            evict(store, scope, low, high)
        except Killed:
            sound(store)
    done = evict(store, scope, low, high)
    assert usage(store, scope) <= high
    sound(store)
    assert done.final_usage == usage(store, scope)


@pytest.fixture
def scope() -> Scope:
    return fresh()


def test_no_more_goes_than_has_to(store: Store, scope: Scope) -> None:
    logs = [Log(f"log{n}", 30, DAY - n, (f"s{n}",)) for n in range(4)]
    fill(store, scope, logs)
    evict(store, scope, 0, 1 << 40)  # what each tier frees depends on the packing: take it as it is
    again = fresh()
    fill(store, again, logs)
    before = usage(store, again)
    done = evict(store, again, before - 1, 1 << 40)
    assert done.evictions == {}  # packing one piece tighter was enough
    assert all(whole(store, again, log) for log in logs)
    with store.read(again) as tx:
        tiers = [piece.tier for log in logs for piece in vault.kept(tx, log.path)]
    assert tiers.count("tight") < len(tiers)


def test_the_oldest_goes_first_and_each_thing_in_its_turn(store: Store, scope: Scope) -> None:
    logs = [Log(f"log{n}", 30, DAY - n, (f"s{n}",), rewritten=n == 0) for n in range(3)]
    fill(store, scope, logs)
    done = evict(store, scope, 0, 1 << 40)
    assert [(one.tier, one.path) for one in done.evictions["soft"]] == [
        ("gone", "/log0"),  # what it was before it was rewritten
        *((tier, f"/log{n}") for tier in ("progress", "duplicates", "outputs", "gone") for n in (2, 1, 0)),
    ]
    assert done.evictions["soft"][0].reason == "rewritten since"
    assert all(one.bytes > 0 for one in done.evictions["soft"])


def test_every_drop_is_told_in_the_stream(store: Store, scope: Scope) -> None:
    fill(store, scope, [Log("log", 5, DAY, ("s1", "s2")), Log("lost", 5, DAY, ("s3",), digested=False)])
    done = evict(store, scope, 0, 0)
    assert [one.path for one in done.data_loss] == ["/lost"]
    assert any("raise the cap" in alarm for alarm in done.alarms) is False
    with store.read(scope) as tx:
        told = events.newest(tx, AGENT, Filter(action="ingest"), limit=99)
    freed = {one.session_id: 0 for one in told}
    for one in told:
        freed[one.session_id] += one.detail["bytes"]
    assert freed["s1"] == freed["s2"] == sum(one.bytes for one in done.evictions["soft"])
    [lost] = [one for one in told if one.session_id == "s3"]
    assert (lost.detail["path"], lost.detail["kept"], lost.detail["lost"]) == ("/lost", "gone", True)


def test_a_log_that_two_sessions_share_waits_for_both(store: Store, scope: Scope) -> None:
    log = Log("log", 5, DAY, ("s1", "s2"))
    fill(store, scope, [log])
    with store.write(scope) as tx:
        digests.put(tx, Digest(AGENT, "s2", AGENT, DIGEST_VERSION - 1, origins.source_hash(tx, AGENT, "s2")))
    done = evict(store, scope, 0, 1 << 40)
    assert whole(store, scope, log)
    assert ["raw_soft_cap_bytes" in alarm for alarm in done.alarms] == [True]


def test_what_grew_since_it_was_planned_keeps_what_it_has(store: Store, scope: Scope) -> None:
    log = Log("log", 20, DAY, ("s1",))
    fill(store, scope, [log])

    def grown(*args: Any) -> Any:
        with store.write(scope) as tx:  # more was read of it, and its digest is of what it was
            found = cursors.get(tx, log.path)
            assert found is not None
            cursors.put(tx, [Cursor(log.path, AGENT, found.stamp, found.offset, "", "more", generation=0)])
        return Store.transact(store, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "transact", grown)
        done = evict(store, scope, 0, 1 << 40)
    assert done.evictions == {}
    assert whole(store, scope, log)


def test_digests_and_turns_raise_an_alarm_only(store: Store, scope: Scope) -> None:
    log = Log("log", 5, DAY, ("s1",))
    fill(store, scope, [log])
    done = retention.evict(store, scope, Budget(1 << 40, 1 << 40, None, 1))
    assert ["distilled_cap_bytes" in alarm for alarm in done.alarms] == [True]
    assert whole(store, scope, log)
