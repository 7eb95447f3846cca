"""JSON taken apart without being changed: each member or item as the text that it was written in.

Numbers keep their digits, objects their order, and escapes stand as they were, a lone surrogate's too.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, cast

_SPACE = re.compile(r"[ \t\r\n]*")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def members(text: str) -> dict[str, str]:
    """The members of an object; of two with one name, the last. Raises ValueError when `text` is none."""
    found: dict[str, str] = {}
    at = _after(text, _blank(text, 0), "{")
    while not text.startswith("}", at):
        name, at = cast("tuple[str, int]", scanstring(text, _after(text, at, '"', blank=False)))
        at = _after(text, _blank(text, at), ":")
        end = _value(text, at)
        found[name] = text[at:end]
        at = _next(text, end, "}")
    _end(text, at + 1)
    return found


def items(text: str) -> list[str]:
    """The items of a list. Raises ValueError when `text` is none."""
    found: list[str] = []
    at = _after(text, _blank(text, 0), "[")
    while not text.startswith("]", at):
        end = _value(text, at)
        found.append(text[at:end])
        at = _next(text, end, "]")
    _end(text, at + 1)
    return found


def _value(text: str, at: int) -> int:
    """Where the value that begins here ends."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except RecursionError as cause:
        raise ValueError("it is nested too deeply") from cause


def _next(text: str, at: int, closing: str) -> int:
    """Where the next one begins, or the closing bracket stands."""
    at = _blank(text, at)
    if text.startswith(closing, at):
        return at
    at = _after(text, at, ",")
    if text.startswith(closing, at):
        raise ValueError(f"there is a comma before {closing!r} at character {at}")
    return at


def _after(text: str, at: int, sign: str, *, blank: bool = True) -> int:
    if not text.startswith(sign, at):
        raise ValueError(f"there is no {sign!r} at character {at}")
    return _blank(text, at + 1) if blank else at + 1


def _blank(text: str, at: int) -> int:
    return cast("re.Match[str]", _SPACE.match(text, at)).end()


def _end(text: str, at: int) -> None:
    if _blank(text, at) != len(text):
        raise ValueError(f"something follows its end at character {at}")
