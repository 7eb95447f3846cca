"""One turn of the chat: what is logged, what the model sees, what is kept of the run, and what stays in the cache."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from carryover.chat.answering import ROUNDS
from carryover.chat.verbs import Chat
from carryover.core.chat import ChatAnswer, ChatRequest, Compaction, RunStarted, TextDelta, ToolCall, ToolOutput
from carryover.core.errors import Conflict, Invalid, NotFound
from carryover.core.session import Append, Draft
from carryover.runtime import Carryover
from carryover.settings import Settings
from chatting import HAIKU, answer_of, in_turn, newest_events, reading, results_in, said_in, sent, settle, types
from clocks import FrozenClock
from fakes.messages_stream import Call, FakeMessagesStream, Said
from fakes.scripted import Scripted

LEDGER = "Let's use PostgreSQL for the ledger."
COMPACT = {"mode": "compact", "compact_trigger_turns": 2, "compact_keep": 1, "clear_at_least_tokens": 1}


def test_a_turn_is_logged_answered_and_logged(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    fake.answer = "The answer is forty-two."
    events = list(chat.stream(ChatRequest("s", "What is it?", user_id="ann", instructions="Be short.")))
    assert isinstance(events[0], RunStarted)
    assert all(isinstance(event, TextDelta) for event in events[1:-1])
    answer = answer_of(events)
    assert "".join(event.text for event in events[1:-1] if isinstance(event, TextDelta)) == answer.text
    assert answer.text == "The answer is forty-two."
    assert [place.seq for place in answer.turns] == [1, 2]
    assert said_in(memory) == [("user", "message", "What is it?"), ("assistant", "message", answer.text)]
    assert memory.session("s").user_id == "ann"
    assert answer.usage.model == HAIKU
    assert answer.usage.cache_write > 0
    assert answer.usage.money > 0
    assert (answer.strategy.mode, answer.sources["mode"]) == ("none", "default")
    assert answer.view.turns == {"keep": 1}
    (ask,) = fake.requests
    assert ask.system == "Be short."
    assert ask.body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]
    assert types(newest_events(memory)) == [
        "run_started", "head", "view", "model_request", "text", "usage", "run_finished",
    ]  # fmt: skip


def test_calls_and_their_results_are_logged_together(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    memory.append(Append("old", (Draft("user", LEDGER),), "default", "ann"))
    memory.append(Append("theirs", (Draft("user", "My secret ledger is on paper."),), "default", "bob"))
    look = Said("Let me look.", (Call("search_memory", {"query": "ledger"}, "call_1"),), thinking="I should look.")
    fake.answer = in_turn(look, "PostgreSQL.")
    events = list(chat.stream(ChatRequest("s", "Which database has the ledger?", user_id="ann")))
    (call,) = [event for event in events if isinstance(event, ToolCall)]
    (output,) = [event for event in events if isinstance(event, ToolOutput)]
    assert (call.name, output.call_id) == ("search_memory", call.call_id)
    assert LEDGER in output.output
    assert "secret" not in output.output
    kinds = [(role, kind) for role, kind, _ in said_in(memory)]
    assert kinds == [
        ("user", "message"),
        ("assistant", "reasoning"),
        ("assistant", "message"),
        ("assistant", "tool_call"),
        ("tool", "tool_result"),
        ("assistant", "message"),
    ]
    answer = answer_of(events)
    assert answer.text == "PostgreSQL."
    assert [place.seq for place in answer.turns] == [1, 2, 3, 4, 5, 6]
    assert answer.usage.calls == 2
    first, second = fake.requests
    assert results_in(second) == {"call_1": output.output}
    blocks = second.body["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    assert blocks[0]["signature"] == "signed-1"
    assert first.body["tools"] == second.body["tools"]
    happened = newest_events(memory)
    assert types(happened) == [
        *("run_started", "head", "view", "model_request", "text", "tool_call", "usage", "tool_output"),
        *("view", "model_request", "text", "usage", "run_finished"),
    ]
    (kept,) = [event for event in happened if event.type == "tool_output"]
    assert (kept.seq, kept.payload["output"]) == (5, output.output)


def test_placeholders_for_the_model_and_originals_in_the_runs(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    """With compact on, old outputs are placeholders in what is sent; the run events have them as they were."""
    memory.log_turn("s", "user", "Here is the report. " + "The quick brown fox jumps over the lazy dog. " * 200)
    compactions: list[Compaction] = []
    outputs: dict[str, str] = {}
    for n in range(4):
        fake.answer = in_turn(reading(f"call_{n}", 1, 1), f"Read it {n + 1} times.")
        for event in chat.stream(ChatRequest("s", f"Read it again, {n}.", strategy=COMPACT)):
            if isinstance(event, Compaction):
                compactions.append(event)
            if isinstance(event, ToolOutput):
                outputs[event.call_id] = event.output
    assert all("lazy dog" in output for output in outputs.values())
    shown = results_in(fake.requests[-1])
    assert shown["call_0"].startswith("⟦removed: tool output for read_turns (call_id=call_0)")
    assert shown["call_3"] == outputs["call_3"]
    assert len(compactions) >= 1
    assert compactions[0].trigger == "turns"
    assert compactions[0].tools == ("read_turns",)
    assert compactions[0].tokens_after < compactions[0].tokens_before
    assert set(compactions[0].call_ids) <= set(outputs)
    cleared = [id for compaction in compactions for id in compaction.call_ids]
    assert sorted(cleared) == sorted(set(cleared)), "what was cleared is told once"
    assert sum(compaction.outputs for compaction in compactions) == len(cleared)
    assert set(cleared) == {id for id, text in shown.items() if text.startswith("⟦removed")}
    kept: dict[str, str] = {}
    for run in chat.runs("s")[0]:
        for event in chat.run("s", run.run_id).events:
            if event.type == "tool_output":
                kept[event.payload["call_id"]] = event.payload["output"]
    assert kept == outputs
    told = [event for run in chat.runs("s")[0] for event in chat.run("s", run.run_id).events]
    assert sum(event.type == "memory_compaction" for event in told) == len(compactions)


def test_what_was_cleared_can_be_read_again(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    memory.log_turn("s", "user", "Remember: " + "the code word is heron. " * 100)
    for n in range(4):
        fake.answer = in_turn(reading(f"call_{n}", 1, 1), "Read.")
        chat.send(ChatRequest("s", "Read it.", strategy=COMPACT))
    again = Said("", (Call("read_turns", {"call_id": "call_0"}, "call_9"),))
    fake.answer = in_turn(again, "Heron.")
    chat.send(ChatRequest("s", "And the first?", strategy=COMPACT))
    shown = results_in(fake.requests[-1])
    assert shown["call_0"].startswith("⟦removed")
    assert "heron" in shown["call_9"]


def test_a_long_run_of_calls_is_bounded_too(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    """The view is made anew before each request of a run, and the model must answer at last."""
    memory.log_turn("s", "user", "The report. " + "Figures and words. " * 300)
    n = iter(range(100))
    fake.answer = lambda ask: (
        Said("Enough.") if "none" in str(ask.body["tool_choice"]) else reading(f"c{next(n)}", 1, 1)
    )
    strategy = {
        "mode": "compact", "compact_trigger_calls": 2, "compact_keep": 1, "keep_last_calls": 1,
        "clear_at_least_tokens": 1,
    }  # fmt: skip
    answer = chat.send(ChatRequest("s", "Read it often.", strategy=strategy))
    assert answer.text == "Enough."
    assert len(fake.requests) == ROUNDS == answer.usage.calls
    shown = results_in(fake.requests[-1])
    assert len(shown) == ROUNDS - 1
    assert shown["c0"].startswith("⟦removed")
    assert "Figures" in shown[f"c{ROUNDS - 2}"]


def test_calls_beyond_the_last_round_are_not_made(chat: Chat, memory: Carryover, fake: FakeMessagesStream) -> None:
    fake.answer = lambda _ask: Said("I go on.", (Call("search_memory", {"query": "x"}),))
    answer = chat.send(ChatRequest("s", "Go."))
    assert (answer.stop, answer.text, len(fake.requests)) == ("calls", "I go on.", ROUNDS)
    assert said_in(memory)[-1] == ("assistant", "message", "I go on.")


def test_an_answer_that_is_cut_off_is_whole_as_far_as_it_goes(
    chat: Chat, memory: Carryover, fake: FakeMessagesStream
) -> None:
    fake.answer = Said("Once upon a", stop="max_tokens")
    answer = chat.send(ChatRequest("s", "Tell me a story.", max_tokens=5))
    assert (answer.stop, answer.text) == ("max_tokens", "Once upon a")
    assert fake.requests[0].body["max_tokens"] == 5
    assert said_in(memory)[-1] == ("assistant", "message", "Once upon a")


def test_the_beginning_of_a_conversation_is_read_from_the_cache(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    """The head stays as it is in a warm session, though another session of the user is consolidated in between."""
    memory.append(Append("first", (Draft("user", LEDGER),), "default", "ann"))
    settle(memory, "first")
    ask = ChatRequest("s", "Hello.", user_id="ann", instructions="You help with books.")
    clock.pass_(1000)
    answers = [chat.send(ask)]
    clock.pass_(60_000)
    memory.append(Append("second", (Draft("user", "We decided to drop SQLite."),), "default", "ann"))
    settle(memory, "second")
    for _ in range(3):
        clock.pass_(200_000)
        answers.append(chat.send(ask))
    asked = list(fake.requests)
    assert len(asked) == 4
    assert "PostgreSQL" in asked[0].system
    assert {request.system for request in asked} == {asked[0].system}
    for before, after in pairwise(asked):
        assert after.body["system"] == before.body["system"]
        assert after.body["messages"][: len(before.body["messages"])] == before.body["messages"]
    assert answers[0].usage.cache_read == 0
    for before, after in pairwise(answers):
        assert after.usage.cache_read >= before.usage.tokens_in > 0
    clock.pass_(301_000)
    chat.send(ask)
    assert "SQLite" in fake.requests[-1].system


def test_what_was_erased_is_told_no_more_even_in_a_warm_session(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    memory.append(Append("first", (Draft("user", LEDGER),), "default", "ann"))
    settle(memory, "first")
    clock.pass_(1000)
    chat.send(ChatRequest("s", "Hello.", user_id="ann"))
    assert "PostgreSQL" in fake.requests[-1].system
    memory.delete_session("first")
    chat.send(ChatRequest("s", "Hello again.", user_id="ann"))
    assert "PostgreSQL" not in sent(fake.requests[-1])
    kept = [event.payload for run in chat.runs("s")[0] for event in chat.run("s", run.run_id).events]
    assert "PostgreSQL" not in str(kept)


def test_without_context_nothing_is_told_of_other_sessions(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    memory.append(Append("first", (Draft("user", LEDGER),)))
    settle(memory, "first")
    clock.pass_(1000)
    chat.send(ChatRequest("s", "Hello.", context=False))
    assert "system" not in fake.requests[-1].body
    memory.append(Append("s2", (Draft("system", "Speak like a pirate."),)))
    chat.send(ChatRequest("s2", "Hello.", context=False, instructions="Be short."))
    assert [block["text"] for block in fake.requests[-1].body["system"]] == ["Be short.", "Speak like a pirate."]
    assert fake.requests[-1].body["messages"][0]["role"] == "user"


def test_a_repeated_request_has_the_first_answer(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    fake.answer = in_turn("First.", "Second.")
    ask = ChatRequest("s", "Once only.", idempotency_key="k-1")
    answer = chat.send(ask)
    events = list(chat.stream(ask))
    assert answer_of(events) == answer
    assert [type(event) for event in events] == [RunStarted, TextDelta, ChatAnswer]
    assert len(fake.requests) == 1
    assert memory.session("s").version == 2
    with pytest.raises(Invalid, match="idempotency_key"):
        chat.send(ChatRequest("s", "Something else.", idempotency_key="k-1"))


def test_tools_are_named_and_may_be_none(chat: Chat, fake: FakeMessagesStream) -> None:
    chat.send(ChatRequest("s", "Hello.", tools=()))
    assert "tools" not in fake.requests[0].body
    chat.send(ChatRequest("s", "Hello.", tools=("read_turns",)))
    assert [tool["name"] for tool in fake.requests[1].body["tools"]] == ["read_turns"]
    fake.answer = in_turn(Said("", (Call("search_memory", {"query": "x"}, "c"),)), "So be it.")
    chat.send(ChatRequest("s", "Search.", tools=("read_turns",)))
    assert results_in(fake.requests[-1]) == {"c": "There is no tool 'search_memory'."}
    with pytest.raises(Invalid, match="'rm_rf' is unknown; use some of search_memory, read_turns"):
        chat.send(ChatRequest("s", "Hello.", tools=("rm_rf",)))


def test_strategies_of_request_conversation_and_agent_count(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    memory.strategies.set_agent("default", {"mode": "trim", "max_user_turns": 2, "keep_last_turns": 1})
    for n in range(4):
        answer = chat.send(ChatRequest("s", f"Message {n}."))
    assert (answer.strategy.mode, answer.sources["mode"], answer.view.trigger) == ("trim", "agent", "turns")
    assert answer.view.turns["omit"] > 0
    assert "Message 0." not in sent(fake.requests[-1])
    answer = chat.send(ChatRequest("s", "All of it.", strategy={"mode": "none"}))
    assert (answer.strategy.mode, answer.sources["mode"]) == ("none", "request")
    assert "Message 0." in sent(fake.requests[-1])


def test_what_cannot_be_is_refused_before_anything_is_logged(memory: Carryover, chat: Chat) -> None:
    for wrong in (
        ChatRequest("s", "Hi.", strategy={"mode": "forget"}),
        ChatRequest("s", "Hi.", strategy={"modus": "trim"}),
        ChatRequest("s", "Hi.", max_tokens=0),
        ChatRequest("sessions", "Hi."),
    ):
        with pytest.raises(Invalid):
            chat.send(wrong)
    with pytest.raises(NotFound):
        memory.session("s")
    with pytest.raises(NotFound):
        chat.runs("s")
    memory.log_turn("s", "user", "Hi.")
    with pytest.raises(NotFound, match="has no run 'run_1'"):
        chat.run("s", "run_1")


def test_usage_is_on_the_account(memory: Carryover, chat: Chat) -> None:
    answer = chat.send(ChatRequest("s", "Hello."))
    report = memory.usage(group="job")
    (total,) = report.totals
    assert (total.group, total.jobs) == ("chat", 1)
    assert total.usage == answer.usage
    assert report.reserved.money == Decimal(0)


def test_without_a_model_it_says_which_setting_to_set(tmp_path: Path) -> None:
    with Carryover.open(Settings(home=tmp_path, embedder="none"), work=False) as memory:
        with pytest.raises(Invalid, match=r"set `llm` \(CARRYOVER_LLM\)"):
            Chat(memory).send(ChatRequest("s", "Hello."))
        with pytest.raises(NotFound):
            memory.session("s")


def test_runs_are_paged_newest_first(chat: Chat, clock: FrozenClock) -> None:
    for _ in range(5):
        chat.send(ChatRequest("s", "Hello."))
        clock.pass_(10)
    first, cursor = chat.runs("s", limit=3)
    second, end = chat.runs("s", limit=3, cursor=cursor)
    assert end is None
    found = [*first, *second]
    assert len({run.run_id for run in found}) == 5
    assert [run.started_at for run in found] == sorted((run.started_at for run in found), reverse=True)
    assert {run.status for run in found} == {"finished"}
    with pytest.raises(Invalid):
        chat.runs("s", cursor="nonsense")


def test_one_answer_at_a_time(chat: Chat, memory: Carryover) -> None:
    events = chat.stream(ChatRequest("s", "The first."))
    next(events)
    with pytest.raises(Conflict, match="is being answered by run") as raised:
        chat.send(ChatRequest("s", "The second."))
    assert memory.session("s").version == 1, "nothing of the refused one was saved"
    assert raised.value.facts["run_id"] == chat.runs("s")[0][0].run_id
    assert chat.send(ChatRequest("other", "Another conversation.")).text == "Hello."
    assert answer_of(events).text == "Hello."
    assert chat.send(ChatRequest("s", "The second.")).text == "Hello."


@pytest.mark.parametrize("wire", ["openai", "openai-chat"])
def test_a_model_of_another_provider_has_the_same_conversation(tmp_path: Path, wire: str) -> None:
    """Both wires of OpenAI: calls and results in their own words, and reads of the cache on the account."""

    def script(body: dict[str, Any]) -> tuple[str, list[tuple[str, str, dict[str, Any]]]]:
        last = (body.get("messages") or body["input"])[-1]
        if last.get("role") == "tool" or last.get("type") == "function_call_output":
            return "It says heron.", []
        return "", [("call_1", "read_turns", {"first": 1, "last": 1})]

    with Scripted(script) as fake:
        model = {"llm": f"{wire}:gpt-5-mini", "llm_api_key": "k", "llm_base_url": fake.openai_url}
        with Carryover.open(Settings(home=tmp_path, embedder="none", **model), work=False) as memory:
            memory.log_turn("s", "user", "The code word is heron. " * 100)
            events = list(Chat(memory).stream(ChatRequest("s", "What does it say?", instructions="Be short.")))
            answer = answer_of(events)
        assert answer.text == "It says heron."
        assert sum(isinstance(event, TextDelta) for event in events) > 1
        assert "heron" in next(event.output for event in events if isinstance(event, ToolOutput))
        assert answer.usage.cache_read > 0
        assert answer.usage.money > 0
        assert "Be short." in str(fake.bodies[1])
        call, result = (fake.bodies[1].get("messages") or fake.bodies[1]["input"])[-2:]
        if wire == "openai":
            assert (call["name"], result["call_id"]) == ("read_turns", "call_1")
        else:
            assert call["tool_calls"][0]["function"]["name"] == "read_turns"
            assert (result["role"], result["tool_call_id"]) == ("tool", "call_1")
