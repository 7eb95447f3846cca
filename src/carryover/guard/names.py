"""What somebody is called where it is told: never like a role, and never an order."""

from __future__ import annotations

from carryover.core.voice import ROLE_NAMES
from carryover.guard.inert import inert
from carryover.guard.orders import commands

LONGEST, MOST_WORDS = 40, 6


def name_of(given: str | None) -> str | None:
    """The name as it may be told, on one line; None where there is none, or it only looks like one."""
    if not given:
        return None
    if given.isalpha() and len(given) <= LONGEST:
        return None if given.lower() in ROLE_NAMES else given
    name = " ".join(inert(given).split()).strip("\"'():[]{}<>#*-_ ")[:LONGEST].strip()
    words = name.lower().split()
    is_more = ":" in name or len(words) > MOST_WORDS or commands(given) or commands(name)
    return None if not words or is_more or ROLE_NAMES.intersection(words) else name
