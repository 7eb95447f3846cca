"""What a model sees of a graph's messages, and the log of them, with graphs that run."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.warnings import LangGraphDeprecatedSinceV10
from pydantic import PrivateAttr

from carryover.core.errors import Invalid, NotFound
from carryover.integrations.langgraph import load_messages, load_view, log_messages, log_node, view, view_messages
from carryover.integrations.messages import Conversation
from carryover.memories import Memory
from strategies.formats import shapes

COMPACT = {"mode": "compact", "compact_trigger_turns": 3, "compact_keep": 1, "clear_at_least_tokens": 1}
TRIM = {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}
STRATEGIES = ({"mode": "none"}, TRIM, COMPACT, COMPACT | {"clear_tool_inputs": True}, TRIM | {"token_budget": 300})
LONG = "line of output\n" * 40


class Model(BaseChatModel):
    """Calls two tools at once for what a user says, and then answers; what it was given is in `seen`."""

    _seen: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    @property
    def seen(self) -> list[list[BaseMessage]]:
        return self._seen

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        check(messages)
        self._seen.append(messages)
        if isinstance(messages[-1], ToolMessage):
            return AIMessage("That is what I found.")
        n = str(messages[-1].content).split()[-1]
        calls = [{"name": "look", "args": {"q": letter * 80}, "id": f"call_{n}{letter}"} for letter in "ab"]
        return AIMessage("Let me look.", tool_calls=calls)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        said = self._answer(messages)
        for letter in str(said.content):
            yield ChatGenerationChunk(message=AIMessageChunk(letter))
        chunks = [
            {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": n}
            for n, call in enumerate(said.tool_calls)
        ]
        yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=chunks, chunk_position="last"))


@tool
def look(q: str) -> str:
    """Look something up."""
    return LONG


class State(TypedDict, total=False):
    messages: Annotated[list[BaseMessage], add_messages]
    llm_input_messages: list[BaseMessage]


def check(messages: Sequence[BaseMessage]) -> None:
    """What OpenAI's chat takes, which is what most of LangChain's models are given."""
    shapes.completions(convert_to_openai_messages(list(messages)))


def graph_of(model: Model, strategy: Any, *, memory: Memory | None = None) -> Any:
    """An agent's loop as people build it, with a view before the model and the log behind it."""
    builder = StateGraph(State)
    builder.add_node("view", view_messages(strategy))
    builder.add_node("model", lambda state: {"messages": [model.invoke(state["llm_input_messages"])]})
    builder.add_node("tools", ToolNode([look]))
    builder.add_edge(START, "view")
    builder.add_edge("view", "model")
    builder.add_edge("tools", "view")
    if memory is None:
        builder.add_conditional_edges("model", tools_condition)
    else:
        builder.add_node("log", log_node(memory))
        builder.add_edge("model", "log")
        builder.add_conditional_edges("log", tools_condition)
    return builder.compile(checkpointer=InMemorySaver())


def test_a_long_thread_keeps_its_state_and_shows_a_view() -> None:
    model = Model()
    graph = graph_of(model, COMPACT)
    config = {"configurable": {"thread_id": "t"}}
    for n in range(8):
        graph.invoke({"messages": [HumanMessage(f"question {n}")]}, config)
    state = graph.get_state(config).values["messages"]
    assert len(state) == 8 * 5
    assert not any("removed" in str(message.content) for message in state)
    last = model.seen[-1]
    assert len(last) == len(state) - 1
    assert sum("⟦removed: tool output for look" in str(message.content) for message in last) >= 8
    # What is left as it is, is the state's own; a placeholder keeps all else of its message.
    for shown, own in zip(last, state, strict=False):
        assert shown.id == own.id
        if isinstance(shown, ToolMessage) and shown.content != own.content:
            assert shown.model_copy(update={"content": own.content}) == own
        else:
            assert shown == own


