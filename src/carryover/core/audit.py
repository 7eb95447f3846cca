"""The audit log: who did what that needs more than reading and writing one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from carryover.core.clock import Time

AuditOutcome = Literal["done", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One privileged act: who did it, through which door, to what, and how it ended; never content, never a secret."""

    n: int
    at: Time
    who: str
    via: str
    action: str
    subject: str
    outcome: AuditOutcome
    detail: str
    request_id: str | None = None


AuditPage = tuple[list[AuditLine], str | None]  # with the cursor of the next one


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines are wanted; what is unset admits all."""

    action: str | None = None
    who: str | None = None
    subject: str | None = None
    since: Time | None = None
    until: Time | None = None
