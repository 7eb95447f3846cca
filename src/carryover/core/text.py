"""Text: plain text out of content, token counts, canonical JSON and its hash."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, cast

# One word rule for budgets: a word costs ceil(letters / 4), capitals and long words more, every digit, symbol
# and non-ASCII byte 1, and so does white space beyond the single space that tokenizers join to a word. On prose,
# source code, Markdown, JSON and other scripts it counts 1.1 to 4 times what WordPiece does, which cuts words
# finer than the tokenizers of larger models do.
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[^\sA-Za-z]|(?<= ) |[^\S ]")
_LONG = 12


def told_tokens(text: str) -> int:
    """The tokens of `text` for the budget of a context: line by line, a little above what WordPiece counts.

    A word of up to four letters costs 1 and longer ones by their letters, all else as in `count_tokens`. On chats,
    notes and code this is 1.0 to 1.3 times WordPiece; `count_tokens`, which never counts less, gives a third more.
    """
    return sum((told_tenths(line) + 9) // 10 for line in text.split("\n")) + text.count("\n")


def told_tenths(line: str) -> int:
    """The same for a part of one line in tenths of a token, which are added up where no word runs over the joints."""
    return sum(map(_told_cost, _PIECE.findall(line)))


def _told_cost(piece: str) -> int:
    """In tenths of a token."""
    letters = len(piece)
    if letters > _LONG or not piece.isascii() or not piece[-1].islower():
        return 10 * _cost(piece)
    if letters <= 4:
        return 10
    return 10 + 3 * (letters - 4) // 2 if letters <= 8 else 16 + 2 * (letters - 8)


def count_tokens(text: str) -> int:
    """An upper bound on the tokens of `text` in common tokenizers; for budgets.

    It bounds what people and programs write. Letters strung together at random may cost twice as much.
    """
    return sum(map(_cost, _PIECE.findall(text)))


def _cost(piece: str) -> int:
    if not piece.isascii():
        return len(piece.encode("utf-8", "surrogatepass"))
    if piece.isupper():
        return len(piece) // 2 + 1
    letters = len(piece) + piece[0].isupper()
    return (letters + 3) // 4 if letters <= _LONG else (letters + 2) // 3


def estimate_tokens(text: str) -> int:
    """A fast, unbiased estimate (a quarter of the UTF-8 bytes, at least 1 unless empty); for metering turns."""
    return (len(text.encode("utf-8", "surrogatepass")) + 3) // 4


# An image, a page of a document or some seconds of sound, in tokens: providers charge from 85 to 1,600 for each.
MEDIA_TOKENS = 1_000
# A tuple: a type that somebody sent need not be hashable.
_MEDIA = ("image", "image_url", "input_image", "file", "input_file", "document", "audio", "input_audio", "video")


def content_tokens(content: Any) -> int:
    """An estimate of what a turn's content costs a model: what is read of it, and a constant for each medium."""
    return estimate_tokens(plain(content)) + MEDIA_TOKENS * _media(content)


def _media(content: Any, depth: int = 0) -> int:
    if isinstance(content, list) and depth <= _DEEPEST:
        return sum(_media(part, depth + 1) for part in cast("list[Any]", content))
    if isinstance(content, dict) and depth <= _DEEPEST:
        part = cast("dict[str, Any]", content)
        inside = sum(_media(part[key], depth + 1) for key in _SPOKEN if isinstance(part.get(key), (list, dict)))
        return inside + (part.get("type") in _MEDIA)
    return 0


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text per value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(*parts: str) -> str:
    """A BLAKE2b hash of the parts and their borders, 32 hex digits after its algorithm's name."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return "b2:" + state.hexdigest()


def clean(text: str) -> str:
    """`text` as any store and index can hold it: no NUL, no lone surrogate."""
    if "\x00" in text:
        text = text.replace("\x00", " ")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


_SPOKEN = (
    *("text", "content", "output", "caption", "alt", "blip_caption", "thinking", "summary", "result", "refusal"),
    *("stdout", "stderr", "tool_calls", "function", "custom", "function_call"),
)
_STRUCTURED = ("input", "arguments", "action", "operation", "code")
_DEEPEST = 32


def plain(content: Any, depth: int = 0) -> str:
    """What a reader would read of a turn's content: its strings, and tool inputs as compact JSON.

    Parts of unknown kinds say nothing; binary payloads are left out.
    """
    if isinstance(content, str):
        return clean(content)
    if depth > _DEEPEST:
        return ""
    if isinstance(content, list):
        pieces = (plain(part, depth + 1) for part in cast("list[Any]", content))
        return "\n".join(piece for piece in pieces if piece)
    if isinstance(content, dict):
        part = cast("dict[str, Any]", content)
        spoken = [plain(part[key], depth + 1) for key in _SPOKEN if isinstance(part.get(key), (str, list, dict))]
        for key in _STRUCTURED:
            value = part.get(key)
            if isinstance(value, str):
                spoken.append(clean(value))
            elif value:
                spoken.append(clean(canonical_json(value)))
        if spoken and isinstance(part.get("name"), str) and any(key in part for key in _STRUCTURED):
            spoken.insert(0, clean(part["name"]))
        return "\n".join(piece for piece in spoken if piece)
    return ""