def test_the_beginning_stays_from_call_to_call() -> None:
    model = Model()
    graph = graph_of(model, TRIM)
    for n in range(30):
        graph.invoke({"messages": [HumanMessage(f"question {n}")]}, {"configurable": {"thread_id": "t"}})
    calls = [[message.model_dump_json() for message in messages] for messages in model.seen]
    breaks = sum(before != after[: len(before)] for before, after in itertools.pairwise(calls))
    assert breaks == 9  # of 59: each cut leaves two turns of five, and the next comes when there are five again
    assert max(len(messages) for messages in calls) <= 5 * 5


def test_an_agent_with_a_hook() -> None:
    model = Model()
    with pytest.warns(LangGraphDeprecatedSinceV10):  # what follows it has no hooks
        agent = create_react_agent(model, [look], pre_model_hook=view_messages(TRIM), checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    for n in range(6):
        for _ in agent.stream({"messages": [("user", f"question {n}")]}, config, stream_mode="messages"):
            pass
    assert len(agent.get_state(config).values["messages"]) == 6 * 5
    assert model.seen[-1][0].content == "question 3"


def test_a_graph_that_streams_is_logged(memory: Memory) -> None:
    model = Model()
    graph = graph_of(model, COMPACT, memory=memory)
    config = {"configurable": {"thread_id": "thread-1"}}
    for n in range(4):
        for _ in graph.stream({"messages": [HumanMessage(f"question {n}")]}, config, stream_mode="messages"):
            pass
    state = graph.get_state(config).values["messages"]
    assert load_messages(memory, "thread-1") == state
    session, turns = memory.turns("thread-1")
    assert session.version == 4 * 7  # a turn for each call, besides the messages
    assert [turn.kind for turn in turns[:7]] == [
        *("message", "message", "tool_call", "tool_call", "tool_result", "tool_result", "message"),
    ]
    assert json.loads(turns[2].body) == json.dumps({"q": "a" * 80})
    assert (turns[2].name, turns[2].call_id, turns[4].call_id) == ("look", "call_0a", "call_0a")
    again = log_messages(memory, "thread-1", state)
    assert again is not None
    assert not again.saved
    assert load_messages(memory, "nothing") == []


def test_a_thread_without_a_name_is_not_logged(memory: Memory) -> None:
    with pytest.raises(Invalid, match="thread_id"):
        log_node(memory)({"messages": []}, {})


def test_messages_are_logged_once_and_come_back_as_they_were(memory: Memory) -> None:
    told: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage(
            [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "https://a/b.png"}}]
        ),
        AIMessage(
            [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "text", "text": "Yes"},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"q": 1}},
            ],
            tool_calls=[{"name": "look", "args": {"q": 1}, "id": "c1"}],
            additional_kwargs={"unknown": [1]},
            response_metadata={"model": "m"},
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        ),
        ToolMessage([{"type": "text", "text": "out"}], tool_call_id="c1", artifact={"kept": True}, status="error"),
        HumanMessage("yes", id="1"),
        HumanMessage("yes"),
        HumanMessage("yes"),
    ]
    for n in range(len(told) + 1):
        log_messages(memory, "s", told[:n], user="ada")
    assert load_messages(memory, "s") == told
    # What was changed by its id is said anew.
    log_messages(memory, "s", [*told[:4], HumanMessage("no", id="1"), *told[5:]])
    assert load_messages(memory, "s") == [*told, HumanMessage("no", id="1")]


def test_the_view_of_a_log(memory: Memory) -> None:
    model = Model()
    graph = graph_of(model, {"mode": "none"}, memory=memory)
    config = {"configurable": {"thread_id": "s"}}
    for n in range(8):
        graph.invoke({"messages": [HumanMessage(f"question {n}")]}, config)
    state = graph.get_state(config).values["messages"]
    assert load_view(memory, "s") == state
    shown = load_view(memory, "s", strategy=COMPACT)
    check(shown)
    assert [message.id for message in shown] == [message.id for message in state]
    assert "⟦removed" in str(shown[2].content)
    memory.strategies.set_conversation("s", TRIM)
    assert load_view(memory, "s")[0].content == "question 6"
    with pytest.raises(NotFound):
        load_view(memory, "nothing")


