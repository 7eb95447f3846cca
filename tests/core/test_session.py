"""Content as JSON: kept as it came, or refused with what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.errors import Invalid
from carryover.core.session import Json, Turn, genuine, to_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_a_value_is_read_as_it_was_given(value: Any) -> None:
    text = to_json(value)
    assert json.loads(text) == value
    assert text.encode()


def test_json_text_stays_as_it_is() -> None:
    text = Json('{"b": 1.0, "a":1e2,\n"b":2}')
    assert to_json(text) is text


@pytest.mark.parametrize("value", ["\ud800", ["a\udfffb"], {"\ud800": 1}])
def test_a_lone_surrogate_is_kept_as_its_escape(value: Any) -> None:
    text = to_json(value)
    assert text.isascii()
    assert json.loads(text) == value


def test_nul_and_huge_integers_survive() -> None:
    value = ["a\x00b", 10**300, -(10**40)]
    assert json.loads(to_json(value)) == value


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], {"a": -float("inf")}, {1, 2}, b"bytes", [object], {(1, 2): 3}, [10**5000]]
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(Invalid, match="cannot be said in JSON") as refusal:
        to_json(value, "turns[0].content")
    assert refusal.value.facts["field"] == "turns[0].content"


def test_endless_nesting_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Invalid):
        to_json(value)
    deep: Any = 0
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Invalid, match="nested too deeply"):
        to_json(deep)


def test_a_turn_reads_its_body() -> None:
    turn = Turn(1, "t_1", "user", Json('[{"type":"text","text":"hi"}]'), "message", 0, 1, 0)
    assert turn.content == [{"type": "text", "text": "hi"}]
    assert turn.text == "hi"


def test_what_carryover_put_there_is_told_from_what_was_said() -> None:
    def turn(seq: int, metadata: str | None) -> Turn:
        return Turn(seq, f"t_{seq}", "user", Json('"hi"'), "message", 0, 1, 0, metadata=metadata and Json(metadata))

    said = [turn(1, None), turn(2, '{"note":"injected"}'), turn(4, '{"note":{"injected":"by hand"}}')]
    ours = turn(3, '{"run":"r_1","injected":"persona"}')
    assert [one.is_injected for one in said] == [False, False, False]
    assert ours.is_injected
    assert genuine([*said, ours]) == said
    assert genuine([*said, ours], taken=[(1, 2)]) == said[2:]
