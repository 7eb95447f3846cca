"""Preferences for tests."""

from __future__ import annotations

from typing import Any

from carryover.core.persona import Preference, Quote


def preference(id: str, user: str, **fields: Any) -> Preference:
    """A preference of the user, said in a turn of its own."""
    said: dict[str, Any] = {"agent": "planner", "session": "s1", "seq": 1, "text": "use bullet points, please"}
    quote = Quote(*(fields.pop(name, usual) for name, usual in said.items()))
    usual: dict[str, Any] = {
        "facet": "format",
        "value": "bullet points",
        "polarity": "like",
        "explicit": True,
        "correction": False,
        "weight": 4.0,
        "said_at": 1_000,
    }
    return Preference(id=id, user_id=user, quote=quote, **(usual | fields))
