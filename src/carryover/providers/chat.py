"""One streamed call of a language model in a conversation, over pydantic-ai.

Head and conversation are marked for the provider's prompt cache. Where it takes breakpoints, which are four at most,
they stand where the prompt asks for them in its head and at the end of the messages; and behind the tools, if one is
left: what follows them covers them.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from carryover.core.chat import ModelReply, Prompt, TextDelta, Thought, ToolCall
from carryover.core.errors import Cancelled, ProviderError, ProviderUnavailable
from carryover.core.usage import Usage
from carryover.providers import prices
from carryover.providers.chat_messages import marked, messages_of, parameters_of
from carryover.providers.library import STOPPED, Connection, access_of, failure, metered

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse, ModelResponseStreamEvent
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

_LOOK_S = 0.1  # how soon it is noticed that a call is to be stopped
_END_S = 5.0  # how long a call that is stopped may take to close its connection
_LATER = "try again"
ANTHROPIC = "anthropic"
POINTS = 3  # breakpoints that the head may have, of four; one stands at the end of the messages


@dataclass(slots=True)
class _Flight:
    """A call under way: what came of it so far."""

    came: queue.SimpleQueue[TextDelta | ModelReply | ProviderError] = field(
        default_factory=lambda: queue.SimpleQueue[TextDelta | ModelReply | ProviderError]()
    )
    spent: Usage = field(default_factory=Usage)
    over: threading.Event = field(default_factory=threading.Event)


class ChatModel:
    """A model of any provider of pydantic-ai that answers in a conversation. Threads may share it."""

    def __init__(self, connection: Connection, *, window: int, timeout_s: float) -> None:
        self.name = connection.name
        self.window = window
        self.timeout_s = timeout_s  # the longest that one call takes
        self._connection = connection

    def stream(self, prompt: Prompt, stop: threading.Event) -> Generator[TextDelta | ModelReply]:
        """What the model says as it says it, and at the end the whole of its reply.

        Raises ProviderUnavailable when a later try may succeed, ProviderError when the call was refused, withheld or
        cannot be read, Cancelled once `stop` is set; their `usage` is what was consumed nevertheless. Whoever leaves
        the iteration ends the call.
        """
        with metered(self.name) as told, contextlib.closing(self._events(prompt, stop)) as events:
            for event in events:
                if isinstance(event, ModelReply):
                    told.append(event.usage)
                yield event

    def price(self, usage: Usage) -> Usage:
        """`usage` with its money."""
        return self._connection.price(usage)

    def close(self) -> None:
        """Connections and the thread that holds them are gone; a later call opens new ones."""
        self._connection.close()

    def _events(self, prompt: Prompt, stop: threading.Event) -> Generator[TextDelta | ModelReply]:
        portal, model = self._connection.open()
        flight = _Flight(spent=Usage(self.name, calls=1))
        call = portal.start_task_soon(self._call, model, prompt, flight)
        try:
            while not stop.is_set():
                event = _next(flight, call)
                if isinstance(event, ProviderError):
                    raise event
                if event is not None:
                    yield event
                if isinstance(event, ModelReply):
                    return
        finally:
            call.cancel()
            flight.over.wait(_END_S)
        raise Cancelled(usage=flight.spent)

    async def _call(self, model: Model, prompt: Prompt, flight: _Flight) -> None:
        """The call itself, in the event loop that the connection belongs to."""
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.exceptions import AgentRunError, UserError

        stream = None
        try:
            async with model_request_stream(
                model,
                messages_of(prompt.messages, thoughts=self._is_anthropic),
                model_settings=self._settings(prompt),
                model_request_parameters=parameters_of(prompt, head=not self._is_anthropic),
            ) as stream:
                async for event in stream:
                    if said := _said(event):
                        flight.came.put(TextDelta(said))
            flight.came.put(self._reply(stream.get()))
        except ProviderError as refused:
            flight.came.put(refused)
        except (AgentRunError, UserError, TypeError, ValueError, AttributeError, LookupError) as cause:
            if stream is not None:
                flight.spent = self._connection.used(stream.usage)
            flight.came.put(failure(self.name, cause, flight.spent, _LATER))
        finally:
            if stream is not None:
                flight.spent = self._connection.used(stream.usage)
            flight.over.set()

    @property
    def _is_anthropic(self) -> bool:
        return self.name.partition(":")[0] == ANTHROPIC

    def _settings(self, prompt: Prompt) -> ModelSettings:
        from pydantic_ai.settings import ModelSettings

        settings = ModelSettings(
            max_tokens=prompt.max_tokens,
            max_retries=0,
            timeout=self.timeout_s,
            request_timeout=self.timeout_s,
            cache=True,
            thinking=False,  # or as little as the model allows
        )
        if self._is_anthropic:
            points = prompt.points[-POINTS:]
            cached = {"anthropic_cache": True, "anthropic_cache_tool_definitions": len(points) < POINTS}
            settings = cast("ModelSettings", {**settings, **cached})
            if prompt.system:
                # The library takes several blocks, but marks one, or changes what they say.
                settings["extra_body"] = {"system": marked(prompt.system, points)}
        if prompt.tools and not prompt.may_call:
            settings["tool_choice"] = "none"  # they stay in the request: what follows them is in the cache
        return settings

    def _reply(self, answer: ModelResponse) -> ModelReply:
        from pydantic_ai.messages import TextPart

        spent, ended = self._connection.used(answer.usage), answer.finish_reason
        if ended == "content_filter":
            raise ProviderError(f"model {self.name!r} {STOPPED[ended]}", usage=spent)
        if ended is None or ended == "error" or answer.state != "complete":
            raise ProviderUnavailable(f"model {self.name!r} broke off its answer; {_LATER}", usage=spent)
        text = "".join(part.content for part in answer.parts if isinstance(part, TextPart))
        calls = tuple(
            ToolCall(call.tool_call_id, call.tool_name, call.args_as_json_str()) for call in answer.tool_calls
        )
        cut = ended == "length"
        # The arguments of calls that were cut off are not whole.
        return ModelReply(text, () if cut else calls, () if cut else self._thoughts(answer), spent, cut)

    def _thoughts(self, answer: ModelResponse) -> tuple[Thought, ...]:
        """What Anthropic wants back with the calls that followed; other providers need nothing back."""
        from pydantic_ai.messages import ThinkingPart

        found: list[Thought] = []
        for part in answer.parts:
            if isinstance(part, ThinkingPart) and part.signature and self._is_anthropic:
                shown = {"type": "thinking", "thinking": part.content, "signature": part.signature}
                hidden = {"type": "redacted_thinking", "data": part.signature}
                found.append(Thought(hidden if part.id == "redacted_thinking" else shown))
        return tuple(found)


def open_chat_model(
    name: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    timeout_s: float = 300.0,
    own_prices: Path | None = None,
) -> ChatModel:
    """The model `provider:model`, as `open_llm` names and reaches it; nothing is loaded or connected yet.

    `timeout_s` bounds one call, from its beginning to the end of its stream.
    Raises ProviderError when no price is known for the model, Invalid for a `base_url` that is none.
    """
    price = prices.find(name, own_prices)
    connection = Connection(name, price, access_of(api_key, base_url))
    return ChatModel(connection, window=price.window, timeout_s=timeout_s)


def _next(flight: _Flight, call: Future[None]) -> TextDelta | ModelReply | ProviderError | None:
    """What came next, or None when nothing did for a moment."""
    try:
        return flight.came.get(timeout=_LOOK_S)
    except queue.Empty:
        if call.done() and flight.came.empty():
            call.result()  # raises what nobody foresaw
        return None


def _said(event: ModelResponseStreamEvent) -> str:
    """The text that an event of the stream adds; thinking is none."""
    from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    return ""
