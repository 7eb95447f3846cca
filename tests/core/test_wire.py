"""Every value that travels is decoded as it was encoded; turns travel byte for byte."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.core.chunk import Hit, Hits
from carryover.core.clock import EARLIEST, LATEST, rfc3339
from carryover.core.context import Context
from carryover.core.erasure import Receipt
from carryover.core.errors import Invalid
from carryover.core.event import Event
from carryover.core.session import Appended, Json, Session, Source, Turn
from carryover.core.snapshot import Change, Diff, Finding, FindingDetail, Snapshot
from carryover.core.usage import Cap, Usage, UsageReport, UsageTotal
from carryover.core.wire import decode, encode, turn_of, turn_text

TIMES = st.integers(EARLIEST, LATEST)
WORDS = st.text(max_size=20)
COUNTS = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=3)
MONEY = st.decimals(0, 10**6, places=9)
# Where the annotation does not say what a value may be.
KNOWN: dict[type[Any], dict[str, st.SearchStrategy[Any]]] = {
    Session: {"metadata": OBJECTS},
    Event: {"detail": OBJECTS},
    Hit: {"score": st.floats(allow_nan=False, allow_infinity=False)},
}


def built(kind: type[Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = {field.name for field in dataclasses.fields(kind)}
    by_name: dict[str, st.SearchStrategy[Any]] = {
        "created_at": TIMES,
        "updated_at": TIMES,
        "learned_at": TIMES,
        "erased_at": TIMES,
        "at": TIMES,
        "since": TIMES,
        "until": TIMES,
        "expires_at": st.none() | TIMES,
        "valid_from": st.none() | TIMES,
        "valid_to": st.none() | TIMES,
        "sources": st.lists(st.builds(Source), max_size=2).map(tuple),
        "money": MONEY,
    }
    given_by = {**by_name, **KNOWN.get(kind, {}), **more}
    return st.builds(kind, **{name: how for name, how in given_by.items() if name in fields})


FINDINGS = built(Finding, salience=st.floats(0, 1))
USAGES = built(Usage)
SNAPSHOTS = built(
    Snapshot,
    findings=st.lists(FINDINGS, max_size=4).map(lambda found: tuple(sorted(found, key=lambda f: (f.learned_at, f.id)))),
)
CAPS = built(Cap, money=st.none() | MONEY)
TOTALS = built(UsageTotal, usage=USAGES)
VALUES = [
    built(Session),
    built(Event),
    SNAPSHOTS,
    FINDINGS,
    built(Context, findings=st.lists(FINDINGS, max_size=2).map(tuple)),
    built(Hits, results=st.lists(built(Hit), max_size=2).map(tuple)),
    st.builds(Appended),
    built(Receipt),
    built(Diff, changes=st.lists(built(Change, finding=FINDINGS), max_size=2).map(tuple)),
    built(FindingDetail, finding=FINDINGS, supersedes=st.just(()), superseded_by=st.none() | FINDINGS),
    built(UsageReport, totals=st.lists(TOTALS, max_size=2).map(tuple), today=USAGES, reserved=USAGES, cap=CAPS),
]


def same(left: Any, right: Any) -> bool:
    """Equal, once findings of a snapshot with the same time and id are taken in any order."""
    if isinstance(left, Snapshot):
        key = repr
        heads = replace(left, findings=()) == replace(right, findings=())
        return heads and sorted(map(key, left.findings)) == sorted(map(key, right.findings))
    return left == right


@settings(max_examples=150)
@given(st.one_of(VALUES))
def test_what_was_encoded_is_decoded(value: Any) -> None:
    text = json.dumps(encode(value), allow_nan=False)
    assert same(decode(type(value), json.loads(text)), value)


@given(built(Session, created_at=TIMES))
def test_times_travel_as_rfc_3339_and_a_session_counts_its_turns(session: Session) -> None:
    shown = encode(session)
    assert shown["created_at"] == rfc3339(session.created_at)
    assert shown["expires_at"] == (None if session.expires_at is None else rfc3339(session.expires_at))
    assert shown["turn_count"] == session.version


@given(SNAPSHOTS)
def test_a_snapshot_travels_by_kinds(snapshot: Snapshot) -> None:
    shown = encode(snapshot)
    assert "findings" not in shown
    assert [len(shown[name]) for name in ("decisions", "facts", "tasks")] == [
        len(snapshot.of(kind)) for kind in ("decision", "fact", "task")
    ]


@pytest.mark.parametrize("money", ["0", "0.000000001", "1E-9", "1E+3", "123456789.123456789"])
def test_money_travels_as_plain_digits(money: str) -> None:
    shown = encode(Cap(money=Decimal(money)))
    assert "E" not in shown["money"]
    assert Decimal(shown["money"]) == Decimal(money)


BODIES = st.sampled_from(
    [
        '"hi"',
        '[{"z":1.0,"a":1e2,"n":12345678901234567890123}]',
        '[ {"a" : 1} , "\\ud800" ]',
        '"\\u00e9é"',
        '[{"a":1,"a":2}]',
    ]
)
TURNS = st.builds(
    Turn,
    seq=st.integers(1, 2**40),
    id=st.just("t_0123456789"),
    body=BODIES.map(Json),
    received_at=TIMES,
    created_at=TIMES,
    tokens=COUNTS,
    name=st.none() | st.sampled_from(["grep", 'a "quoted" name', "naïve"]),
    call_id=st.none() | st.just("call-1"),
    metadata=st.none() | st.just(Json('{"b":1.50,"a":[]}')),
    idempotency_key=st.none() | st.just("key ü"),
)


@given(TURNS)
def test_a_turn_travels_with_its_content_byte_for_byte(turn: Turn) -> None:
    text = turn_text(turn)
    assert f'"content":{turn.body},' in text
    assert turn.metadata is None or f'"metadata":{turn.metadata}' in text
    assert encode(turn) == json.loads(text)
    back = decode(Turn, json.loads(text))
    assert back.content == turn.content
    assert replace(back, body=turn.body, metadata=turn.metadata) == turn
    kept = turn_of({**json.loads(text), "content": turn.body, "metadata": turn.metadata})
    assert kept == turn


SESSION = encode(Session("a", "s", None, 1, 0, 0, 1, "idle"))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Session, []),
        (Session, {}),
        (Session, {**SESSION, "version": "1"}),
        (Session, {**SESSION, "created_at": 7}),
        (Session, {**SESSION, "created_at": "soon"}),
        (Session, {**SESSION, "status": "gone"}),
        (Session, {**SESSION, "metadata": []}),
        (Session, {**SESSION, "updated_at": None}),
        (Turn, {}),
        (Turn, {"seq": 1}),
        (Turn, None),
        (Snapshot, {"version": 1}),
        (Cap, {"money": "much"}),
        (Diff, {"session_id": "s", "a": 1, "b": 2, "changes": 3}),
    ],
)
def test_what_does_not_fit_is_invalid(kind: type[Any], data: Any) -> None:
    with pytest.raises(Invalid):
        decode(kind, data)


def test_members_of_a_later_version_are_passed_over() -> None:
    assert decode(Session, {**SESSION, "mood": "good"}) == Session("a", "s", None, 1, 0, 0, 1, "idle")
