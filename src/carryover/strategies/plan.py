"""What a model is shown of each turn, and why: one operation for every turn of the log.

Pure. A summary that is missing is asked for, and until it is there an older one stands in, then the turns themselves,
and where those are too many for the budget, nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal

from carryover.core.strategy import Action, Operation, Sketch, Strategy, Summary, Trigger
from carryover.core.text import estimate_tokens
from carryover.strategies.course import Course, Move, course_of

SUMMARY = "summary"
_REASONS: dict[Trigger, str] = {
    "turns": "trimmed",
    "calls": "trimmed",
    "cold": "trimmed",
    "token_soft_budget": "token_soft_budget",
    "token_budget": "token_budget",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is shown of a session at `version`; `operations` cover its turns from the first to the last, in order.

    `placeholders` are the texts that stand for results and arguments, by their turns. `wanted` is the last turn of a
    summary that should be made. `head` is the turn before which what has no turn of its own is inserted.
    """

    version: int
    operations: tuple[Operation, ...]
    placeholders: dict[int, str]
    summary: Summary | None
    wanted: int | None
    head: int
    cut_seq: int
    cleared_seq: int
    moves: tuple[Move, ...]
    tokens_before: int
    tokens_after: int
    budget: int

    @property
    def trigger(self) -> Trigger | None:
        return self.moves[-1].trigger if self.moves else None

    @property
    def over_budget(self) -> bool:
        return self.tokens_after > self.budget

    def shown(self) -> Iterable[tuple[int, Action]]:
        """The turns that are shown, in order, and whether as they are or replaced."""
        for operation in self.operations:
            if operation.op in ("keep", "replace"):
                for seq in range(operation.first, operation.last + 1):
                    yield seq, operation.op


def plan(
    sketches: Sequence[Sketch], strategy: Strategy, summaries: Sequence[Summary] = (), *, upto: int | None = None
) -> Plan:
    """What the strategy shows of the log that these turns are, or of its beginning up to the turn `upto`."""
    if upto is not None:
        sketches = sketches[: bisect_left(sketches, upto + 1, key=lambda sketch: sketch.seq)]
    return planned(course_of(sketches, strategy), summaries)


def planned(course: Course, summaries: Sequence[Summary] = ()) -> Plan:
    """The plan of what the course has come to, with the summaries that are ready."""
    return _Planning(course, course.version, summaries).plan()


def planned_at(course: Course, seq: int, summaries: Sequence[Summary] = ()) -> Plan | None:
    """The plan as it was when the log ended with the turn `seq`; None where turns were taken back since."""
    was = _before(course, seq, summaries)
    return None if was is None else was.plan()


def prefix(course: Course, seq: int, summaries: Sequence[Summary] = ()) -> tuple[int, int]:
    """How many tokens the view now begins with as the one did when the log ended with `seq`, and how many that had.

    Nothing where turns were taken back since.
    """
    now, was = _Planning(course, course.version, summaries), _before(course, seq, summaries)
    if was is None:
        return 0, 0
    live, shared, summary = course.outline.live, 0, now.standing_in[0]
    same = summary == was.standing_in[0]
    if same and summary is not None:
        shared = summary.tokens + estimate_tokens(course.strategy.summary_prefix)
    for n in range(was.upto if same else was.leading):
        action, then = now.fates[n][0], was.fates[n][0]
        if action != then:
            break
        if action != "omit":
            shared += live[n].tokens - (course.savings(n) if action == "replace" else 0)
    return shared, was.tokens


def _before(course: Course, seq: int, summaries: Sequence[Summary]) -> _Planning | None:
    outline = course.outline
    if any(sketch.seq > seq for sketch in outline.retractions):
        return None
    n = outline.index(seq + 1)
    then = outline.live[n - 1].received_at if n else 0
    return _Planning(course, seq, [summary for summary in summaries if summary.created_at <= then])


_KEEP: tuple[Action, str] = ("keep", "as_is")
Fate = tuple[Action, str]


