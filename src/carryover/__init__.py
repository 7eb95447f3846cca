"""Session memory for AI agents: a lossless log of every conversation, and what the next one needs of it.

    from carryover import log_turn, get_context, search_memory

    log_turn("session-1", "user", "Let's use PostgreSQL for the ledger.")
    prefix = get_context("session-2")
    hits = search_memory("which database?")

`open` gives a memory of one's own, embedded or on a server, with every verb; `Client` and `AsyncClient` speak to a
server and nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from carryover.core.chunk import Query
from carryover.core.errors import (
    Cancelled,
    CarryoverError,
    Conflict,
    DataLoss,
    Forbidden,
    Held,
    Invalid,
    KeyLost,
    LeaseLost,
    NotFound,
    OverBudget,
    ProviderError,
    ProviderUnavailable,
    StoreUnavailable,
    TooLarge,
    TooMany,
    Unauthorized,
    VersionConflict,
)
from carryover.core.session import Append, Draft, Turn

if TYPE_CHECKING:
    from carryover.client.aclient import AsyncClient
    from carryover.client.client import Client
    from carryover.memories import get_context, log_turn, open, search_memory

__all__ = [
    "Append",
    "AsyncClient",
    "Cancelled",
    "CarryoverError",
    "Client",
    "Conflict",
    "DataLoss",
    "Draft",
    "Forbidden",
    "Held",
    "Invalid",
    "KeyLost",
    "LeaseLost",
    "NotFound",
    "OverBudget",
    "ProviderError",
    "ProviderUnavailable",
    "Query",
    "StoreUnavailable",
    "TooLarge",
    "TooMany",
    "Turn",
    "Unauthorized",
    "VersionConflict",
    "get_context",
    "log_turn",
    "open",
    "search_memory",
]

# Loaded when they are first named: a database layer and an HTTP client take longer to import than all else here.
_LATE = {
    "AsyncClient": "carryover.client.aclient",
    "Client": "carryover.client.client",
    "get_context": "carryover.memories",
    "log_turn": "carryover.memories",
    "open": "carryover.memories",
    "search_memory": "carryover.memories",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
