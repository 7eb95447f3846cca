"""The schema check agrees with a full implementation of JSON Schema on the keywords that it knows."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.core.errors import Invalid
from carryover.providers.schema import check, fault

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 0.5, 1.0]) | st.text("ab1", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])


def grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "minLength": st.integers(0, 3),
            "maxLength": st.integers(0, 3),
            "pattern": st.sampled_from(["^a", "1", "b$"]),
            "minimum": st.integers(-3, 3),
            "maximum": st.integers(-3, 3),
            "minItems": st.integers(0, 3),
            "maxItems": st.integers(0, 3),
            "items": inner,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "title": st.just("a title"),
        },
    )


REFERENCE = st.just({"$ref": "#/$defs/shared"})
SCHEMAS = st.recursive(grown(REFERENCE), grown, max_leaves=4)


@settings(max_examples=200, deadline=None)
@given(schema=SCHEMAS, shared=grown(st.just({})), value=VALUES)
def test_agrees_with_json_schema(schema: dict[str, Any], shared: dict[str, Any], value: Any) -> None:
    whole = {**schema, "$defs": {"shared": shared}}
    check(whole)
    assert (fault(value, whole) is None) == jsonschema_rs.is_valid(whole, value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "$.facts is missing"),
        ({"facts": 1}, "$.facts is not of type array"),
        ({"facts": [{"text": "x"}, {"text": 2}]}, "$.facts[1].text is not of type string"),
        ({"facts": [], "more": 1}, "$.more is unknown"),
        ({"facts": [{"text": ""}]}, "$.facts[0].text is below minLength 1"),
        ({"facts": [{"text": "x"}]}, None),
    ],
)
def test_says_what_is_wrong_and_where(value: Any, said: str | None) -> None:
    fact = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1}}, "required": ["text"]}
    schema = {
        "type": "object",
        "properties": {"facts": {"type": "array", "items": fact}},
        "required": ["facts"],
        "additionalProperties": False,
    }
    assert fault(value, schema) == said


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": []},
        {"properties": {"a": {"not": {}}}},
        {"items": {"uniqueItems": True}},
        {"anyOf": [{"multipleOf": 2}]},
        {"$defs": {"a": {"if": {}}}},
        {"additionalProperties": {"dependentRequired": {}}},
    ],
)
def test_refuses_what_it_does_not_check(schema: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="not supported"):
        check(schema)
