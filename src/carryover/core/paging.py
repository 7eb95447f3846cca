"""Long lists page by page: how much a page holds, and the cursor that says where the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, cast

from carryover.core.errors import Invalid

PAGE = 1000  # the most that one list answers


def at_most(limit: int, field: str = "limit") -> int:
    """`limit`, once it is known to be from 1 to 1000. Raises Invalid."""
    if not 1 <= limit <= PAGE:
        raise Invalid(f"{field} is {limit}; use 1 to {PAGE}", field=field)
    return limit


def make_cursor(*place: int | str) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_cursor(cursor: str, types: tuple[type, ...]) -> Any:
    """The place that a cursor stands for. Raises Invalid for one that we did not make."""
    try:
        place: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        json.dumps(place, ensure_ascii=False).encode()  # half of a surrogate pair is no text that we made
    except (binascii.Error, ValueError, RecursionError):
        place = None
    if not isinstance(place, list) or tuple(map(_kind, cast("list[object]", place))) != types:
        raise Invalid(f"cursor {cursor[:40]!r} is not one of ours; pass next_cursor as it was answered", field="cursor")
    return tuple(cast("list[object]", place))


def _kind(part: object) -> type | None:
    """The type of a part of a cursor; None for a number that no database holds."""
    return None if isinstance(part, int) and abs(part) >= 1 << 63 else type(part)
