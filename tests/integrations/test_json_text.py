"""JSON that a person keeps is edited where it has to be, and nowhere else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.integrations import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
STYLES = st.sampled_from(
    [{"indent": 2}, {"indent": "\t"}, {"indent": 4, "sort_keys": True}, {}, {"separators": (",", ":")}]
)


def test_a_member_is_added_in_the_manner_of_its_neighbours() -> None:
    text = '{\n    "b": 1,\n    "a": [\n        1\n    ]\n}\n'
    root = json_text.parsed(text)
    assert json_text.added(text, root, {"x": 1}, "new") == (
        '{\n    "b": 1,\n    "a": [\n        1\n    ],\n    "new": {\n        "x": 1\n    }\n}\n'
    )
    inner = root.child("a")
    assert inner is not None
    assert json_text.added(text, inner, 2) == '{\n    "b": 1,\n    "a": [\n        1,\n        2\n    ]\n}\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', '{"a": 1, "new": [2]}'),
        ("{}", '{\n  "new": [\n    2\n  ]\n}'),
        ('{ "a": 1 }\n', '{ "a": 1, "new": [2] }\n'),
        ('{\r\n\t"a": 1\r\n}\r\n', '{\r\n\t"a": 1,\r\n\t"new": [\r\n\t\t2\r\n\t]\r\n}\r\n'),
    ],
)
def test_line_ends_and_indentation_stay_what_they_are(text: str, expected: str) -> None:
    assert json_text.added(text, json_text.parsed(text), [2], "new") == expected


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), VALUES, STYLES)
def test_what_is_added_is_there_and_cut_again_leaves_what_was(
    data: dict[str, object], value: object, style: dict[str, object]
) -> None:
    text = json.dumps(data, **style)  # type: ignore[arg-type]
    more = json_text.added(text, json_text.parsed(text), value, "\x00new")
    assert json.loads(more) == {**data, "\x00new": value}
    root = json_text.parsed(more)
    less = json_text.cut(more, root, len(root.children) - 1)
    assert json.loads(less) == data
    assert less == text or not data


@given(st.lists(VALUES, min_size=1, max_size=5), st.data(), STYLES)
def test_any_child_can_be_cut(data: list[object], draw: st.DataObject, style: dict[str, object]) -> None:
    at = draw.draw(st.integers(0, len(data) - 1))
    text = json.dumps(data, **style)  # type: ignore[arg-type]
    assert json.loads(json_text.cut(text, json_text.parsed(text), at)) == data[:at] + data[at + 1 :]


@pytest.mark.parametrize("text", ["", "{", '{"a": 1,}', "// no\n{}", "\ufeff{}", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.parsed(text)


def test_of_equal_names_the_last_one_counts() -> None:
    child = json_text.parsed('{"a": 1, "a": {"b": 2}}').child("a")
    assert child is not None
    assert child.data == {"b": 2}
