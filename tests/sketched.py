"""Logs written down in one line: `u` a user's message, `a` an answer, `r` reasoning, `s` a system turn, `cX` a call
with the id X, `oX` its output, `-F-L` a retraction of the turns F to L; `~` before one is a long silence.
"""

from __future__ import annotations

from carryover.core.strategy import Sketch
from carryover.strategies.plan import Plan

SECOND = 1_000
SILENCE = 3_600 * SECOND


def log(told: str, *, tokens: int = 10, outputs: int = 1_000) -> list[Sketch]:
    """The sketches that the words of `told` stand for, a second apart."""
    made: list[Sketch] = []
    now = 0
    for seq, word in enumerate(told.split(), 1):
        now += SILENCE if word.startswith("~") else SECOND
        made.append(_sketch(seq, word.removeprefix("~"), now, tokens, outputs))
    return made


def shown(plan: Plan) -> list[int]:
    """The turns that are shown, whether as they are or replaced."""
    return [seq for seq, _ in plan.shown()]


def reasons(plan: Plan) -> dict[str, list[tuple[int, int]]]:
    """The runs of turns by why they are not as they are."""
    found: dict[str, list[tuple[int, int]]] = {}
    for operation in plan.operations:
        if operation.reason not in ("as_is", "system"):
            found.setdefault(operation.reason, []).append((operation.first, operation.last))
    return found


def _sketch(seq: int, word: str, at: int, tokens: int, outputs: int) -> Sketch:
    if word.startswith("-"):
        first, last = (int(number) for number in word[1:].split("-"))
        return Sketch(seq, "system", "retraction", 0, at, retracts=(first, last))
    if word.startswith("c"):
        return Sketch(seq, "assistant", "tool_call", tokens, at, name="look", call_id=word[1:])
    if word.startswith("o"):
        return Sketch(seq, "tool", "tool_result", outputs, at, call_id=word[1:])
    roles = {"u": "user", "a": "assistant", "r": "assistant", "s": "system"}
    return Sketch(seq, roles[word], "reasoning" if word == "r" else "message", tokens, at)
