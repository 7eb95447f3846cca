"""Messages of Anthropic's: cut into turns, put together again, and marked for the cache."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from carryover.core.session import Draft
from carryover.core.text import plain
from carryover.strategies.formats.anthropic import BEGINNING, with_breakpoints
from carryover.strategies.formats.catalog import drafts_of, native_of, replaced, system_of, written
from carryover.strategies.formats.generic import item_of

MARK = {"type": "ephemeral"}
USER = {"role": "user", "content": "go"}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def call(own: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": own, "name": "look", "input": {"q": 1}}


def answer(own: str, said: Any = "seen") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": own, "content": said}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def items(*messages: dict[str, Any]) -> list[Any]:
    return [item_of(draft, "anthropic") for draft in drafts_of("anthropic", messages)]


def told(format: Any, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    return list(written(format, items(*messages)))


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "sig"}


def test_a_message_is_cut_where_calls_and_thoughts_and_results_are() -> None:
    message = {"id": "msg_1", **assistant(THOUGHT, text("a"), text("b"), call("1"), call("2")), "usage": {"n": 1}}
    drafts = drafts_of("anthropic", [message, user(answer("1"), answer("2"), text("c"))])
    assert [(draft.role, draft.kind, draft.name, draft.call_id) for draft in drafts] == [
        ("assistant", "reasoning", None, None),
        ("assistant", "message", None, None),
        ("assistant", "tool_call", "look", "1"),
        ("assistant", "tool_call", "look", "2"),
        ("tool", "tool_result", None, "1"),
        ("tool", "tool_result", None, "2"),
        ("user", "message", None, None),
    ]
    assert [plain(draft.content) for draft in drafts[1:5]] == ["a\nb", 'look\n{"q":1}', 'look\n{"q":1}', "seen"]
    (back, _) = native_of("anthropic", drafts)
    assert list(back.items()) == list(message.items())
    assert told("anthropic", USER, message)[1] == {"role": "assistant", "content": message["content"]}


def test_parts_are_one_message_only_where_they_follow_each_other() -> None:
    parts = drafts_of("anthropic", [assistant(text("a"), call("1"), THOUGHT)])
    assert native_of("anthropic", [parts[0], parts[2]]) == [assistant(text("a")), assistant(THOUGHT)]
    assert native_of("anthropic", [*parts[:2], *parts[:2]]) == [assistant(text("a"), call("1"))] * 2
    forged = Draft("user", [USER], metadata={"format": "anthropic", "part": ["x", None]})
    assert native_of("anthropic", [forged, forged]) == [USER, USER]


def test_results_are_moved_to_their_calls_all_in_one_message() -> None:
    made = told(
        "anthropic",
        USER,
        assistant(call("1"), call("2")),
        user(answer("2")),
        USER,
        assistant(text("x")),
        user(answer("1")),
    )
    assert made == [
        USER,
        assistant(call("1"), call("2")),
        user(answer("2"), answer("1"), text("go")),
        assistant(text("x")),
    ]


def test_messages_of_one_role_are_merged_and_the_first_is_the_users() -> None:
    assert told("anthropic", assistant(text("a")), assistant(text("b"))) == [
        {"role": "user", "content": BEGINNING},
        assistant(text("a"), text("b")),
    ]
    assert told("anthropic", USER, USER) == [user(text("go"), text("go"))]
    assert told("anthropic") == []


def test_texts_that_say_nothing_are_left_out() -> None:
    made = told("anthropic", USER, assistant(text(""), text("a"), text(" ")), user(text("")), assistant(text("\n")))
    assert made == [USER, assistant(text("a"))]
    made = told("anthropic", USER, assistant(call("1")), user(answer("1", [text(""), text("x")])))
    assert made[2] == user(answer("1", [text("x")]))


def test_the_systems_head_is_told_apart_and_later_words_of_its_in_a_block() -> None:
    said = [Draft("system", "be kind"), Draft("system", ""), Draft("system", [text("be brief")])]
    said += [Draft("user", "go"), Draft("system", "it is late")]
    shown = [item_of(draft) for draft in said]
    assert system_of(shown) == [text("be kind"), text("be brief")]
    assert written("anthropic", shown) == (user(text("go"), text("<system>\nit is late\n</system>")),)
    native = {"role": "system", "content": [text("be kind") | {"cache_control": MARK}]}
    assert system_of(items(native, USER)) == native["content"]
    assert told("anthropic", native, USER) == [USER]
    assert system_of(items(USER, native)) == []


def test_ids_are_made_legal_on_both_sides_and_stay_apart() -> None:
    made = told("anthropic", USER, assistant(call("a:1"), call("a/1")), user(answer("a:1", "x"), answer("a/1", "y")))
    ids = [block["id"] for block in made[1]["content"]]
    assert len(set(ids)) == 2
    assert [block["tool_use_id"] for block in made[2]["content"]] == ids
    again = told("anthropic", USER, assistant(call("1")), user(answer("1")), assistant(call("1")), user(answer("1")))
    assert [again[1], again[3]] == [assistant(call("1")), assistant(call("1_2"))]
    assert again[4] == user(answer("1_2"))


def test_thoughts_are_kept_as_they_came_or_not_at_all() -> None:
    sealed = {"type": "redacted_thinking", "data": "x"}
    message = assistant(THOUGHT, sealed, text("a"))
    assert told("anthropic", USER, message) == [USER, message]
    assert told("anthropic", USER, assistant(THOUGHT), USER) == [user(text("go"), text("go"))]
    unsigned = {"type": "thinking", "thinking": "hm"}
    assert told("anthropic", USER, assistant(unsigned, text("a"))) == [USER, assistant(text("a"))]
    assert told("openai", USER, message) == [USER, {"role": "assistant", "content": "a"}]


def test_what_the_provider_called_itself_stays_inside_the_message() -> None:
    search = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
    compaction = {"type": "compaction", "content": "we spoke", "encrypted_content": "x"}
    unknown = {"type": "of_next_year", "more": 1}
    message = assistant(compaction, search, found, unknown, text("done"))
    (draft,) = drafts_of("anthropic", [message])
    assert (draft.kind, draft.content) == ("message", [message])
    assert told("anthropic", USER, message) == [USER, message]
    assert told("openai", USER, message) == [USER, {"role": "assistant", "content": "done"}]


def test_what_it_called_on_other_servers_is_told_with_its_result() -> None:
    asked = {"type": "mcp_tool_use", "id": "m1", "name": "look", "server_name": "s", "input": {}}
    found = {"type": "mcp_tool_result", "tool_use_id": "m1", "is_error": False, "content": [text("seen")]}
    message = assistant(text("wait"), asked, found, text("done"))
    assert told("anthropic", USER, message) == [USER, message]
    assert [item.get("type", item.get("content")) for item in told("openai", USER, message)] == [
        *("go", "wait", "function_call", "function_call_output", "done"),
    ]


def test_pictures_and_documents_go_abroad() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    paper = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a b"}, "title": "t"}
    listed = {"type": "document", "source": {"type": "content", "content": [text("c")]}}
    made = told("openai", user({"type": "image", "source": source}, paper, listed))
    assert made[0]["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        {"type": "input_text", "text": "a b"},
        {"type": "input_text", "text": "c"},
    ]
    known_to_one = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    assert told("openai", user(known_to_one))[0]["content"] == [{"type": "input_text", "text": "[image]"}]


def test_errors_and_breakpoints_of_blocks_come_back() -> None:
    failed = answer("1") | {"is_error": True, "cache_control": MARK}
    messages = [USER, assistant(call("1")), user(failed)]
    assert told("anthropic", *messages) == messages
    assert native_of("anthropic", drafts_of("anthropic", messages)) == messages


def test_no_more_breakpoints_are_sent_than_the_provider_takes() -> None:
    said = [(user if n % 2 == 0 else assistant)(text(str(n)) | {"cache_control": MARK}) for n in range(7)]
    made = told("anthropic", *said)
    assert ["cache_control" in message["content"][0] for message in made] == [False] * 4 + [True] * 3
    assert native_of("anthropic", drafts_of("anthropic", said)) == said


def test_placeholders_stand_for_one_call_or_one_result() -> None:
    result = user(answer("1") | {"is_error": True})
    assert replaced("anthropic", result, "output", "[gone]") == user(answer("1", "[gone]") | {"is_error": True})
    made = replaced("anthropic", assistant(call("1")), "input", "[gone]")
    assert made == assistant(call("1") | {"input": {"input": "[gone]"}})
    for what in ("input", "output"):
        assert replaced("anthropic", USER, what, "[gone]") is None
        assert replaced("anthropic", assistant(call("1"), call("2")), what, "[gone]") is None


def marked(messages: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Where the breakpoints are: message and block."""
    return [
        (n, m)
        for n, message in enumerate(messages)
        for m, block in enumerate(message["content"])
        if "cache_control" in block
    ]


