"""How calls and turns ended."""

from pathlib import Path

import pytest

from grok_folders import SESSION, event, part_of, read_of, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "%2Fwork%2Fapp" / SESSION


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("success", "ok"),
        ("error", "error"),
        ("invalid_tool", "error"),
        ("permission_rejected", "rejected"),
        ("hook_denied", "rejected"),
        ("permission_cancelled", "cancelled"),
        ("cancelled", "cancelled"),
        ("sung", "unknown"),
    ],
)
def test_events_say_how_calls_ended(folder: Path, outcome: str, status: str):
    started = event("turn_started", 1, session_id=SESSION, model_id="grok-4.6")
    ended = event("tool_completed", 2, tool_name="read_file", tool_call_id="c1", outcome=outcome, duration_ms=4)
    farther = ended | {"source": "workspace"}
    part = part_of(write(folder, "events.jsonl", started, ended, farther))
    (step,) = part.steps
    assert (step.kind, step.call_id, step.tool, step.status) == ("outcome", "c1", "read", status)
    assert part.about.models == ["grok-4.6"]


def test_events_say_what_was_refused_and_what_failed(folder: Path):
    path = write(
        folder,
        "events.jsonl",
        event("permission_resolved", 1, tool_name="write_file", decision="deny", wait_ms=1),
        event("permission_resolved", 2, tool_name="write_file", decision="allow", wait_ms=1),
        event("interjected", 3, source="direct", image_count=0),
        event("mcp_server_failed", 4, server_name="linear", error_message="timeout"),
        event("phase_changed", 5, phase="tool_execution"),
        event("sang", 6),
    )
    reading = read_of(path)
    steps = reading.parts[SESSION].steps
    assert [step.kind for step in steps] == ["note", "note", "failure"]
    assert {type for _, type, known in reading.formats if not known} == {"sang"}
