"""What belongs together in a log: calls with their results, reasoning with what follows it, turns of a user.

Pure and incremental: one sketch after the other is taken in, and nothing is decided here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from carryover.core.strategy import Sketch


class Outline:
    """The live turns of a log by their index in `live`, and how they hang together.

    `starts` are the indices at which groups begin: a user's message; an answer with its reasoning; calls with their
    reasoning, all their results, and whatever was said before the last of these. `turns` are the indices of user's
    messages. `before[i]` is how many tokens stand before `live[i]`, without results that nobody asked for. `answer` and
    `asked` join calls and results.
    """

    def __init__(self) -> None:
        self.live: list[Sketch] = []
        self.seqs: list[int] = []
        self.before: list[int] = [0]
        self.starts: list[int] = []
        self.turns: list[int] = []
        self.rounds: list[int] = []  # the starts of groups with calls
        self.answer: dict[int, int] = {}  # call -> result
        self.asked: dict[int, int] = {}  # result -> call
        self.retractions: list[Sketch] = []
        self.leading = 0  # how many system turns the log begins with
        self._unanswered: dict[str | None, list[int]] = {}
        self._open: dict[int, None] = {}  # calls without a result since the last user's message, in their order

    def take(self, sketch: Sketch) -> int:
        """The next entry of the log is part of the outline; a retraction takes back what it names.

        Answers from where on `live` is another than before.
        """
        n = len(self.live)
        if sketch.kind == "retraction":
            self.retractions.append(sketch)
            return n if sketch.retracts is None else self._take_back(*sketch.retracts)
        self.live.append(sketch)
        self.seqs.append(sketch.seq)
        if sketch.kind == "tool_result":
            asked = self._take_result(n, sketch.call_id)
            self.before.append(self.before[-1] + (sketch.tokens if asked else 0))
            return n
        self.before.append(self.before[-1] + sketch.tokens)
        if not self._joins(sketch):
            self.starts.append(n)
        if sketch.kind == "tool_call":
            self._unanswered.setdefault(sketch.call_id, []).append(n)
            self._open[n] = None
            if not self.rounds or self.rounds[-1] < self.starts[-1]:
                self.rounds.append(self.starts[-1])
        elif is_user(sketch):
            self.turns.append(n)
            self._open.clear()
        elif n == self.leading and sketch.role == "system":
            self.leading += 1
        return n

    def index(self, seq: int) -> int:
        """Where the first live turn stands whose place in the log is `seq` or later."""
        return bisect_left(self.seqs, seq)

    def group(self, n: int) -> int:
        """Where the group of `live[n]` begins."""
        return self.starts[bisect_right(self.starts, n) - 1]

    def is_start(self, n: int) -> bool:
        """Whether a group begins at `live[n]`."""
        at = bisect_left(self.starts, n)
        return at < len(self.starts) and self.starts[at] == n

    def turn(self, n: int) -> int | None:
        """The user's message that `live[n]` follows or is; None before the first one."""
        at = bisect_right(self.turns, n)
        return self.turns[at - 1] if at else None

    def first_open(self) -> int:
        """Where the first group begins that waits for results; the length of `live` where none does.

        A call that a user's message follows waits no more: nobody will answer it.
        """
        waiting = next(iter(self._open), None)
        return len(self.live) if waiting is None else self.group(waiting)

    def dead(self, since: int, upto: int) -> dict[int, str]:
        """What of live[since:upto] no model can be shown, and why, as things stood when the log ended there.

        Calls without a result that a user's message follows (`open_call`), results without a call (`orphan`), and
        reasoning that nothing of its group follows (`no_follower`).
        """
        found: dict[int, str] = {}
        last_turn = bisect_left(self.turns, upto)
        last = self.turns[last_turn - 1] if last_turn else -1
        for n in range(since, upto):
            kind = self.live[n].kind
            if kind == "tool_call":
                if n < last and self.answer.get(n, upto) >= upto:
                    found[n] = "open_call"
            elif kind == "tool_result" and n not in self.asked:
                found[n] = "orphan"
        for n in reversed(range(since, upto)):
            if self.live[n].kind == "reasoning" and self._lost(n, upto, found):
                found[n] = "no_follower"
        return found

    def _lost(self, n: int, upto: int, dead: dict[int, str]) -> bool:
        """Whether reasoning has nothing left that it led to."""
        follower = n + 1
        while follower < upto and dead.get(follower) in ("open_call", "no_follower"):
            follower += 1
        if follower == upto:
            return False
        sketch = self.live[follower]
        return sketch.role != "assistant" or sketch.kind == "tool_result"

    def _joins(self, sketch: Sketch) -> bool:
        """Whether the turn belongs to the newest group."""
        if not self.starts or sketch.role in ("user", "system"):
            return False
        newest = self.live[-2]
        if newest.kind == "reasoning":
            return True
        if sketch.kind == "tool_call" and newest.kind == "message" and newest.role == "assistant":
            return True  # one answer says something, and calls
        waiting = next(reversed(self._open), -1)
        return waiting >= self.starts[-1] and newest.role not in ("user", "system")

    def _take_result(self, n: int, call_id: str | None) -> bool:
        """The result joins its call, if it has one: all groups from there to here are one."""
        waiting = self._unanswered.get(call_id)
        if not waiting:
            self.starts.append(n)
            return False
        call = waiting.pop(-1 if call_id is not None else _first_since(waiting, self.turns[-1] if self.turns else 0))
        self.answer[call], self.asked[n] = n, call
        self._open.pop(call, None)
        at = bisect_right(self.starts, call)
        if at < len(self.starts):
            del self.starts[at:]
            while self.rounds and self.rounds[-1] > self.starts[-1]:
                self.rounds.pop()
        return True

    def _take_back(self, first: int, last: int) -> int:
        begin, end = self.index(first), self.index(last + 1)
        if begin == end:
            return len(self.live)
        since = self.group(begin)
        rest = self.live[since:begin] + self.live[end:]
        self._forget(since)
        for sketch in rest:
            self.take(sketch)
        return since

    def _forget(self, since: int) -> None:
        """All is as it was before the group that begins at `since`; no result there is of a call before it."""
        for n in range(since, len(self.live)):
            self.answer.pop(n, None)
            self.asked.pop(n, None)
        del self.live[since:], self.seqs[since:], self.before[since + 1 :]
        for places in (self.starts, self.turns, self.rounds, *self._unanswered.values()):
            del places[bisect_left(places, since) :]
        self.leading = min(self.leading, since)
        begun = self.turns[-1] if self.turns else 0
        waiting = (n for n in range(begun, since) if self.live[n].kind == "tool_call" and n not in self.answer)
        self._open = dict.fromkeys(waiting)


def _first_since(waiting: Sequence[int], turn: int) -> int:
    """Which of the calls that wait a result without an id answers: the oldest of this turn, or else of all."""
    at = bisect_left(waiting, turn)
    return at if at < len(waiting) else 0


def is_user(sketch: Sketch) -> bool:
    """Whether a user's turn begins with it."""
    return sketch.role == "user" and sketch.kind == "message"


def outline_of(sketches: Iterable[Sketch]) -> Outline:
    """The outline of a whole log."""
    outline = Outline()
    for sketch in sketches:
        outline.take(sketch)
    return outline
