"""Messages of chat completions: cut into turns, and put together again."""

from __future__ import annotations

from typing import Any

from carryover.core.session import Draft
from carryover.core.text import plain
from carryover.strategies.formats.catalog import drafts_of, native_of, replaced, written
from carryover.strategies.formats.generic import item_of

USER = {"role": "user", "content": "go"}


def call(own: str, name: str = "look") -> dict[str, Any]:
    return {"id": own, "type": "function", "function": {"name": name, "arguments": '{"q":1}'}}


def answer(own: str, said: str = "seen") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": own, "content": said}


def told(format: Any, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    return list(written(format, [item_of(draft, "openai-chat") for draft in drafts_of("openai-chat", messages)]))


def test_a_message_with_several_calls_is_one_turn_for_each_and_one_for_what_it_says() -> None:
    message = {"tool_calls": [call("a"), call("b", "find")], "content": "wait", "role": "assistant", "name": "bot"}
    said, first, second = drafts_of("openai-chat", [message])
    assert (said.kind, plain(said.content)) == ("message", "wait")
    assert (first.kind, first.name, first.call_id) == ("tool_call", "look", "a")
    assert (second.kind, second.name, second.call_id) == ("tool_call", "find", "b")
    assert plain(second.content) == 'find\n{"q":1}'
    assert [list(made) for made in native_of("openai-chat", [said, first, second])] == [list(message)]
    assert native_of("openai-chat", [said, first, second]) == [message]


def test_a_message_of_one_call_is_that_turn() -> None:
    for content in (None, ""):
        message = {"role": "assistant", "content": content, "tool_calls": [call("a")]}
        (draft,) = drafts_of("openai-chat", [message])
        assert (draft.kind, draft.content) == ("tool_call", [message])


def test_two_messages_stay_two() -> None:
    messages = [
        {"role": "assistant", "content": "one", "tool_calls": [call("a")]},
        {"role": "assistant", "content": "two", "tool_calls": [call("b")]},
    ]
    assert native_of("openai-chat", drafts_of("openai-chat", messages)) == messages


def test_results_stand_right_behind_the_message_of_their_calls() -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]}
    thanks = {"role": "assistant", "content": "thanks"}
    made = told("openai-chat", USER, asked, answer("b"), USER, thanks, answer("a"))
    assert made == [USER, asked, answer("b"), answer("a"), USER, thanks]


def test_what_is_said_beside_calls_goes_before_them() -> None:
    one = {"role": "assistant", "content": None, "tool_calls": [call("a")]}
    two = {"role": "assistant", "content": "and"}
    made = told("openai-chat", USER, one, two, answer("a"))
    assert made == [USER, two, one, answer("a")]


def test_a_message_whose_calls_were_given_up_says_what_it_said() -> None:
    asked = {"role": "assistant", "content": "wait", "tool_calls": [call("a")]}
    assert told("openai-chat", USER, asked, USER) == [USER, {"role": "assistant", "content": "wait"}, USER]
    assert told("openai-chat", USER, asked | {"content": None}, USER) == [USER, USER]


def test_functions_of_before_there_were_tools_go_back_as_they_came() -> None:
    asked = {"role": "assistant", "content": "wait", "function_call": {"name": "look", "arguments": "{}"}}
    result = {"role": "function", "name": "look", "content": "seen"}
    one, two = drafts_of("openai-chat", [asked, result])
    assert (one.kind, one.name, two.kind, two.role, two.name) == ("tool_call", "look", "tool_result", "tool", "look")
    assert told("openai-chat", USER, asked, result) == [USER, asked, result]
    assert [item.get("type", item.get("content")) for item in told("openai", USER, asked, result)] == [
        *("go", "wait", "function_call", "function_call_output"),
    ]


def test_a_function_that_a_tool_answered_is_told_as_a_tool() -> None:
    asked = {"role": "assistant", "content": "wait", "function_call": {"name": "look", "arguments": "{}"}}
    items = [item_of(draft, "openai-chat") for draft in drafts_of("openai-chat", [USER, asked])]
    made = written("openai-chat", [*items, item_of(Draft("tool", "seen", "tool_result"))])
    assert made[1]["content"] == "wait"
    assert made[1]["tool_calls"][0]["id"] == made[2]["tool_call_id"]


def test_refusals_and_sounds_and_names_are_kept() -> None:
    messages = [
        {"role": "developer", "content": "be kind"},
        {
            "role": "user",
            "name": "ann",
            "content": [{"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}],
        },
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "audio": {"id": "audio_1"}, "content": None},
    ]
    drafts = drafts_of("openai-chat", messages)
    assert [(draft.role, draft.kind) for draft in drafts] == [
        *(("system", "message"), ("user", "message"), ("assistant", "message"), ("assistant", "message")),
    ]
    assert plain(drafts[2].content) == "no"
    assert told("openai-chat", *messages) == messages
    assert told("anthropic", *messages) == [
        {"role": "user", "content": "[audio]"},
        {"role": "assistant", "content": "no"},
    ]


def test_calls_of_other_providers_join_the_message_before_them() -> None:
    items = [item_of(Draft("user", "go")), item_of(Draft("assistant", "wait"))]
    items += [item_of(Draft("assistant", "{}", "tool_call", "look", own)) for own in ("call:1", "call:2")]
    message = written("openai-chat", items)[1]
    assert (message["content"], len(message["tool_calls"])) == ("wait", 2)
    assert all(len(made["id"]) <= 40 and ":" not in made["id"] for made in message["tool_calls"])


def test_placeholders_stand_for_one_call_or_one_result() -> None:
    one = {"role": "assistant", "content": None, "tool_calls": [call("a")]}
    made = replaced("openai-chat", one, "input", "[gone]")
    assert made is not None
    assert made["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"input":"[gone]"}'}
    custom = {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "q", "input": "x"}}]}
    made = replaced("openai-chat", custom, "input", "[gone]")
    assert made is not None
    assert made["tool_calls"][0]["custom"] == {"name": "q", "input": "[gone]"}
    legacy = {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}}
    made = replaced("openai-chat", legacy, "input", "[gone]")
    assert made is not None
    assert made["function_call"] == {"name": "look", "arguments": '{"input":"[gone]"}'}
    assert replaced("openai-chat", answer("a"), "output", "[gone]") == answer("a", "[gone]")
    assert replaced("openai-chat", one | {"tool_calls": [call("a"), call("b")]}, "input", "[gone]") is None
    assert replaced("openai-chat", USER, "output", "[gone]") is None
    assert replaced("openai-chat", USER, "input", "[gone]") is None
