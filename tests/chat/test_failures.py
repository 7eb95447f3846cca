"""What is left when an answer fails: the user's turn, a run that says why, and nothing that is half."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from carryover.chat.runs import QUIET_S
from carryover.chat.verbs import Chat
from carryover.core.chat import ChatEvent, ChatRequest, RunStarted, TextDelta
from carryover.core.errors import (
    Cancelled,
    CarryoverError,
    Conflict,
    NotFound,
    OverBudget,
    ProviderError,
    ProviderUnavailable,
)
from carryover.core.session import Append, Draft
from carryover.runtime import Carryover
from chatting import HAIKU, in_turn, newest_events, open_chat, reading, results_in, said_in, types
from clocks import FrozenClock
from fakes.messages_stream import Call, FakeMessagesStream, Said

LONG = "An answer of more than one piece, so that it can break off somewhere in its middle."
ROOT = Path(__file__).parents[1]


def failed(memory: Carryover) -> dict[str, Any]:
    """The end of the newest run, which failed."""
    run = Chat(memory).runs("s")[0][0]
    last = newest_events(memory)[-1]
    assert (run.status, last.type) == ("failed", "run_failed")
    assert run.reason == last.payload["reason"]
    assert run.ended_at is not None
    return last.payload


def heard(events: Iterable[ChatEvent], then: Callable[[], object] = lambda: None) -> tuple[str, CarryoverError | None]:
    """What was said before the answer failed, and why it did; after each piece of text `then` is called."""
    said = ""
    try:
        for event in events:
            if isinstance(event, TextDelta):
                said += event.text
                then()
    except CarryoverError as failure:
        return said, failure
    return said, None


@pytest.mark.parametrize("status", [429, 529])
def test_a_provider_that_does_not_answer_leaves_the_users_turn(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, status: int
) -> None:
    fake.fail_next(status)
    with pytest.raises(ProviderUnavailable, match="try again"):
        chat.send(ChatRequest("s", "Hello."))
    assert said_in(memory) == [("user", "message", "Hello.")]
    assert failed(memory)["kind"] == "ProviderUnavailable"
    assert memory.usage().reserved.calls == 0
    assert chat.send(ChatRequest("s", "Hello?")).text == "Hello."


@pytest.mark.parametrize("trouble", [Said(LONG, after=3, error="overloaded_error"), Said(LONG, after=3, broken=True)])
def test_what_was_said_before_it_broke_off_is_kept_as_interrupted(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, trouble: Said
) -> None:
    fake.answer = trouble
    said, failure = heard(chat.stream(ChatRequest("s", "Hello.")))
    assert isinstance(failure, ProviderUnavailable)
    assert 0 < len(said) < len(LONG)
    (_, turn) = memory.turns("s")[1]
    assert (turn.role, turn.text) == ("assistant", said)
    assert json.loads(turn.metadata or "") == {"interrupted": True, "run": chat.runs("s")[0][0].run_id}
    happened = newest_events(memory)
    assert types(happened)[-3:] == ["text", "usage", "run_failed"]
    assert happened[-3].payload == {"text": said, "interrupted": True}
    assert happened[-3].seq == 2
    assert happened[-2].payload["tokens_in"] > 0
    assert memory.usage().today.tokens_in > 0


def test_a_refusal_says_so(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    fake.refuse_next()
    with pytest.raises(ProviderError, match="refused to answer"):
        chat.send(ChatRequest("s", "Hello."))
    assert "refused to answer" in failed(memory)["reason"]
    assert [role for role, *_ in said_in(memory)] == ["user"]


def test_a_failed_request_is_answered_anew_under_its_key(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    """What the failed run had logged is taken back: the model sees the user's turn as if it were new."""
    memory.log_turn("s", "user", "Chapter one. " * 20)
    ask = ChatRequest("s", "Read it.", idempotency_key="k-1")
    for _ in range(2):
        fake.answer = in_turn(reading("c1", 1, 1), Said(LONG, after=2, broken=True))
        with pytest.raises(ProviderUnavailable):
            chat.send(ask)
    assert results_in(fake.requests[-1])
    fake.answer = "There."
    answer = chat.send(ask)
    assert answer.text == "There."
    assert results_in(fake.requests[-1]) == {}
    assert [message["role"] for message in fake.requests[-1].body["messages"]] == ["user"]
    kinds = [kind for _, kind, _ in said_in(memory)]
    once = ["tool_call", "tool_result", "message", "retraction"]
    assert kinds == ["message", "message", *once, *once, "message"]
    assert [turn.text for turn in memory.turns("s")[1] if turn.role == "user"] == ["Chapter one. " * 20, "Read it."]
    assert chat.send(ask) == answer
    assert [run.status for run in chat.runs("s")[0]] == ["finished", "failed", "failed"]


