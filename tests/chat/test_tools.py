"""What a model may call: it reads its own conversation and searches its own user's memory, and never more than that."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carryover.chat import tools
from carryover.chat.tools import OUTPUT, Here
from carryover.core.chat import ToolCall
from carryover.core.session import Append, Draft
from carryover.runtime import Carryover


@pytest.fixture
def here(memory: Carryover) -> Here:
    drafts = (
        Draft("user", "What is in the file?"),
        Draft("assistant", json.dumps({"path": "a.txt"}), "tool_call", "read_file", "call_1"),
        Draft("tool", "The file says heron.", "tool_result", "read_file", "call_1"),
        Draft("assistant", "It says heron."),
        Draft("user", "A typing misteak"),
        Draft("system", [{"type": "retraction", "first": 5, "last": 5}], "retraction"),
        Draft("user", "A typing mistake"),
    )
    memory.append(Append("s", drafts, "default", "ann"))
    return Here(memory, "default", "s", "ann")


def run(here: Here, name: str, arguments: Any) -> str:
    given = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return tools.run(tools.chosen(["search_memory", "read_turns"]), here, ToolCall("c", name, given))


def test_turns_are_read_by_number_or_by_call(here: Here) -> None:
    assert run(here, "read_turns", {"first": 1, "last": 1}) == "[turn 1, user message]\nWhat is in the file?"
    both = run(here, "read_turns", {"call_id": "call_1"})
    assert "[turn 2, assistant tool_call read_file]" in both
    assert "[turn 3, tool tool_result read_file]\nThe file says heron." in both
    assert "1 to 7" in run(here, "read_turns", {"first": 40, "last": 50})
    assert "1 to 7" in run(here, "read_turns", {"call_id": "another"})


def test_what_was_taken_back_is_not_read(here: Here) -> None:
    text = run(here, "read_turns", {"first": 4, "last": 7})
    assert "misteak" not in text
    assert "A typing mistake" in text


def test_outputs_are_bounded(here: Here, memory: Carryover) -> None:
    memory.log_turn("s", "user", "x" * (2 * OUTPUT))
    memory.log_turn("s", "user", "the end")
    text = run(here, "read_turns", {"first": 8, "last": 9})
    assert len(text) < OUTPUT + 200
    assert text.endswith("[cut here, in turn 8: ask for fewer turns at once]")


def test_only_sessions_of_the_same_user_are_found(here: Here, memory: Carryover) -> None:
    memory.append(Append("mine", (Draft("user", "The heron nests at the lake."),), "default", "ann"))
    memory.append(Append("theirs", (Draft("user", "My heron is a secret."),), "default", "bob"))
    memory.append(Append("nobody", (Draft("user", "A heron of nobody."),), "default"))
    memory.append(Append("elsewhere", (Draft("user", "A heron of another agent."),), "other", "ann"))
    found = run(here, "search_memory", {"query": "heron"})
    assert found.count("\n") == 1  # what it is, and one hit
    assert 'session mine, turn 1, turn by user: "The heron nests at the lake."' in found
    alone = run(Here(memory, "default", "x", None), "search_memory", {"query": "heron"})
    assert "A heron of nobody." in alone
    assert "secret" not in alone
    assert run(here, "search_memory", {"query": "zeppelin"}) == "Nothing was found."


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("read_turns", "{no JSON", "are no JSON"),
        ("read_turns", "[1, 2]", "no JSON object"),
        ("read_turns", {"first": "1", "last": 2}, "first is no whole number"),
        ("read_turns", {"first": True, "last": 2}, "first is no whole number"),
        ("search_memory", {"query": " "}, "query is no text"),
        ("search_memory", "", "query is no text"),
        ("delete_everything", {}, "There is no tool 'delete_everything'."),
    ],
)
def test_a_call_that_cannot_be_is_answered(here: Here, name: str, arguments: Any, answer: str) -> None:
    assert answer in run(here, name, arguments)
