"""Whose word counts: the precedence of layers field by field, what is refused, and what gives way."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carryover.core.errors import Invalid
from carryover.core.strategy import FIELDS, NONE, PLACEHOLDER, Layer, Reach, Strategy, settled
from carryover.strategies.fields import RULES, TOKENS, TURNS
from carryover.strategies.resolve import checked, gave_way, refuse_contradictions, resolve

LAYERS: tuple[Layer, ...] = ("request", "conversation", "agent")
MARKS = {
    "max_user_turns", "keep_last_turns", "compact_trigger_turns", "compact_keep", "token_budget", "token_soft_budget",
}  # fmt: skip


def value_of(name: str) -> st.SearchStrategy[Any]:
    rule = RULES[name]
    if name == "placeholder":
        return st.sampled_from(["[cleared]", "{what} of {name}", PLACEHOLDER])
    if "enum" in rule:
        return st.sampled_from(rule["enum"])
    if rule["type"] == "integer":
        return st.integers(rule["minimum"], rule["maximum"]) | st.integers(rule["minimum"], rule["minimum"] + 50)
    if rule["type"] == "number":
        return st.floats(0, 1)
    if rule["type"] == "boolean":
        return st.booleans()
    if rule["type"] == "array":
        return st.lists(st.text("abc", min_size=1), max_size=3)
    return st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40)


def layers(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """What one layer may say: each field, None (which says nothing), or nothing at all."""
    return st.fixed_dictionaries({}, optional={name: st.none() | value_of(name) for name in names or FIELDS})


def agreeing(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without those that contradict others of the same layer."""
    for low in ("keep_last_turns", "compact_keep", "token_soft_budget", "token_budget", "reserve_tokens"):
        try:
            checked(fields)
        except Invalid as refusal:
            if refusal.facts["field"] == low:
                fields = {name: value for name, value in fields.items() if name != low}
    return fields


said = layers().map(agreeing)


def test_every_field_of_a_strategy_has_a_rule_that_its_default_keeps() -> None:
    assert tuple(RULES) == FIELDS
    defaults = {name: value for name, value in asdict(NONE).items() if value is not None}
    assert checked(defaults) == json.loads(json.dumps(defaults))
    assert RULES["injection_reach"]["enum"] == list(get_args(Reach))


@given(said, said, said)
def test_each_field_is_that_of_the_strongest_layer_that_says_it(
    request: dict[str, Any], conversation: dict[str, Any], agent: dict[str, Any]
) -> None:
    strategy, sources = resolve(request, conversation, agent)
    given_in_order = dict(zip(LAYERS, (request, conversation, agent), strict=True))
    for name in set(FIELDS) - MARKS:
        layer = next((one for one in LAYERS if given_in_order[one].get(name) is not None), "default")
        assert sources[name] == layer, name
        value = getattr(NONE, name) if layer == "default" else given_in_order[layer][name]
        assert getattr(strategy, name) == (tuple(value) if isinstance(value, list) else value), name
    assert set(sources) == set(FIELDS)
    assert settled(strategy) == strategy


@given(said, said, said)
@example({"keep_last_turns": 9}, {"max_user_turns": 3}, {})
@example({"token_soft_budget": 9}, {}, {"token_budget": 3})
@example({}, {"compact_keep": 9}, {"compact_trigger_turns": 3})
def test_marks_are_that_of_the_strongest_layer_unless_they_gave_way(
    request: dict[str, Any], conversation: dict[str, Any], agent: dict[str, Any]
) -> None:
    strategy, sources = resolve(request, conversation, agent)
    told = gave_way(request, conversation, agent)
    for name in MARKS:
        layer = next((one for one in LAYERS if dict(zip(LAYERS, (request, conversation, agent), strict=True))[one]
                      .get(name) is not None), None)  # fmt: skip
        gone = [line for line in told if line.startswith(f"{name} ")]
        if layer is None:
            assert sources[name] == "default"
        elif gone:
            assert sources[name] == "default"
            assert f"(said by the {layer})" in gone[0]
        else:
            assert sources[name] == layer
            value = {"request": request, "conversation": conversation, "agent": agent}[layer][name]
            kept_all = name == "keep_last_turns" and value == 0
            assert getattr(strategy, name) == (strategy.max_user_turns if kept_all else value), name
    if strategy.keep_last_turns is not None and strategy.max_user_turns is not None:
        assert strategy.keep_last_turns <= strategy.max_user_turns
    assert strategy.compact_keep <= strategy.compact_trigger_turns
    if strategy.token_budget is not None and strategy.token_soft_budget is not None:
        assert strategy.token_soft_budget <= strategy.token_budget


