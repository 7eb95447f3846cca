"""Halves of surrogate pairs, which a JSON escape can say and UTF-8 cannot: Python and JavaScript write and read them.

msgspec does not, so a mark stands for them while a body is decoded.
"""

from __future__ import annotations

import re
import secrets
from typing import cast

from msgspec import Raw, Struct

from carryover.core.errors import Invalid

_ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def are_in(raw: bytes) -> bool:
    """Whether the JSON may say one."""
    return _ESCAPED.search(raw) is not None


def marked(raw: bytes) -> tuple[bytes, bytes]:
    """The JSON with a mark for each half that stands alone, and the mark."""
    mark = secrets.token_hex(8).encode()
    return _LONE.sub(lambda found: mark + found[1] if found[1] else found[0], raw), mark


def restore(decoded: Struct, mark: bytes) -> None:
    """Members that are kept as bytes have their halves again. Raises Invalid where another member has one."""
    for field in decoded.__struct_fields__:
        value = getattr(decoded, field)
        if isinstance(value, Raw):
            setattr(decoded, field, Raw(re.sub(mark + rb"([0-9a-fA-F]{4})", rb"\\u\1", bytes(value))))
        elif isinstance(value, list):
            for item in cast("list[object]", value):
                if isinstance(item, Struct):
                    restore(item, mark)
        elif isinstance(value, str) and mark.decode() in value:
            raise Invalid(f"{field} holds half of a surrogate pair; correct it and send it again", field=field)
