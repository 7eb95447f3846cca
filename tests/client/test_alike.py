"""One suite over the embedded memory and the HTTP client: same verbs, same answers, same errors."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carryover.client.aclient import AsyncClient
from carryover.client.client import Client
from carryover.core.chunk import Query
from carryover.core.clock import EARLIEST, LATEST
from carryover.core.errors import CarryoverError, Conflict, Invalid, NotFound, TooLarge, VersionConflict
from carryover.core.event import Filter
from carryover.core.session import Append, Draft, Json
from carryover.runtime import Carryover
from serving import open_memory, serving

Memory = Carryover | Client
SAID = "We decided to use PostgreSQL for the ledger."


@pytest.fixture(params=["embedded", "remote"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    with open_memory(tmp_path) as embedded:
        if request.param == "embedded":
            yield embedded
        else:
            with serving(embedded) as running, Client(running.url) as client:
                yield client


def test_a_turn_is_logged_and_read(memory: Memory) -> None:
    place = memory.log_turn("s", "user", "héllo \ud800 \x00", agent="a", user="u")
    assert (place.seq, place.id[:2]) == (1, "t_")
    assert memory.log_turn("s", "assistant", [{"type": "text", "text": "hi"}], agent="a").seq == 2
    session, turns = memory.turns("s", agent="a")
    assert (session.user_id, session.version, session.turn_count, session.status) == ("u", 2, 2, "active")
    assert [turn.content for turn in turns] == ["héllo \ud800 \x00", [{"type": "text", "text": "hi"}]]
    assert [turn.role for turn in turns] == ["user", "assistant"]
    assert memory.session("s", agent="a") == session
    assert memory.window("s", agent="a", last_n=1) == (session, turns[1:])


def test_a_batch_is_kept_byte_for_byte(memory: Memory) -> None:
    body = Json('[{"type": "new",  "n": 1.50, "big": 123456789012345678901234567890, "s": "\\u0041"}]')
    metadata = Json('{"k":  1.0}')
    drafts = (
        Draft("assistant", body, kind="tool_call", name="f", call_id="c", created_at=EARLIEST, metadata=metadata),
        Draft("user", "x", created_at=LATEST, idempotency_key="k", metadata={"a": [1]}),
    )
    done = memory.append(Append("s", drafts, "a", "u", 0, {"channel": "web"}))
    assert (done.session_id, done.agent_id, done.version, done.saved) == ("s", "a", 2, True)
    session, turns = memory.turns("s", agent="a")
    assert session.metadata == {"channel": "web"}
    first, second = turns
    assert (first.body, first.metadata, first.kind, first.name, first.call_id) == (
        body,
        metadata,
        "tool_call",
        "f",
        "c",
    )
    assert (first.created_at, second.created_at) == (EARLIEST, LATEST)
    assert (second.idempotency_key, second.metadata) == ("k", '{"a":[1]}')
    assert [(turn.seq, turn.id) for turn in turns] == [(place.seq, place.id) for place in done.turns]


def test_a_repeated_key_saves_nothing(memory: Memory) -> None:
    request = Append("s", (Draft("user", "x", idempotency_key="k"),))
    first = memory.append(request)
    assert memory.append(request) == replace(first, saved=False)
    assert memory.log_turn("s", "user", "x", idempotency_key="k") == first.turns[0]
    with pytest.raises(Invalid) as refusal:
        memory.log_turn("s", "user", "y", idempotency_key="k")
    assert refusal.value.facts == {"field": "idempotency_key", "seq": 1}


def test_pages_of_turns_sessions_and_events(memory: Memory) -> None:
    for n in range(5):
        memory.append(Append(f"s{n}", tuple(Draft("user", str(i)) for i in range(3)), "a", f"u{n % 2}"))
    assert [turn.seq for turn in memory.turns("s0", agent="a", after=1, limit=1)[1]] == [2]
    found, cursor = memory.sessions(agent="a", limit=3)
    rest, end = memory.sessions(agent="a", limit=3, cursor=cursor)
    assert [session.session_id for session in [*found, *rest]] == ["s4", "s3", "s2", "s1", "s0"]
    assert end is None
    assert [session.session_id for session in memory.sessions(agent="a", user="u1")[0]] == ["s3", "s1"]
    page = memory.events(agent="a", limit=4)
    more = memory.events(agent="a", limit=100, cursor=page.next_cursor)
    assert len(page.events) + len(more.events) == 10
    assert [event.id for event in (*page.events, *more.events)] == sorted(
        (event.id for event in (*page.events, *more.events)), reverse=True
    )
    want = Filter(action="append", session="s1", user="u1", since=0, until=LATEST + 10**9)
    (event,) = memory.events(agent="a", want=want).events
    assert (event.action, event.session_id, event.user_id, event.detail) == (
        "append",
        "s1",
        "u1",
        {"version": 3, "turns": 3},
    )


def test_the_life_of_a_session(memory: Memory) -> None:
    memory.log_turn("s", "user", "x")
    assert memory.hold_session("s", seconds=60).status == "active"
    assert memory.set_ttl("s", 100).ttl_s == 100
    limited = memory.session("s")
    assert limited.expires_at is not None
    assert limited.expires_at > limited.created_at
    assert memory.set_ttl("s", None).expires_at is None
    assert memory.close_session("s").status == "closed"
    receipt = memory.delete_session("s")
    assert (receipt.agent_id, receipt.session_id, receipt.counts["turns"]) == ("default", "s", 1)
    with pytest.raises(NotFound):
        memory.session("s")


def test_events_are_followed(memory: Memory) -> None:
    memory.log_turn("s", "user", "1")
    newest = memory.events().events[0].id
    stream = memory.follow(after=0, poll_s=0.01)
    assert [next(stream).action for _ in range(2)] == ["open", "append"]
    memory.log_turn("s", "user", "2")
    event = next(stream)
    assert (event.action, event.detail) == ("append", {"version": 2, "turns": 1})
    assert event == memory.events().events[0]
    assert next(memory.follow(after=newest, want=Filter(action="append"))) == event


def test_memory_is_made_and_read(memory: Memory) -> None:
    memory.log_turn("s", "user", SAID, user="u")
    snapshot = memory.consolidate("s")
    assert snapshot is not None
    assert (snapshot.version, snapshot.through, snapshot.by) == (1, 1, "rules")
    assert memory.snapshot("s", 1) == snapshot
    finding = snapshot.of("decision")[0]
    detail = memory.finding(finding.id)
    assert detail.finding == finding
    assert [(cited.source, cited.seq, cited.role) for cited in detail.cited] == [(finding.sources[0], 1, "user")]
    assert (detail.chain, detail.ended, detail.verdict) == ((finding,), None, None)
    assert memory.finding(finding.id[:-2]) == detail
    trace = memory.trace("s", 1)
    assert [(derived.finding, derived.snapshot) for derived in trace.findings] == [(finding, 1)]
    assert (trace.seq, trace.role, trace.text, trace.closed) == (1, "user", SAID, ())
    assert trace.covered is not None
    assert trace.covered.usage is not None
    assert (trace.covered.version, trace.covered.usage.turns_covered) == (1, 1)
    assert trace.in_reach == ("session", "agent", "user")
    memory.log_turn("s", "user", "We decided to use Redis for the cache.")
    later = memory.consolidate("s")
    assert later is not None
    assert [s.version for s in memory.snapshots("s")] == [2, 1]
    diff = memory.diff("s", 1, 2)
    assert (diff.a, diff.b) == (1, 2)
    assert {change.change for change in diff.changes} >= {"added"}
    assert memory.consolidate("s", wait=False) is None
    context = memory.context("t", user="u", max_tokens=300)
    assert "PostgreSQL" in context.markdown
    assert context.tokens <= 300
    assert (context.through, context.snapshots) == ({"s": 2}, {"s": 2})
    assert {f.id for f in context.findings} >= {finding.id}
    assert memory.get_context("t", user="u", max_tokens=300) == context.markdown
    assert memory.context("s", user="u", reach="session").session_id == "s"
    report = memory.usage(since=0, group="job")
    assert sum(total.usage.turns_covered for total in report.totals) == 2
    assert report.waiting == 0


def test_a_session_is_read_anew(memory: Memory) -> None:
    memory.log_turn("s", "user", SAID)
    with pytest.raises(Conflict, match="has no snapshot yet"):
        memory.consolidate("s", again=True)
    first = memory.consolidate("s")
    made = memory.consolidate("s", again=True)
    assert first is not None
    assert made is not None
    assert (made.version, made.through, made.extractor) == (2, 1, first.extractor)
    assert [f.id for f in made.findings] == [f.id for f in first.findings]
    assert memory.snapshot("s", 1) == first
    forced = memory.consolidate("s", force=True)
    assert forced is not None
    assert forced.version == 3
    assert memory.consolidate("s", again=True, wait=False) is None
    details = [event.detail for event in memory.events(want=Filter(action="reconsolidate")).events]
    assert [detail["version"] for detail in details] == [3, 2]


def test_extractors_are_told_and_decided_about(memory: Memory) -> None:
    assert memory.extractors() == []
    memory.log_turn("s", "user", SAID)
    memory.consolidate("s")
    (promoted,) = memory.extractors()
    assert (promoted.state, promoted.name.partition("/")[0], promoted.score) == ("promoted", "rules", None)
    with pytest.raises(Conflict, match="promoted already"):
        memory.decide_extractor(promoted.name, "refuse")


def test_what_was_said_is_found(memory: Memory) -> None:
    memory.log_turn("s", "user", "The walrus sleeps at noon.", agent="a", user="u")
    end = time.monotonic() + 10
    while not (hits := memory.search(Query("walrus", agent_id="a", kinds=("turn",), since=0, until=LATEST))).results:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert hits.mode == "text"
    (hit,) = memory.search_memory("walrus", k=1, user="u")
    assert (hit.kind, hit.agent_id, hit.session_id, hit.sources[0].first) == ("turn", "a", "s", 1)
    assert memory.search_memory("walrus", agent="b") == []


def test_health(memory: Memory) -> None:
    memory.log_turn("s", "user", "x")
    memory.close_session("s")
    health = memory.health()
    assert (health.status, health.store) == ("ok", "sqlite")
    assert health.queue["due"] >= 1


@pytest.mark.parametrize(
    ("kind", "field", "act"),
    [
        (NotFound, None, lambda m: m.session("nobody")),
        (NotFound, None, lambda m: m.window("nobody")),
        (NotFound, None, lambda m: m.turns("a/b")),
        (NotFound, None, lambda m: m.session("é")),
        (NotFound, None, lambda m: m.close_session("nobody")),
        (NotFound, None, lambda m: m.delete_session("nobody")),
        (NotFound, None, lambda m: m.consolidate("nobody")),
        (NotFound, None, lambda m: m.snapshot("nobody", 1)),
        (NotFound, None, lambda m: m.finding("nothing")),
        (NotFound, None, lambda m: m.consolidate("nobody", again=True)),
        (NotFound, None, lambda m: m.decide_extractor("anthropic:no/body@p1", "promote")),
        (Invalid, "decision", lambda m: m.decide_extractor("rules/2", "praise")),
        (NotFound, None, lambda m: m.finding("f_" + "0" * 100)),
        (NotFound, None, lambda m: m.trace("nobody", 1)),
        (NotFound, None, lambda m: m.trace("known", 1, agent="nobody")),
        (NotFound, None, lambda m: m.trace("known", 0)),
        (NotFound, None, lambda m: m.trace("known", -1)),
        (NotFound, None, lambda m: m.trace("known", 2)),
        (NotFound, None, lambda m: m.trace("known", 10**30)),
        (Invalid, "session_id", lambda m: m.log_turn("sessions", "user", "x")),
        (Invalid, "session_id", lambda m: m.log_turn("a/b", "user", "x")),
        (Invalid, "agent_id", lambda m: m.log_turn("s", "user", "x", agent="é")),
        (Invalid, "user_id", lambda m: m.log_turn("s", "user", "x", user="a b")),
        (Invalid, "turns", lambda m: m.append(Append("s", ()))),
        (Invalid, "turns[0].role", lambda m: m.log_turn("s", "king", "x")),
        (Invalid, "turns[0].content", lambda m: m.log_turn("s", "user", [float("nan")])),
        (Invalid, "turns[0].created_at", lambda m: m.append(Append("s", (Draft("user", "x", created_at=LATEST + 1),)))),
        (Invalid, "seconds", lambda m: m.hold_session("known", seconds=0)),
        (Invalid, "seconds", lambda m: m.set_ttl("known", -1)),
        (Invalid, "limit", lambda m: m.turns("known", limit=0)),
        (Invalid, "last_n", lambda m: m.window("known", last_n=1001)),
        (Invalid, "cursor", lambda m: m.sessions(cursor="nonsense")),
        (Invalid, "max_tokens", lambda m: m.context("known", max_tokens=0)),
        (TooLarge, "turns[0].content", lambda m: m.log_turn("s", "user", "x" * (17 << 20))),
    ],
)
def test_errors_are_the_same(memory: Memory, kind: type[CarryoverError], field: str | None, act: Any) -> None:
    memory.log_turn("known", "user", "x")
    with pytest.raises(CarryoverError) as refusal:
        act(memory)
    assert type(refusal.value) is kind
    assert refusal.value.facts.get("field") == field


def test_a_version_conflict_says_where_the_session_is(memory: Memory) -> None:
    memory.log_turn("s", "user", "x")
    with pytest.raises(VersionConflict) as refusal:
        memory.append(Append("s", (Draft("user", "y"),), expected_version=7))
    assert refusal.value.facts == {"current_version": 1}
    assert refusal.value.message == "session 's' is at version 1, not 7; read it again and retry"


def verbs(kind: type[Any]) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in vars(kind).items()
        if inspect.isfunction(member) and not name.startswith("_") and name not in ("seen_by", "close")
    }


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_the_clients_have_every_verb_with_the_same_parameters(client: type[Any]) -> None:
    wanted, given = verbs(Carryover), verbs(client)
    assert set(given) >= set(wanted)
    for name, signature in wanted.items():
        mine = [(p.name, p.kind, p.default) for p in signature.parameters.values()]
        theirs = [(p.name, p.kind, p.default) for p in given[name].parameters.values()]
        assert theirs == mine, name
