"""Inputs out of seeds: some of the structure kept, some of it replaced by what nobody expects there.

Input `n` of a target is a function of the seed of the run, the target's name and `n`: each can be made again.
"""

from __future__ import annotations

import copy
import json
import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

LARGEST = 256 << 10  # bytes of an ordinary input; giants are made in `growth.py`
_RAW = "\ue0ff"  # stands around JSON that `json.dumps` would not write
# What takes the place of a value, as it stands in JSON.
RAW = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "-0", "-0.0", "1" * 400, "1" * 5_000, "9" * 19,
    "18446744073709551616", "-9223372036854775809", "0.1e1", "00", "01", "+1", ".5", "tru", "nul", "undefined", "",
    '"\\ud83d"', '"\\ude00\\ud83d"', '"\\u0000"', '"\\x"', '"\t"', '"', "{", "[", "}", "]", "[" * 300, "[" * 5_000,
    '{"a":' * 300 + "1" + "}" * 300, "[" * 190 + "]" * 190, "{}{}", "1 1", "/* */", "'a'",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, -1.5, 1e308, 1e-308,
    "", " ", "\x00", "\n", "\r\n", "a" * 300, "a\x00b", "\ud83d", "\udc00x", "\ufeff", "\u2028", "\u202e", "İ", "ß" * 9,
    "<command-name>", "```", "/../../etc/passwd", "a" * 5_000, "-", ".", "..", "0", "1", "true", "null", "{}", "[]",
    "2026-02-30T25:61:61Z", "0000-00-00", "9999-12-31T23:59:59.999999+23:59", "0001-01-01T00:00:00+23:59",
    "2026-01-01T00:00:00Z", "1e999", "user", "assistant", "system", "tool", "message", "tool_use", "tool_result",
    [], {}, [[]], [None], {"": None}, {"\x00": 1}, [{}], [[], {}], {"type": "text"}, {"type": None}, {"type": ["x"]},
    [{"type": "text", "text": None}], {"text": {"text": {"text": []}}}, {"a\ud83d": "b"},
)  # fmt: skip
_BYTES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\r\n", b"\n",
    b"\r", b"\n\n", b"\x0b", b"\x0c", b"\x1a", b"\xe2\x80\xa8", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\\u",
    b"\\ud800", b"0", b"-", b"e9", b"<", b">", b"`", b"```", b"\t", b" " * 64, b"A" * 300, b"(" * 100, b"[" * 1_200,
    b"%00", b"%", b"=", b"&", b"/", b"..", b"://", b"@", b"#", b"$", b"*",
)  # fmt: skip

Tree = Any
Rng = random.Random


class Mutator:
    """Makes the inputs of one target."""

    def __init__(self, name: str, seeds: Sequence[bytes], words: Sequence[bytes] = (), seed: int = 0) -> None:
        self._base = (zlib.crc32(name.encode()) << 64) | (seed << 32)
        self._seeds = list(seeds) or [b""]
        self._words = [*words, *_BYTES]

    def input(self, n: int) -> bytes:
        """The input with this number; the first are the seeds as they are."""
        if n < len(self._seeds):
            return self._seeds[n]
        return self.mutated(Rng(self._base + n))

    def mutated(self, rng: Rng, data: bytes | None = None) -> bytes:
        """A seed, or this input, after a few changes."""
        data = rng.choice(self._seeds) if data is None else data
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
            data = rng.choices(_CHANGES, _WEIGHTS)[0](self, rng, data)
        return data[:LARGEST]

    def inside_json(self, rng: Rng, data: bytes) -> bytes:
        """Something else at places of a record."""
        lines = data.split(b"\n")
        at = rng.randrange(len(lines))
        try:
            tree = json.loads(lines[at])
        except (ValueError, RecursionError):
            return self.spliced(rng, data)
        for _ in range(rng.choice((1, 1, 2, 4))):
            tree = changed(rng, tree)
        lines[at] = dumped(tree)
        return b"\n".join(lines)

    def doubled_key(self, rng: Rng, data: bytes) -> bytes:
        at = data.find(b"{", rng.randrange(len(data) + 1))
        end = data.find(b'":', at)
        start = data.rfind(b'"', at, end)
        if min(at, end, start) < 0:
            return data
        said = dumped(rng.choice(VALUES))
        return data[: at + 1] + data[start : end + 2] + said + b"," + data[at + 1 :]

    def cut(self, rng: Rng, data: bytes) -> bytes:
        return data[: rng.randrange(len(data) + 1)]

    def torn(self, rng: Rng, data: bytes) -> bytes:
        start = rng.randrange(len(data) + 1)
        return data[:start] + data[start + min(rng.randrange(1, 64), len(data)) :]

    def put_in(self, rng: Rng, data: bytes) -> bytes:
        at = rng.randrange(len(data) + 1)
        return data[:at] + rng.choice(self._words) + data[at:]

    def flipped(self, rng: Rng, data: bytes) -> bytes:
        if not data:
            return bytes((rng.randrange(256),))
        made = bytearray(data)
        for _ in range(rng.choice((1, 1, 4, 16))):
            made[rng.randrange(len(made))] = rng.randrange(256)
        return bytes(made)

    def repeated(self, rng: Rng, data: bytes) -> bytes:
        start = rng.randrange(len(data) + 1)
        piece = data[start : start + rng.randrange(1, 200)]
        return data[:start] + piece * rng.choice((2, 3, 20)) + data[start:]

    def spliced(self, rng: Rng, data: bytes) -> bytes:
        other = rng.choice(self._seeds)
        return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]

    def other_lines(self, rng: Rng, data: bytes) -> bytes:
        """Lines out of order, twice, missing, glued, or among those of another seed; other line ends."""
        lines = data.split(b"\n")
        what = rng.randrange(7)
        if what == 0:
            rng.shuffle(lines)
        elif what == 1:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
        elif what == 2:
            del lines[rng.randrange(len(lines))]
        elif what == 3:
            return b"".join(lines)
        elif what == 4:
            for line in rng.choice(self._seeds).split(b"\n"):
                lines.insert(rng.randrange(len(lines) + 1), line)
        elif what == 5:
            return b"\r\n".join(lines)
        else:
            return b"\xef\xbb\xbf" + data
        return b"\n".join(lines)

    def anything(self, rng: Rng, data: bytes) -> bytes:
        """Bytes that are none of the seeds'."""
        if rng.random() < 0.5:
            return b"".join(rng.choice(self._words) for _ in range(rng.randrange(1, 12)))
        return rng.randbytes(rng.randrange(64))