def test_a_view_that_begins_inside_of_a_turn(memory: Memory) -> None:
    told: list[BaseMessage] = [HumanMessage("question", id="h")]
    for n in range(12):
        calls = [{"name": "look", "args": {"q": n}, "id": f"c{n}{letter}"} for letter in "ab"]
        told.append(AIMessage("Let me look. " * 20, tool_calls=calls, id=f"a{n}"))
        told += [ToolMessage(LONG, tool_call_id=call["id"], id=f"r{call['id']}") for call in calls]
    log_messages(memory, "s", told)
    for budget in range(500, 1500, 50):
        strategy = {"mode": "trim", "token_budget": budget, "keep_last_calls": 1}
        for shown in (load_view(memory, "s", strategy=strategy), view(told, strategy)):
            check(shown)
            assert shown[0].id == "h"
            assert len(shown) < len(told)
            assert shown[-1] == told[-1]


def test_who_says_a_message() -> None:
    told = [
        ChatMessage("Be brief.", role="developer"),
        ChatMessage("question", role="user"),
        ChatMessage("x", role="y"),
    ]
    assert view(told, {"mode": "trim", "max_user_turns": 1, "keep_last_turns": 1}) == told
    more = [*told, HumanMessage("question 2")]
    assert view(more, {"mode": "trim", "max_user_turns": 1, "keep_last_turns": 1}) == [told[0], more[-1]]


def test_many_threads_are_logged(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carryover.integrations.langgraph._THREADS", 2)
    node = log_node(memory)
    for _ in range(2):
        for n in range(4):
            node({"messages": [HumanMessage(f"question {n}", id="h")]}, {"configurable": {"thread_id": f"t{n}"}})
    assert [memory.session(f"t{n}").version for n in range(4)] == [1, 1, 1, 1]


def test_what_others_logged_is_shown_too(memory: Memory) -> None:
    memory.log_turn("s", "system", "Be brief.")
    memory.log_turn("s", "user", "question 0")
    log_messages(memory, "s", [AIMessage("That is it.")])
    told = [SystemMessage("Be brief."), HumanMessage("question 0"), AIMessage("That is it.")]
    assert load_messages(memory, "s") == load_view(memory, "s") == told


def test_what_a_provider_was_told_is_shown_too(memory: Memory) -> None:
    chat = Conversation(memory, "s", "anthropic")
    calls = [{"type": "tool_use", "id": f"c{n}", "name": "look", "input": {"q": n}} for n in (1, 2)]
    results = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": f"out {n}"} for n in (1, 2)]
    chat.add("question", {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, *calls]})
    chat.add({"role": "user", "content": results})
    log_messages(memory, "s", [AIMessage("That is it.")])
    for found in (load_messages(memory, "s"), load_view(memory, "s")):
        check(found)
        assert [message.type for message in found] == ["human", "ai", "tool", "tool", "ai"]
        asked = found[1]
        assert isinstance(asked, AIMessage)
        assert [call["args"] for call in asked.tool_calls] == [{"q": 1}, {"q": 2}]
        assert [message.content for message in found[2:]] == ["out 1", "out 2", "That is it."]


def test_calls_that_nobody_answers_are_not_shown() -> None:
    told = [
        HumanMessage("question 0"),
        AIMessage(
            [{"type": "text", "text": "Let me look."}]
            + [{"type": "tool_use", "id": id, "name": "look", "input": {}} for id in ("c1", "c2")],
            tool_calls=[{"name": "look", "args": {}, "id": id} for id in ("c1", "c2")],
            additional_kwargs={"tool_calls": [{"id": id, "function": {"arguments": "{}"}} for id in ("c1", "c2")]},
        ),
        ToolMessage("out", tool_call_id="c2"),
        HumanMessage("never mind"),
        ToolMessage("nobody asked", tool_call_id="c9"),
    ]
    shown = view(told, {"mode": "none"})
    assert [type(message) for message in shown] == [HumanMessage, AIMessage, ToolMessage, HumanMessage]
    assert (shown[0], shown[2], shown[3]) == (told[0], told[2], told[3])
    asked = shown[1]
    assert isinstance(asked, AIMessage)
    assert [call["id"] for call in asked.tool_calls] == ["c2"]
    assert [block.get("id") for block in asked.content] == [None, "c2"]
    assert [call["id"] for call in asked.additional_kwargs["tool_calls"]] == ["c2"]
    # At the end a call may still be answered; a result that comes late stands where it belongs.
    assert view(told[:2], {"mode": "none"}) == told[:2]
    late = ToolMessage("late", tool_call_id="c1")
    assert view([*told[:4], late], {"mode": "none"}) == [told[0], told[1], told[2], late, told[3]]


