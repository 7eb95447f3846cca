"""The body of a request to the chat."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Raw, Struct

from carryover.core.chat import CHAT_TOOLS, ChatRequest
from carryover.core.errors import Invalid
from carryover.core.scope import DEFAULT
from carryover.core.session import Content, Json
from carryover.server.errors import Malformed


class ChatIn(Struct, forbid_unknown_fields=True):
    """What a user says, and how it is to be answered; `memory_strategy` counts this once."""

    session_id: str
    message: Raw
    agent_id: str = DEFAULT
    user_id: str | None = None
    instructions: str = ""
    memory_strategy: Raw = msgspec.field(default_factory=lambda: Raw(b"null"))
    tools: list[str] = msgspec.field(default_factory=lambda: list(CHAT_TOOLS))
    max_tokens: Annotated[int, Meta(ge=1, lt=2**31)] = 4_096
    context: bool = True
    persona: bool = True
    idempotency_key: str | None = None


def request_of(asked: ChatIn) -> ChatRequest:
    """The request that the body is. Raises Malformed or Invalid."""
    strategy = _read(asked.memory_strategy, "memory_strategy")
    if strategy is not None and not isinstance(strategy, dict):
        raise Invalid("memory_strategy is no object; send one, or leave it out", field="memory_strategy")
    return ChatRequest(
        session_id=asked.session_id,
        message=cast("Content", _text(asked.message)),
        agent_id=asked.agent_id,
        user_id=asked.user_id,
        instructions=asked.instructions,
        strategy=cast("dict[str, Any] | None", strategy),
        tools=tuple(asked.tools),
        max_tokens=asked.max_tokens,
        context=asked.context,
        persona=asked.persona,
        idempotency_key=asked.idempotency_key,
    )


def _text(raw: Raw) -> Json:
    try:
        return Json(bytes(raw).decode())
    except UnicodeDecodeError as cause:
        raise Malformed(f"the body is not UTF-8 ({cause}); correct it and send it again") from cause


def _read(raw: Raw, field: str) -> object:
    try:
        return json.loads(_text(raw))
    except (ValueError, RecursionError) as cause:
        raise Invalid(f"{field} is not JSON that can be read ({cause}); correct it", field=field) from cause
