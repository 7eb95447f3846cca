from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carryover.coding.adapters import jsonl
from carryover.coding.adapters.base import Reading
from carryover.coding.adapters.catalog import adapter_for
from golden_logs import read_whole

USER = {"role": "user", "content": "hello"}


def head(*records: Any) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def read(path: Path, *records: Any) -> Reading:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head(*records))
    assert adapter_for(path.read_bytes(), path) is jsonl
    return read_whole(jsonl, path)[0]


@pytest.mark.parametrize(
    "records",
    [
        [USER],
        [{"role": "system", "content": "You help."}, USER],
        [USER, {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}],
        [{"role": "assistant", "content": [{"type": "text", "text": "hi"}], "timestamp": 1782900002}],
        [*[USER] * 5, {"type": "something else"}],
    ],
)
def test_messages_with_a_role_and_a_content_are_taken(records: list[Any]) -> None:
    assert adapter_for(head(*records), Path("x.jsonl")) is jsonl


@pytest.mark.parametrize(
    "records",
    [
        [{"type": "message", "role": "user", "text": "hello"}],
        [{"type": "message", "message": {"role": "user", "content": "hello"}}],
        [{"role": "user", "parts": [{"text": "hello"}]}],
        [{"role": "narrator", "content": "once upon a time"}],
        [{"role": ["user"], "content": "hello"}],
        [{"type": "session", "id": "1"}, USER],
        [USER, {"type": "tool_call", "name": "f"}],
        [{"content": "hello"}],
        [["user", "hello"]],
    ],
)
def test_what_does_not_fit_is_left_alone(records: list[Any]) -> None:
    assert adapter_for(head(*records), Path("x.jsonl")) is None


def test_a_first_message_that_is_longer_than_what_is_looked_at_is_taken() -> None:
    assert adapter_for(b'{"role": "user", "content": "' + b"x" * 70_000, Path("x.jsonl")) is jsonl


def test_times_are_rfc_3339_or_seconds_or_milliseconds(tmp_path: Path) -> None:
    times = ["2026-07-01T10:00:02Z", 1782900002, 1782900002.0, 1782900002000, "2026-07-01T12:00:02+02:00"]
    reading = read(
        tmp_path / "a.jsonl", *({**USER, "timestamp": time} for time in times), {**USER, "created_at": "soon"}
    )
    assert [step.at for step in reading.parts["a"].steps] == [1782900002000] * 5 + [None]


def test_a_session_is_named_by_its_records_or_its_file_or_its_folder(tmp_path: Path) -> None:
    (named,) = read(tmp_path / "a" / "run 7.jsonl", USER).parts
    assert named.startswith("run-7-")
    assert list(read(tmp_path / "run-8" / "messages.jsonl", USER).parts) == ["run-8"]
    both = read(tmp_path / "b.jsonl", {**USER, "session_id": "one"}, {**USER, "session_id": "two"})
    assert list(both.parts) == ["one", "two"]


def test_a_result_finds_its_calls_name(tmp_path: Path) -> None:
    called = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
    reading = read(
        tmp_path / "a.jsonl",
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "a.py", "exit_code": 0},
    )
    call, result = reading.parts["a"].steps
    assert (call.tool, call.text, call.input) == ("shell", "bash: ls", {"command": "ls"})
    assert (result.name, result.status, result.exit_code) == ("bash", "ok", 0)


def test_what_is_not_said_is_unknown(tmp_path: Path) -> None:
    answer = {"role": "tool", "content": "done"}
    part = read(tmp_path / "a.jsonl", USER, answer).parts["a"]
    assert [(step.at, step.status) for step in part.steps] == [(None, None), (None, "unknown")]
    assert part.spends == []
