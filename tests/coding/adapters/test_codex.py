"""Codex rollouts: whose they are, what is copied, what is said twice, and whatever else stands in them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.coding.adapters import codex
from carryover.coding.adapters.base import Reading
from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs.reading import beginning, opened, read
from carryover.core.step import draft_of
from rollouts import (
    CHILD,
    OTHER,
    THREAD,
    TURN,
    event,
    forked,
    item,
    message,
    meta,
    part_of,
    read_of,
    said,
    steps_of,
    tokens,
    total,
    turn,
    typed,
)


def test_what_is_said_twice_is_one_step_in_either_order():
    told = [("prompt", "fix it"), ("thinking", "hm"), ("thinking", "so"), ("text", "done")]
    thought = item({"type": "reasoning", "summary": [{"type": "summary_text", "text": t} for t in ("hm", "so")]})
    aloud = b"".join(event({"type": "agent_reasoning", "text": text}) for text in ("hm", "so"))
    answer, screen = message("assistant", "done"), event({"type": "agent_message", "message": "done"})
    assert said(steps_of(message("user", "fix it"), typed("fix it"), thought, aloud, answer, screen)) == told
    assert said(steps_of(typed("fix it"), message("user", "fix it"), aloud, thought, screen, answer)) == told
    assert said(steps_of(typed("fix it"), aloud, screen)) == told
    assert said(steps_of(message("user", "fix it"), thought, answer)) == told


def test_the_same_words_said_again_are_a_step_of_their_own():
    pair = message("user", "continue") + typed("continue")
    assert said(steps_of(pair, pair)) == [("prompt", "continue")] * 2
    queued = typed("continue") * 2 + message("user", "continue") * 2
    steps = steps_of(queued)
    assert said(steps) == [("prompt", "continue")] * 2
    assert len({step.uid for step in steps}) == 2


def test_a_copied_turn_has_the_same_identities_though_it_was_stamped_anew():
    first = part_of(meta(), forked(1))
    child = part_of(
        meta(CHILD, 30, forked_from_id=THREAD),
        meta(THREAD, 30),
        forked(30),
        turn(OTHER, 31),
        typed("fix it", 31),
        tokens((300, 0, 20), (120, 0, 11), 32),
    )
    assert [step.uid for step in child.steps[: len(first.steps)]] == [step.uid for step in first.steps]
    assert child.steps[-1].uid not in {step.uid for step in first.steps}, "said again in a turn of its own"
    assert [spend.key for spend in child.spends[:2]] == [spend.key for spend in first.spends]
    assert total(first.spends + child.spends) == (300, 0, 20)
    assert (child.about.kind, child.about.parent, first.about.kind) == ("fork", THREAD, "main")


def test_turn_ids_that_are_not_one_of_a_kind_tell_nothing():
    one, two = (
        part_of(meta(id), turn("turn-1", second), typed("hi", second)) for id, second in ((THREAD, 1), (CHILD, 2))
    )
    assert one.steps[0].uid != two.steps[0].uid


@pytest.mark.parametrize(
    ("more", "kind", "parent"),
    [
        ({"source": "exec"}, "headless", None),
        ({"originator": "codex_exec"}, "headless", None),
        ({"source": {"subagent": {"thread_spawn": {"parent_thread_id": CHILD}}}}, "subagent", CHILD),
        ({"source": {"subagent": "review"}, "parent_thread_id": CHILD}, "subagent", CHILD),
        ({"parent_thread_id": CHILD}, "subagent", CHILD),
        ({"forked_from_id": CHILD}, "fork", CHILD),
        ({}, "main", None),
    ],
)
def test_whose_child_a_thread_is(more: dict[str, Any], kind: str, parent: str | None):
    about = part_of(meta(**more)).about
    assert (about.kind, about.parent) == (kind, parent)


def test_what_is_known_of_a_session():
    git = {"branch": "main", "repository_url": "https://example.com/a.git"}
    about = part_of(meta(git=git), turn(TURN, 1), turn(OTHER, 5, model="gpt-5.2")).about
    assert (about.cwd, about.branch, about.remote, about.entry) == ("/work/app", "main", git["repository_url"], "cli")
    assert (about.versions, about.models) == (["0.150.0"], ["gpt-5.2-codex", "gpt-5.2"])
    assert about.first_at is not None
    assert about.last_at == about.first_at + 5_000


def test_the_session_is_named_by_its_first_record_or_its_file_or_what_it_holds():
    named = f"rollout-2026-08-01T10-00-00-{THREAD}.jsonl"
    assert list(read_of(meta(CHILD), name=named).parts) == [CHILD]
    assert list(read_of(typed("hi"), meta(CHILD), name=named).parts) == [THREAD]
    (one,), (two,) = read_of(typed("hi"), name="a.jsonl").parts, read_of(typed("ho"), name="a.jsonl").parts
    assert one != two


def test_the_first_rollouts_had_no_envelope():
    rows: list[dict[str, Any]] = [
        {"id": THREAD, "timestamp": "2025-05-07T17:24:21.123Z", "instructions": "Be brief."},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "list files"}]},
        {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": '{"output":"a","metadata":{"exit_code":0}}'},
        {"type": "tool_call", "function": {"name": "git"}, "arguments": "status"},
        {"type": "tool_result", "name": "git", "result": "clean"},
        {"type": "error", "text": "no network"},
    ]
    reading = read_of(*(json.dumps(row).encode() + b"\n" for row in rows))
    steps = reading.parts[THREAD].steps
    kinds = ["note", "prompt", "call", "result", "call", "result", "failure"]
    assert [step.kind for step in steps] == kinds
    assert steps[4].call_id == steps[5].call_id, "a result that names no call is of the one that waits"
    assert all(known for _, _, known in reading.formats)


def test_what_is_not_known_is_counted():
    reading = read_of(meta(), event({"type": "sang"}), item({"type": "danced"}), event({"type": "task_complete"}))
    unknown = {type for _, type, known in reading.formats if not known}
    assert unknown == {"event_msg.sang", "response_item.danced"}
    assert {version for version, _, _ in reading.formats} == {"0.150.0"}


def test_a_packed_rollout_is_read_as_the_plain_one(tmp_path: Path):
    data = meta() + forked(1)
    packed, plain = tmp_path / "rollout-x.jsonl.zst", tmp_path / "rollout-x.jsonl"
    packed.write_bytes(zstandard.ZstdCompressor().compress(data))
    plain.write_bytes(data)
    found: list[list[str]] = []
    for path in (packed, plain):
        adapter = adapter_for(beginning(path, 64 << 10), path)
        assert adapter is codex
        with opened(adapter, path) as file:
            reading, end = read(adapter, path, file)
        assert end == len(data)
        found.append([step.uid for step in reading.parts[THREAD].steps])
    assert found[0] == found[1] != []


def test_reading_on_says_the_same_as_reading_at_once():
    rows = (meta() + forked(1) + turn(OTHER, 9) + typed("hi", 9) + message("user", "hi", second=9)).splitlines(True)
    whole = part_of(*rows)
    for cut in range(1, len(rows)):
        first = read_of(*rows[:cut])
        rest = Reading(Path("log.jsonl"), json.loads(json.dumps(first.state)))
        for row in rows[cut:]:
            codex.read(rest, row.rstrip(b"\n"))
        parts = [first.parts[THREAD], rest.of(THREAD)]
        assert [step.uid for part in parts for step in part.steps] == [step.uid for step in whole.steps]
        assert [spend for part in parts for spend in part.spends] == whole.spends


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
TYPES = [*codex._ENVELOPES, "message", "function_call", "error", "dance"]  # pyright: ignore[reportPrivateUsage]
PAYLOADS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "function_call_output", "token_count", "user_message",
                              "patch_apply_end", "web_search_call", "reasoning", "custom_tool_call", "turn_aborted",
                              "mcp_tool_call_end", "tool_search_output", "item_completed", "error"]) | JSON},
    optional=dict.fromkeys(
        ["role", "content", "summary", "output", "arguments", "input", "name", "call_id", "info", "message", "changes",
         "action", "invocation", "result", "item", "tools", "turn_id", "id", "git", "source", "state", "namespace"],
        JSON,
    ),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.fixed_dictionaries({"type": st.sampled_from(TYPES), "payload": PAYLOADS | JSON, "timestamp": JSON})))
def test_whatever_a_record_holds_it_is_read_or_refused(records: list[dict[str, Any]]):
    reading = Reading(Path("log.jsonl"))
    for record in records:
        codex.read(reading, json.dumps(record).encode())
    codex.finish(reading)
    assert sum(reading.formats.values()) == len(records)
    json.dumps(reading.state)
    for part in reading.parts.values():
        assert max(Counter(step.uid for step in part.steps).values(), default=1) == 1
        for step in part.steps:
            draft_of(step)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_are_refused(data: bytes):
    assert codex.claims(data, Path("x")) in (True, False)
    try:
        codex.read(Reading(Path("x")), data)
    except ValueError:
        return
