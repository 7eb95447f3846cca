"""No bytes make an adapter fail, and none of them costs a good line that follows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.coding.adapters import claude
from carryover.coding.adapters.base import Adapter, Reading
from carryover.coding.logs.reading import read
from carryover.core.ids import is_id
from carryover.core.session import to_json
from carryover.core.step import draft_of
from golden_logs import Golden, goldens

GROWING = goldens("lines")
LINES = {str(golden): golden.log.read_bytes().splitlines() for golden in GROWING}
NAMES = ["type", "id", "uuid", "message", "content", "text", "sessionId", "timestamp", "input", "usage", "role", "name"]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["2026-03-01T10:00:00Z", "tool_use", "user", "\ud83d", "a" * 70_000, "<command-name>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)


def read_bytes(adapter: Adapter, path: Path, data: bytes) -> Reading:
    """What is read of these bytes, once it is known to be what may be stored."""
    reading, end = read(adapter, path, io.BytesIO(data))
    assert 0 <= end <= len(data)
    json.dumps(reading.state).encode()
    for session, part in reading.parts.items():
        assert is_id(session)
        for step in part.steps:
            draft = draft_of(step)
            to_json(draft.content, "content").encode("utf-8")
            assert 0 <= step.start <= len(data)
        for spend in part.spends:
            numbers = (spend.input, spend.cache_read, spend.cache_write, spend.output, spend.reasoning, spend.cost or 0)
            assert all(isinstance(number, int) and 0 <= number < 2**62 for number in numbers)
    return reading


def swapped(value: Any, place: Iterator[int], new: Any) -> Any:
    """The value with another one at the place where the count comes to 0."""
    if next(place) == 0:
        return new
    if isinstance(value, dict):
        return {name: swapped(inner, place, new) for name, inner in value.items()}
    if isinstance(value, list):
        return [swapped(inner, place, new) for inner in value]
    return value


def size(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(size, inner))


every_growing = pytest.mark.parametrize("golden", GROWING, ids=str)


@every_growing
@settings(max_examples=40)
@given(data=st.binary(max_size=300) | st.lists(anything, max_size=4).map(lambda all: b"\n".join(map(dumped, all))))
def test_any_bytes_are_read(golden: Golden, data: bytes) -> None:
    read_bytes(golden.adapter, golden.log, data)


@every_growing
@settings(max_examples=60)
@given(data=st.data())
def test_records_with_anything_in_them_are_read(golden: Golden, data: st.DataObject) -> None:
    lines = list(LINES[str(golden)])
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        at = data.draw(st.integers(0, len(lines) - 1), "line")
        try:
            record = json.loads(lines[at])
        except ValueError:
            continue
        place = data.draw(st.integers(1, size(record)), "place")
        lines[at] = dumped(swapped(record, iter(range(place, -(2**30), -1)), data.draw(anything, "new")))
    read_bytes(golden.adapter, golden.log, b"\n".join(lines))


@every_growing
@settings(max_examples=40)
@given(data=st.data())
def test_damaged_lines_are_read(golden: Golden, data: st.DataObject) -> None:
    whole = b"\n".join(LINES[str(golden)])
    for _ in range(data.draw(st.integers(1, 3), "cuts")):
        start = data.draw(st.integers(0, len(whole)), "start")
        length = data.draw(st.integers(0, 40), "length")
        whole = whole[:start] + data.draw(st.binary(max_size=3), "instead") + whole[start + length :]
    read_bytes(golden.adapter, golden.log, whole)


@settings(max_examples=150)
@given(data=st.data())
def test_a_good_line_is_read_whatever_stands_before_it(data: st.DataObject) -> None:
    lines = [line for name, lines in LINES.items() if name.startswith("claude-code/") for line in lines]
    before = data.draw(st.sampled_from(lines), "line")
    cut = before[: data.draw(st.integers(0, len(before)), "cut")] + data.draw(st.binary(max_size=5), "behind")
    good = {
        "type": "user",
        "uuid": "good",
        "sessionId": "good",
        "message": {"role": "user", "content": "the good line"},
    }
    reading = read_bytes(claude, Path("log.jsonl"), cut.replace(b"\n", b" ") + b"\n" + dumped(good) + b"\n")
    assert "the good line" in {step.text for step in reading.parts["good"].steps}


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
