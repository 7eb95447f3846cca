"""Laws of sessions of the OpenAI Agents SDK, whatever the strategy: nothing is lost, doubled or rewritten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.core.errors import StoreUnavailable
from carryover.core.session import Append, Appended
from carryover.core.strategy import MODES
from carryover.integrations.openai_agents import CarryoverSession
from carryover.memories import Memory
from carryover.strategies.formats import catalog
from serving import open_memory
from strategies.logs import EVENTS, written

ITEMS = catalog.native_of("openai", [turn for turn in written(EVENTS) if turn.metadata is not None])
TIGHT: dict[str, Any] = {"token_budget": 200, "max_user_turns": 2, "keep_last_turns": 1, "keep_last_calls": 1}
TIGHT |= {"compact_trigger_turns": 1, "compact_keep": 0, "clear_at_least_tokens": 1, "summary_max_tokens": 20}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_memory(tmp_path / "memory") as opened:
        yield opened


class Unsteady:
    """A memory whose first appends fail: before anything came of them, or after all of it did."""

    def __init__(self, memory: Memory, *, failures: int, saved: bool) -> None:
        self._memory, self._left, self._saved = memory, failures, saved

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def append(self, request: Append) -> Appended:
        self._left -= 1
        if self._left >= 0 and not self._saved:
            raise StoreUnavailable("the connection was lost before anything was sent; try again")
        done = self._memory.append(request)
        if self._left >= 0:
            raise StoreUnavailable("the connection was lost before the answer came; try again")
        return done


@pytest.mark.parametrize("saved", [False, True])
def test_law_17_no_double_write(memory: Memory, saved: bool) -> None:
    async def run() -> None:
        session = CarryoverSession("s", memory=Unsteady(memory, failures=2, saved=saved))
        await session.add_items(ITEMS[:5])
        await session.add_items(ITEMS[5:])
        assert await session.get_items(limit=1_000) == ITEMS

    asyncio.run(run())


def test_law_17_who_is_cancelled_has_written_all_of_a_batch_or_nothing(memory: Memory) -> None:
    async def run() -> None:
        session = CarryoverSession("s", memory=memory)
        batches, written = 12, 0
        for n in range(batches):
            adding = asyncio.ensure_future(session.add_items(ITEMS[:4]))
            for _ in range(n):
                await asyncio.sleep(0)
            adding.cancel()
            await asyncio.wait({adding})
            now = len(await session.get_items(limit=1_000))
            assert now - written in (0, 4)
            written = now
        assert written in range(4, 4 * batches + 1, 4)

    asyncio.run(run())


def test_law_18_concurrency(memory: Memory) -> None:
    async def run() -> None:
        sessions = [CarryoverSession("s", memory=memory) for _ in range(4)]
        await sessions[0].add_items([_said(n) for n in range(10)])
        await asyncio.gather(*(sessions[n % 4].add_items([_said(10 + n), _said(100 + n)]) for n in range(20)))
        found = [item["content"] for item in await sessions[0].get_items(limit=1_000)]
        assert sorted(found) == sorted(_said(n)["content"] for n in (*range(30), *range(100, 120)))
        for n in range(10, 30):
            assert found.index(f"message {n}") + 1 == found.index(f"message {n + 90}")
        popped = await asyncio.gather(*(sessions[n % 4].pop_item() for n in range(20)))
        rest = await sessions[0].get_items(limit=1_000)
        assert sorted([item["content"] for item in popped + rest]) == sorted(found)
        _, turns = memory.turns("s", limit=500)
        assert [turn.seq for turn in turns] == list(range(1, len(turns) + 1))

    asyncio.run(run())


def _said(n: int) -> dict[str, Any]:
    return {"role": "user", "content": f"message {n}"}


@pytest.mark.parametrize("mode", MODES)
def test_law_22_the_newest_items_are_as_they_were_added(memory: Memory, mode: str) -> None:
    async def run() -> None:
        session = CarryoverSession("s", memory=memory, strategy={"mode": mode, **TIGHT})
        for first in range(0, len(ITEMS), 10):
            await session.add_items(ITEMS[first : first + 10])
            await session.get_items()
        for n in range(len(ITEMS) + 2):
            assert await session.get_items(limit=n) == (ITEMS[-n:] if n else [])

    asyncio.run(run())


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_law_22_what_was_taken_back_is_not_among_them(memory: Memory, data: st.DataObject) -> None:
    """Against a list, which is all that a session of the SDK promises to be."""
    name = f"s{len(memory.sessions(limit=200)[0])}"
    does = data.draw(st.lists(st.sampled_from(("add", "add_two", "add", "pop", "pop", "clear")), max_size=25))

    async def run() -> None:
        session = CarryoverSession(name, memory=memory, strategy={"mode": data.draw(st.sampled_from(MODES)), **TIGHT})
        kept: list[Any] = []
        for n, what in enumerate(does):
            if what.startswith("add"):
                new = [ITEMS[(n + m) % len(ITEMS)] for m in range(2 if what == "add_two" else 1)]
                await session.add_items(new)
                kept += new
            elif what == "pop":
                assert await session.pop_item() == (kept.pop() if kept else None)
            else:
                await session.clear_session()
                kept = []
            for limit in (1, 3, 100):
                assert await session.get_items(limit=limit) == kept[-limit:]

    asyncio.run(run())
