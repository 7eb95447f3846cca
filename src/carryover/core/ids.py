"""Ids: which ones users may choose, and how carryover makes its own."""

from __future__ import annotations

import itertools
import re
import secrets
import time

from carryover.core.errors import Invalid

_ALLOWED = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
RESERVED_SESSION = "sessions"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case


def check_id(value: str, field: str) -> str:
    """`value`, once it is known to be a legal id.

    Raises Invalid for anything but 1 to 128 of `A-Z a-z 0-9 . _ : @ -`.
    """
    if not _ALLOWED.fullmatch(value):
        raise Invalid(f"{field} {value[:140]!r} is not a legal id; use 1 to 128 of A-Z a-z 0-9 . _ : @ -", field=field)
    return value


def is_id(value: str) -> bool:
    """Whether it is a legal id of a session."""
    return value != RESERVED_SESSION and _ALLOWED.fullmatch(value) is not None


def check_session_id(value: str, field: str = "session_id") -> str:
    """`value`, once it is known to be a legal session id; `sessions` is reserved for a route."""
    if value == RESERVED_SESSION:
        raise Invalid(f"{field} 'sessions' is reserved; choose another id", field=field)
    return check_id(value, field)


_made = itertools.count()


def new_id(prefix: str) -> str:
    """A fresh id: `prefix_`, 10 characters of time, 4 of a counter, 8 random ones.

    Ids of one process sort in the order of their making.
    """
    ms = time.time_ns() // 1_000_000
    tail = (next(_made) & 0xFFFFF) << 40 | secrets.randbits(40)
    return f"{prefix}_{_base32(ms, 45)}{_base32(tail, 55)}"


def _base32(number: int, first_shift: int) -> str:
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(first_shift, -1, -5))