def test_breakpoints_end_the_head_what_was_before_the_newest_words_and_the_whole() -> None:
    messages = [USER, assistant(text("a")), user(text("b")), assistant(text("c")), user(text("d"))]
    before = copy.deepcopy(messages)
    head, made = with_breakpoints([text("s"), text("t")], messages)
    assert head == [text("s"), text("t") | {"cache_control": MARK}]
    assert marked(made) == [(3, 0), (4, 0)]
    assert messages == before
    _, longer = with_breakpoints([], messages, ttl="1h")
    assert longer[4]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert with_breakpoints([], []) == ([], [])


def test_what_others_begin_with_too_has_a_breakpoint_of_its_own() -> None:
    messages = [USER, assistant(text("a")), user(text("b"))]
    head, made = with_breakpoints([text("s"), text("t"), text("u")], messages, shared=2)
    assert ["cache_control" in block for block in head] == [False, True, True]
    assert marked(made) == [(1, 0), (2, 0)]
    head, _ = with_breakpoints([text("s"), text("t")], messages, shared=2)
    assert ["cache_control" in block for block in head] == [False, True]


def test_breakpoints_that_blocks_came_with_are_taken_off() -> None:
    messages = [user(text("a") | {"cache_control": MARK}), assistant(text("b")), USER]
    assert marked(with_breakpoints([], messages)[1]) == [(1, 0), (2, 0)]