@given(said, said, said)
def test_resolving_changes_nothing_that_is_stored(
    request: dict[str, Any], conversation: dict[str, Any], agent: dict[str, Any]
) -> None:
    before = json.dumps([request, conversation, agent])
    resolve(request, conversation, agent)
    assert json.dumps([request, conversation, agent]) == before


@given(said, said, st.sampled_from(FIELDS))
def test_a_field_that_is_cleared_is_as_one_that_was_never_said(
    conversation: dict[str, Any], agent: dict[str, Any], name: str
) -> None:
    without = {one: value for one, value in conversation.items() if one != name}
    assert resolve({}, {**conversation, name: None}, agent) == resolve({}, without, agent)
    assert resolve({name: None}, conversation, agent) == resolve({}, conversation, agent)


@given(st.dictionaries(st.sampled_from(FIELDS), st.none()))
def test_nobody_says_anything(nothing: dict[str, Any]) -> None:
    assert resolve(nothing, {}, nothing) == (NONE, dict.fromkeys(FIELDS, "default"))
    assert gave_way(nothing, {}, nothing) == ()


def test_none_is_a_mode_and_stops_inheritance() -> None:
    strategy, sources = resolve({}, {"mode": "none"}, {"mode": "trim", "max_user_turns": 9})
    assert (strategy.mode, sources["mode"], strategy.max_user_turns) == ("none", "conversation", 9)


def test_the_mode_brings_its_own_defaults() -> None:
    for mode, marks in (("none", (None, None)), ("trim", (40, 20)), ("summarize", (40, 10)), ("compact", (None, None))):
        strategy, sources = resolve({"mode": mode}, {}, {})
        assert (strategy.max_user_turns, strategy.keep_last_turns) == marks
        assert (sources["max_user_turns"], sources["keep_last_turns"]) == ("default", "default")


KEEP, TRIGGER = NONE.compact_keep, NONE.compact_trigger_turns


@pytest.mark.parametrize(
    ("said_there", "keep", "trigger"),
    [
        ({"compact_keep": TRIGGER + 10}, TRIGGER + 10, 2 * TRIGGER + 20),
        ({"compact_keep": TRIGGER}, TRIGGER, 2 * TRIGGER),
        ({"compact_keep": TRIGGER - 1}, TRIGGER - 1, TRIGGER),
        ({"compact_trigger_turns": KEEP}, KEEP // 2, KEEP),
        ({"compact_trigger_turns": 1}, 0, 1),
        ({"compact_trigger_turns": KEEP + 1}, KEEP, KEEP + 1),
        ({"compact_trigger_turns": 3, "compact_keep": 3}, 3, 3),
    ],
)
def test_a_mark_that_nobody_said_follows_the_other(said_there: dict[str, int], keep: int, trigger: int) -> None:
    for layer in ({"request": said_there}, {"conversation": said_there}, {"agent": said_there}):
        given_ = [layer.get(name, {}) for name in LAYERS]
        strategy = resolve(given_[0], given_[1], given_[2])[0]
        assert (strategy.compact_keep, strategy.compact_trigger_turns) == (keep, trigger)
        assert gave_way(given_[0], given_[1], given_[2]) == ()


def test_what_gave_way_is_told_with_who_said_it() -> None:
    stored = {"keep_last_turns": 30}, {"max_user_turns": 20}
    strategy, sources = resolve({}, *stored)
    assert (strategy.keep_last_turns, sources["keep_last_turns"], sources["max_user_turns"]) == (10, "default", "agent")
    assert gave_way({}, *stored) == (
        "keep_last_turns 30 (said by the conversation) is above max_user_turns 20 (said by the agent), so that 10 is "
        "used; lower the one, or raise the other",
    )
    soft = {"token_soft_budget": 500}, {"token_budget": 100}
    assert resolve({}, *soft)[0].token_soft_budget is None
    assert "so that token_budget alone counts" in gave_way({}, *soft)[0]


def test_what_a_later_version_stored_is_passed_over() -> None:
    assert resolve({}, {"mode": "trim", "of_tomorrow": {"x": 1}}, {"soon": 1})[0].mode == "trim"


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"mdoe": "trim"}, "mode"),
        ({"keep_last_user_turns": 3}, "keep_last_turns"),
        ({"compact_clear_tool_inputs": True}, "clear_tool_inputs"),
        ({"Mode": "trim"}, "mode"),
        ({"mode": "trim", "__class__": 1}, None),
        ({"x" * 1_000_000: 1}, None),
        ({"": 1}, None),
        ({7: 1}, None),
        ({"mdoe": None}, "mode"),
    ],
)
def test_an_unknown_name_is_refused_and_the_nearest_known_one_named(fields: Any, near: str | None) -> None:
    with pytest.raises(Invalid, match="is no field of a strategy") as refusal:
        checked(fields)
    (wrong,) = set(fields) - {"mode"}
    assert refusal.value.facts["field"] == str(wrong)[:64]
    assert len(refusal.value.message) < 200
    named = refusal.value.message.partition("; the nearest known one is ")[2].strip("'")
    assert named in (FIELDS if near is None else (near,))


