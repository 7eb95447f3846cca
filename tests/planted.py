"""Digests with signals planted in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from carryover.core.clock import DAY_MS
from carryover.core.digest import Digest, Signal, ToolUse
from carryover.core.session import Source
from carryover.core.step import Flavor

NOW = 1_790_000_000_000
SHOP, DESK = "github.com/acme/shop", "github.com/acme/desk"
TOOLS = {"shell": ToolUse(9, 1, 0), "edit": ToolUse(4, 0, 0), "read": ToolUse(7, 0, 0)}


def session(name: str, *signals: Signal, flavor: Flavor = "claude-code", age_days: float = 0, **more: Any) -> Digest:
    """The digest of a session that used tools, and ended so many days ago."""
    ended = int(NOW - age_days * DAY_MS)
    base = Digest(flavor, name, flavor, 1, "", repo=SHOP, started_at=ended - 60_000, ended_at=ended, tools=TOOLS)
    told = tuple(
        replace(one, sources=tuple(replace(source, session_id=name) for source in one.sources)) for one in signals
    )
    return replace(
        base, signals=told, **{"goal": f"do {name}", "result": f"This is how {name} came to be done.", **more}
    )


def signal(kind: str, key: str, quote: str = "", *, turn: int = 3) -> Signal:
    said = quote or f"quote of {key}"
    return Signal(kind, key, f"{kind}: {key}", 1, sources=(Source("", turn, turn + 1, said),))
