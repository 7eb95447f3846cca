"""JSON taken apart: the pieces are the text that was there, and mean what the standard library says they mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.cli import rawjson

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values), st.none() | st.integers(0, 3), st.booleans())
def test_members_are_those_of_the_object(value: dict[str, object], indent: int | None, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    found = rawjson.members(text)
    assert {name: json.loads(part) for name, part in found.items()} == value
    assert all(part in text for part in found.values())


@given(st.lists(values), st.none() | st.integers(0, 3))
def test_items_are_those_of_the_list(value: list[object], indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert [json.loads(part) for part in rawjson.items(text)] == value


@given(st.text('{}[]":, \\1ae.-nulltrue\n', max_size=20))
def test_they_take_what_the_standard_library_takes(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    for read, kind in ((rawjson.members, dict), (rawjson.items, list)):
        if isinstance(value, kind):
            read(text)
        else:
            with pytest.raises(ValueError, match=r"."):
                read(text)


def test_digits_escapes_and_order_stay() -> None:
    text = '{"b": 1.50, "a" :[1e400,\n"\\ud800"], "b":2}'
    assert rawjson.members(text) == {"b": "2", "a": '[1e400,\n"\\ud800"]'}


@pytest.mark.parametrize("text", ['{"a":NaN}', '{"a":Infinity}', '{"a":' + "[" * 100_000, '{"a":1}x', "{'a':1}"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        rawjson.members(text)
