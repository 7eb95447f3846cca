"""When a strategy cuts and clears: a fold over the log, so that every reader of one log comes to the same.

Nothing here is stored or depends on when a view is asked for. Each step looks at the log up to one turn, moves at
most forward, and from its high mark down to its low one: in between, the beginning of the view stays as it is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from carryover.core.strategy import Sketch, Strategy, Trigger, settled
from carryover.core.text import canonical_json, estimate_tokens
from carryover.strategies.groups import Outline, is_user

_ITEM_TOKENS = 8  # what a summary's two items and a call's cleared input say besides their texts


@dataclass(frozen=True, slots=True)
class Move:
    """From the turn `at` on, turns before `cut` are not shown, and results before `cleared` are placeholders."""

    at: int
    cut: int
    cleared: int
    trigger: Trigger
    tokens_before: int
    tokens_after: int


class Course:
    """What a strategy has done with a log so far. Take in the turns in their order."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = settled(strategy)
        self.outline = Outline()
        self.moves: list[Move] = []
        self.version = 0
        self._saved = [0]  # tokens that clearing all of live[:i] saves
        self._results = [0]  # results among live[:i] that can be cleared
        self.warm_since = 0  # when the provider's cache was cold last, as far as silences tell
        self._said_at: int | None = None
        self._turns_at_most = self.strategy.max_user_turns if self.strategy.mode in ("trim", "summarize") else None

    @property
    def cut(self) -> int:
        return self.moves[-1].cut if self.moves else 1

    @property
    def cleared(self) -> int:
        return self.moves[-1].cleared if self.moves else 1

    def take(self, sketch: Sketch) -> None:
        """The next turn of the log is taken in, and what it sets off is done."""
        self.version = sketch.seq
        said_at, self._said_at = self._said_at, sketch.received_at
        cold = said_at is not None and sketch.received_at - said_at > self.strategy.cache_ttl_s * 1000
        if cold or said_at is None:
            self.warm_since = sketch.received_at
        outline = self.outline
        since = outline.take(sketch)
        del self._saved[since + 1 :], self._results[since + 1 :]
        for n in range(since, len(outline.live)):
            self._weigh(n)
        mode = self.strategy.mode
        if mode == "none" or sketch.kind == "retraction":
            return
        if mode == "compact":
            self._clear(sketch, cold)
        else:
            self._count_turns(sketch, cold)
        self._fit(sketch)

    def tokens(self, cut: int, cleared: int) -> int:
        """About how many tokens the view has with these indices, never less."""
        outline = self.outline
        saved = self._saved[max(cut, cleared)] - self._saved[cut]
        head = self.strategy.injection_max_tokens if self.strategy.memory_injection else 0
        if cut:
            head += outline.before[min(cut, outline.leading)]
            if self.strategy.mode == "summarize":
                head += self.strategy.summary_max_tokens + estimate_tokens(self.strategy.summary_prefix) + _ITEM_TOKENS
            turn = outline.turn(cut)
            if turn is not None and turn < cut < len(outline.live):
                head += outline.live[turn].tokens
        return head + outline.before[-1] - outline.before[cut] - saved

    def savings(self, n: int) -> int:
        """Tokens that a placeholder in the place of `live[n]` saves; 0 where none may stand."""
        return self._saved[n + 1] - self._saved[n]

    def _savings(self, n: int) -> int:
        sketch, strategy = self.outline.live[n], self.strategy
        if sketch.kind == "tool_result" and n in self.outline.asked:
            what: Literal["input", "output"] = "output"
        elif sketch.kind == "tool_call" and strategy.clear_tool_inputs:
            what = "input"
        else:
            return 0
        name = self.tool(n)
        if strategy.compact_include_tools:
            spared = name not in strategy.compact_include_tools
        else:
            spared = name in strategy.compact_exclude_tools
        if spared:
            return 0
        said = estimate_tokens(name) + 1 if what == "input" else 0
        return max(0, sketch.tokens - said - estimate_tokens(self.placeholder(n, what)))

    def placeholder(self, n: int, what: Literal["input", "output"]) -> str:
        """What stands for the output of the result `live[n]`, or for the arguments of the call, as JSON."""
        call_id = self.outline.live[n].call_id or ""
        text = self.strategy.placeholder.format(what=what, name=self.tool(n), call_id=call_id)
        return text if what == "output" else canonical_json({"removed": text})

    def tool(self, n: int) -> str:
        """The name of the tool that was called; a result has it from its call."""
        sketch = self.outline.live[n]
        call = self.outline.asked.get(n)
        asked = self.outline.live[call].name if call is not None else None
        return asked or sketch.name or "tool"

    def _weigh(self, n: int) -> None:
        # Called once for each live turn, in order; a result that comes late is weighed where it stands.
        savings = self._savings(n) if self.strategy.mode == "compact" else 0
        self._saved.append(self._saved[-1] + savings)
        counts = savings > 0 and self.outline.live[n].kind == "tool_result"
        self._results.append(self._results[-1] + counts)

    def _count_turns(self, sketch: Sketch, cold: bool) -> None:
        """Too many turns of users, or a silence after which a cut costs nothing, set off a cut."""
        most, keep = self._turns_at_most, self.strategy.keep_last_turns
        if most is None or keep is None or not is_user(sketch):
            return
        outline, cut = self.outline, self.outline.index(self.cut)
        gone = bisect_left(outline.turns, cut)
        begun = gone > 0 and not (gone < len(outline.turns) and outline.turns[gone] == cut)  # the cut is inside of one
        shown = len(outline.turns) - gone + begun
        if shown > most:
            trigger: Trigger = "turns"
        elif cold and most > keep and shown > (most + keep) // 2:
            trigger = "cold"
        else:
            return
        target = self._turn_start(outline.turns[-keep] if keep <= len(outline.turns) else 0)
        if target > cut:
            self._move(sketch, target, outline.index(self.cleared), trigger)

    def _clear(self, sketch: Sketch, cold: bool) -> None:
        """Too many turns or results that are not cleared, or too many tokens, set off a clearing."""
        strategy, outline = self.strategy, self.outline
        cleared, cut = outline.index(self.cleared), outline.index(self.cut)
        since = max(cleared, cut)
        tokens = self.tokens(cut, since)
        at_least, results = max(1, strategy.clear_at_least_tokens), 0
        calls = strategy.compact_trigger_calls
        if is_user(sketch) and len(outline.turns) - bisect_left(outline.turns, since) > strategy.compact_trigger_turns:
            trigger: Trigger = "turns"
        elif calls is not None and self._results[-1] - self._results[since] > calls:
            trigger, results = "calls", calls // 2
        elif tokens > strategy.high:
            trigger = "token_soft_budget" if strategy.high < strategy.budget else "token_budget"
            at_least = max(at_least, (strategy.high - strategy.low) // 2)
        elif cold:
            trigger = "cold"
        else:
            return
        target = self._unprotected(strategy.compact_keep)
        if target <= since or self._results[target] - self._results[since] < results:
            return
        if self._saved[target] - self._saved[since] >= at_least:
            self._move(sketch, cut, target, trigger)

    def _fit(self, sketch: Sketch) -> None:
        """Beyond its tokens the view loses its oldest turns; of the last one its oldest groups, if that must be."""
        strategy, outline = self.strategy, self.outline
        cut, cleared = outline.index(self.cut), outline.index(self.cleared)
        high = strategy.budget if strategy.mode == "compact" else strategy.high
        tokens = self.tokens(cut, cleared)
        if tokens <= high:
            return
        low, over = int(high * strategy.token_keep_pct), tokens > strategy.budget
        trigger: Trigger = "token_budget" if over else "token_soft_budget"
        if strategy.mode == "compact":
            cleared = max(cleared, self._unprotected(1))
        keep = 1 if over else min(strategy.keep_last_turns or 1, len(outline.turns))
        last = outline.turns[-keep] if outline.turns else 0
        target = cut
        for start in outline.turns[bisect_right(outline.turns, cut) : bisect_right(outline.turns, last)]:
            if self.tokens(target, cleared) <= low:
                break
            if outline.is_start(start):
                target = start
        if over and self.tokens(target, cleared) > strategy.budget:
            target = max(target, self._inside(target, cleared, low))
        if target > cut or cleared > outline.index(self.cleared):
            self._move(sketch, target, cleared, trigger)

    def _inside(self, cut: int, cleared: int, low: int) -> int:
        """Where in the last turn a cut brings the view down to `low`, or as near as what nothing touches allows."""
        outline, calls = self.outline, self.strategy.keep_last_calls
        found, most = cut, self._unprotected(1)
        turn = outline.group(outline.turns[-1]) if outline.turns else 0  # it may have come before a late result
        rounds = outline.rounds[bisect_left(outline.rounds, turn) :]
        if calls is not None and len(rounds) <= calls:  # all of them stay; what was said before them need not
            most = min(rounds[0] if rounds else outline.starts[-1], outline.first_open())
        begin = bisect_right(outline.starts, max(cut, turn - 1))
        for start in outline.starts[begin : bisect_right(outline.starts, most)]:
            found = start
            if self.tokens(found, cleared) <= low:
                break
        return found

    def _unprotected(self, turns: int) -> int:
        """Up to where results may be cleared: not in the last turns, or not in the newest groups of calls of those."""
        outline, calls = self.outline, self.strategy.keep_last_calls
        kept = outline.turns[-turns] if 0 < turns <= len(outline.turns) else 0
        if turns == 0:
            kept = len(outline.live)
        if calls is not None and calls < len(outline.rounds):
            newest = outline.rounds[-calls] if calls else len(outline.live)
            kept = max(kept, newest)
        return min(kept, outline.first_open())

    def _turn_start(self, n: int) -> int:
        """The last turn of a user at or before `live[n]` with which a group begins."""
        turns = self.outline.turns
        for start in reversed(turns[: bisect_right(turns, n)]):
            if self.outline.is_start(start):
                return start
        return 0

    def _move(self, sketch: Sketch, cut: int, cleared: int, trigger: Trigger) -> None:
        outline = self.outline
        now = self.tokens(outline.index(self.cut), outline.index(self.cleared))

        def seq(n: int, old: int) -> int:
            return max(old, outline.seqs[n] if n < len(outline.seqs) else sketch.seq + 1)

        cut_seq = seq(cut, self.cut) if cut else self.cut
        cleared_seq = seq(cleared, self.cleared) if cleared else self.cleared
        self.moves.append(Move(sketch.seq, cut_seq, cleared_seq, trigger, now, self.tokens(cut, cleared)))

    def state_at(self, seq: int) -> Move | None:
        """What had been done when the log ended with this turn."""
        at = bisect_right(self.moves, seq, key=lambda move: move.at)
        return self.moves[at - 1] if at else None


def course_of(sketches: Iterable[Sketch], strategy: Strategy) -> Course:
    """What the strategy does with a whole log."""
    course = Course(strategy)
    for sketch in sketches:
        course.take(sketch)
    return course
