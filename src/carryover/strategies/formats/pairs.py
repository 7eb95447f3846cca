"""Calls and their results as every wire wants them: each with the other, under an id of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from carryover.strategies.formats.pieces import Piece


class Apart:
    """Ids that are each used once: what was used before gets a number."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def of(self, own: str) -> str:
        """The id, or the first that is free of those with a number behind it."""
        made, count = own, self._used.get(own, 0)
        while made in self._used:
            count += 1
            made = f"{own}_{count + 1}"
        self._used[own] = count
        self._used.setdefault(made, 0)
        return made


def paired(pieces: Sequence[Piece], wire_id: Callable[[Piece], str], *, whole: bool = True) -> list[Piece]:
    """The pieces that a wire can be told, each call and its result under one id that no other call has.

    Of a whole conversation, results that nobody asked for are left out, and calls that it went on from without a
    result. A call that still waits for its result at the end stays.
    """
    answers = _answers(pieces)
    kept = set(range(len(pieces)))
    unasked = {n for n in kept if pieces[n].kind == "tool_result"} - set(answers.values())
    if whole:
        kept -= unasked | _given_up(pieces, answers)
    told = [replace(piece, call_id=wire_id(piece)) if n in unasked else piece for n, piece in enumerate(pieces)]
    ids = Apart()
    for n in sorted(kept):
        if pieces[n].kind != "tool_call":
            continue
        own = ids.of(wire_id(pieces[n]))
        told[n] = replace(pieces[n], call_id=own)
        if n in answers:
            told[answers[n]] = replace(pieces[answers[n]], call_id=own)
    return [told[n] for n in sorted(kept)]


def arranged(pieces: Sequence[Piece]) -> list[Piece]:
    """The same pieces, with all results of one answer's calls right behind it, before anything else is said."""
    asked = {piece.call_id for piece in pieces if piece.kind == "tool_call"}
    results = {piece.call_id: n for n, piece in enumerate(pieces) if piece.kind == "tool_result"}
    made: list[Piece] = []
    waiting: list[int] = []  # results of the newest answer
    first = len(pieces)  # ... and the first of them
    for n, piece in enumerate(pieces):
        if piece.kind == "tool_result" and piece.call_id in asked:
            continue
        if waiting and (piece.role != "assistant" or first < n):
            made += [pieces[result] for result in sorted(waiting)]
            waiting, first = [], len(pieces)
        made.append(piece)
        if piece.kind == "tool_call" and piece.call_id in results:
            waiting.append(results[piece.call_id])
            first = min(first, waiting[-1])
    return made + [pieces[result] for result in sorted(waiting)]


def _answers(pieces: Sequence[Piece]) -> dict[int, int]:
    """Each call that has a result, with it: the newest unanswered call of its id; without ids, the oldest.

    The oldest is that of the user's turn, as long as one of that waits: the same calls as a view's groups hold.
    """
    found: dict[int, int] = {}
    unanswered: dict[str | None, list[int]] = {}
    turn = 0
    for n, piece in enumerate(pieces):
        if piece.kind == "tool_call":
            unanswered.setdefault(piece.call_id, []).append(n)
        elif piece.kind == "tool_result" and (waiting := unanswered.get(piece.call_id)):
            oldest = next((at for at, call in enumerate(waiting) if call >= turn), 0)
            found[waiting.pop(oldest if piece.call_id is None else -1)] = n
        elif piece.kind == "message" and piece.role == "user":
            turn = n
    return found


def _given_up(pieces: Sequence[Piece], answers: dict[int, int]) -> set[int]:
    """Calls without a result after whose answer the conversation went on."""
    dead: set[int] = set()
    calls: set[int] = set()
    answered = False
    asked = {result: call for call, result in answers.items()}
    for n, piece in enumerate(pieces):
        if piece.kind == "tool_result":
            answered = answered or asked.get(n) in calls
            continue
        if calls and (answered or piece.role != "assistant"):
            dead |= calls - answers.keys()
            calls, answered = set[int](), False
        if piece.kind == "tool_call":
            calls.add(n)
    return dead


def led_on(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces without reasoning that nothing of the assistant's follows."""
    made: list[Piece] = []
    follows = False
    for piece in reversed(pieces):
        if piece.kind != "reasoning":
            follows = piece.role == "assistant"
        elif not follows:
            continue
        made.append(piece)
    return made[::-1]
