from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carryover.coding.adapters import copilot
from carryover.coding.adapters.base import Part
from carryover.coding.adapters.catalog import adapter_for
from golden_logs import read_whole


def event(n: int, type: str, **data: Any) -> str:
    said = {"type": type, "data": data, "id": f"e{n}", "timestamp": f"2026-06-01T12:00:{n:02}.000Z", "parentId": None}
    return json.dumps(said) + "\n"


def part(folder: Path, *events: str) -> Part:
    path = folder / "7c1f3f5e" / "events.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(events), "utf-8")
    assert adapter_for(path.read_bytes(), path) is copilot
    (found,) = read_whole(copilot, path)[0].parts.values()
    return found


def test_a_session_without_its_beginning_is_named_after_its_folder(tmp_path: Path) -> None:
    part(tmp_path, event(1, "user.message", content="hello"))
    reading, _ = read_whole(copilot, tmp_path / "7c1f3f5e" / "events.jsonl")
    assert list(reading.parts) == ["7c1f3f5e"]


def test_a_call_is_logged_once_whether_it_is_told_first_when_it_is_asked_for_or_when_it_starts(tmp_path: Path) -> None:
    asked = event(1, "assistant.message", content="", toolRequests=[{"toolCallId": "c1", "name": "bash"}])
    started = event(2, "tool.execution_start", toolCallId="c1", toolName="bash", arguments={"command": "ls"})
    for events in ((asked, started), (started, asked)):
        assert [step.kind for step in part(tmp_path, *events).steps] == ["call"]


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"success": True, "result": {"content": "fine"}}, "ok", None),
        ({"success": True, "result": {"content": "fine\n<exited with exit code 0>"}}, "ok", 0),
        ({"success": True, "result": {"content": "no\n<exited with exit code 2>"}}, "error", 2),
        ({"success": False, "result": {"content": "exit code: 1\n"}}, "error", 1),
        ({"success": False, "error": {"message": "no such file", "code": "failure"}}, "error", None),
        ({"success": False, "error": {"message": "not now", "code": "denied"}}, "rejected", None),
        ({"result": {"content": "?"}}, "unknown", None),
    ],
)
def test_what_came_of_a_call(tmp_path: Path, said: dict[str, Any], status: str, code: int | None) -> None:
    (step,) = part(tmp_path, event(1, "tool.execution_complete", toolCallId="c1", **said)).steps
    assert (step.status, step.exit_code) == (status, code)


def test_usage_is_told_when_it_shuts_down_each_time_anew(tmp_path: Path) -> None:
    usage = {"inputTokens": 1000, "outputTokens": 50, "cacheReadTokens": 800, "cacheWriteTokens": 0}
    metrics = {"gpt-5": {"requests": {"count": 2, "cost": 1}, "usage": usage}}
    spends = part(
        tmp_path, event(1, "session.shutdown", modelMetrics=metrics), event(2, "session.shutdown", modelMetrics=metrics)
    ).spends
    assert len({spend.key for spend in spends}) == 2
    assert [(spend.input, spend.cache_read, spend.output, spend.cost) for spend in spends] == [(200, 800, 50, None)] * 2


def test_a_crash_leaves_no_usage_rather_than_none_used(tmp_path: Path) -> None:
    assert part(tmp_path, event(1, "assistant.message", content="Ok", outputTokens=12)).spends == []


def test_traces_of_visual_studio_are_not_its_logs(tmp_path: Path) -> None:
    head = json.dumps({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": []}]}).encode() + b"\n"
    assert adapter_for(head, Path("sample_VSGitHubCopilot_traces.jsonl")) is None
