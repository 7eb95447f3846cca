"""The activity stream as server-sent events: no gap, no event twice, however often the line breaks.

(WHATWG HTML, "Server-sent events": a block with an id and no data moves the client's Last-Event-ID only.)
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from carryover.core.errors import CarryoverError
from carryover.core.event import Event, Filter
from carryover.core.wire import encode
from carryover.log import stream
from carryover.runtime import Carryover

POLL_S = 0.5  # how soon events of other processes are seen
BEAT_S = 15.0  # silence after which a comment shows that the line is alive
_REST_S = 0.02  # commits that follow each other faster wake a reader once
PAGE = 500


class Bell:
    """Rings after commits of this process; whoever waits looks what happened."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self.stopped = False

    def hang(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def ring(self) -> None:
        """From any thread: all who wait are woken."""
        if self._waiting and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def stop(self) -> None:
        """From the loop: all streams end after what they are sending."""
        self.stopped = True
        self._wake()

    async def wait(self, timeout_s: float) -> None:
        """Returns at the next ring, or when the time is over."""
        if self.stopped:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=timeout_s)
        finally:
            self._waiting.discard(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


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
        while not self.bell.stopped:
            try:
                await self.still_allowed()
                found = await run_in_threadpool(stream.after, store, scope, self.agent_id, after, self.want, limit=PAGE)
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
                await self.bell.wait(POLL_S)
                await asyncio.sleep(0 if self.bell.stopped else _REST_S)


def as_text(event: Event) -> str:
    return f"id: {event.id}\nevent: {event.action}\ndata: {json.dumps(encode(event), separators=(',', ':'))}\n\n"