WRONG: list[tuple[str, Any]] = [
    ("mode", "trm"), ("mode", ""), ("mode", 1), ("mode", True), ("mode", ["trim"]), ("mode", {"mode": "trim"}),
    ("mode", "TRIM"), ("mode", "x" * 1_000_000), ("mode", "\ud800"),
    ("max_user_turns", 0), ("max_user_turns", -1), ("max_user_turns", TURNS + 1), ("max_user_turns", 10**5000),
    ("max_user_turns", True), ("max_user_turns", 1.0), ("max_user_turns", "3"), ("max_user_turns", [3]),
    ("max_user_turns", {}), ("max_user_turns", math.nan), ("max_user_turns", math.inf),
    ("keep_last_turns", -1), ("keep_last_turns", False), ("token_budget", 0), ("token_budget", TOKENS + 1),
    ("token_soft_budget", 0.5), ("reserve_tokens", -1), ("context_window_tokens", 0),
    ("token_remaining_pct", -0.1), ("token_remaining_pct", 1.1), ("token_remaining_pct", 20),
    ("token_remaining_pct", math.nan), ("token_remaining_pct", math.inf), ("token_remaining_pct", -math.inf),
    ("token_remaining_pct", True), ("token_remaining_pct", "0.2"), ("token_keep_pct", 10**400),
    ("keep_last_calls", -1), ("compact_trigger_turns", 0), ("compact_trigger_calls", 0), ("compact_keep", -2),
    ("compact_exclude_tools", "read"), ("compact_exclude_tools", [1]), ("compact_exclude_tools", [""]),
    ("compact_exclude_tools", ["x" * 201]), ("compact_exclude_tools", ["x"] * 201), ("compact_exclude_tools", [None]),
    ("compact_exclude_tools", {"a": 1}), ("compact_include_tools", [["a"]]), ("compact_include_tools", ["a\x00"]),
    ("clear_tool_inputs", 1), ("clear_tool_inputs", "true"), ("clear_tool_inputs", []),
    ("clear_at_least_tokens", -1), ("placeholder", ""), ("placeholder", "x" * 501), ("placeholder", 3),
    ("placeholder", "{who}"), ("placeholder", "{}"), ("placeholder", "{0}"), ("placeholder", "{what.__class__}"),
    ("placeholder", "{what[0]}"), ("placeholder", "{name:>999999999}"), ("placeholder", "{name:{what}}"),
    ("placeholder", "{name!r}"), ("placeholder", "{what"), ("placeholder", "what}"), ("placeholder", "{{{what"),
    ("placeholder", "\ud800"), ("placeholder", "a\x00b"), ("summarizer_model", ""), ("summarizer_model", "m" * 201),
    ("summary_prefix", ""), ("summary_prefix", object()), ("summary_max_tokens", 0),
    ("summary_max_chars", 0), ("summary_rebase_every", -1), ("cache_ttl_s", 0), ("cache_ttl_s", 10**9),
    ("memory_injection", "yes"), ("memory_injection", 0), ("injection_reach", "tenant"), ("injection_reach", ()),
    ("injection_max_tokens", 0), ("injection_max_age_days", 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda value: str(type(value).__name__))
def test_a_value_that_cannot_be_is_refused_with_its_field_and_a_remedy(name: str, value: Any) -> None:
    for fields in ({name: value}, {"summary_max_tokens": 5, name: value}):
        with pytest.raises(Invalid) as refusal:
            checked(fields)
        assert refusal.value.facts["field"] == name
        assert refusal.value.message.startswith(name)
        assert "; use " in refusal.value.message
        assert len(refusal.value.message.encode("utf-8", "replace")) < 400


def test_the_nearest_mode_is_named() -> None:
    with pytest.raises(Invalid, match=r"use one of none, trim, summarize, compact \(the nearest one is 'summarize'\)"):
        checked({"mode": "sumarise"})


@pytest.mark.parametrize("fields", [None, [], "trim", 3, [("mode", "trim")]])
def test_what_is_no_object_is_refused(fields: Any) -> None:
    with pytest.raises(Invalid, match="is an object of fields"):
        checked(fields)


def test_values_are_kept_as_json_has_them() -> None:
    given_ = {"token_keep_pct": 1, "compact_exclude_tools": ("a", "b"), "mode": None, "clear_tool_inputs": False}
    kept = checked(given_)
    assert kept == {
        "token_keep_pct": 1.0,
        "compact_exclude_tools": ["a", "b"],
        "mode": None,
        "clear_tool_inputs": False,
    }
    assert type(kept["token_keep_pct"]) is float
    assert resolve(given_, {}, {})[0].compact_exclude_tools == ("a", "b")


@given(value_of("placeholder") | st.text("{}whatnmec_lid:!. ", max_size=12))
def test_a_placeholder_that_is_taken_can_be_filled(text: str) -> None:
    try:
        checked({"placeholder": text})
    except Invalid:
        return
    assert len(text.format(what="output", name="n", call_id="c")) < 600


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("keep_last_turns", "max_user_turns"),
        ("compact_keep", "compact_trigger_turns"),
        ("token_soft_budget", "token_budget"),
        ("token_budget", "context_window_tokens"),
        ("reserve_tokens", "token_budget"),
    ],
)
def test_one_layer_may_not_contradict_itself(low: str, high: str) -> None:
    for refuse in (checked, lambda fields: resolve(fields, {}, {})):
        with pytest.raises(Invalid) as refusal:
            refuse({low: 31, high: 30})
        assert refusal.value.facts["field"] == low
        assert refusal.value.message == f"{low} is 31 and {high} is 30; lower {low}, or raise {high}"
    assert checked({low: 30, high: 30})
    assert isinstance(resolve({}, {low: 31, high: 30}, {})[0], Strategy)  # what is stored makes a strategy
    assert isinstance(resolve({low: 31}, {}, {high: 30})[0], Strategy)


def test_a_contradiction_in_what_is_stored_is_no_business_of_who_sets_something_else() -> None:
    stored = {"keep_last_turns": 31, "max_user_turns": 30}
    refuse_contradictions({**stored, "mode": "trim"}, {"mode": "trim"})
    refuse_contradictions({**stored}, {"keep_last_turns": None})
    with pytest.raises(Invalid):
        refuse_contradictions(stored, {"max_user_turns": 30})


def test_the_hash_is_that_of_what_counts() -> None:
    one = resolve({"mode": "trim"}, {}, {})[0]
    other = resolve({}, {"mode": "trim", "max_user_turns": 40}, {"keep_last_turns": 20})[0]
    assert one.hash == other.hash
    assert one.hash != replace(one, keep_last_turns=19).hash