def test_thoughts_and_empty_texts_are_never_marked() -> None:
    messages = [USER, assistant(text("a"), THOUGHT), user(text("b"), text(""))]
    assert marked(with_breakpoints([text("")], messages)[1]) == [(1, 0), (2, 0)]
    assert with_breakpoints([text("")], messages)[0] == [text("")]


@pytest.mark.parametrize("shared", [0, 1])
@pytest.mark.parametrize("parallel", [1, 4])
def test_what_the_request_before_wrote_is_always_found(parallel: int, shared: int) -> None:
    """In loops of calls of any length: a breakpoint is where it ended, or at most twenty blocks behind."""
    messages = [USER, assistant(text("a")), user(text("b"))]
    ended = 0
    for step in range(40):
        head, made = with_breakpoints([text("s"), text("t")], messages, shared=shared)
        blocks = [block for message in made for block in message["content"]]
        marks = [n for n, block in enumerate(blocks, 1) if "cache_control" in block]
        assert len(marks) + sum("cache_control" in block for block in head) <= 4
        assert marks[-1] == len(blocks)
        assert ended == 0 or any(mark - 20 < ended <= mark for mark in marks)
        ended = len(blocks)
        ids = [f"{step}_{n}" for n in range(parallel)]
        messages += [assistant(*map(call, ids)), user(*map(answer, ids))]


def test_many_blocks_at_once_get_a_breakpoint_between() -> None:
    ids = [str(n) for n in range(15)]
    messages = [USER, assistant(call("x")), user(answer("x")), assistant(*map(call, ids)), user(*map(answer, ids))]
    assert marked(with_breakpoints([], messages)[1]) == [(2, 0), (4, 14)]