def test_arguments_are_cleared_everywhere_they_stand() -> None:
    told: list[BaseMessage] = []
    for n in range(8):
        said = {"name": "write", "args": {"text": "x" * 400}, "id": f"c{n}"}
        told += [
            HumanMessage(f"question {n}"),
            AIMessage([{"type": "tool_use", "input": said["args"], **said}], tool_calls=[said]),
            ToolMessage("ok", tool_call_id=f"c{n}"),
        ]
    shown = view(told, COMPACT | {"clear_tool_inputs": True})
    asked = shown[1]
    assert isinstance(asked, AIMessage)
    assert asked.tool_calls[0]["args"] == {
        "removed": "⟦removed: tool input for write (call_id=c0); reason=context_compaction⟧"
    }
    assert asked.content[0]["input"] == asked.tool_calls[0]["args"]
    assert shown[2] is told[2]
    check(shown)


def test_a_strategy_that_cannot_be() -> None:
    with pytest.raises(Invalid, match="mode"):
        view_messages({"mode": "trimm"})


@st.composite
def threads(draw: st.DrawFn) -> list[BaseMessage]:
    """Messages as graphs hold them: several calls at once, some never answered, results in any order, or nobody's."""
    made: list[BaseMessage] = [SystemMessage("Be brief.")] if draw(st.booleans()) else []
    ids = iter(range(1000))
    for n in range(draw(st.integers(0, 12))):
        made.append(HumanMessage(f"question {n}", id=f"h{n}"))
        for _ in range(draw(st.integers(0, 3))):
            calls = [
                {"name": "look", "args": {"q": "y" * draw(st.integers(0, 200))}, "id": f"call_{next(ids)}"}
                for _ in range(draw(st.integers(0, 3)))
            ]
            text = draw(st.sampled_from(["", "Let me look."])) if calls else "That is it."
            made.append(AIMessage(text, tool_calls=calls, id=f"a{next(ids)}"))
            answered = [call for call in calls if draw(st.integers(0, 9)) < 8]
            made += [
                ToolMessage("o" * draw(st.integers(0, 400)), tool_call_id=call["id"], id=f"r{call['id']}")
                for call in draw(st.permutations(answered))
            ]
        if draw(st.integers(0, 9)) == 0:
            made.append(ToolMessage("nobody asked", tool_call_id=f"call_{next(ids)}"))
    return made


@given(threads(), st.sampled_from(STRATEGIES))
def test_views_are_valid_and_of_the_same_objects(told: list[BaseMessage], strategy: dict[str, Any]) -> None:
    before = [message.model_dump_json() for message in told]
    shown = view(told, strategy)
    if told and not isinstance(told[-1], ToolMessage):
        last = told[-1]
        assert shown[-1] is last or (isinstance(last, AIMessage) and last.tool_calls)
    check(_answered(shown))
    own = {id(message) for message in told}
    for message in shown:
        if id(message) not in own:
            assert isinstance(message, (AIMessage, ToolMessage))
            assert message not in told  # only what differs is a copy
            assert "removed" in str(message) or isinstance(message, AIMessage)
    assert [message.model_dump_json() for message in told] == before
    assert view(told, strategy) == shown


def _answered(messages: list[BaseMessage]) -> list[BaseMessage]:
    """With results for the calls at the end, which may still come."""
    waiting = {
        call["id"]: None for message in messages if isinstance(message, AIMessage) for call in message.tool_calls
    }
    for message in messages:
        if isinstance(message, ToolMessage):
            del waiting[message.tool_call_id]
    return [*messages, *(ToolMessage("out", tool_call_id=str(id)) for id in waiting)]
