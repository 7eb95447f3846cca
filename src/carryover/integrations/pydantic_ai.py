"""Pydantic AI: what a model sees of a run's messages, and a log of them.

The history of a run stays whole: a view is what one request to the model is given, and its messages and parts are the
history's own objects wherever the strategy leaves them as they are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from carryover.core.scope import DEFAULT
from carryover.core.session import Appended, Draft, Kind, Role
from carryover.core.strategy import Strategy
from carryover.integrations import shown
from carryover.integrations.shown import Fate, Stored
from carryover.memories import Memory
from carryover.strategies.formats import catalog

try:
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.capabilities.abstract import WrapRunHandler
    from pydantic_ai.messages import (
        BinaryContent,
        CachePoint,
        FileUrl,
        ImageUrl,
        ModelMessage,
        ModelMessagesTypeAdapter,
        ModelRequest,
        ModelRequestPart,
        ModelResponse,
        ModelResponsePart,
        NativeToolCallPart,
        NativeToolReturnPart,
        SpeechPart,
        SystemPromptPart,
        TextContent,
        TextPart,
        ThinkingPart,
        ToolCallPart,
        ToolReturnPart,
        UserContent,
        UserPromptPart,
    )
    from pydantic_ai.models import ModelRequestContext
    from pydantic_ai.run import AgentRunResult
    from pydantic_ai.tools import RunContext
except ImportError as cause:
    raise ImportError("pydantic-ai is not installed; run: pip install 'carryover-memory[pydantic-ai]'") from cause

Given = Strategy | Mapping[str, Any]
Part = ModelRequestPart | ModelResponsePart

_LABEL = "pydantic_ai"


def view(messages: Sequence[ModelMessage], strategy: Given) -> list[ModelMessage]:
    """The messages as the strategy shows them to a model; the same beginning from request to request until it cuts.

    The last message is always there. Summaries are made of logs only (see `load_view`).
    """
    made = shown.viewed(messages, shown.strategy_of(strategy), _said, _copied)
    if messages and (not made or made[-1].kind != messages[-1].kind):
        made.append(messages[-1])
    return made


@dataclass
class ViewHistory(AbstractCapability[Any]):
    """Each request of a run shows the model the strategy's view; the run's own messages stay as they are.

    agent = Agent(model, capabilities=[ViewHistory({"mode": "compact"})])
    """

    strategy: Given

    def __post_init__(self) -> None:
        self.strategy = shown.strategy_of(self.strategy)

    async def before_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """The request holds the view."""
        request_context.messages = view(request_context.messages, self.strategy)
        return request_context


@dataclass
class SessionLog(AbstractCapability[Any]):
    """What each run adds to a conversation is in a session's log when the run ends, however it ends.

    agent = Agent(model, capabilities=[SessionLog(memory)])

    The session is `session_id`, or else the run's conversation.
    """

    memory: Memory
    session_id: str | None = None
    agent: str = DEFAULT
    user: str | None = None
    _history: list[ModelMessage] = field(default_factory=list[ModelMessage], init=False, repr=False)

    @classmethod
    def get_serialization_name(cls) -> str | None:
        """None: a memory cannot be named in an agent's specification."""
        return None

    async def for_run(self, ctx: RunContext[Any]) -> AbstractCapability[Any]:
        """One of its own for the run, which knows the run's messages."""
        return replace(self)

    async def before_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Nothing is changed; where the run keeps its messages is known, should it fail."""
        self._history = ctx.messages
        return request_context

    async def wrap_run(self, ctx: RunContext[Any], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """The run's messages are logged when it is over."""
        try:
            result = await handler()
        except BaseException:
            own = [message for message in self._history if message.run_id == ctx.run_id]
            await asyncio.to_thread(self._log, ctx, own)
            raise
        await asyncio.to_thread(self._log, ctx, result.new_messages())
        return result

    def _log(self, ctx: RunContext[Any], messages: Sequence[ModelMessage]) -> None:
        session_id = self.session_id or ctx.conversation_id or str(ctx.run_id)
        _log(self.memory, (self.agent, session_id, self.user), str(ctx.run_id), messages)


def log_run(
    memory: Memory, session_id: str, result: AgentRunResult[Any], *, agent: str = DEFAULT, user: str | None = None
) -> Appended | None:
    """What the run added to the conversation is in the session's log, once; None where nothing was new.

    Raises Invalid, NotFound or TooLarge.
    """
    return _log(memory, (agent, session_id, user), result.run_id, result.new_messages())


def load_messages(memory: Memory, session_id: str, *, agent: str = DEFAULT) -> list[ModelMessage]:
    """All messages of the session as they were logged; what others logged there in messages like them.

    result = agent.run_sync("And now?", message_history=load_messages(memory, "session-1"))
    """
    return _loaded(shown.logged(memory, agent, session_id, _LABEL))


def load_view(
    memory: Memory, session_id: str, *, agent: str = DEFAULT, strategy: Mapping[str, Any] | None = None
) -> list[ModelMessage]:
    """What a model should see of the session: the strategy in force there, with these fields on top of it.

    Summaries and what other sessions settled are part of it. Raises NotFound or Invalid.
    """
    return _loaded(shown.shown(memory, agent, session_id, _LABEL, strategy))


def _log(
    memory: Memory, whose: tuple[str, str, str | None], run_id: str, messages: Sequence[ModelMessage]
) -> Appended | None:
    stored: list[Any] = ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")
    drafts: list[Draft] = []
    for n, (message, told) in enumerate(zip(messages, stored, strict=True)):
        drafts += shown.stamped(_LABEL, shown.key_of(_LABEL, run_id, str(n)), told, _said(message))
    return shown.append(memory, whose, drafts)


