"""Searchable text, and what a search finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from carryover.core.clock import Time
from carryover.core.session import Role, Source
from carryover.core.voice import Voice

ChunkKind = Literal["turn", "decision", "fact", "task", "preference", "digest"]
CHUNK_KINDS: tuple[ChunkKind, ...] = get_args(ChunkKind)
Mode = Literal["hybrid", "text", "vectors"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of text that search can find: a turn (or a part of a long one) or a finding.

    `n` is its number in the indexes (0: none yet); `ref` is the id of the turn or finding; `first`..`last` are its
    turns; it is `part` (from 0) of `parts`. `terms` are the words under which the text index knows it, in order, or
    what the index has in their place (`store/hashed.py`).
    """

    n: int
    kind: ChunkKind
    ref: str
    agent_id: str
    session_id: str
    user_id: str | None
    first: int
    last: int
    part: int
    role: Role
    name: str | None
    text: str
    created_at: Time
    parts: int = 1
    terms: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of search; an unset filter admits everything inside the caller's scope."""

    text: str
    k: int = 10
    agent_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    kinds: tuple[ChunkKind, ...] | None = None
    since: Time | None = None
    until: Time | None = None
    as_of: Time | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A found text with its score (comparable within one answer only) and the turns it stands on.

    `voice` is whose words it has; what a tool, a page or a program said is data, whatever it says. Nothing in the text
    is hidden, and secrets are masked in it.
    """

    id: str
    kind: ChunkKind
    text: str
    score: float
    agent_id: str
    session_id: str
    created_at: Time
    sources: tuple[Source, ...]
    voice: Voice | None = None


@dataclass(frozen=True, slots=True)
class Hits:
    """An answer of search; `mode` is `text` while no vectors serve the query, `vectors` where no words are indexed."""

    results: tuple[Hit, ...]
    mode: Mode
