"""Items of OpenAI's Responses, one by one: what each is as a turn, and what other providers are told of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agents.run_internal.items import _TOOL_CALL_TO_OUTPUT_TYPE as PAIRS

from carryover.core.text import plain
from carryover.strategies.formats.catalog import drafts_of, native_of, replaced, written
from carryover.strategies.formats.generic import item_of
from strategies.formats import shapes

USER = {"role": "user", "content": "go"}
FUNCTION = {"type": "function_call", "call_id": "c", "name": "look", "arguments": '{"q":1}', "id": "fc_1"}
CALLS: dict[str, dict[str, Any]] = {
    "function_call": FUNCTION,
    "custom_tool_call": {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1"},
    "shell_call": {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
    "local_shell_call": {
        "type": "local_shell_call",
        "id": "ls_1",
        "call_id": "c",
        "status": "completed",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
    },
    "apply_patch_call": {
        "type": "apply_patch_call",
        "call_id": "c",
        "status": "completed",
        "operation": {"type": "delete_file", "path": "a"},
    },
    "computer_call": {
        "type": "computer_call",
        "id": "cu_1",
        "call_id": "c",
        "status": "completed",
        "pending_safety_checks": [],
        "action": {"type": "screenshot"},
    },
    "tool_search_call": {"type": "tool_search_call", "call_id": "c", "arguments": {"query": "ls"}},
    "program": {"type": "program", "id": "p_1", "call_id": "c", "code": "print(1)", "fingerprint": "f"},
    "mcp_approval_request": {
        "type": "mcp_approval_request",
        "id": "c",
        "name": "pay",
        "arguments": "{}",
        "server_label": "bank",
    },
}
RESULTS: dict[str, dict[str, Any]] = {
    "function_call": {"type": "function_call_output", "call_id": "c", "output": "seen"},
    "custom_tool_call": {"type": "custom_tool_call_output", "call_id": "c", "output": "seen"},
    "shell_call": {
        "type": "shell_call_output",
        "call_id": "c",
        "output": [{"stdout": "seen", "stderr": "", "outcome": {"type": "exit", "exit_code": 3}}],
    },
    "local_shell_call": {"type": "local_shell_call_output", "id": "c", "output": "seen"},
    "apply_patch_call": {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "seen"},
    "computer_call": {
        "type": "computer_call_output",
        "call_id": "c",
        "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"},
    },
    "tool_search_call": {
        "type": "tool_search_output",
        "call_id": "c",
        "tools": [{"type": "function", "name": "seen", "parameters": {}, "strict": True}],
    },
    "program": {"type": "program_output", "id": "po_1", "call_id": "c", "result": "seen", "status": "completed"},
    "mcp_approval_request": {"type": "mcp_approval_response", "approval_request_id": "c", "approve": True},
}


def told(format: Any, *items: dict[str, Any]) -> list[dict[str, Any]]:
    return list(written(format, [item_of(draft, "openai") for draft in drafts_of("openai", items)]))


def test_every_pair_that_the_agents_sdk_knows_is_here() -> None:
    assert {call: RESULTS[call]["type"] for call in PAIRS} == PAIRS


@pytest.mark.parametrize("kind", CALLS)
def test_calls_and_results_are_turns_that_belong_together(kind: str) -> None:
    call, result = drafts_of("openai", [CALLS[kind], RESULTS[kind]])
    assert (call.role, call.kind, call.call_id) == ("assistant", "tool_call", "c")
    assert (result.role, result.kind, result.call_id) == ("tool", "tool_result", "c")
    assert call.name == CALLS[kind].get("name", kind.removesuffix("_call"))
    assert plain(call.content)


@pytest.mark.parametrize("kind", CALLS)
def test_pairs_go_back_as_they_came_and_abroad_as_any_tool(kind: str) -> None:
    items = [USER, CALLS[kind], RESULTS[kind]]
    assert told("openai", *items) == items
    shapes.check("openai", items)
    for format in ("anthropic", "openai-chat"):
        made = told(format, *items)
        shapes.check(format, made)
        assert len(made) == 3
    answer = json.dumps(told("anthropic", *items)[2])
    expected = {"mcp_approval_request": "approved", "computer_call": "image/png"}.get(kind, "seen")
    assert expected in answer
    assert ('"is_error": true' in answer) == (kind == "apply_patch_call")


@pytest.mark.parametrize("kind", CALLS)
def test_two_calls_of_one_id_are_told_apart(kind: str) -> None:
    made = told("openai", USER, CALLS[kind], RESULTS[kind], CALLS[kind], RESULTS[kind])
    assert made[1:3] == [CALLS[kind], RESULTS[kind]]
    shapes.check("openai", made)


def test_several_actions_of_a_computer_are_told_as_arguments() -> None:
    several = {key: value for key, value in CALLS["computer_call"].items() if key != "action"}
    made = told("anthropic", USER, several | {"actions": [{"type": "screenshot"}]})
    assert made[1]["content"][0]["input"] == {"actions": [{"type": "screenshot"}]}


def test_a_result_is_of_the_newest_call_of_its_id() -> None:
    again = FUNCTION | {"arguments": '{"q":2}', "id": "fc_2"}
    answered = RESULTS["function_call"]
    assert told("openai", FUNCTION, USER, again, answered) == [USER, again, answered]


@pytest.mark.parametrize("kind", CALLS)
def test_a_call_whose_result_is_of_another_kind_is_told_as_a_function(kind: str) -> None:
    other = "custom_tool_call" if kind == "function_call" else "function_call"
    made = told("openai", USER, CALLS[kind], RESULTS[other])
    assert [item.get("type") for item in made[1:]] == ["function_call", "function_call_output"]
    shapes.check("openai", made)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "file_search_call", "id": "fs", "status": "completed", "queries": ["q"], "results": None},
        {"type": "code_interpreter_call", "id": "ci", "status": "completed", "code": "1", "container_id": "x"},
        {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "AAAA"},
        {"type": "mcp_list_tools", "id": "ml", "server_label": "s", "tools": []},
        {"type": "compaction", "id": "cmp", "encrypted_content": "sealed"},
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
        {"type": "tool_search_call", "arguments": {}, "execution": "server"},
        {"type": "tool_search_output", "tools": [], "execution": "server"},
        {"type": "of_next_year", "anything": [1, {"ü": None}]},
        {"type": ["no", "text"]},
        {},
    ],
)
def test_what_no_result_follows_stays_with_its_provider(item: dict[str, Any]) -> None:
    (draft,) = drafts_of("openai", [item])
    assert (draft.role, draft.kind, draft.content) == ("assistant", "message", [item])
    assert told("openai", USER, item) == [USER, item]
    assert told("anthropic", USER, item) == told("anthropic", USER)
    assert told("openai-chat", USER, item) == told("openai-chat", USER)


def test_what_a_provider_called_by_itself_is_told_with_its_result() -> None:
    call = {"type": "mcp_call", "id": "m1", "name": "look", "server_label": "s", "arguments": "{}", "output": "seen"}
    assert told("openai", USER, call) == [USER, call]
    made = told("openai-chat", USER, call)
    assert made[1]["tool_calls"][0]["function"]["name"] == "look"
    assert made[2] == {"role": "tool", "tool_call_id": "m1", "content": "seen"}
    assert told("anthropic", USER, call | {"output": None, "error": "down"})[2]["content"][0]["is_error"] is True


def test_messages_have_the_roles_of_turns() -> None:
    answer = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "url": "u"}]}],
    }
    items = [{"role": role, "content": role} for role in ("user", "system", "developer", "nobody")]
    assert [draft.role for draft in drafts_of("openai", [*items, answer])] == [
        *("user", "system", "system", "assistant"),
        "assistant",
    ]
    assert told("anthropic", USER, answer)[1] == {"role": "assistant", "content": "a"}


def test_reasoning_leads_to_something_of_the_assistants_or_is_left_out() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
    answered = RESULTS["function_call"]
    assert told("openai", USER, thought, FUNCTION, answered) == [USER, thought, FUNCTION, answered]
    assert told("openai", USER, thought) == [USER]
    assert told("openai", USER, thought, thought, USER) == [USER, USER]
    assert told("openai", USER, thought, FUNCTION, USER) == [USER, USER], "the call was given up"
    assert told("openai", USER, thought, FUNCTION) == [USER, thought, FUNCTION], "it is still running"
    assert drafts_of("openai", [thought])[0].kind == "reasoning"


def test_items_that_were_logged_twice_are_told_apart() -> None:
    said = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": []}
    thought = {"type": "reasoning", "id": "r", "summary": []}
    made = told("openai", USER, thought, said, thought, said, said)
    assert made == [
        USER,
        thought,
        said,
        thought | {"id": "r_2"},
        said | {"id": "m_2"},
        said | {"id": "m_3"},
    ]
    of_all = said | {"id": "__fake_id__"}
    assert told("openai", USER, of_all, of_all) == [USER, of_all, of_all]


def test_ids_that_no_label_can_hold_are_told_apart_in_the_log_and_kept_on_the_wire() -> None:
    ids = ["x" * 600 + "1", "x" * 600 + "2", "line\nbreak"]
    items = [FUNCTION | {"call_id": own, "id": f"fc_{n}"} for n, own in enumerate(ids)]
    drafts = drafts_of("openai", items)
    assert len({draft.call_id for draft in drafts}) == 3
    assert all(draft.call_id and draft.call_id.isprintable() and len(draft.call_id) <= 512 for draft in drafts)
    assert native_of("openai", drafts) == items
    assert told("openai", USER, *items) == [USER, *items]


def test_placeholders_stand_in_every_kind_that_has_a_place_for_text() -> None:
    kept = {kind: replaced("openai", RESULTS[kind], "output", "[gone]") for kind in RESULTS}
    assert {kind for kind, made in kept.items() if made is None} == {
        *("computer_call", "tool_search_call", "mcp_approval_request"),
    }
    for kind, made in kept.items():
        if made is not None:
            assert "[gone]" in json.dumps(made)
            shapes.check("openai", [USER, CALLS[kind], made])
    assert kept["shell_call"] is not None
    assert kept["shell_call"]["output"][0]["outcome"] == {"type": "exit", "exit_code": 3}
    asked = {kind: replaced("openai", CALLS[kind], "input", "[gone]") for kind in CALLS}
    assert {kind for kind, made in asked.items() if made is not None} == {"function_call", "custom_tool_call"}
    assert asked["function_call"] == FUNCTION | {"arguments": '{"input":"[gone]"}'}
