"""What is fuzzed: a function of bytes that may refuse them with declared errors, and must hold its laws on the rest."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from carryover.core.errors import CarryoverError

HANG_S = 10.0  # of one input of ordinary size; far beyond what a busy machine makes of milliseconds


class Hang(BaseException):
    """An input took longer than any input may; no handler of the code under test swallows it."""


@dataclass(frozen=True)
class Target:
    """`run` feeds the bytes to one of our readers, and asserts what must hold of the result.

    Anything but `allowed` that it raises is a crash. `seeds` are inputs to begin with, `words` what they are made of.
    In a `guided` one coverage chooses some of the inputs, where that can be had; `share` weighs the target among the
    others. `grows` is False for one whose growth is not ours to mend.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    allowed: tuple[type[Exception], ...] = (CarryoverError,)
    words: Sequence[bytes] = ()
    guided: bool = False
    share: float = 1.0
    grows: bool = True


@dataclass(frozen=True)
class Crash:
    """An input that broke the target: `place` is the same for what breaks at the same line."""

    place: str
    told: str


def tried(target: Target, data: bytes) -> Crash | None:
    """What the input broke, if anything."""
    try:
        target.run(data)
    except target.allowed:
        return None
    except (Exception, Hang) as cause:
        return Crash(_place(cause), "".join(traceback.format_exception(cause))[-4_000:])
    return None


def _place(cause: BaseException) -> str:
    frames = traceback.extract_tb(cause.__traceback__)
    own = [frame for frame in frames if "carryover" in frame.filename and "site-packages" not in frame.filename]
    at = next((frame for frame in reversed(own) if "/tests/" not in frame.filename), (own or list(frames))[-1])
    return f"{type(cause).__name__} at {Path(at.filename).name}:{at.lineno}"


@contextmanager
def watched() -> Generator[Callable[[], None]]:
    """Inside the block, what is called between two calls of the function that it gives may take `HANG_S` at most.

    Signals reach the main thread alone, also while it is in the regular expressions of the standard library.
    """

    def late(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"an input took longer than {HANG_S:g} s")

    before = signal.signal(signal.SIGALRM, late)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_REAL, HANG_S) and None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
