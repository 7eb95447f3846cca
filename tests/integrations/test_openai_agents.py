"""A session of the OpenAI Agents SDK over the log: what is added comes back exactly, and once."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agents import RunContextWrapper
from agents.memory import Session, SessionSettings
from hypothesis import given, settings
from hypothesis import strategies as st

from carryover.core.errors import Invalid, StoreUnavailable, TooLarge
from carryover.core.scope import DEFAULT
from carryover.core.session import Append, Appended, Draft, live, retraction
from carryover.integrations import openai_agents_log
from carryover.integrations.openai_agents import CarryoverSession
from carryover.memories import Memory
from serving import open_memory


def said(text: str, role: str = "user") -> Any:
    return {"role": role, "content": text}


def call(id: str, name: str = "look", **arguments: Any) -> Any:
    told = json.dumps(arguments)
    return {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": name, "arguments": told}


def answer(id: str, output: str = "found") -> Any:
    return {"type": "function_call_output", "call_id": id, "output": output}


STRANGE: list[Any] = [
    said("Grüße, 世界 🎈 \ud83d"),
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
    call("c1", city="Oslo"),
    call("c2"),
    answer("c1", "x" * 10),
    answer("c2"),
    answer("nobody asked"),
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text",
     "text": "It rains.", "annotations": [], "logprobs": None}]},
    {"type": "something_new", "deep": {"list": [1, 2.5, None, True, {"a": []}]}, "empty": ""},
    {"type": "item_reference", "id": "msg_2"},
    said("the same"),
    said("the same"),
]  # fmt: skip


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(work())  # type: ignore[arg-type]


def test_it_is_a_session_of_the_sdk(memory: Memory) -> None:
    session = CarryoverSession("s", memory=memory)
    assert isinstance(session, Session)
    assert (session.session_id, session.session_settings) == ("s", None)
    with pytest.raises(Invalid, match="session_id"):
        CarryoverSession("no/slashes", memory=memory)
    with pytest.raises(Invalid, match="mode"):
        CarryoverSession("s", memory=memory, strategy="trimm")


def test_items_come_back_exactly_and_by_any_limit(memory: Memory) -> None:
    async def work() -> None:
        session = CarryoverSession("s", memory=memory)
        assert await session.get_items() == []
        assert await session.get_items(limit=3) == []
        assert await session.pop_item() is None
        await session.clear_session()
        await session.add_items([])
        for item in STRANGE[:4]:
            await session.add_items([item])
        await session.add_items(STRANGE[4:])
        assert await session.get_items() == STRANGE
        for n in range(len(STRANGE) + 3):
            assert await session.get_items(limit=n) == (STRANGE[-n:] if n else [])
        assert await session.get_items(limit=-1) == STRANGE
        assert [list(item) for item in await session.get_items()] == [list(item) for item in STRANGE]  # keys in order
        (await session.get_items())[0]["content"] = "changed"  # type: ignore[index]
        assert await session.get_items() == STRANGE
        assert await CarryoverSession("s", memory=memory).get_items() == STRANGE

    run(work)


def test_what_is_popped_and_cleared_stays_in_the_log(memory: Memory) -> None:
    async def work() -> None:
        session = CarryoverSession("s", memory=memory)
        await session.add_items([said("1"), said("2"), said("3")])
        assert [await session.pop_item(), await session.pop_item()] == [said("3"), said("2")]
        assert await session.get_items(limit=9) == [said("1")]
        await session.add_items([said("4")])
        assert await session.get_items(limit=2) == [said("1"), said("4")]
        await session.clear_session()
        version = memory.session("s").version
        await session.clear_session()  # nothing is there: nothing is written
        assert memory.session("s").version == version
        assert await session.get_items() == await session.get_items(limit=5) == []
        assert await session.pop_item() is None
        await session.add_items([said("5")])
        assert await session.get_items() == await session.get_items(limit=5) == [said("5")]

    run(work)
    _, turns = memory.turns("s")
    assert [turn.retracts for turn in turns] == [None, None, None, (3, 3), (2, 2), None, (1, 6), None]
    assert [turn.content[0]["content"] for turn in turns if turn.kind == "message"] == ["1", "2", "3", "4", "5"]  # type: ignore[index]


def test_a_long_session_is_read_page_by_page(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_agents_log, "PAGE", 7)

    async def work() -> None:
        session = CarryoverSession("s", memory=memory)
        every = [said(str(n)) for n in range(60)]
        await session.add_items(every)
        for _ in range(25):
            every.remove(await session.pop_item())  # type: ignore[arg-type]
        assert await session.get_items(limit=-1) == every
        for n in (1, 5, 20, 34, 35, 36):
            assert await session.get_items(limit=n) == every[-n:]
        await session.clear_session()
        await session.add_items([said("new")])
        assert await session.get_items(limit=30) == [said("new")]

    run(work)


def test_turns_that_others_log_are_told_as_items(memory: Memory) -> None:
    memory.log_turn("s", "user", "Which city?")
    given = '{"city": "Oslo"}'
    drafts = (
        Draft("assistant", given, "tool_call", "look", "c1"),
        Draft("tool", "rain", "tool_result", "look", "c1"),
        Draft("assistant", "a thought", "reasoning"),
    )
    memory.append(Append("s", drafts))

    async def work() -> None:
        session = CarryoverSession("s", memory=memory)
        expected = [
            said("Which city?"),
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": given},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        ]
        assert await session.get_items() == expected
        assert await session.get_items(limit=1) == expected[-1:]
        assert await session.pop_item() == expected[-1]
        assert await session.get_items() == expected[:2]

    run(work)


def test_a_limit_in_the_settings_holds_and_is_warned_of_once(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        session = CarryoverSession("s", memory=memory, strategy="trim", session_settings=SessionSettings(limit=2))
        await session.add_items([said(str(n)) for n in range(5)])
        assert await session.get_items() == [said("3"), said("4")]
        assert await session.get_items(limit=3) == [said("2"), said("3"), said("4")]

    with caplog.at_level(logging.WARNING):
        run(work)
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "session 's' has a limit, so the SDK reads its newest items as they are and no strategy applies"
    ]


def test_a_view_is_served_whole_and_the_tail_stays_raw(memory: Memory) -> None:
    async def work() -> None:
        fields = {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}
        session = CarryoverSession("s", memory=memory, strategy=fields)
        every: list[Any] = []
        for n in range(9):
            turn = [said(f"q{n}"), call(f"c{n}"), answer(f"c{n}"), said(f"a{n}", "assistant")]
            await session.add_items(turn)
            every += turn
        shown = await session.get_items()
        assert shown == every[-len(shown) :]
        assert 8 <= len(shown) <= 16
        for n in (1, 5, 30, 36):  # the log answers these, whatever the strategy
            assert await session.get_items(limit=n) == every[-n:]
        assert await CarryoverSession("s", memory=memory).get_items() == every
        memory.strategies.set_conversation("s", fields)
        assert await CarryoverSession("s", memory=memory).get_items() == shown
        assert await CarryoverSession("s", memory=memory, strategy="none").get_items() == every

    run(work)


def test_what_stands_for_turns_cannot_be_written_back(memory: Memory) -> None:
    async def work() -> None:
        strategy = {"mode": "compact", "compact_trigger_turns": 3, "compact_keep": 1, "clear_at_least_tokens": 0}
        session = CarryoverSession("s", memory=memory, strategy=strategy)
        for n in range(6):
            await session.add_items([said(f"q{n}"), call(f"c{n}"), answer(f"c{n}", "long " * 400)])
        shown = await session.get_items()
        placeholder = next(item for item in shown if "removed: tool output" in str(item))
        before = memory.session("s").version
        with pytest.raises(Invalid, match=r"items\[1\] stands for other items in a view"):
            await session.add_items([said("new"), placeholder])
        assert memory.session("s").version == before
        await session.add_items([said("q0")])  # what was said may be said again

    run(work)


def test_whose_session_it_is_can_be_read_from_the_run(memory: Memory) -> None:
    async def work() -> None:
        session = CarryoverSession("s", memory=memory, whose=lambda told: (told.context["agent"], told.context["user"]))
        ann, bob = (RunContextWrapper({"agent": "shop", "user": user}) for user in ("ann", "bob"))
        await session.add_items([said("mine")], wrapper=ann)
        assert await session.get_items(wrapper=ann) == await session.get_items(limit=1, wrapper=ann) == [said("mine")]
        for trespass in (
            session.get_items(wrapper=bob),
            session.get_items(limit=1, wrapper=bob),
            session.add_items([said("not mine")], wrapper=bob),
            session.pop_item(wrapper=bob),
            session.clear_session(wrapper=bob),
        ):
            with pytest.raises(Invalid, match="belong"):
                await trespass
        assert await session.get_items() == []  # of the agent without a run
        other = RunContextWrapper({"agent": "desk", "user": "bob"})
        assert await session.get_items(wrapper=other) == []
        assert await session.pop_item(wrapper=ann) == said("mine")

    run(work)
    assert memory.session("s", agent="shop").user_id == "ann"


def test_writers_at_once_lose_and_double_nothing(memory: Memory) -> None:
    async def work() -> None:
        sessions = [CarryoverSession("s", memory=memory) for _ in range(4)]
        batches = [[said(f"{n}-{k}") for k in range(3)] for n in range(20)]
        await asyncio.gather(*(sessions[n % 4].add_items(batch) for n, batch in enumerate(batches)))
        every: list[Any] = await sessions[0].get_items()
        assert sorted((every[n : n + 3] for n in range(0, 60, 3)), key=str) == sorted(
            batches, key=str
        )  # each batch in one piece
        popped = await asyncio.gather(*(session.pop_item() for session in sessions * 5))
        assert sorted(map(str, popped)) == sorted(map(str, every[-20:]))
        assert await sessions[1].get_items() == every[:40]
        alike = [said("hi")]
        await asyncio.gather(*(session.add_items(alike) for session in sessions))
        assert await sessions[2].get_items(limit=4) == alike * 4

    run(work)


class Flaky:
    """A memory whose appends end without an answer: before they came to the log, or after."""

    def __init__(self, memory: Memory, *outcomes: str) -> None:
        self.memory, self.outcomes = memory, list(outcomes)
        self.started, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.memory, name)

    def append(self, request: Append) -> Appended:
        self.started.set()
        assert self.go_on.wait(20)
        outcome = self.outcomes.pop(0) if self.outcomes else "saved"
        done = None if outcome == "lost" else self.memory.append(request)
        if done is None or outcome == "unknown":
            raise StoreUnavailable
        return done


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_agents_log, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("outcomes", [("lost",), ("unknown",), ("unknown", "lost", "unknown"), ("lost",) * 3])
def test_an_outcome_that_is_unknown_is_found_out(memory: Memory, outcomes: tuple[str, ...]) -> None:
    async def work() -> None:
        session = CarryoverSession("s", memory=Flaky(memory, *outcomes))  # type: ignore[arg-type]
        await session.add_items([said("1"), said("2")])
        session._log.memory.outcomes = list(outcomes)  # type: ignore[union-attr]
        assert await session.pop_item() == said("2")
        session._log.memory.outcomes = list(outcomes)  # type: ignore[union-attr]
        assert await session.get_items() == [said("1")]
        await session.clear_session()
        assert await session.get_items() == []

    run(work)
    assert memory.session("s").version == 4


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fate", ["lost", "unknown"])
def test_a_batch_that_failed_is_known_when_it_is_added_again(memory: Memory, fate: str) -> None:
    async def work() -> None:
        flaky = Flaky(memory, *[fate] * 4)
        session = CarryoverSession("s", memory=flaky)  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable):
            await session.add_items([said("once")])
        await session.add_items([said("once")])
        assert await session.get_items() == [said("once")]
        await session.add_items([said("once")])  # now it is said again
        assert await session.get_items() == [said("once")] * 2

    run(work)


@pytest.mark.usefixtures("quick")
def test_who_has_seen_what_became_of_a_batch_adds_another(memory: Memory) -> None:
    async def work() -> None:
        session = CarryoverSession("s", memory=Flaky(memory, *["unknown"] * 4))  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable):
            await session.add_items([said("yes")])
        assert await session.get_items(limit=1) == [said("yes")]
        await session.add_items([said("yes")])
        assert await session.get_items() == [said("yes")] * 2

    run(work)


def test_a_batch_is_refused_whole(memory: Memory) -> None:
    async def work() -> None:
        session = CarryoverSession("s", memory=memory)
        await session.add_items([said("1")])
        with pytest.raises(TooLarge):
            await session.add_items([said("2"), said("x" * (17 << 20))])
        assert await session.get_items() == [said("1")]

    run(work)


@pytest.mark.parametrize("what", ["add_items", "pop_item", "clear_session"])
@pytest.mark.parametrize("outcome", ["saved", "fails"])
def test_who_is_cancelled_in_mid_write_is_so_when_its_outcome_is_known(
    memory: Memory, what: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        flaky = Flaky(memory)
        session = CarryoverSession("s", memory=flaky)  # type: ignore[arg-type]
        await session.add_items([said("1"), said("2")])
        flaky.started.clear()
        flaky.go_on.clear()
        flaky.outcomes = ["lost"] * 4 if outcome == "fails" else []
        doing = asyncio.create_task(getattr(session, what)(*([[said("3")]] if what == "add_items" else [])))
        await asyncio.to_thread(flaky.started.wait, 20)
        for _ in range(3):
            doing.cancel()
            await asyncio.sleep(0)
            assert not doing.done()  # it waits for what it began
        flaky.go_on.set()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await doing
        changed = {"add_items": ["1", "2", "3"], "pop_item": ["1"], "clear_session": []}[what]
        expected = ["1", "2"] if outcome == "fails" else changed
        assert [item["content"] for item in await session.get_items()] == expected  # type: ignore[typeddict-item]
        assert isinstance(cancelled.value.__cause__, StoreUnavailable) is (outcome == "fails")

    monkeypatch.setattr(openai_agents_log, "PAUSES_S", (0.0, 0.0, 0.0))
    run(work)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 4)), st.tuples(st.just("pop"), st.just(0)),
        st.tuples(st.just("clear"), st.just(0)), st.tuples(st.just("other"), st.integers(1, 9)),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=60)
@given(steps)
def test_it_behaves_as_a_list_does(tmp_path_factory: pytest.TempPathFactory, done: list[tuple[str, int]]) -> None:
    """Whatever is added, popped, cleared or taken back by others, in whatever order."""

    async def work() -> None:
        with open_memory(tmp_path_factory.mktemp("memory")) as memory:
            session = CarryoverSession("s", memory=memory)
            expected: list[Any] = []
            for n, (what, number) in enumerate(done):
                if what == "add":
                    new = [said(f"{n}.{k}") for k in range(number)]
                    await session.add_items(new)
                    expected += new
                elif what == "pop":
                    assert await session.pop_item() == (expected.pop() if expected else None)
                elif what == "clear":
                    await session.clear_session()
                    expected = []
                elif expected:
                    _, turns = memory.window("s", last_n=200)
                    first = live(turns)[-min(number, len(expected))].seq
                    memory.append(Append("s", (retraction(first, turns[-1].seq),), DEFAULT))
                    expected = expected[: -min(number, len(expected))]
                assert await session.get_items(limit=3) == expected[-3:]
            assert await session.get_items() == expected

    run(work)


def test_no_order_of_appends_leaves_the_counts_wrong(memory: Memory) -> None:
    """Adding and popping at once: what is left is what was added and nobody was given."""

    async def work() -> None:
        session = CarryoverSession("s", memory=memory)
        await session.add_items([said(f"a{n}") for n in range(10)])
        adds = [session.add_items([said(f"b{n}")]) for n in range(10)]
        pops = [session.pop_item() for _ in range(10)]
        done = await asyncio.gather(*(one for pair in zip(adds, pops, strict=True) for one in pair))
        given = Counter(str(item) for item in done if item)
        left = Counter(str(item) for item in await session.get_items())
        assert given + left == Counter(str(said(f"{who}{n}")) for who in "ab" for n in range(10))
        assert max((given + left).values()) == 1

    run(work)
