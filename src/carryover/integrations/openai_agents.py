"""Sessions of the OpenAI Agents SDK: one over our log, and one that puts a strategy before any other session.

`get_items()` answers a view, which the SDK reads once at the beginning of a run; `get_items(limit=n)` always answers
the newest items as they are, because the SDK compares them with what it wrote.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar, cast

from anyio import to_thread

from carryover.core.ids import check_session_id
from carryover.core.scope import DEFAULT
from carryover.core.strategy import FIELDS, Strategy, settled
from carryover.integrations import shown
from carryover.integrations.openai_agents_log import ItemLog, Whose
from carryover.integrations.openai_agents_summaries import Summaries, Summarizer
from carryover.integrations.openai_agents_view import Native, Showing, Shown, turns_of
from carryover.memories import Memory
from carryover.strategies.plan import plan
from carryover.strategies.render import items_of, sketch_of
from carryover.strategies.resolve import checked

try:
    from agents import RunContextWrapper, TResponseInputItem
    from agents.memory import Session, SessionSettings
    from agents.run_config import CallModelData, ModelInputData
except ImportError as cause:
    raise ImportError("openai-agents is not installed; run: pip install 'carryover-memory[openai-agents]'") from cause

Filter = Callable[[CallModelData[Any]], Awaitable[ModelInputData]]
Asks = Callable[[RunContextWrapper[Any]], tuple[str, str | None]]
_T = TypeVar("_T")

_METHODS = ("get_items", "add_items", "pop_item", "clear_session")


class CarryoverSession:
    """A session of the SDK over the log of `memory`, which `carryover.open()` or a `Client` is. Nothing is ever lost.

        session = CarryoverSession("support-42", memory=memory, strategy="summarize")
        result = await Runner.run(agent, "Where is my parcel?", session=session)

    `strategy`, a mode's name or fields, goes before what is set for the conversation and its agent. `whose` reads the
    agent's id and the user's from the context of a run, where one process serves several.
    """

    def __init__(
        self,
        session_id: str,
        *,
        memory: Memory,
        agent: str = DEFAULT,
        user: str | None = None,
        strategy: Strategy | Mapping[str, Any] | str | None = None,
        session_settings: SessionSettings | None = None,
        whose: Asks | None = None,
    ) -> None:
        self.session_id = check_session_id(session_id)
        self.session_settings = session_settings
        self._fields = fields_of(strategy)
        self._own = Whose(agent, user)
        self._asks = whose
        self._log = ItemLog(memory, session_id)
        self._showing = Showing()

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """What the strategy in force shows; with a limit, the newest items as they were added, whatever it is.

        No limit says the one in `session_settings`; one that is negative means all. Raises Invalid, NotFound or
        StoreUnavailable.
        """
        whose = self._whose(wrapper)
        if self.session_settings is not None and self.session_settings.limit is not None:
            self._showing.warn(self.session_id)
            limit = self.session_settings.limit if limit is None else limit
        if limit is not None:
            return cast("Any", await self._last(whose, limit) if limit else [])
        seen = await self._shown(whose)
        return cast("Any", await self._last(whose, -1) if seen.is_whole else self._showing.begin(seen))

    async def add_items(
        self, items: list[TResponseInputItem], *, wrapper: RunContextWrapper[Any] | None = None
    ) -> None:
        """All items are in the log, in order, or none is, and this is known even where the caller is cancelled.

        Raises Invalid for items that a view shows in the place of others; TooLarge or StoreUnavailable.
        """
        given = cast("list[Native]", items)
        self._showing.refuse(given)
        await finished(partial(self._log.add, self._whose(wrapper), given))

    async def pop_item(self, *, wrapper: RunContextWrapper[Any] | None = None) -> TResponseInputItem | None:
        """The newest item; nobody is given it any more, though the log keeps it. None where there is none."""
        return cast("Any", await finished(partial(self._log.pop, self._whose(wrapper))))

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Nobody is given any of the items any more. To erase them, use `memory.delete_session`."""
        await finished(partial(self._log.clear, self._whose(wrapper)))

    def as_input_filter(self) -> Filter:
        """A `call_model_input_filter` with which the strategy holds within a run too, before each call of the model.

            run_config = RunConfig(call_model_input_filter=session.as_input_filter())

        It changes what the model is sent, and writes nothing.
        """

        async def bounded(data: CallModelData[Any]) -> ModelInputData:
            whose = self._whose(RunContextWrapper(data.context))
            given = cast("list[Native]", data.model_data.input)
            sent = await self._showing.bounded(given, partial(self._shown, whose), partial(self._last, whose))
            return ModelInputData(sent, data.model_data.instructions)

        return bounded

    async def _shown(self, whose: Whose) -> Shown:
        return await to_thread.run_sync(self._log.shown, whose, self._fields)

    async def _last(self, whose: Whose, n: int) -> list[Native]:
        return await to_thread.run_sync(self._log.last, whose, None if n < 0 else n)

    def _whose(self, wrapper: RunContextWrapper[Any] | None) -> Whose:
        if self._asks is None or wrapper is None:
            return self._own
        return Whose(*self._asks(wrapper))