def _loaded(entries: Sequence[Stored | Draft]) -> list[ModelMessage]:
    made: list[ModelMessage] = []
    others: list[Draft] = []
    for entry in [*entries, None]:
        if isinstance(entry, Draft):
            others.append(entry)
            continue
        made += _told(others)
        others = []
        if entry is not None and any(entry.fates):
            message = ModelMessagesTypeAdapter.validate_json(json.dumps([entry.message]))[0]
            made.append(message if all(fate is True for fate in entry.fates) else _copied(message, entry.fates))
    return made


def _told(drafts: Sequence[Draft]) -> list[ModelMessage]:
    """What others logged, or what stands for turns, as messages."""
    names: dict[str, str] = {}
    made: list[ModelMessage] = []
    for item in catalog.native_of("openai-chat", drafts):
        content = item.get("content")
        text = content if isinstance(content, str) else json.dumps(content)
        if item["role"] == "assistant":
            asked: list[dict[str, Any]] = item.get("tool_calls") or []
            calls = [
                ToolCallPart(call["function"]["name"], call["function"]["arguments"], call["id"]) for call in asked
            ]
            names |= {call.tool_call_id: call.tool_name for call in calls}
            made.append(ModelResponse([*([TextPart(text)] if content else []), *calls]))
        elif item["role"] == "tool":
            result = ToolReturnPart(names.get(item["tool_call_id"], "tool"), text, item["tool_call_id"])
            before = made[-1] if made else None
            if isinstance(before, ModelRequest) and isinstance(before.parts[-1], ToolReturnPart):
                made[-1] = replace(before, parts=[*before.parts, result])
            else:
                made.append(ModelRequest([result]))
        else:
            made.append(ModelRequest([(UserPromptPart if item["role"] == "user" else SystemPromptPart)(text)]))
    return made


# A message as turns: each call and each result for itself, all else of a response together


def _said(message: ModelMessage) -> list[Draft]:
    return [_draft(message, parts) for parts in _cut(message)]


def _cut(message: ModelMessage) -> list[list[Part]]:
    """The parts of a message that are shown together."""
    if isinstance(message, ModelRequest):
        return [[part] for part in message.parts] or [[]]
    runs: list[list[Part]] = []
    for part in message.parts:
        if runs and not isinstance(part, ToolCallPart) and not isinstance(runs[-1][0], ToolCallPart):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs or [[]]


def _draft(message: ModelMessage, parts: Sequence[Part]) -> Draft:
    first = parts[0] if parts else None
    at = getattr(first, "timestamp", None) or message.timestamp
    ms = None if at is None else int(at.timestamp() * 1000)
    if isinstance(first, ToolCallPart):
        return Draft("assistant", first.args_as_json_str(), "tool_call", first.tool_name, first.tool_call_id, ms)
    if isinstance(first, ToolReturnPart):
        text = first.model_response_str()
        return Draft("tool", text, "tool_result", first.tool_name, first.tool_call_id, ms)
    if first is not None and _is_retry(first) and (name := getattr(first, "tool_name", None)):
        return Draft("tool", _text(first), "tool_result", name, getattr(first, "tool_call_id", None), ms)
    if isinstance(message, ModelResponse):
        thinks = bool(parts) and all(isinstance(part, ThinkingPart) for part in parts)
        kind: Kind = "reasoning" if thinks else "message"
        return Draft("assistant", "\n".join(filter(None, map(_text, parts))), kind, created_at=ms)
    return Draft(_role(first), _content(first), created_at=ms)


def _role(part: Part | None) -> Role:
    """Only what a user said begins a turn of theirs; what the framework tells a model is no one's turn."""
    spoken = isinstance(part, UserPromptPart) or (isinstance(part, SpeechPart) and part.speaker == "user")
    return "user" if spoken else "system"


def _is_retry(part: Part) -> bool:
    """Whether it is the older kind of part that asks for a call anew, which only old code makes."""
    return part.part_kind == "retry-prompt"


def _content(part: Part | None) -> str | list[Any]:
    if part is None or not isinstance(part, UserPromptPart) or isinstance(part.content, str):
        return "" if part is None else _text(part)
    return [_block(entry) for entry in part.content if not isinstance(entry, CachePoint)]


def _block(entry: UserContent) -> dict[str, Any]:
    """A part of what a user said; files themselves are in the stored message only."""
    if isinstance(entry, (str, TextContent)):
        return {"type": "text", "text": entry if isinstance(entry, str) else entry.content}
    if isinstance(entry, FileUrl):
        return {"type": "image" if isinstance(entry, ImageUrl) else "file", "url": entry.url}
    return {"type": "image" if isinstance(entry, BinaryContent) and entry.is_image else "file"}


def _text(part: Part) -> str:
    if isinstance(part, (NativeToolCallPart, NativeToolReturnPart)):
        return ""
    said = getattr(part, "content", None) or getattr(part, "transcript", None)
    return said if isinstance(said, str) else ""


# Copies


def _copied(message: ModelMessage, fates: Sequence[Fate]) -> ModelMessage:
    """A copy with placeholders for the results and arguments that have one, and without what is not shown."""
    kept = [
        _replaced(part, fate) if isinstance(fate, str) else part
        for parts, fate in zip(_cut(message), fates, strict=True)
        for part in parts
        if fate is not False
    ]
    return replace(message, parts=cast("Any", kept))


def _replaced(part: Part, text: str) -> Part:
    if isinstance(part, ToolCallPart):
        return replace(part, args=text)
    # What the framework itself reads of a result keeps its shape.
    is_plain = type(part) is ToolReturnPart or _is_retry(part)
    return replace(part, **cast("Any", {"content": text})) if is_plain else part
