"""Thinning takes what its tables say, line by line, and leaves all else byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.coding.logs.thin import takes, thinned
from carryover.core.budget import TIERS, Tier

LONG = "word " * 2000
PROGRESS = {
    "type": "progress",
    "uuid": "u1",
    "data": {"message": {"content": LONG}},
    "timestamp": "2026-01-01T00:00:00Z",
}
RESULT = {
    "type": "user",
    "message": {
        "content": [{"type": "tool_result", "tool_use_id": "t1", "content": LONG}, {"type": "text", "text": LONG}]
    },
    "toolUseResult": {"stdout": LONG},
}
SAID = {"type": "assistant", "message": {"content": [{"type": "text", "text": LONG}]}, "n": 1.50}
CODEX = [
    {"type": "compacted", "payload": {"message": "m", "replacement_history": [{"text": LONG}]}},
    {"type": "response_item", "payload": {"type": "function_call_output", "call_id": "c", "output": LONG}},
    {"type": "response_item", "payload": {"type": "function_call_output", "output": json.dumps({"output": LONG})}},
    {"type": "event_msg", "payload": {"type": "user_message", "message": LONG}},
]


def lines(*records: Any) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def read(plain: bytes) -> list[Any]:
    return [json.loads(line) for line in plain.splitlines()]


def test_progress_keeps_its_place_and_its_name() -> None:
    plain = lines(SAID, PROGRESS, RESULT)
    found = read(thinned(plain, "claude-code", "progress"))
    assert (found[0], found[2]) == (SAID, RESULT)
    taken = found[1].pop("data")
    assert found[1] == {name: value for name, value in PROGRESS.items() if name != "data"}
    assert taken["taken"] == len(json.dumps(PROGRESS["data"]))


def test_a_record_that_only_speaks_of_progress_stays() -> None:
    said = lines({"type": "user", "message": {"content": 'it says "type":"progress" ' + LONG}})
    raw = said.replace(b'\\"type\\"', b'\\"type\\"')
    assert thinned(raw, "claude-code", "progress") == raw


def test_duplicates_and_outputs_go_one_after_the_other() -> None:
    plain = lines(SAID, RESULT)
    first, second = thinned(plain, "claude-code", "duplicates"), thinned(plain, "claude-code", "outputs")
    assert first.startswith(lines(SAID))
    [_, found] = read(first)
    assert found["toolUseResult"]["taken"] == len(json.dumps(RESULT["toolUseResult"]))
    assert found["message"] == RESULT["message"]
    [_, found] = read(second)
    output, text = found["message"]["content"]
    assert text["text"] == LONG
    assert output["content"].startswith("word word")
    assert output["content"].endswith("word ")
    assert f"{len(LONG) - 2000} characters taken" in output["content"]
    assert thinned(first, "claude-code", "outputs") == second


def test_codex_keeps_what_was_said() -> None:
    found = read(thinned(lines(*CODEX), "codex", "outputs"))
    assert found[0]["payload"]["message"] == "m"
    assert "taken" in found[0]["payload"]["replacement_history"]
    assert all(len(record["payload"]["output"]) < 2200 for record in found[1:3])
    assert found[3] == CODEX[3]


def test_a_flavor_without_a_table_loses_nothing() -> None:
    plain = lines(SAID, PROGRESS, RESULT)
    assert thinned(plain, "cursor", "outputs") == plain
    assert not any(takes("cursor", tier) for tier in TIERS)
    assert takes("claude-code", "progress")


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"progress","uuid":' + b"x" * 400,
        b'{"toolUseResult":"' + b"\xff" * 300 + b'"} torn',
        b'{"type":"progress","a":"' + b"a" * 300 + b'"}{"type":"progress"}',
        b"[" * 5000,
        b'{"message":{"content":"' + b"a" * 9000 + b'"}}',
        b'{"message":{"content":[{"content":5},{"content":null},7,"' + b"a" * 9000 + b'"]}}',
    ],
)
def test_what_is_no_record_or_built_otherwise_stays(line: bytes) -> None:
    assert thinned(line, "claude-code", "outputs") == line


@given(
    st.lists(st.binary(max_size=400), max_size=9),
    st.sampled_from(["claude-code", "codex", "grok", ""]),
    st.sampled_from(TIERS),
)
def test_there_are_as_many_lines_as_before_and_once_is_enough(rows: list[bytes], flavor: str, tier: Tier) -> None:
    plain = b"\n".join(rows) + lines(PROGRESS, RESULT, *CODEX)
    less = thinned(plain, flavor, tier)
    assert less.count(b"\n") == plain.count(b"\n")
    assert thinned(less, flavor, tier) == less
