"""The hash chain: whatever is done to a turn, or to the order of turns, gives another chain."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from carryover.core import chain

TURN: dict[str, Any] = {
    "agent": "planner",
    "session": "s1",
    "seq": 1,
    "id": "t_1",
    "role": "user",
    "kind": "message",
    "name": None,
    "call_id": None,
    "created_at": 1,
    "received_at": 1,
    "tokens": 1,
    "metadata": None,
    "idempotency_key": None,
    "body": '"hello"',
}
TEXTS = ("id", "role", "kind", "name", "call_id", "metadata", "idempotency_key", "body")
any_text = st.text(st.characters(codec=None), max_size=5)
turns = st.fixed_dictionaries(
    {
        **{name: st.just(TURN[name]) for name in ("agent", "session")},
        **{name: st.integers(-9, 99) for name in ("seq", "created_at", "received_at", "tokens")},
        **dict.fromkeys(("id", "role", "kind", "body"), any_text),
        **{name: st.none() | any_text for name in ("name", "call_id", "metadata", "idempotency_key")},
    }
)


@given(turns, turns)
def test_two_turns_that_differ_have_different_leaves(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(one != other)
    assert chain._told(one) != chain._told(other)
    assert chain.leaf(bytes(16), one) != chain.leaf(bytes(16), other)


@pytest.mark.parametrize("name", TEXTS)
def test_what_moves_from_one_member_to_the_next_shows(name: str) -> None:
    # "ab" + "c" and "a" + "bc" are the same bytes end to end.
    after = TEXTS[(TEXTS.index(name) + 1) % len(TEXTS)]
    one, other = {**TURN, name: "ab", after: "c"}, {**TURN, name: "a", after: "bc"}
    assert chain.leaf(bytes(16), one) != chain.leaf(bytes(16), other)
    if TURN[name] is None:
        assert chain.leaf(bytes(16), TURN) != chain.leaf(bytes(16), {**TURN, name: ""})


def test_a_leaf_without_its_salt_says_nothing() -> None:
    one, other = chain.linked([TURN], None)[0], chain.linked([TURN], None)[0]
    assert len(one["salt"]) == len(other["salt"]) == chain.SALT_BYTES
    assert one["salt"] != other["salt"]
    assert one["chain"] != other["chain"]


@given(st.integers(1, 6), st.integers(0, 5))
def test_a_batch_is_linked_as_one_turn_after_the_other(count: int, cut: int) -> None:
    rows = [{**TURN, "seq": n} for n in range(count)]
    made = chain.linked(rows, None)
    end = made[-1]["chain"]
    at = None
    for row in made:
        at = chain.link(at, chain.leaf(row["salt"], row))
        assert row["chain"] == at
    assert end == at
    assert chain.linked([], end) == []
    whole = [chain.leaf(row["salt"], row) for row in made]
    del whole[cut % count]
    at = None
    for one in whole:
        at = chain.link(at, one)
    assert at != end
