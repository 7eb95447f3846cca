"""What the screen was told: outcomes, interrupts, compactions, tokens."""

from typing import Any

import pytest

from rollouts import TURN, event, item, line, message, meta, part_of, said, steps_of, tokens, total, typed


def test_what_became_of_a_patch_is_an_outcome_of_its_call():
    made = item(
        {
            "type": "custom_tool_call",
            "name": "apply_patch",
            "input": "*** Begin Patch\n*** Delete File: a.py\n*** End Patch",
            "call_id": "c1",
        }
    )
    failed = {"type": "patch_apply_end", "call_id": "c1", "success": False, "stderr": "no such line", "changes": {}}
    refused = {"type": "patch_apply_end", "call_id": "c2", "success": False, "stderr": "patch rejected by user"}
    _, outcome, second = steps_of(made, event(failed), event(refused))
    assert (outcome.kind, outcome.call_id, outcome.status, outcome.text) == ("outcome", "c1", "error", "no such line")
    assert second.status == "rejected"


@pytest.mark.parametrize(
    ("told", "status", "code", "text"),
    [
        (
            {"type": "mcp_tool_call_end", "invocation": {"server": "s", "tool": "t"}, "result": {"Err": "no"}},
            "error",
            None,
            "no",
        ),
        (
            {"type": "mcp_tool_call_end", "invocation": {"server": "s", "tool": "t"}, "result": {"Ok": {}}},
            "ok",
            None,
            "",
        ),
        ({"type": "exec_command_end", "exit_code": 3, "stdout": "x"}, "error", 3, ""),
        ({"type": "exec_command_end", "exit_code": 0}, "ok", 0, ""),
        ({"type": "exec_command_end", "exit_code": -1, "status": "declined"}, "rejected", -1, ""),
        ({"type": "dynamic_tool_call_response", "tool": "t", "success": False, "error": "bad"}, "error", None, "bad"),
    ],
)
def test_what_another_record_says_of_a_call_is_an_outcome(
    told: dict[str, Any], status: str, code: int | None, text: str
):
    (step,) = steps_of(event(told | {"call_id": "c1"}))
    assert (step.kind, step.call_id, step.status, step.exit_code, step.text) == ("outcome", "c1", status, code, text)


def test_a_command_of_the_persons_own_is_no_outcome():
    assert steps_of(event({"type": "exec_command_end", "exit_code": 1, "source": "user_shell"})) == []


@pytest.mark.parametrize(
    ("told", "kind", "text", "detail"),
    [
        (event({"type": "error", "message": "429"}), "failure", "429", {"via": "error"}),
        (
            event({"type": "error", "error": {"kind": "rate_limit", "message": "slow"}}),
            "failure",
            "slow",
            {"via": "rate_limit"},
        ),
        (
            event({"type": "thread_rolled_back", "num_turns": 2}),
            "note",
            "went back 2 turns",
            {"via": "rolled_back", "rewind_to": -2},
        ),
        (event({"type": "item_completed", "item": {"type": "Plan", "text": "a, b"}}), "note", "a, b", {"via": "plan"}),
        (
            event({"type": "exited_review_mode", "review_output": {"overall_explanation": "fine"}}),
            "note",
            "fine",
            {"via": "exited_review_mode"},
        ),
        (
            event({"type": "thread_goal_updated", "goal": {"objective": "ship", "status": "active"}}),
            "note",
            "ship",
            {"via": "thread_goal_updated", "status": "active"},
        ),
        (
            event({"type": "collab_agent_spawn_end", "call_id": "c1", "new_thread_id": "t2", "prompt": "look"}),
            "note",
            "look",
            {"via": "collab_agent_spawn", "child": "t2", "call": "c1"},
        ),
        (
            item(
                {
                    "type": "agent_message",
                    "author": "a",
                    "recipient": "b",
                    "content": [{"type": "input_text", "text": "hi"}],
                }
            ),
            "note",
            "hi",
            {"via": "agent", "sender": "a", "receiver": "b"},
        ),
        (
            line("inter_agent_communication", {"author": "a", "content": "hi"}),
            "note",
            "hi",
            {"via": "agent", "sender": "a"},
        ),
        (message("developer", "be brief"), "note", "be brief", {"via": "context", "role": "developer"}),
        (
            event({"type": "user_message", "message": "<cwd>", "kind": "environment_context"}),
            "note",
            "<cwd>",
            {"via": "context"},
        ),
    ],
)
def test_what_else_is_told(told: bytes, kind: str, text: str, detail: dict[str, Any]):
    (step,) = steps_of(told)
    assert (step.kind, step.text, step.detail) == (kind, text, detail)


def test_what_settings_and_titles_change():
    changed = {"type": "thread_settings_applied", "thread_settings": {"model": "gpt-5.2"}}
    part = part_of(
        meta(),
        event(changed),
        event({"type": "thread_name_updated", "thread_name": "A name"}),
        message("assistant", "x"),
    )
    assert (part.about.title, part.about.models, part.steps[0].model) == ("A name", ["gpt-5.2"], "gpt-5.2")


def test_tokens_in_the_shapes_before():
    usage = {"input_tokens": 10, "cached_input_tokens": 4, "output_tokens": 3}
    ended = event({"type": "turn.completed", "usage": usage}, 1)
    assert total(part_of(meta(), ended).spends) == (6, 4, 3)
    assert total(part_of(meta(), tokens((10, 4, 3)), ended).spends) == (6, 4, 3), "told by call, a turn adds nothing"
    old = event({"type": "token_count", "info": {"prompt": 7, "completion": 2}})
    assert total(part_of(meta(), old).spends) == (7, 0, 2)


def test_an_interrupt_is_one_though_the_model_is_told_of_it():
    marker = message("user", "<turn_aborted>\n<reason>interrupted</reason>\n</turn_aborted>")
    aborted = event({"type": "turn_aborted", "turn_id": TURN, "reason": "interrupted"})
    kinds = [step.kind for step in steps_of(marker, aborted, typed("go on"), aborted, marker, typed("and on"), marker)]
    assert kinds == ["interrupt", "prompt", "interrupt", "prompt", "interrupt"]


def test_a_compaction_is_one_and_its_copies_of_the_history_are_no_steps():
    history = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]}]
    compacted = line("compacted", {"message": "so far", "replacement_history": history})
    steps = steps_of(compacted, event({"type": "context_compacted"}), compacted, event({"type": "context_compacted"}))
    assert said(steps) == [("compaction", "so far")] * 2


def test_tokens_count_when_the_total_changes_and_a_fallen_total_began_anew():
    spends = part_of(
        meta(),
        tokens((100, 20, 5), (100, 20, 5), 1),
        tokens((100, 20, 5), (100, 20, 5), 2),
        event({"type": "token_count", "info": None}, 3),
        tokens((250, 20, 10), (150, 0, 5), 4),
        tokens((40, 0, 3), None, 5),
        tokens((70, 10, 4), None, 6),
    ).spends
    assert total(spends) == (80 + 150 + 40 + 20, 20 + 0 + 0 + 10, 5 + 5 + 3 + 1)
    assert [spend.window for spend in spends] == [272_000] * 4
