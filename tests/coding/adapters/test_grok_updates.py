"""All that happened in a session: messages in pieces, calls that get their arguments later, turns told again."""

import json
from pathlib import Path
from typing import Any

import pytest

from carryover.coding.adapters import grok_updates
from carryover.coding.logs.reading import opened, read
from grok_folders import (
    FORK,
    PROMPT,
    SESSION,
    USAGE,
    answered,
    called,
    chunk,
    completed,
    event,
    part_of,
    read_of,
    told,
    update,
    write,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "%2Fwork%2Fapp" / SESSION


def test_a_message_in_pieces_is_one_step(folder: Path):
    silent = update(
        "hook_execution", 3, event_name="post_tool_use", runs=[{"name": "h", "status": {"status": "success"}}]
    )
    path = write(
        folder,
        "updates.jsonl",
        chunk("user_message", 1, "fix ", prompt=None, _meta={"promptIndex": 0, "modelId": "grok-4.6"}),
        chunk("user_message", 2, "it", prompt=None),
        chunk("agent_thought", 3, "a"),
        chunk("agent_message", 4, "I loo"),
        silent,
        chunk("agent_message", 5, "k at it"),
        called(6, "c1", "read_file", {"target_file": "a.py"}),
        chunk("agent_message", 7, "Done."),
    )
    steps = part_of(path).steps
    wanted = [("prompt", "fix it"), ("thinking", "a"), ("text", "I look at it")]
    assert told(steps) == [*wanted, ("call", "read_file: a.py"), ("text", "Done.")]
    assert steps[2].model == "grok-4.6"


def test_prompts_that_follow_each_other_stay_apart(folder: Path):
    path = write(
        folder,
        "updates.jsonl",
        chunk("user_message", 1, "first", prompt=None, _meta={"promptIndex": 0}),
        chunk("user_message", 2, "second", prompt=None, _meta={"promptIndex": 1}),
        chunk("user_message", 3, "and be quick", prompt=None, _meta={"promptIndex": 1, "interjection": True}),
        chunk("user_message", 4, "<user_query>\nthird\n</user_query>", prompt=None, _meta={"promptIndex": 2}),
        chunk("user_message", 5, "<system-reminder>be brief</system-reminder>", prompt=None, _meta={"promptIndex": 3}),
        chunk(
            "user_message", 6, "it ended", prompt=None, _meta={"promptIndex": 4, "synthetic_reason": "task_completed"}
        ),
    )
    steps = part_of(path).steps
    assert [step.text for step in steps if step.kind == "prompt"] == ["first", "second", "and be quick", "third"]
    assert [step.kind for step in steps][-2:] == ["note", "note"]
    assert [step.detail["via"] for step in steps if step.detail] == ["queued", "context", "task_completed"]


def test_reading_on_within_a_message_loses_nothing_of_it(folder: Path):
    rows = [chunk("agent_message", n, text) for n, text in enumerate(("one ", "two ", "three"))] + [completed(9)]
    path = write(folder, "updates.jsonl", *rows)
    whole = part_of(path).steps
    size = len(json.dumps(rows[0])) + 1
    with opened(grok_updates, path) as file:
        first, end = read(grok_updates, path, file, until=1)
        assert end == size
        rest, _ = read(grok_updates, path, file, start=end, state=json.loads(json.dumps(first.state)))
    pieces = [*first.parts[SESSION].steps, *rest.parts[SESSION].steps]
    assert "".join(step.text for step in pieces).replace(" ", "") == whole[0].text.replace(" ", "") == "onetwothree"
    assert pieces[0].uid == whole[0].uid, "read again as a whole, it is the step that is there already"


def test_a_call_gets_its_arguments_and_its_result_later(folder: Path):
    path = write(
        folder,
        "updates.jsonl",
        called(1, "c1", "run_terminal_cmd"),
        update(
            "tool_call_update",
            2,
            toolCallId="c1",
            title="Execute `make`",
            rawInput={"variant": "Bash", "command": "make"},
        ),
        update("tool_call_update", 3, toolCallId="c1", status="in_progress"),
        answered(4, "c1", "ok", raw={"type": "Bash", "exit_code": 0}),
        answered(5, "c1", "ok", raw={"type": "Bash", "exit_code": 0}),
    )
    call, result = part_of(path).steps
    assert (call.kind, call.name, call.tool, call.input) == ("call", "run_terminal_cmd", "shell", {"command": "make"})
    assert (result.kind, result.call_id, result.tool, result.status) == ("result", "c1", "shell", "ok")


@pytest.mark.parametrize(
    ("text", "status", "raw", "ended", "code", "shown"),
    [
        ("boom", "completed", {"type": "Bash", "exit_code": 2}, "error", 2, "boom"),
        ("", "completed", {"type": "Bash", "output": list(b"caf\xc3\xa9"), "exit_code": 0}, "ok", 0, "café"),
        ("", "completed", {"type": "Bash", "output_for_prompt": "hi", "exit_code": 0}, "ok", 0, "hi"),
        ("late", "completed", {"type": "Bash", "exit_code": None, "timed_out": True}, "error", None, "late"),
        ("gone", "completed", {"type": "Bash", "signal": "SIGKILL"}, "error", None, "gone"),
        ("", "failed", {"type": "search_replace", "error": "no match"}, "error", None, "no match"),
        ("The user rejected this call.", "failed", None, "rejected", None, "The user rejected this call."),
        ("", "cancelled", None, "cancelled", None, ""),
    ],
)
def test_how_a_call_ended(
    folder: Path, text: str, status: str, raw: Any, ended: str, code: int | None, shown: str
):  # fmt: skip
    first = called(1, "c1", "run_terminal_cmd", {"command": "make"})
    path = write(folder, "updates.jsonl", first, answered(2, "c1", text, status=status, raw=raw))
    result = part_of(path).steps[-1]
    assert (result.status, result.exit_code, result.text) == (ended, code, shown)


def test_a_tool_that_calls_a_tool_is_the_inner_one(folder: Path):
    made = called(1, "c1", "use_tool", {"tool_name": "linear__get_issue", "tool_input": {"id": "A-1"}})
    (call,) = part_of(write(folder, "updates.jsonl", made)).steps
    assert (call.name, call.tool, call.input) == ("mcp__linear__get_issue", "mcp", {"id": "A-1"})


def test_a_command_left_running_ends_with_an_outcome(folder: Path):
    task = {"task_id": "c1", "command": "make", "output": "red", "exit_code": 1}
    path = write(folder, "updates.jsonl", update("task_completed", 1, task_snapshot=task))
    (step,) = part_of(path).steps
    assert (step.kind, step.call_id, step.status, step.exit_code) == ("outcome", "c1", "error", 1)


def test_a_turn_spends_without_its_cache_and_in_billionths(folder: Path):
    (spend,) = part_of(write(folder, "updates.jsonl", completed(1, USAGE))).spends
    assert (spend.input, spend.cache_read, spend.cache_write, spend.output) == (200, 700, 100, 50)
    assert (spend.reasoning, spend.cost) == (30, 2_500_000_000)


def test_a_turn_told_again_has_the_same_keys_and_is_noted(folder: Path):
    models = USAGE | {"modelUsage": {"grok-4.6": USAGE, "grok-mini": USAGE | {"inputTokens": 2_000}}}
    part = part_of(write(folder, "updates.jsonl", completed(1, models), completed(2, models)))
    assert [spend.model for spend in part.spends] == ["grok-4.6", "grok-mini"] * 2
    assert len({spend.key for spend in part.spends}) == 2
    assert [step.detail for step in part.steps] == [{"via": "turn_retold", "prompt": PROMPT, "reason": "end_turn"}]


@pytest.mark.parametrize("usage", [None, {}, {"inputTokens": None, "outputTokens": None}])
def test_a_turn_that_says_nothing_of_tokens_spends_none(folder: Path, usage: Any):
    assert part_of(write(folder, "updates.jsonl", completed(1, usage, reason="cancelled"))).spends == []


def test_what_a_spawned_session_spent_is_in_its_parents_turn(folder: Path):
    write(folder, "summary.json", {"info": {"id": SESSION, "cwd": "/work"}, "session_kind": "subagent"})
    part = part_of(write(folder, "updates.jsonl", completed(1, USAGE)))
    assert part.spends == []
    assert [step.detail for step in part.steps] == [{"via": "usage", "usage": USAGE}]


def test_a_cancelled_turn_is_one_interrupt_wherever_it_is_told(folder: Path):
    path = write(
        folder, "updates.jsonl", completed(1, reason="cancelled", _meta={"cancellationCategory": "MidTurnAbort"})
    )
    assert [step.kind for step in part_of(path).steps] == ["interrupt"]
    events = write(
        folder, "events.jsonl", event("turn_ended", 1, outcome="cancelled", cancellation_category="mid_turn_abort")
    )
    assert [step.kind for step in part_of(path).steps] == []
    assert told(part_of(events).steps) == [("interrupt", "mid_turn_abort")]


def test_trouble_with_the_provider_is_a_failure_once(folder: Path):
    path = write(
        folder,
        "updates.jsonl",
        update("retry_state", 1, type="retrying", attempt=1, reason="status 503"),
        update("retry_state", 2, type="failed", error_type="api", message="status 402"),
        completed(3, reason="error", agent_result="status 402"),
        completed(4, reason="interrupted", agent_result="the process exited", prompt="another"),
        update("auto_compact_failed", 5, error="too long"),
    )
    failures = [step.text for step in part_of(path).steps if step.kind == "failure"]
    assert failures == ["status 503", "status 402", "too long"]


def test_a_compaction_is_told_twice_and_is_one(folder: Path):
    done = update("auto_compact_completed", 1, prompt=None, tokens_before=9, tokens_after=1, summary_preview="so far")
    kept = update("compaction_checkpoint", 2, prompt=None, checkpoint_file="compaction_checkpoints/a.json")
    path = write(folder, "updates.jsonl", done, kept, called(3, "c1", "read_file", {}), kept, done)
    compactions = [step for step in part_of(path).steps if step.kind == "compaction"]
    assert [step.text for step in compactions] == ["so far", "context compacted"]
    assert compactions[0].detail == {"before": 9, "after": 1}


def test_what_else_the_harness_says_is_a_note(folder: Path):
    path = write(
        folder,
        "updates.jsonl",
        update("subagent_spawned", 1, child_session_id=FORK, subagent_type="explore", description="look around"),
        update("subagent_finished", 2, child_session_id=FORK, status="failed", error="no"),
        update("model_changed", 3, model_id="grok-5"),
        update("rewind_marker", 4, target_prompt_index=1),
        update(
            "hook_execution",
            5,
            event_name="stop",
            runs=[{"name": "lint", "status": {"status": "failed"}, "output": "2"}],
        ),
        update("plan", 6, entries=[{"content": "a", "status": "pending"}]),
        update("never_heard_of", 7),
    )
    reading = read_of(path)
    part = reading.parts[SESSION]
    details = [step.detail for step in part.steps]
    assert details == [
        {"via": "subagent_spawned", "child": FORK, "type": "explore"},
        {"via": "subagent_finished", "child": FORK, "status": "failed"},
        {"via": "model_changed"},
        {"via": "rewind", "rewind_to": 1},
        {"via": "hook", "name": "lint", "event": "stop", "status": "failed"},
        {"via": "plan"},
    ]
    assert part.about.models == ["grok-5"]
    assert {type for _, type, known in reading.formats if not known} == {"never_heard_of"}


def test_a_forks_copies_have_the_identities_of_its_parent(tmp_path: Path):
    def rows(session: str, later: int) -> list[dict[str, Any]]:
        found = [
            chunk("user_message", 1, "fix it", session=session, prompt=None, _meta={"promptIndex": 0}),
            called(2, "c1", "run_terminal_cmd", {"command": "make"}, session=session),
            answered(3, "c1", "ok"),
            chunk("agent_message", 4, "done", session=session),
            completed(5, USAGE),
        ]
        return [row | {"timestamp": row["timestamp"] + later} for row in found]

    one = part_of(write(tmp_path / SESSION, "updates.jsonl", *rows(SESSION, 0)))
    two = part_of(write(tmp_path / FORK, "updates.jsonl", *rows(FORK, 999)))
    assert [step.uid for step in one.steps] == [step.uid for step in two.steps]
    assert [spend.key for spend in one.spends] == [spend.key for spend in two.spends]
    assert one.about.last_at == two.about.last_at


def test_ids_of_events_begin_anew_with_each_process(folder: Path):
    again = chunk("agent_message", 1, "two")
    again["params"]["_meta"]["agentTimestampMs"] += 60_000
    path = write(folder, "updates.jsonl", chunk("agent_message", 1, "one"), completed(2), again)
    assert len({step.uid for step in part_of(path).steps}) == 2