def test_a_failed_request_is_not_answered_after_the_conversation_went_on(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    fake.fail_next(529)
    with pytest.raises(ProviderUnavailable):
        chat.send(ChatRequest("s", "First.", idempotency_key="k-1"))
    chat.send(ChatRequest("s", "Second.", idempotency_key="k-2"))
    with pytest.raises(Conflict, match="new idempotency_key"):
        chat.send(ChatRequest("s", "First.", idempotency_key="k-1"))
    assert memory.session("s").version == 3


def test_a_stop_ends_the_answer(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    fake.answer = Said(LONG, after=2, hold=threading.Event())
    stop = threading.Event()
    said, failure = heard(chat.stream(ChatRequest("s", "Hello."), stop=stop), then=stop.set)
    assert isinstance(failure, Cancelled)
    assert fake.gone.wait(5)
    assert failed(memory) == {"reason": "cancelled", "kind": "Cancelled"}
    assert said_in(memory)[-1] == ("assistant", "message", said)
    assert memory.usage().reserved.calls == 0


def test_whoever_leaves_ends_the_answer(memory: Carryover, chat: Chat, fake: FakeMessagesStream) -> None:
    fake.answer = Said(LONG, after=2, hold=threading.Event())
    events = chat.stream(ChatRequest("s", "Hello."))
    assert isinstance(next(events), RunStarted)
    assert isinstance(next(events), TextDelta)
    events.close()
    assert fake.gone.wait(5)
    assert failed(memory)["reason"] == "cancelled"
    assert memory.usage().reserved.calls == 1, "nobody knows what it cost: what was reserved for it stays held"


def test_a_cap_is_not_passed(tmp_path: Path, fake: FakeMessagesStream) -> None:
    with open_chat(tmp_path, fake, caps={"tokens_per_day": 100}) as memory:
        with pytest.raises(OverBudget, match="would pass the cap of 100 tokens a day"):
            Chat(memory).send(ChatRequest("s", "Hello."))
        assert fake.requests == []
        assert said_in(memory) == [("user", "message", "Hello.")]
        assert failed(memory)["kind"] == "OverBudget"
        assert memory.usage().reserved.calls == 0


def test_a_run_that_nobody_ended_was_interrupted(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    """Its process lives, for all that is known, until it has been quiet for longer than it said it would be."""
    events = chat.stream(ChatRequest("s", "Hello."))
    next(events)
    assert chat.runs("s")[0][0].status == "running"
    clock.pass_(int(QUIET_S * 1000) + 1)
    (run,), _ = chat.runs("s")
    assert (run.status, run.ended_at, run.reason) == ("interrupted", None, None)
    assert chat.send(ChatRequest("s", "Again.")).text == "Hello."
    log = said_in(memory)
    with pytest.raises(Conflict, match="was silent for so long"):
        next(events)
    assert said_in(memory) == log, "it writes no more once another one has begun"
    assert [run.status for run in chat.runs("s")[0]] == ["finished", "interrupted"]


def test_a_killed_process_leaves_a_run_that_reads_as_interrupted(
    tmp_path: Path, fake: FakeMessagesStream, database_url: str
) -> None:
    fake.answer = Said(LONG, after=2, hold=threading.Event())
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from carryover.chat.verbs import Chat\n"
        "from carryover.core.chat import ChatRequest, TextDelta\n"
        "from carryover.runtime import Carryover\n"
        "from carryover.settings import Settings\n"
        f"settings = Settings(home=Path({str(tmp_path)!r}), database_url={database_url!r}, embedder='none',\n"
        f"    llm={HAIKU!r}, llm_api_key='k', llm_base_url={fake.url!r})\n"
        "with Carryover.open(settings, work=False) as memory:\n"
        "    for event in Chat(memory).stream(ChatRequest('s', 'Hello.', idempotency_key='k-1')):\n"
        "        print(type(event).__name__, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "TextDelta":
            assert process.poll() is None
        with open_chat(tmp_path, fake, database_url=database_url) as memory:
            chat = Chat(memory)
            assert chat.runs("s")[0][0].status == "running"
            with pytest.raises(Conflict):
                chat.send(ChatRequest("s", "Hello.", idempotency_key="k-1"))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert chat.runs("s")[0][0].status == "interrupted"
            assert said_in(memory) == [("user", "message", "Hello.")]
            fake.answer = "Here I am."
            assert chat.send(ChatRequest("s", "Hello.", idempotency_key="k-1")).text == "Here I am."
            assert [run.status for run in chat.runs("s")[0]] == ["finished", "interrupted"]


def test_many_at_once_in_one_session_are_answered_one_after_the_other(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    fake.answer = lambda ask: f"You said {ask.prompt}"
    answered: list[str] = []
    refused: list[CarryoverError] = []

    def ask(n: int) -> None:
        try:
            answered.append(chat.send(ChatRequest("s", f"number {n}")).text)
        except Conflict as conflict:
            refused.append(conflict)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answered) + len(refused) == 6
    assert answered
    log = said_in(memory)
    assert len(log) == 2 * len(answered), "nothing of the refused ones is in the log"
    for user, assistant in zip(log[::2], log[1::2], strict=True):
        assert assistant == ("assistant", "message", f"You said {user[2]}")


def test_turns_that_others_log_meanwhile_disturb_nothing(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    memory.log_turn("s", "user", "Chapter one.")
    fake.answer = in_turn(reading("c1", 1, 1), "Read.")
    events = chat.stream(ChatRequest("s", "Read it."))
    for event in events:
        if isinstance(event, RunStarted):
            memory.append(Append("s", (Draft("user", "By the way, hurry."),)))
    blocks = [(m["role"], [b["type"] for b in m["content"]]) for m in fake.requests[-1].body["messages"]]
    assert blocks == [("user", ["text", "text", "text"]), ("assistant", ["tool_use"]), ("user", ["tool_result"])]


def test_an_erasure_in_mid_answer_leaves_nothing(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream, clock: FrozenClock
) -> None:
    hold = threading.Event()
    fake.answer = Said(LONG, after=1, hold=hold)

    def erase() -> None:
        if not hold.is_set():
            memory.delete_session("s")
            clock.pass_(1)
            memory.log_turn("s", "user", "Another conversation of that name.")
            hold.set()

    _, failure = heard(chat.stream(ChatRequest("s", "Hello.")), then=erase)
    assert isinstance(failure, NotFound)
    assert said_in(memory) == [("user", "message", "Another conversation of that name.")]
    assert chat.runs("s") == ([], None)


def test_names_and_ids_that_the_log_does_not_take_do_no_harm(
    memory: Carryover, chat: Chat, fake: FakeMessagesStream
) -> None:
    fake.answer = in_turn(Said("", (Call("look\n" * 200, {}, "id " * 300),)), "Done.")
    assert chat.send(ChatRequest("s", "Hello.")).text == "Done."
    assert [kind for _, kind, _ in said_in(memory)] == ["message", "tool_call", "tool_result", "message"]
