"""What the next session is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from carryover.core.clock import Time
from carryover.core.scope import DEFAULT
from carryover.core.session import Source
from carryover.core.snapshot import Finding

Reach = Literal["session", "agent", "user"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which context is asked for.

    `reach` is this session alone, this agent's sessions of the same user, or that of all agents. The session need
    not exist yet: then `user_id` says whose memory it is. A `query` gets most of the budget for its answer. With
    `as_of`, only what had been said and was held true at that time is told. `repos` are the names of the repository
    that a coding session works in; without them it is the one that its digest names.
    """

    session_id: str
    agent_id: str = DEFAULT
    user_id: str | None = None
    reach: Reach = "agent"
    max_tokens: int = 500
    query: str | None = None
    as_of: Time | None = None
    repos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """Markdown to prepend to a session's system prompt.

    `tokens` never passes the budget asked for; the first `stable_tokens` of them stay the same bytes until a
    snapshot changes. `sources` are the turns that it quotes. `through` and `snapshots` say per session how far
    memory reaches; `notes` say what waits.
    """

    session_id: str
    markdown: str
    tokens: int
    stable_tokens: int
    through: dict[str, int]
    snapshots: dict[str, int]
    findings: tuple[Finding, ...]
    etag: str
    notes: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
