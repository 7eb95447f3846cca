"""The activity stream as server-sent events: no gap, no event twice, however often the line breaks.

(WHATWG HTML, "Server-sent events": a block with an id and no data moves the client's Last-Event-ID only.)
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from carryover.core.errors import CarryoverError
from carryover.core.event import Event, Filter
from carryover.core.wire import encode
from carryover.log import stream
from carryover.runtime import Carryover
from carryover.store.news import UNKNOWN, Change

POLL_S = 0.5  # how soon events of other processes are seen where nothing tells of them
PROMPT_POLL_S = 5.0  # where something does
BEAT_S = 15.0  # silence after which a comment shows that the line is alive
_REST_S = 0.02  # between two looks: commits that follow each other faster share one
PAGE = 500


class Bell:
    """Rings for the readers of a stream when a commit was heard of that it went on in."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readers: dict[tuple[str, str], set[asyncio.Event]] = {}
        self.stopped = False

    def hang(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def ring(self, change: Change) -> None:
        """From any thread: the readers whom the change concerns are woken."""
        if self._loop is not None and (change.unknown or any(key in self._readers for key in change.streams)):
            with suppress(RuntimeError):  # the loop has just been closed
                self._loop.call_soon_threadsafe(self._wake, change)

    def stop(self) -> None:
        """From the loop: all streams end after what they are sending."""
        self.stopped = True
        self._wake(UNKNOWN)

    @contextmanager
    def heard(self, tenant: str, agent: str) -> Generator[asyncio.Event]:
        """Inside the block the event is set at each ring for this stream; who clears it and then looks misses none."""
        rung, key = asyncio.Event(), (tenant, agent)
        self._readers.setdefault(key, set()).add(rung)
        try:
            yield rung
        finally:
            self._readers[key].discard(rung)
            if not self._readers[key]:
                del self._readers[key]

    def _wake(self, change: Change) -> None:
        for key in list(self._readers) if change.unknown else change.streams:
            for rung in self._readers.get(key, ()):
                rung.set()


@dataclass(frozen=True, slots=True)
class Live:
    """One reader of the stream; `still_allowed` raises once its key opens nothing any more."""

    memory: Carryover
    bell: Bell
    agent_id: str
    want: Filter
    still_allowed: Callable[[], Awaitable[object]]

    async def follow(self, after: int | None) -> AsyncIterator[str]:
        """Server-sent events from now on, or from after the event with this id, until the server stops."""
        store, scope = self.memory.engine.store, self.memory.scope
        if after is None:
            after = await run_in_threadpool(stream.now, store, scope, self.agent_id)
            yield f"retry: 1000\nid: {after}\n\n"
        else:
            yield "retry: 1000\n\n"
        beat = time.monotonic() + BEAT_S
        with self.bell.heard(scope.tenant, self.agent_id) as rung:
            while not self.bell.stopped:
                rung.clear()
                looked = time.monotonic()
                try:
                    await self.still_allowed()
                    found = await run_in_threadpool(
                        stream.after, store, scope, self.agent_id, after, self.want, limit=PAGE
                    )
                except CarryoverError:
                    return  # the reader comes back with its last id, and learns why from the status
                if found:
                    after = found[-1].id
                    yield "".join(map(as_text, found))
                    beat = time.monotonic() + BEAT_S
                elif time.monotonic() >= beat:
                    yield ": alive\n\n"
                    beat = time.monotonic() + BEAT_S
                if len(found) < PAGE:
                    await self._pause(rung, looked)

    async def _pause(self, rung: asyncio.Event, looked: float) -> None:
        """Returns after the next ring, or when it is time to look all the same."""
        with suppress(TimeoutError):
            await asyncio.wait_for(rung.wait(), PROMPT_POLL_S if self.memory.engine.news.prompt else POLL_S)
        if not self.bell.stopped:
            await asyncio.sleep(max(0, looked + _REST_S - time.monotonic()))


def as_text(event: Event) -> str:
    return f"id: {event.id}\nevent: {event.action}\ndata: {json.dumps(encode(event), separators=(',', ':'))}\n\n"