_CHANGES: tuple[Callable[[Mutator, Rng, bytes], bytes], ...] = (
    Mutator.inside_json, Mutator.doubled_key, Mutator.cut, Mutator.torn, Mutator.put_in, Mutator.flipped,
    Mutator.repeated, Mutator.spliced, Mutator.other_lines, Mutator.anything,
)  # fmt: skip
_WEIGHTS = (50, 4, 6, 6, 10, 5, 4, 6, 8, 1)


def changed(rng: Rng, tree: Tree) -> Tree:
    """The value with something else at one of its places."""
    holder, key, held = None, None, tree
    for _ in range(12):  # down a way that ends early or late
        if not held or not isinstance(held, (dict, list)) or (holder is not None and rng.random() < 0.2):
            break
        holder, key = held, rng.choice(list(held)) if isinstance(held, dict) else rng.randrange(len(held))
        held = held[key]
    if holder is None:
        return _new(rng)
    what = rng.randrange(10)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[rng.choice(("", "type", "id", "\x00", "text", "content", "message"))] = _new(rng)
    elif what == 2 and isinstance(holder, dict):
        holder[rng.choice(list(holder))] = held
    elif what == 3:
        holder[key] = [copy.deepcopy(held) for _ in range(rng.choice((1, 2, 40)))]
    elif what == 4:
        holder[key] = {rng.choice(("type", "text", "content", "x")): held}
    elif what == 5 and isinstance(held, str):
        holder[key] = held[: rng.randrange(len(held) + 1)] + rng.choice(("", "\x00", "\ud83d", "\n", held, " "))
    elif what == 6 and isinstance(held, (int, float)):
        holder[key] = rng.choice((-held, str(held), held * 10**9 if abs(held) < 1e200 else 0, [held]))
    else:
        holder[key] = _new(rng)
    return tree


def _new(rng: Rng) -> Any:
    """A copy: what is put into a record may be changed there, and must be the same for the next one."""
    return f"{_RAW}{rng.randrange(len(RAW))}{_RAW}" if rng.random() < 0.25 else copy.deepcopy(rng.choice(VALUES))


def dumped(tree: Tree) -> bytes:
    """The value as JSON, where it can be said; what cannot stands in it raw."""
    try:
        text = json.dumps(tree)
    except (RecursionError, ValueError):
        return b"null"
    mark = json.dumps(_RAW)[1:-1]
    if mark in text:
        pieces = text.split(f'"{mark}')
        text = pieces[0] + "".join(
            RAW[int(number)] + rest if end and number.isdigit() and int(number) < len(RAW) else piece
            for piece in pieces[1:]
            for number, end, rest in [piece.partition(f'{mark}"')]
        )
    return text.encode("utf-8", "surrogatepass")
