"""Turns as people log them over plain HTTP, told on every wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carryover.core.session import Draft, to_json
from carryover.core.strategy import Item
from carryover.strategies.formats.catalog import drafts_of, native_of, replaced, written
from carryover.strategies.formats.generic import item_of

ASK = Draft("user", "what is in a.txt?")
CALLS: dict[str, Draft] = {
    "arguments as text": Draft("assistant", '{"path":"a.txt"}', "tool_call", "read", "c1"),
    "a part with arguments": Draft("assistant", [{"arguments": {"path": "a.txt"}}], "tool_call", "read", "c1"),
    "a part with arguments as text": Draft("assistant", [{"arguments": '{"path":"a.txt"}'}], "tool_call", "read", "c1"),
    "a part with input": Draft("assistant", [{"input": {"path": "a.txt"}}], "tool_call", "read", "c1"),
    "the arguments themselves": Draft("assistant", [{"path": "a.txt"}], "tool_call", "read", "c1"),
    "a text part": Draft("assistant", [{"type": "text", "text": '{"path":"a.txt"}'}], "tool_call", "read", "c1"),
    "as Anthropic has it": Draft(
        "assistant", [{"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "a.txt"}}], "tool_call"
    ),
    "as responses have it": Draft(
        "assistant",
        [{"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"path":"a.txt"}'}],
        "tool_call",
    ),
    "as chat completions have it": Draft(
        "assistant",
        [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a.txt"}'}}],
        "tool_call",
    ),
}
RESULTS: dict[str, Draft] = {
    "text": Draft("tool", "42", "tool_result", None, "c1"),
    "a text part": Draft("tool", [{"type": "text", "text": "42"}], "tool_result", "read", "c1"),
    "as Anthropic has it": Draft(
        "tool", [{"type": "tool_result", "tool_use_id": "c1", "content": "42"}], "tool_result"
    ),
    "a part with output": Draft("tool", [{"output": "42"}], "tool_result", None, "c1"),
    "a message of the tool's": Draft("tool", "42", call_id="c1"),
}
TOLD: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"role": "user", "content": "what is in a.txt?"},
        {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"path":"a.txt"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
    ],
    "openai-chat": [
        {"role": "user", "content": "what is in a.txt?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a.txt"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ],
    "anthropic": [
        {"role": "user", "content": "what is in a.txt?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "a.txt"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "42"}]},
    ],
}


def told(format: Any, *drafts: Draft) -> list[dict[str, Any]]:
    return list(written(format, [item_of(draft) for draft in drafts]))


@pytest.mark.parametrize("format", TOLD)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_told_however_it_was_logged(format: str, call: str) -> None:
    assert told(format, ASK, CALLS[call], RESULTS["text"]) == TOLD[format]


@pytest.mark.parametrize("format", TOLD)
@pytest.mark.parametrize("result", RESULTS)
def test_a_result_is_told_however_it_was_logged(format: str, result: str) -> None:
    assert told(format, ASK, CALLS["arguments as text"], RESULTS[result]) == TOLD[format]


@pytest.mark.parametrize("given", ["no json", "[1,2]", '"text"', "{broken", "NaN", "[" * 100_000])
def test_arguments_that_are_no_object_become_one(given: str) -> None:
    call = Draft("assistant", given, "tool_call", "read", "c1")
    (block,) = told("anthropic", ASK, call)[1]["content"]
    assert list(block["input"]) == ["input"]
    assert json.loads(told("openai", ASK, call)[1]["arguments"]) == block["input"]


def test_calls_without_arguments_have_none() -> None:
    for content in ("", "  ", [], [{"type": "tool_use", "name": "read"}]):
        assert (
            told("anthropic", ASK, Draft("assistant", content, "tool_call", "read", "c1"))[1]["content"][0]["input"]
            == {}
        )


def test_calls_without_ids_are_joined_to_their_results_in_order() -> None:
    calls = [Draft("assistant", "{}", "tool_call", name) for name in ("first", "second")]
    results = [Draft("tool", said, "tool_result") for said in ("1", "2")]
    asked, answered = told("anthropic", ASK, *calls, *results)[1:]
    ids = {block["name"]: block["id"] for block in asked["content"]}
    assert len(set(ids.values())) == 2
    assert [(block["tool_use_id"], block["content"]) for block in answered["content"]] == [
        (ids["first"], "1"),
        (ids["second"], "2"),
    ]


def test_a_tool_that_nobody_called_is_heard_as_the_users_word() -> None:
    (item,) = told("openai", Draft("tool", "disk is full", name="monitor"))
    assert item == {"role": "user", "content": '<tool_output name="monitor">\ndisk is full\n</tool_output>'}


@pytest.mark.parametrize("format", TOLD)
def test_a_message_that_holds_calls_and_results_as_parts_is_told_as_such(format: str) -> None:
    said = [CALLS["as Anthropic has it"].content[0]]
    answered = [RESULTS["as Anthropic has it"].content[0]]
    assert told(format, ASK, Draft("assistant", said), Draft("user", answered)) == TOLD[format]


@pytest.mark.parametrize(
    "picture",
    [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "image", "image": "https://example.org/a.png"},
    ],
)
def test_pictures_of_any_dialect_are_seen(picture: dict[str, Any]) -> None:
    asked = Draft("user", [{"type": "text", "text": "what is it?"}, picture])
    url = "https://example.org/a.png"
    assert told("openai", asked)[0]["content"][1] == {"type": "input_image", "image_url": url, "detail": "auto"}
    assert told("openai-chat", asked)[0]["content"][1] == {"type": "image_url", "image_url": {"url": url}}
    assert told("anthropic", asked)[0]["content"][1] == {"type": "image", "source": {"type": "url", "url": url}}


def test_files_are_read_where_the_wire_takes_them_and_noted_where_not() -> None:
    pdf = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
    sheet = {"type": "file", "file": {"filename": "a.xls", "file_data": "data:application/x-xls;base64,AAAA"}}
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    asked = Draft("user", [pdf, sheet, sound])
    assert told("anthropic", asked)[0]["content"] == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
            "title": "a.pdf",
        },
        {"type": "text", "text": "[file: a.xls]"},
        {"type": "text", "text": "[audio]"},
    ]
    assert told("openai-chat", asked)[0]["content"][1]["file"]["filename"] == "a.xls"
    assert told("openai", asked)[0]["content"][0] == pdf
    url = "https://example.org/a.pdf"
    far = {"type": "document", "source": {"type": "url", "url": url}}
    assert told("openai", Draft("user", [far]))[0]["content"] == [{"type": "input_file", "file_url": url}]
    assert told("anthropic", Draft("user", [far]))[0]["content"] == [far]
    broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}}
    assert told("anthropic", Draft("user", [broken])) == [{"role": "user", "content": "[image]"}]
    assert told("openai", Draft("assistant", [pdf])) == [{"role": "assistant", "content": "[file: a.pdf]"}]


@pytest.mark.parametrize("format", TOLD)
def test_reasoning_of_nobody_known_is_not_told(format: str) -> None:
    assert (
        told(format, ASK, Draft("assistant", "hm", "reasoning"), Draft("assistant", "a"))[1:]
        == told(format, ASK, Draft("assistant", "a"))[1:]
    )


@pytest.mark.parametrize("format", TOLD)
def test_placeholders_and_what_stands_for_turns_are_told_as_they_are(format: str) -> None:
    items = [
        Item("user", "message", to_json("[summary]"), 1, about="summary:s1"),
        Item("assistant", "message", to_json("we spoke of a.txt"), 1, about="summary:s1"),
        item_of(ASK),
        Item("assistant", "tool_call", to_json("[removed: input]"), 1, 4, "read", "c1", replaced=True),
        Item("tool", "tool_result", to_json("[removed: output]"), 1, 5, None, "c1", replaced=True),
    ]
    made = json.dumps(written(format, items))
    for said in ("[summary]", "we spoke of a.txt", "[removed: input]", "[removed: output]"):
        assert said in made
    ours = written("generic", items)
    assert [item.get("about") for item in ours] == ["summary:s1", "summary:s1", None, None, None]
    assert [item.get("replaced") for item in ours] == [None, None, None, True, True]


def test_our_own_json_is_kept_with_what_a_turn_has_no_place_for() -> None:
    items = [
        {"role": "user", "content": "hi"},
        {"content": "x", "kind": "message", "role": "user", "seq": 3, "more": {"ü": [1.50]}},
        {"role": "assistant", "kind": "tool_call", "content": "{}", "name": "read", "call_id": "c1"},
        {"role": "nobody", "content": "x"},
        {"role": "user", "content": {"no": "list"}},
        {"role": "system", "kind": "retraction", "content": [{"type": "retraction", "first": 1, "last": 1}]},
        {},
    ]
    drafts = drafts_of("generic", items)
    assert [(draft.role, draft.kind, draft.name) for draft in drafts[:3]] == [
        ("user", "message", None),
        ("user", "message", None),
        ("assistant", "tool_call", "read"),
    ]
    assert json.dumps(native_of("generic", drafts)) == json.dumps(items)
    assert drafts[2].metadata is None


def test_our_own_json_brings_back_what_came_in_a_providers_wire() -> None:
    native = {"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{}"}
    (shown,) = written("generic", [item_of(drafts_of("openai", [native])[0], "openai")])
    assert native_of("openai", drafts_of("generic", [shown])) == [native]


def test_placeholders_in_our_own_json_say_that_they_are() -> None:
    result = {"role": "tool", "kind": "tool_result", "content": "42", "call_id": "c1"}
    assert replaced("generic", result, "output", "[gone]") == result | {"content": "[gone]", "replaced": True}
    assert replaced("generic", result, "input", "[gone]") is None
