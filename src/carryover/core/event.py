"""One line of the activity stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from carryover.core.clock import Time

Action = Literal[
    "open",
    "append",
    "close",
    "hold",
    "consolidate",
    "reconsolidate",
    "summarize",
    "delete",
    "expire",
    "forget",
    "ingest",
    "digest",
    "approve",
    "reject",
    "edit",
    "distribute",
    "measure",
    "withdraw",
]

PATTERNS = "patterns"
PROFILES = "profiles"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a session; ids grow in the order of commits within one agent.

    What happened to a pattern stands in the stream of `PATTERNS`, with the pattern's id in place of a session's; that
    a profile was erased in the stream of `PROFILES`, with the user's.
    """

    id: int
    at: Time
    action: Action
    agent_id: str
    session_id: str
    user_id: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted; None admits all."""

    action: str | None = None
    session: str | None = None
    user: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Events, and the cursor of the page after this one (None: there is none)."""

    events: tuple[Event, ...]
    next_cursor: str | None
