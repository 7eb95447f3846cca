"""A strategy before sessions of the SDK: what they hold stays untouched, and what they can do can still be done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import RunContextWrapper, SQLiteSession
from agents.memory import Session, SessionSettings

from carryover.core.errors import Invalid
from carryover.core.strategy import Strategy
from carryover.integrations.openai_agents import StrategySession

Items = list[Any]
TRIM = {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}


def turn(n: int) -> Items:
    return [
        {"role": "user", "content": f"q{n}"},
        {"type": "function_call", "id": f"fc_{n}", "call_id": f"c{n}", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": f"c{n}", "output": f"found {n} " * 200},
        {"role": "assistant", "content": f"a{n}"},
    ]


async def fill(session: Any, turns: int) -> Items:
    every: Items = []
    for n in range(turns):
        await session.add_items(turn(n))
        every += turn(n)
    return every


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sdk.db"


@asynccontextmanager
async def kept(kind: str, place: str) -> AsyncIterator[Any]:
    """A session of the SDK, empty, and closed at the end."""
    if kind == "sqlite":
        session = SQLiteSession("s", place)
        yield session
        session.close()
        return
    if kind == "async-sqlite":
        from agents.extensions.memory import AsyncSQLiteSession

        lite = AsyncSQLiteSession("s", place)
        yield lite
        await lite.close()
        return
    if kind == "encrypted":
        from agents.extensions.memory import EncryptedSession

        under = SQLiteSession("s", place)
        yield EncryptedSession("s", under, "a key that is long enough to be one", ttl=3600)
        under.close()
        return
    from agents.extensions.memory import SQLAlchemySession

    url = f"sqlite+aiosqlite:///{place}" if kind == "aiosqlite" else place
    store = SQLAlchemySession.from_url("s", url=url, create_tables=True)
    yield store
    await store.engine.dispose()


@pytest.fixture(params=["sqlite", "async-sqlite", "encrypted", "aiosqlite", "postgresql"])
def inner(request: pytest.FixtureRequest, file: Path) -> tuple[str, str]:
    """A kind of session, and where it keeps its items."""
    if request.param != "postgresql":
        return request.param, str(file)
    return request.param, request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg://")


def test_any_session_is_seen_through_it_and_holds_all_as_it_was(inner: tuple[str, str]) -> None:
    async def work() -> None:
        async with kept(*inner) as under:
            session = StrategySession(under, TRIM)
            assert isinstance(session, Session)
            assert session.session_id == "s"
            every = await fill(session, 9)
            assert await under.get_items() == every
            shown = await session.get_items()
            assert shown == every[-len(shown) :]
            assert 8 <= len(shown) <= 16
            for n in (0, 1, 5, 30, 99):
                assert await session.get_items(limit=n) == await under.get_items(limit=n)
            assert await session.pop_item() == every.pop()
            assert await under.get_items() == every
            await session.clear_session()
            assert await under.get_items() == await session.get_items() == []

    asyncio.run(work())


@pytest.mark.parametrize(
    "strategy",
    [
        "none",
        "trim",
        "compact",
        "summarize",
        TRIM,
        Strategy("compact", compact_trigger_turns=2, compact_keep=1, clear_at_least_tokens=0),
        {"mode": "summarize", "max_user_turns": 3, "keep_last_turns": 1},
    ],
)
def test_no_view_changes_a_byte_of_what_the_session_inside_holds(file: Path, strategy: Any) -> None:
    async def work() -> None:
        async with kept("sqlite", str(file)) as under:
            await fill(under, 12)
            await under.get_items()
            before = [one.read_bytes() for one in sorted(file.parent.iterdir()) if not one.name.endswith("-shm")]
            for summarize in (None, lambda items, so_far: "a summary"):
                session = StrategySession(under, strategy, summarize=summarize)
                for _ in range(3):
                    assert await session.get_items()
                    await session.get_items(limit=7)
            after = [one.read_bytes() for one in sorted(file.parent.iterdir()) if not one.name.endswith("-shm")]
            assert after == before

    asyncio.run(work())


def test_a_strategy_that_cannot_be_is_refused(file: Path) -> None:
    under = SQLiteSession("s", file)
    for strange in ("trimm", {"mode": "trim", "turns": 3}, {"mode": "trim", "max_user_turns": 0}):
        with pytest.raises(Invalid):
            StrategySession(under, strange)
    under.close()


class Maker:
    """Makes summaries, and notes of what; `failing` lets it raise."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], str | None]] = []
        self.failing: Exception | None = None
        self.text = "what was said up to {}"

    def told(self, items: Items, so_far: str | None) -> str:
        users = [item["content"] for item in items if item.get("role") == "user"]
        self.asked.append((users, so_far))
        if self.failing is not None:
            raise self.failing
        return self.text.format(users[-1])

    async def told_async(self, items: Items, so_far: str | None) -> str:
        return self.told(items, so_far)


def summarized(under: Any, maker: Maker, *, is_async: bool = False, **more: Any) -> StrategySession:
    fields = {"mode": "summarize", "max_user_turns": 4, "keep_last_turns": 2, **more}
    return StrategySession(under, fields, summarize=maker.told_async if is_async else maker.told)


