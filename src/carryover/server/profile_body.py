"""Request bodies about profiles."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request

from carryover.core.errors import Invalid
from carryover.core.persona import MOST_TEXTS, MOST_WEIGHT
from carryover.persona.edits import MOST
from carryover.persona.links import USUAL_S
from carryover.server import answers
from carryover.server.bodies import Seconds, one_of

_LINES: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "maxItems": MOST}
_EDITS: dict[str, Any] = {
    "weights": {
        "type": "object",
        "additionalProperties": {"type": ["number", "null"], "minimum": 0, "maximum": MOST_WEIGHT},
        "description": "factors by line id; null clears one",
    },
    "pins": {**_LINES, "description": "lines that are told whatever was noticed"},
    "removed": {**_LINES, "description": "lines that are never told"},
    "texts": {**_LINES, "maxItems": MOST_TEXTS, "description": "lines in the user's own words"},
}
# How the document describes the body of an edit, whose members are checked where edits are.
PROFILE_EDIT: dict[str, Any] = {
    "type": "object",
    "description": "What a user decides about their profile; what is left out or null stays as it is.",
    "properties": {
        "user_id": {"type": ["string", "null"]},
        **{name: {"anyOf": [shape, {"type": "null"}]} for name, shape in _EDITS.items()},
        "expected_version": {"type": ["integer", "null"], "minimum": 0},
    },
    "additionalProperties": False,
}


class LinkIn(Struct, forbid_unknown_fields=True):
    """Whose profile a link opens, for how long, and whether it may change it; no user: the key's own."""

    user_id: str | None = None
    ttl_s: Seconds = USUAL_S
    write: bool = True


class Refit(Struct, forbid_unknown_fields=True):
    """Whether the answer waits for the fit, and for how long at most."""

    wait: bool = True
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 300.0


def edit_of(request: Request, given: dict[str, Any], user: str | None) -> dict[str, Any]:
    """The parameters of the verb `edit` that a body and its request ask for. Raises Malformed or Invalid."""
    fields = dict(given)
    expected = answers.expected(request, fields)
    named = fields.pop("user_id", None)
    if named is not None and not isinstance(named, str):
        raise Invalid("user_id is no text; send the user's id", field="user_id")
    unknown = next((name for name in fields if name not in _EDITS), None)
    if unknown is not None:
        raise Invalid(f"{unknown[:40]!r} is no member of an edit; use {', '.join(_EDITS)}", field=unknown[:140])
    return {**fields, "user": one_of(named, user, "user_id"), "expected_version": expected}
