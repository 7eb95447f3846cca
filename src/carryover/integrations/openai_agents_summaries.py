"""Summaries for a session whose items are kept elsewhere: made by whoever is named for it, kept in this process."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from anyio import Lock, to_thread

from carryover.core.strategy import Strategy, Summary
from carryover.core.text import digest, estimate_tokens
from carryover.integrations.openai_agents_view import Native, mark

logger = logging.getLogger(__name__)

Summarizer = Callable[[list[Any], str | None], str | Awaitable[str]]


class Summaries:
    """The summaries of one session, each of its items from the first one on, as long as these are still its items."""

    def __init__(self, summarize: Summarizer, strategy: Strategy) -> None:
        self._summarize = summarize
        self._strategy = strategy
        self._made: dict[str, Summary] = {}  # by the items that they stand for
        self._failed: set[str] = set()
        self._lock = Lock()

    def of(self, items: list[Native]) -> list[Summary]:
        """Those that stand for the beginning of these items, the shortest first."""
        return [self._made[key] for key in _beginnings(items) if key in self._made]

    async def make(self, items: list[Native], last: int) -> None:
        """There is a summary of the first `last` items, if it could be made; nobody is asked for one twice."""
        async with self._lock:
            key = _beginnings(items)[last - 1]
            if key in self._made or key in self._failed:
                return
            known = [summary for summary in self.of(items) if summary.last < last]
            base = known[-1] if known and known[-1].depth < self._strategy.summary_rebase_every else None
            new = items[base.last if base else 0 : last]
            # Whoever makes summaries is not ours: whatever is raised there, the view does without one.
            (text,) = await asyncio.gather(self._text(new, base), return_exceptions=True)
            if isinstance(text, BaseException) or not text:
                why = text or "it is empty"
                logger.warning("no summary of %d items (%s); older ones, or the items themselves, stay", last, why)
                self._failed.add(key)
                return
            self._made[key] = Summary(
                id=key,
                agent_id="",
                session_id="",
                last=last,
                recipe=self._strategy.recipe,
                text=text,
                tokens=estimate_tokens(text),
                by=getattr(self._summarize, "__name__", "summarize"),
                created_at=0,
                base=base.id if base else None,
                depth=base.depth + 1 if base else 0,
            )

    async def _text(self, items: list[Native], base: Summary | None) -> str:
        call = partial(self._summarize, cast("Any", items), base.text if base else None)
        if inspect.iscoroutinefunction(self._summarize):
            told = await cast("Awaitable[str]", call())
        else:
            answer = await to_thread.run_sync(call)
            told = await answer if inspect.isawaitable(answer) else answer
        told = told.strip()
        short = told[: self._strategy.summary_max_chars]
        while estimate_tokens(short) > self._strategy.summary_max_tokens:
            short = short[: len(short) * self._strategy.summary_max_tokens // estimate_tokens(short)]
        return told if short == told else (short.rsplit(maxsplit=1) or [""])[0]


def _beginnings(items: list[Native]) -> list[str]:
    """For each item, what tells it and all before it from any others."""
    found: list[str] = []
    for item in items:
        found.append(digest(found[-1] if found else "", mark(item)))
    return found
