"""The chat on a server: what each verb sends, how its answer reads, and who sends it."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

import httpx

from carryover.client import wire
from carryover.client.coding import AsyncSend, Send
from carryover.client.wire import Call, as_a, get, post, quoted
from carryover.core.chat import ChatAnswer, ChatEvent, ChatRequest, Run, RunDetail
from carryover.core.chat_wire import ERROR, read_event
from carryover.core.errors import Cancelled
from carryover.core.scope import DEFAULT
from carryover.core.session import to_json
from carryover.core.wire import decode, decode_error

ANSWER_S = 900.0  # how much longer than another verb an answer may take
_PATH = "/api/v1/chat"


class Lines(Protocol):
    """How a client opens a stream."""

    def __call__(self, call: Call[None], /) -> AbstractContextManager[httpx.Response]: ...


class AsyncLines(Protocol):
    """How an async client opens a stream."""

    def __call__(self, call: Call[None], /) -> AbstractAsyncContextManager[httpx.Response]: ...


class Chat:
    """The chat on a server, as the key's scope sees it: the verbs of `carryover.chat.verbs.Chat`."""

    def __init__(self, url: str, send: Send, lines: Lines) -> None:
        self._url, self._send, self._lines = url, send, lines

    def send(self, request: ChatRequest) -> ChatAnswer:
        """The user's turn and its answer are in the log; it is sent twice where the line broke, and answered once.

        Raises Invalid, Forbidden, Conflict, OverBudget, ProviderError or ProviderUnavailable.
        """
        return self._send(_asked(request, _PATH, as_a(ChatAnswer)))

    def stream(self, request: ChatRequest) -> Generator[ChatEvent]:
        """What happens while the user is answered, as it happens; the last event is the answer.

        Whoever leaves the iteration ends the answer. Raises as `send` does, Cancelled where the server was stopped,
        and StoreUnavailable where the line broke: sent again with the same idempotency key, it is answered anew.
        """
        call = replace(_asked(request, f"{_PATH}/stream", _nothing), wait_s=wire.BEAT_S)
        heard = _Heard()
        try:
            with self._lines(call) as got:
                if got.status_code >= 400:
                    raise wire.refusal(got.status_code, got.read())
                for line in got.iter_lines():
                    if (event := heard.line(line)) is not None:
                        yield event
        except httpx.TransportError as cause:
            raise wire.unreachable(self._url, cause) from cause
        heard.check()

    def runs(
        self, session_id: str, *, agent: str = DEFAULT, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Run], str | None]:
        """Runs of the session, newest first, and the cursor of the next page. Raises NotFound."""
        return self._send(_runs(session_id, agent, limit, cursor))

    def run(self, session_id: str, run_id: str, *, agent: str = DEFAULT) -> RunDetail:
        """A run with all its events: outputs of tools as they were. Raises NotFound."""
        return self._send(_run(session_id, run_id, agent))


class AsyncChat:
    """The same for async programs, word for word."""

    def __init__(self, url: str, send: AsyncSend, lines: AsyncLines) -> None:
        self._url, self._send, self._lines = url, send, lines

    async def send(self, request: ChatRequest) -> ChatAnswer:
        """The user's turn and its answer are in the log; it is sent twice where the line broke, and answered once.

        Raises Invalid, Forbidden, Conflict, OverBudget, ProviderError or ProviderUnavailable.
        """
        return await self._send(_asked(request, _PATH, as_a(ChatAnswer)))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """What happens while the user is answered, as it happens; the last event is the answer.

        Whoever leaves the iteration ends the answer. Raises as `send` does, Cancelled where the server was stopped,
        and StoreUnavailable where the line broke: sent again with the same idempotency key, it is answered anew.
        """
        call = replace(_asked(request, f"{_PATH}/stream", _nothing), wait_s=wire.BEAT_S)
        heard = _Heard()
        try:
            async with self._lines(call) as got:
                if got.status_code >= 400:
                    raise wire.refusal(got.status_code, await got.aread())
                async for line in got.aiter_lines():
                    if (event := heard.line(line)) is not None:
                        yield event
        except httpx.TransportError as cause:
            raise wire.unreachable(self._url, cause) from cause
        heard.check()

    async def runs(
        self, session_id: str, *, agent: str = DEFAULT, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Run], str | None]:
        """Runs of the session, newest first, and the cursor of the next page. Raises NotFound."""
        return await self._send(_runs(session_id, agent, limit, cursor))

    async def run(self, session_id: str, run_id: str, *, agent: str = DEFAULT) -> RunDetail:
        """A run with all its events: outputs of tools as they were. Raises NotFound."""
        return await self._send(_run(session_id, run_id, agent))


class _Heard:
    """What was heard of an answer, line by line."""

    def __init__(self) -> None:
        self._name, self._data = "", list[str]()
        self._is_whole = False

    def line(self, line: str) -> ChatEvent | None:
        """The event that this line completes, if it does. Raises the failure that the server tells."""
        if line:
            field, _, value = line.partition(":")
            if field == "event":
                self._name = value.removeprefix(" ")
            elif field == "data":
                self._data.append(value.removeprefix(" "))
            return None
        name, data = self._name, "\n".join(self._data)
        self._name, self._data = "", []
        if not data:
            return None
        if name == ERROR:
            raise decode_error(wire.said(data))
        event = read_event(name, wire.said(data))
        self._is_whole = self._is_whole or isinstance(event, ChatAnswer)
        return event

    def check(self) -> None:
        """Raises Cancelled where the stream ended before the answer."""
        if not self._is_whole:
            raise Cancelled


def _asked(request: ChatRequest, path: str, read: Any) -> Call[Any]:
    body: dict[str, Any] = {
        "session_id": request.session_id,
        "agent_id": request.agent_id,
        "user_id": request.user_id,
        "instructions": request.instructions,
        "memory_strategy": None if request.strategy is None else dict(request.strategy),
        "tools": list(request.tools),
        "max_tokens": request.max_tokens,
        "context": request.context,
        "persona": request.persona,
        # The key makes it safe to send the request again when the line broke before the answer.
        "idempotency_key": request.idempotency_key or secrets.token_hex(12),
    }
    members = f'"message":{to_json(request.message, "message")},{to_json(body)[1:]}'
    return replace(post(path, read, {}), body=("{" + members).encode(), wait_s=ANSWER_S)


def _runs(session_id: str, agent: str, limit: int, cursor: str | None) -> Call[tuple[list[Run], str | None]]:
    return get(f"/api/v1/conversations/{quoted(session_id)}/runs", _page, agent_id=agent, limit=limit, cursor=cursor)


def _run(session_id: str, run_id: str, agent: str) -> Call[RunDetail]:
    path = f"/api/v1/conversations/{quoted(session_id)}/runs/{quoted(run_id)}"
    return get(path, as_a(RunDetail), agent_id=agent)


def _page(_: int, raw: bytes) -> tuple[list[Run], str | None]:
    data = json.loads(raw)
    return [decode(Run, item) for item in data["runs"]], data["next_cursor"]


def _nothing(_: int, __: bytes) -> None:
    return None
