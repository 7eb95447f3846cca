"""Time and memory against size: inputs that double must not take more than their share of either.

What is repeated is what patterns and parsers are known to stumble over, bare and inside of a seed.
"""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fuzz.campaign import keep, say
from fuzz.target import Crash, Target, tried, watched

SMALL, LARGE = 8 << 10, 64 << 10
GIANT = 10 << 20  # bytes of one line
STEEPEST = 1.6  # of time over size, as a power; what takes less than `LEAST_S` has no slope
LEAST_S = 0.1
MOST_MEMORY = 60  # bytes held for a byte of input
_PIECES = (
    b'a', b' ', b'\n', b'\t\n', b'(', b'[', b'{', b'}', b'"', b"'", b'\\', b'\\n', b'<', b'<!--', b'-->', b'`',
    b'```\n', b'~', b'#', b'# a\n', b'- a\n', b'> ', b'*', b'**', b'_', b'|', b'&', b';', b'$(', b'a.', b'a, ',
    b'A. ', b'1', b'1.', b'-', b'--', b'/', b'../', b'a/', b'@', b'a@', b'://', b'http://a', b'a=', b'password=',
    b'token: ', b'key: "', b'=', b'AAAAAAAAAAAAAAAA\n', b'AAAA', b'-----BEGIN PRIVATE KEY-----\n',
    b'-----END PRIVATE KEY-----', b'Bearer ', b'the ', b'and not ', b'I prefer ', b'we decided to use a ',
    b'in March 2027 ', b'2026-01-01 ', b'\xc3\xa9', b'\xe2\x80\x8b', b'\xf0\x9f\x98\x80', b'\\ud83d', b'{"a":',
    b'{"a":1,', b'"a":"b",', b'null,', b'&&', b' | ', b'<<EOF\n', b'go test && ', b'Traceback\n', b'FAILED a\n',
    b'\x00',
)  # fmt: skip


def inputs(target: Target) -> Iterator[tuple[bytes, Callable[[int], bytes]]]:
    """What is repeated, and the input of a size."""
    seeds = sorted(target.seeds(), key=len)
    seed = seeds[len(seeds) // 2] if seeds else b""
    at = seed.find(b'"', len(seed) // 2) + 1 or len(seed) // 2
    for piece in _PIECES:
        yield piece, lambda size, piece=piece: (piece * (size // len(piece) + 1))[:size]
        yield piece, lambda size, piece=piece: seed[:at] + (piece * (size // len(piece) + 1))[:size] + seed[at:]
    whole = b"\n".join(seeds)[: 1 << 16] + b"\n"
    yield b"seeds", lambda size: (whole * (size // len(whole) + 1))[:size]


def took(target: Target, data: bytes) -> tuple[float, Crash | None]:
    with watched() as go_on:
        go_on()
        began = time.process_time()
        crash = tried(target, data)
        return time.process_time() - began, crash


def slope(target: Target, made: Callable[[int], bytes]) -> tuple[float, Crash | None]:
    """How steeply time grows with size; what is quick at the larger one has no slope."""
    most, crash = took(target, made(LARGE))
    if crash is not None or most < LEAST_S:
        return 0.0, crash
    least = max(took(target, made(SMALL))[0], 1e-4)
    most = min(most, took(target, made(LARGE))[0])  # the first run may have had to load something
    return math.log(most / least, LARGE / SMALL), None


def memory(target: Target) -> float:
    """Bytes held at most for each byte of a large input."""
    data = next(made for piece, made in inputs(target) if piece == b"a, ")(1 << 20)
    tracemalloc.start()
    try:
        took(target, data)
        return tracemalloc.get_traced_memory()[1] / len(data)
    finally:
        tracemalloc.stop()


def giant(target: Target) -> bytes:
    """A line of 10 MB with a record in it, and a short one behind."""
    seed = max(target.seeds(), key=len).split(b"\n")[0]
    at = seed.find(b'"', len(seed) // 2) + 1
    return seed[:at] + b"a, " * (GIANT // 3) + seed[at:] + b"\n" + seed + b"\n"


def all_of(targets: Sequence[Target], folder: Path) -> list[str]:
    """The targets that grow too fast, each of them told with the input."""
    slow: list[str] = []
    for target in targets:
        if not target.grows:
            continue
        worst = 0.0
        for piece, made in inputs(target):
            steep, crash = slope(target, made)
            worst = max(worst, steep)
            if crash is None and steep > STEEPEST:
                crash = Crash(f"growth over {piece!r}", f"time grows as size to the power of {steep:.2f}")
            if crash is not None:
                keep(folder, target, made(LARGE), crash, 1)
                slow.append(target.name)
                break
        else:
            crash = took(target, giant(target))[1] if target.name.startswith(("record/", "log/")) else None
            held = memory(target)
            if crash is None and held > MOST_MEMORY:
                crash = Crash("memory", f"{held:.0f} bytes are held for a byte")
            if crash is not None:
                keep(folder, target, b"", crash, 1)
                slow.append(target.name)
            say(f"{target.name}: at most size to the power of {worst:.2f}, {held:.1f} bytes a byte")
    return slow
