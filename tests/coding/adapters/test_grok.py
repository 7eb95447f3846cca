"""A session folder of Grok Build as a whole, and whatever else stands in its files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.coding.adapters import grok_chat, grok_events, grok_signals, grok_summary, grok_updates
from carryover.coding.adapters.base import Adapter, Reading
from carryover.core.step import draft_of
from grok_folders import ADAPTERS, CHAT, FORK, SESSION, completed, event, part_of, read_of, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "%2Fwork%2Fapp" / SESSION


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, "main"),
        ({"session_kind": "subagent"}, "subagent"),
        ({"session_kind": "subagent_fork"}, "subagent"),
        ({"session_kind": "fork"}, "fork"),
        ({"parent_session_id": FORK}, "fork"),
    ],
)
def test_a_summary_says_what_is_known(folder: Path, more: dict[str, Any], kind: str):
    known: dict[str, Any] = {
        "info": {"id": SESSION, "cwd": "/work/app"},
        "created_at": "2026-09-21T10:00:00.000Z",
        "last_active_at": "2026-09-21T10:05:00.000Z",
        "generated_title": "Fix it",
        "current_model_id": "grok-4.6",
        "head_branch": "main",
        "git_remotes": ["https://example.com/a.git"],
        "chat_format_version": 1,
    }
    part = part_of(write(folder, "summary.json", known | more))
    about = part.about
    assert (about.cwd, about.branch, about.remote) == ("/work/app", "main", "https://example.com/a.git")
    assert (about.title, about.kind, about.parent) == ("Fix it", kind, more.get("parent_session_id"))
    assert about.last_at == (about.first_at or 0) + 300_000
    assert part.steps == []


def test_a_session_without_a_person_is_headless(folder: Path):
    summary = write(folder, "summary.json", {"info": {"id": SESSION, "cwd": "/work/app"}})
    write(folder, "prompt_context.json", {"is_non_interactive": True})
    assert part_of(summary).about.kind == "headless"


def test_all_files_of_a_folder_belong_to_one_session(folder: Path):
    write(folder, "summary.json", {"info": {"id": "s-1", "cwd": "/work"}})
    write(folder, "updates.jsonl", completed(1))
    write(folder, "events.jsonl", event("first_token", 1))
    write(folder, "chat_history.jsonl", *CHAT)
    write(folder, "signals.json", {"turnCount": 2, "toolFailureCount": 0, "errorCount": 0})
    write(folder, "plan.json", {"todos": []})
    write(folder / "compaction_checkpoints", "a.json", {"checkpoint_id": "a", "compacted_history": []})
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert [list(read_of(path).parts) for path in paths] == [["s-1"]] * 7
    (note,) = part_of(folder / "signals.json").steps
    assert note.detail == {"via": "signals", "turnCount": 2}


def test_files_like_these_elsewhere_are_nobodys(tmp_path: Path):
    for name in ("plan.json", "prompt_context.json"):
        path = write(tmp_path, name, {"a": 1})
        assert not any(adapter.claims(path.read_bytes(), path) for adapter in ADAPTERS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from([*grok_updates._READ, "user_message_chunk", "agent_message_chunk", "never_heard_of"])  # pyright: ignore[reportPrivateUsage]
SAID = [
    "content",
    "toolCallId",
    "status",
    "rawInput",
    "rawOutput",
    "_meta",
    "prompt_id",
    "stop_reason",
    "usage",
    "runs",
]
UPDATES = st.fixed_dictionaries({"sessionUpdate": KINDS}, optional=dict.fromkeys(SAID, JSON))
METAS = st.fixed_dictionaries({}, optional={"eventId": JSON, "agentTimestampMs": JSON, "promptId": JSON})
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "assistant", "reasoning", "tool_result", "backend_tool_call", "tool_completed"])},
    optional=dict.fromkeys(
        ["content", "tool_calls", "summary", "kind", "tool_call_id", "synthetic_reason", "ts"], JSON
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(UPDATES, METAS | JSON, JSON)))
def test_whatever_an_update_holds_it_is_read(updates: list[tuple[Any, Any, Any]]):
    records = [
        {"method": "session/update", "timestamp": at, "params": {"sessionId": "s", "update": said, "_meta": meta}}
        for said, meta, at in updates
    ]
    _check(grok_updates, [json.dumps(record).encode() for record in records])


@settings(max_examples=200, deadline=None)
@given(st.lists(ITEMS | JSON))
def test_whatever_an_item_or_an_event_holds_it_is_read_or_refused(items: list[Any]):
    for adapter in (grok_chat, grok_events):
        _check(adapter, [json.dumps(one).encode() for one in items])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["info", "git_remotes", "created_at", "turnCount", "session_kind"]), JSON))
def test_whatever_a_document_holds_it_is_read(document: dict[str, Any]):
    for adapter in (grok_summary, grok_signals):
        _check(adapter, [json.dumps(document).encode()])


def _check(adapter: Adapter, lines: list[bytes]) -> None:
    reading = Reading(Path("nowhere/at/all/log"))
    refused = 0
    for line in lines:
        assert adapter.claims(line, reading.path) in (True, False)
        reading.length = len(line)
        try:
            adapter.read(reading, line)
        except ValueError:
            refused += 1
        reading.start += len(line)
    adapter.finish(reading)
    assert sum(reading.formats.values()) + refused == len(lines)
    json.dumps(reading.state)
    for part in reading.parts.values():
        for step in part.steps:
            draft_of(step)
        if adapter is grok_chat:
            assert max(Counter(step.uid for step in part.steps).values(), default=1) == 1