class _Planning:
    """One plan in the making; indices are those of the outline."""

    def __init__(self, course: Course, seq: int, summaries: Sequence[Summary]) -> None:
        outline = self.outline = course.outline
        self.course, self.strategy, self.version = course, course.strategy, seq
        self.upto = outline.index(seq + 1)
        self.state = course.state_at(seq)
        cut, self.cleared_seq = (self.state.cut, self.state.cleared) if self.state else (1, 1)
        self.cut = min(outline.index(cut), self.upto)
        self.cleared = min(outline.index(self.cleared_seq), self.upto)
        self.leading = min(outline.leading, self.upto)
        turn = outline.turn(self.cut) if 0 < self.cut < self.upto else None
        # Where the last turn begins that is cut away whole, and the one inside of which the cut is.
        self.begun = turn if turn is not None and turn < self.cut else None
        self.boundary = self.cut if self.begun is None else self.begun
        self.summaries = [summary for summary in summaries if self._holds(summary)]

    @cached_property
    def standing_in(self) -> tuple[Summary | None, int, int | None]:
        """The summary that is shown, the index up to where it reaches, and the last turn of one that is missing."""
        return self._summarised() if self.strategy.mode == "summarize" else (None, 0, None)

    @cached_property
    def fates(self) -> list[Fate]:
        """What becomes of each live turn."""
        return self._fates(self.standing_in[1], raw=self._is_kept(*self.standing_in[:2]))

    @property
    def tokens(self) -> int:
        """Of the view."""
        summary, live = self.standing_in[0], self.outline.live
        tokens = 0 if summary is None else summary.tokens + estimate_tokens(self.strategy.summary_prefix)
        for n, (action, _) in enumerate(self.fates):
            if action != "omit":
                tokens += live[n].tokens - (self.course.savings(n) if action == "replace" else 0)
        return tokens

    def plan(self) -> Plan:
        outline, course = self.outline, self.course
        summary, _, wanted = self.standing_in
        replaced = [n for n in range(self.leading, self.cleared) if self.fates[n][0] == "replace"]
        head = outline.seqs[self.leading] if self.leading < self.upto else self.version + 1
        return Plan(
            version=self.version,
            operations=self._operations(head, summary),
            placeholders={outline.seqs[n]: course.placeholder(n, _what(outline.live[n])) for n in replaced},
            summary=summary,
            wanted=wanted,
            head=head,
            cut_seq=self.state.cut if self.state else 1,
            cleared_seq=self.cleared_seq,
            moves=tuple(move for move in course.moves if move.at <= self.version),
            tokens_before=sum(sketch.tokens for sketch in outline.live[: self.upto]),
            tokens_after=self.tokens,
            budget=self.strategy.budget,
        )

    def _holds(self, summary: Summary) -> bool:
        """Whether it is made as asked, of whole turns that are cut away, and none of them was taken back since."""
        outline, end = self.outline, self.outline.index(summary.last + 1)
        if summary.recipe != self.strategy.recipe or end > self.boundary:
            return False
        if end < self.boundary and not (outline.turn(end) == end and outline.is_start(end)):
            return False
        return not any(
            sketch.retracts is not None
            and sketch.retracts[0] <= summary.last < sketch.seq
            and sketch.received_at >= summary.created_at
            for sketch in self.outline.retractions
        )

    def _summarised(self) -> tuple[Summary | None, int, int | None]:
        """The longest summary there is, up to where it reaches, and the last turn of the one that should be there."""
        outline = self.outline
        best = max(self.summaries, key=lambda summary: (summary.last, summary.id), default=None)
        covered = outline.index(best.last + 1) if best else min(self.leading, self.boundary)
        missing = outline.before[self.boundary] - outline.before[covered]
        worth = missing > self.strategy.summary_max_tokens  # else the turns say it in fewer tokens
        return best, covered, outline.seqs[self.boundary - 1] if covered < self.boundary and worth else None

    def _is_kept(self, summary: Summary | None, covered: int) -> bool:
        """Whether the turns that no summary stands for yet may be shown: if the budget has room for them."""
        if self.strategy.mode != "summarize":
            return False
        before = self.outline.before
        # All that followed counts, cut away or not: what was left out once does not come back when a cut makes room.
        tokens = before[self.leading] + before[self.upto] - before[covered]
        if summary is not None:
            tokens += summary.tokens + estimate_tokens(self.strategy.summary_prefix)
        return tokens <= self.strategy.budget

    def _fates(self, covered: int, *, raw: bool) -> list[Fate]:
        outline, course = self.outline, self.course
        why = self._why()
        fates: list[Fate] = [_KEEP] * self.upto

        def omit(first: int, end: int, reason: str) -> None:
            fate: Fate = ("omit", reason)
            fates[first:end] = [fate] * max(0, end - first)

        if self.strategy.mode == "summarize":
            omit(self.leading, covered, "summarized")
            if not raw:
                omit(max(covered, self.leading), self.boundary, "summary_pending")
            since = covered if raw else self.boundary
        else:
            omit(self.leading, self.boundary, why)
            since = self.boundary
        since = max(since, self.leading)  # what is shown begins here
        if self.begun is not None:
            # A call before the user's message goes with its result behind it, and so does its group.
            call = min((outline.asked.get(n, n) for n in range(self.begun + 1, self.cut)), default=self.cut)
            if call < self.begun:
                omit(max(self.leading, covered, outline.group(call)), self.begun, why)
            omit(self.begun + 1, self.cut, why)
        for n, reason in outline.dead(since, self.upto).items():
            omit(n, n + 1, reason)
        for n in range(since, self.upto):
            kind = outline.live[n].kind
            if kind not in ("tool_call", "tool_result") or fates[n] is not _KEEP:
                continue
            if kind == "tool_result" and fates[outline.asked[n]][0] == "omit":
                fates[n] = "omit", "orphan"  # it came so late that its call was cut away
            elif n < self.cleared and course.savings(n) > 0:
                fates[n] = "replace", "context_compaction"
        return fates

    def _why(self) -> str:
        """Why turns are cut away: what set off the newest move that did so."""
        cut = self.state.cut if self.state else 1
        trigger: Trigger | None = next((move.trigger for move in self.course.moves if move.cut == cut), None)
        if trigger is None:
            return ""
        return "token_budget" if self.strategy.mode == "compact" else _REASONS[trigger]

    def _operations(self, head: int, summary: Summary | None) -> tuple[Operation, ...]:
        """The fates as runs, with those of turns that were taken back, and what is inserted."""
        made: list[Operation] = []
        inserted = [] if summary is None else [Operation("insert", head, head, f"{SUMMARY}:{summary.id}")]

        def add(first: int, last: int, fate: Fate) -> None:
            if first <= head <= last and inserted:
                if first < head:
                    made.append(Operation(fate[0], first, head - 1, fate[1]))
                made.append(inserted.pop())
                first = head
            elif made and (made[-1].op, made[-1].reason) == fate:
                first = made.pop().first
            made.append(Operation(fate[0], first, last, fate[1]))

        seqs, seen, n = self.outline.seqs, 0, 0
        for fate, run in groupby(self.fates):
            end = n + sum(1 for _ in run)
            while n < end:
                if seqs[n] > seen + 1:
                    add(seen + 1, seqs[n] - 1, ("omit", "retracted"))
                # As far as one turn follows the other: without a gap the last one is as far away as they are many.
                last = n if seqs[end - 1] - seqs[n] > end - 1 - n else end - 1
                add(seqs[n], seqs[last], fate)
                seen, n = seqs[last], last + 1
        if seen < self.version:
            add(seen + 1, self.version, ("omit", "retracted"))
        return tuple(made + inserted)


def _what(sketch: Sketch) -> Literal["input", "output"]:
    return "output" if sketch.kind == "tool_result" else "input"
