"""How a running carryover is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Health:
    """`ok`, `degraded` (something works only in part: a dead job) or `down`; the queue's counts are of one tenant.

    `notes` say what goes on that a reader of the counts should know, like the change to another embedding model.
    """

    status: Literal["ok", "degraded", "down"]
    store: str
    queue: dict[str, int]
    notes: tuple[str, ...] = ()