class StrategySession:
    """Any session of the SDK, seen through a strategy: a `Strategy`, its fields, or the name of a mode.

        session = StrategySession(SQLAlchemySession("support-42", engine=engine), "trim")

    Items are written, taken back and counted by the session inside, untouched. For the mode `summarize`, `summarize`
    makes the text that stands for these items and for what the summary before them says (None: there is none); it may
    be async. Without it, or when it fails, the oldest items are left out as they are in the mode `trim`.
    """

    def __init__(
        self, inner: Session, strategy: Strategy | Mapping[str, Any] | str, *, summarize: Summarizer | None = None
    ) -> None:
        given = {"mode": strategy} if isinstance(strategy, str) else strategy
        self.inner = inner
        self.strategy = settled(shown.strategy_of(given))
        self._summaries = None if summarize is None else Summaries(summarize, self.strategy)
        self._showing = Showing()
        self._takes_wrapper = all(_takes_wrapper(getattr(inner, name)) for name in _METHODS)

    @property
    def session_id(self) -> str:
        return self.inner.session_id

    @session_id.setter
    def session_id(self, value: str) -> None:
        self.inner.session_id = value

    @property
    def session_settings(self) -> SessionSettings | None:
        return getattr(self.inner, "session_settings", None)

    @session_settings.setter
    def session_settings(self, value: SessionSettings | None) -> None:
        self.inner.session_settings = value

    def __getattr__(self, name: str) -> Any:
        # What else the SDK looks for in a session, like compaction, is there if the session inside has it.
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """What the strategy shows; with a limit, or one in `session_settings`, what the session inside answers."""
        settings = self.session_settings
        bounded = settings is not None and settings.limit is not None
        if bounded:
            self._showing.warn(self.session_id)
        if limit is not None or bounded:
            return await self._do("get_items", limit, wrapper=wrapper)
        every = await self._do("get_items", None, wrapper=wrapper)
        seen = await self._seen(every)
        return every if seen.is_whole else cast("Any", self._showing.begin(seen))

    async def add_items(
        self, items: list[TResponseInputItem], *, wrapper: RunContextWrapper[Any] | None = None
    ) -> None:
        """The session inside has the items. Raises Invalid for those that a view shows in the place of others."""
        self._showing.refuse(cast("Any", items))
        await self._do("add_items", items, wrapper=wrapper)

    async def pop_item(self, *, wrapper: RunContextWrapper[Any] | None = None) -> TResponseInputItem | None:
        """The newest item, gone from the session inside."""
        return await self._do("pop_item", wrapper=wrapper)

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """The session inside is empty."""
        await self._do("clear_session", wrapper=wrapper)

    def as_input_filter(self) -> Filter:
        """A `call_model_input_filter` with which the strategy holds within a run too, before each call of the model."""

        async def bounded(data: CallModelData[Any]) -> ModelInputData:
            wrapper = RunContextWrapper(data.context)
            read = partial(self._do, "get_items", wrapper=wrapper)

            async def seen() -> Shown:
                return await self._seen(await read(None))

            sent = await self._showing.bounded(cast("Any", data.model_data.input), seen, read)
            return ModelInputData(sent, data.model_data.instructions)

        return bounded

    async def _seen(self, every: list[Native]) -> Shown:
        turns = turns_of(every)
        sketches = [sketch_of(turn) for turn in turns]
        made = plan(sketches, self.strategy, () if self._summaries is None else self._summaries.of(every))
        if made.wanted is not None and self._summaries is not None:
            await self._summaries.make(every, made.wanted)
            made = plan(sketches, self.strategy, self._summaries.of(every))
        return Shown(items_of(made, {turn.seq: turn for turn in turns}, self.strategy), self.strategy, len(turns))

    async def _do(self, name: str, *given: Any, wrapper: RunContextWrapper[Any] | None = None) -> Any:
        more = {"wrapper": wrapper} if self._takes_wrapper and wrapper is not None else {}
        return await getattr(self.inner, name)(*given, **more)


async def finished(work: Callable[[], _T]) -> _T:
    """What the work, done in a thread, came to. A caller that is cancelled meanwhile is so once that is known."""
    doing = asyncio.ensure_future(to_thread.run_sync(work))
    cancelled: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.wait({doing})
        except asyncio.CancelledError as asked:
            cancelled = cancelled or asked
    if cancelled is None:
        return doing.result()
    failure = None if doing.cancelled() else doing.exception()
    raise cancelled from failure


def fields_of(strategy: Strategy | Mapping[str, Any] | str | None) -> dict[str, Any] | None:
    """The fields that a strategy sets, given as one, as these fields, or as a mode. Raises Invalid."""
    if strategy is None:
        return None
    if isinstance(strategy, Strategy):
        every = {name: getattr(strategy, name) for name in FIELDS}
        lists = {name: list(cast("tuple[str, ...]", value)) for name, value in every.items() if type(value) is tuple}
        strategy = {name: value for name, value in {**every, **lists}.items() if value is not None}
    return checked({"mode": strategy} if isinstance(strategy, str) else strategy)


def _takes_wrapper(method: Any) -> bool:
    try:
        return "wrapper" in inspect.signature(method).parameters
    except (TypeError, ValueError):
        return False