@pytest.mark.parametrize("is_async", [False, True])
def test_summaries_stand_for_what_is_cut_and_are_made_once(file: Path, is_async: bool) -> None:
    async def work() -> None:
        async with kept("sqlite", str(file)) as under:
            maker = Maker()
            session = summarized(under, maker, is_async=is_async)
            for n in range(5):
                await session.add_items(turn(n))
                shown = await session.get_items()
            prefix = {"role": "user", "content": "[summary] prior context"}
            assert shown[:2] == [prefix, {"role": "assistant", "content": "what was said up to q2"}]
            assert shown[2:] == [*turn(3), *turn(4)]
            assert maker.asked == [(["q0", "q1", "q2"], None)]
            for _ in range(3):
                await asyncio.gather(*(session.get_items() for _ in range(4)))
            assert len(maker.asked) == 1  # nothing new is covered
            for n in range(5, 8):
                await session.add_items(turn(n))
                shown = await session.get_items()
            assert maker.asked[1:] == [(["q3", "q4", "q5"], "what was said up to q2")]
            assert shown[1] == {"role": "assistant", "content": "what was said up to q5"}
            with pytest.raises(Invalid, match="stands for other items"):
                await session.add_items([shown[1]])
            assert prefix not in await under.get_items()

    asyncio.run(work())


def test_concurrent_reads_ask_for_one_summary(file: Path) -> None:
    async def work() -> None:
        async with kept("sqlite", str(file)) as under:
            await fill(under, 6)
            maker = Maker()
            session = summarized(under, maker)
            views = await asyncio.gather(*(session.get_items() for _ in range(5)))
            assert all(view == views[0] for view in views)
            assert len(maker.asked) == 1

    asyncio.run(work())


def test_a_summary_that_cannot_be_made_is_done_without(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with kept("sqlite", str(file)) as under:
            maker = Maker()
            session = summarized(under, maker)
            for n in range(5):
                await session.add_items(turn(n))
                await session.get_items()
            maker.failing = RuntimeError("the model is away")
            for n in range(5, 8):
                await session.add_items(turn(n))
                shown = await session.get_items()
                await session.get_items()
            assert len(maker.asked) == 2  # nobody is asked in vain twice
            assert shown[1]["content"] == "what was said up to q2"  # type: ignore[typeddict-item]
            assert [item for item in shown if item.get("role") == "user"][1:] == [turn(n)[0] for n in range(3, 8)]
            maker.failing = None
            for n in range(8, 11):
                await session.add_items(turn(n))
                shown = await session.get_items()
            assert shown[1]["content"] == "what was said up to q8"  # type: ignore[typeddict-item]

    with caplog.at_level(logging.WARNING):
        asyncio.run(work())
    assert [record.message for record in caplog.records] == [
        "no summary of 24 items (the model is away); older ones, or the items themselves, stay"
    ]


def test_a_summary_of_items_that_are_gone_stands_for_nothing(file: Path) -> None:
    async def work() -> None:
        async with kept("sqlite", str(file)) as under:
            maker = Maker()
            session = summarized(under, maker)
            await fill(session, 6)
            await session.get_items()
            await session.clear_session()
            other = [{**item, "content": "other"} if item.get("role") else item for n in range(6) for item in turn(n)]
            await session.add_items(other)
            maker.text = "of other things"
            shown = await session.get_items()
            assert shown[1] == {"role": "assistant", "content": "of other things"}
            assert [asked[1] for asked in maker.asked] == [None, None]

    asyncio.run(work())


def test_a_summary_is_never_longer_than_it_may_be(file: Path) -> None:
    async def work() -> None:
        async with kept("sqlite", str(file)) as under:
            maker = Maker()
            maker.text = "words upon words " * 99
            session = summarized(under, maker, summary_max_chars=50)
            await fill(session, 6)
            shown = await session.get_items()
            assert shown[1]["content"] == "words upon words words upon words words upon"  # type: ignore[typeddict-item]

    asyncio.run(work())


def test_a_limit_bypasses_the_view_and_is_warned_of_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with kept("sqlite", str(file)) as under:
            session = StrategySession(under, TRIM)
            every = await fill(session, 9)
            session.session_settings = SessionSettings(limit=30)
            assert under.session_settings == SessionSettings(limit=30)
            assert await session.get_items() == await session.get_items() == every[-30:]

    with caplog.at_level(logging.WARNING):
        asyncio.run(work())
    assert len([record for record in caplog.records if "has a limit" in record.message]) == 1


class Aware:
    """A session that takes the run's context and has hooks of its own."""

    session_id, session_settings = "aware", None
    _ignore_ids_for_matching = True

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def get_items(self, limit: int | None = None, *, wrapper: Any = None) -> Items:
        self.seen.append(("get", wrapper))
        return []

    async def add_items(self, items: Items, *, wrapper: Any = None) -> None:
        self.seen.append(("add", wrapper))

    async def pop_item(self, *, wrapper: Any = None) -> Any:
        self.seen.append(("pop", wrapper))

    async def clear_session(self, *, wrapper: Any = None) -> None:
        self.seen.append(("clear", wrapper))

    async def run_compaction(self, args: Any = None) -> None:
        self.seen.append(("compact", args))


def test_what_the_session_inside_can_do_can_still_be_done(file: Path) -> None:
    async def work() -> None:
        aware = Aware()
        session = StrategySession(aware, "trim")
        told = RunContextWrapper("someone")
        await session.get_items(wrapper=told)
        await session.add_items([], wrapper=told)
        await session.pop_item(wrapper=told)
        await session.clear_session(wrapper=told)
        await session.run_compaction({"force": True})
        assert aware.seen == [*((what, told) for what in ("get", "add", "pop", "clear")), ("compact", {"force": True})]
        assert session._ignore_ids_for_matching is True
        session.session_id = "another"
        assert aware.session_id == "another"
        async with kept("sqlite", str(file)) as under:
            plain = StrategySession(under, "trim")
            await plain.add_items(turn(0), wrapper=told)  # one that takes no context is given none
            assert await plain.get_items(wrapper=told) == turn(0)
            assert not hasattr(plain, "run_compaction")

    asyncio.run(work())
