"""The reference chat: what is asked of it, what it tells while it answers, and what it kept of each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from carryover.core.clock import Time
from carryover.core.scope import DEFAULT
from carryover.core.session import Content, Place
from carryover.core.strategy import Layer, Strategy, Trigger
from carryover.core.usage import Usage

# What is kept of a run, in the order in which it happens.
RunEventType = Literal[
    "run_started",
    "persona",
    "head",
    "view",
    "memory_compaction",
    "model_request",
    "usage",
    "text",
    "tool_call",
    "tool_output",
    "run_finished",
    "run_failed",
]
RunStatus = Literal["running", "finished", "failed", "interrupted"]
Stop = Literal["end", "max_tokens", "calls"]  # why an answer ended; `calls`: no further calls were allowed
CHAT_TOOLS = ("search_memory", "read_turns")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a user says, and how it is to be answered. A repeated `idempotency_key` gives the first run's answer.

    `strategy` holds fields that count for this once. With `context`, the model is told what earlier sessions settled,
    and with `persona` how the user likes to be served.
    """

    session_id: str
    message: Content
    agent_id: str = DEFAULT
    user_id: str | None = None
    instructions: str = ""
    strategy: Mapping[str, Any] | None = None
    tools: tuple[str, ...] = CHAT_TOOLS
    max_tokens: int = 4_096
    context: bool = True
    persona: bool = True
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told of it; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The user's turn is in the log, and its answer begins."""

    run_id: str
    turn: Place


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The model said this next."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model calls a tool; `arguments` are JSON text as it gave them."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a call came to, whole, whatever later views show of it."""

    call_id: str
    name: str
    output: str


@dataclass(frozen=True, slots=True)
class Compaction:
    """A strategy has just cut or cleared: what the model sees no more, or sees as placeholders, from now on.

    Tokens are estimates, of the whole log and of the view.
    """

    trigger: Trigger | None
    tokens_before: int
    tokens_after: int
    cut_seq: int
    cleared_seq: int
    outputs: int  # results that became placeholders
    inputs: int  # arguments of calls that did
    omitted: int  # turns that are not shown any more
    call_ids: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ViewFigures:
    """The view that the last request of a run was made of; operations are counted by what was done with turns."""

    tokens_before: int
    tokens_after: int
    prefix_tokens_shared: int
    trigger: Trigger | None = None
    turns: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What the model answered, where it stands in the log, and what it took.

    `text` is what it said last; what it said before it called tools is in the log. `warnings` are of what worked, but
    not as it was meant to.
    """

    text: str
    run_id: str
    agent_id: str
    session_id: str
    turns: tuple[Place, ...]  # the user's turn and all that followed from it
    usage: Usage
    strategy: Strategy
    sources: dict[str, Layer]
    view: ViewFigures
    stop: Stop = "end"
    warnings: tuple[str, ...] = ()


ChatEvent = RunStarted | TextDelta | ToolCall | ToolOutput | Compaction | ChatAnswer


@dataclass(frozen=True, slots=True)
class Thought:
    """What a model thought, in its provider's own form: to be given back to it with the calls that followed."""

    item: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelReply:
    """The whole of one model call. `thoughts` are never part of the text."""

    text: str
    calls: tuple[ToolCall, ...]
    thoughts: tuple[Thought, ...]
    usage: Usage
    cut: bool = False  # by max_tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request to a model: blocks of the system's head, then messages, and what it may call.

    The beginning of a request that was sent before is served from the provider's cache, so each block changes more
    often than the one before it. `messages` are as Anthropic's Messages API has them, with calls and results paired.
    `points` are the blocks of the head behind which the cache is asked for, where the provider wants to be asked.
    """

    system: tuple[str, ...]
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 4_096
    may_call: bool = True
    points: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One thing that happened in a run; `seq` is the turn that it is about."""

    n: int
    at: Time
    type: RunEventType
    payload: dict[str, Any]
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One answering of a user's turn. One that was left without an end is `interrupted`."""

    run_id: str
    agent_id: str
    session_id: str
    status: RunStatus
    started_at: Time
    ended_at: Time | None
    model: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with all its events, in order."""

    run: Run
    events: tuple[RunEvent, ...]
