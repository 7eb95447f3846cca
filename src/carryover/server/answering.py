"""An answer of the chat under way: a thread makes it, and the event loop sends what comes of it.

A caller who hangs up ends it: nobody pays for what nobody hears.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from anyio import CancelScope, CapacityLimiter, to_thread
from starlette.requests import Request

from carryover.chat.verbs import Chat
from carryover.core.chat import ChatAnswer, ChatEvent, ChatRequest
from carryover.core.chat_wire import ERROR, show_event
from carryover.core.errors import Cancelled, CarryoverError, TooMany
from carryover.core.wire import encode_error
from carryover.runtime import Carryover
from carryover.server.errors import status_of

CHATS = 64  # answers that a process makes at once
BEAT_S = 15.0  # silence after which a comment shows that the line is alive
_RETRY_S = 5

Events = AsyncGenerator[ChatEvent | None]


def limiter() -> CapacityLimiter:
    return CapacityLimiter(CHATS)


async def answering(memory: Carryover, asked: ChatRequest, limiter: CapacityLimiter) -> Events:
    """What happens, as it happens; None when nothing did for a while. Whoever closes it ends the answer.

    Raises what the chat raises, and TooMany when the process makes as many answers as it can.
    """
    if limiter.available_tokens < 1:
        raise TooMany(f"{CHATS} answers are being made here already; wait {_RETRY_S} s and retry", retry_after=_RETRY_S)
    loop, stop = asyncio.get_running_loop(), threading.Event()
    came: asyncio.Queue[ChatEvent | None] = asyncio.Queue()

    def make() -> None:
        try:
            for event in Chat(memory).stream(asked, stop=stop):
                loop.call_soon_threadsafe(came.put_nowait, event)
        finally:
            loop.call_soon_threadsafe(came.put_nowait, None)

    made = asyncio.ensure_future(to_thread.run_sync(make, limiter=limiter))
    try:
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    event = await came.get()
            except TimeoutError:
                yield None
                continue
            if event is None:
                await made
                return
            yield event
    finally:
        stop.set()
        with CancelScope(shield=True), suppress(CarryoverError):
            await made


async def whole(request: Request, events: Events) -> ChatAnswer:
    """The answer at the end of the events. Raises Cancelled once the caller has hung up."""
    made, left = asyncio.ensure_future(_last(events)), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({made, left}, return_when=asyncio.FIRST_COMPLETED)
        if made.done():
            return made.result()
        raise Cancelled
    finally:
        made.cancel()
        left.cancel()
        await asyncio.gather(made, left, return_exceptions=True)


async def sent(first: ChatEvent | None, events: Events) -> AsyncIterator[str]:
    """The events as server-sent events, `first` before all others; a failure is the last one."""
    async with aclosing(events):
        yield _as_text(first)
        try:
            async for event in events:
                yield _as_text(event)
        except CarryoverError as failure:
            document = {**encode_error(failure), "status": status_of(failure)}
            yield f"event: {ERROR}\ndata: {json.dumps(document, default=str, separators=(',', ':'))}\n\n"


async def _last(events: Events) -> ChatAnswer:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, ChatAnswer):
                return event
    raise Cancelled


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _as_text(event: ChatEvent | None) -> str:
    if event is None:
        return ": alive\n\n"
    name, data = show_event(event)
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
