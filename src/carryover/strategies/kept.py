"""Courses and views that this process keeps, so that what has not changed is not worked out again.

They are nobody's truth: whatever is kept is what anybody would work out from the log.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from carryover.core.session import Turn
from carryover.core.strategy import Sketch, Strategy, View
from carryover.store import counters, turns
from carryover.store.sessions import Head
from carryover.store.store import Tx
from carryover.store.turns import TOMBSTONES
from carryover.strategies.course import Course

SESSIONS = 64
STRATEGIES = 4  # of one session
BYTES = 32 << 20  # of the turns of one session, and of its views
MOST_BYTES = 256 << 20  # of all sessions together
_SKETCH = 512  # bytes, about, that a turn without its content takes


@dataclass(slots=True)
class Entry:
    """What is kept of one session; whoever uses it holds its lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    newest: str | None = None  # the id of the last turn that is known
    erasures: int = 0  # of turns in the middle of logs, as the tenant had counted them
    sketches: list[Sketch] = field(default_factory=list[Sketch])
    courses: OrderedDict[str, Course] = field(default_factory=lambda: OrderedDict[str, Course]())
    views: OrderedDict[Any, View] = field(default_factory=lambda: OrderedDict[Any, View]())
    turns: dict[int, Turn] = field(default_factory=dict[int, Turn])
    asked: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    bytes: int = 0  # that it takes, about

    def course(self, tx: Tx, head: Head, strategy: Strategy) -> Course:
        """The course of the strategy up to the head's version; what is not known of the log yet is read."""
        (erasures,) = counters.values(tx, [TOMBSTONES])
        if erasures != self.erasures:
            self._forget()
            self.erasures = erasures
        if self.sketches and turns.id_of(tx, head.agent, head.session, len(self.sketches)) != self.newest:
            self._forget()  # another log has the session's name by now
        seen = len(self.sketches)
        if seen < head.version:
            self.sketches += turns.sketches(tx, head.agent, head.session, seen + 1, head.version)
            self.newest = turns.id_of(tx, head.agent, head.session, head.version)
        key = strategy.hash
        course = self.courses.get(key)
        if course is None or course.version > head.version:
            course = self.courses[key] = Course(strategy)
        self.courses.move_to_end(key)
        while len(self.courses) > STRATEGIES:
            self.courses.popitem(last=False)
        for sketch in self.sketches[course.version : head.version]:
            course.take(sketch)
        return course

    def read(self, tx: Tx, head: Head, shown: list[int]) -> dict[int, Turn]:
        """The turns with these places in the log; they are kept, those that are shown no more are not."""
        have = {seq: self.turns[seq] for seq in shown if seq in self.turns}
        missing = [seq for seq in shown if seq not in have]
        for first, last in _runs(missing):
            have |= {turn.seq: turn for turn in turns.between(tx, head.agent, head.session, first, last)}
        small = sum(len(turn.body) for turn in have.values()) <= BYTES
        self.turns = have if small else {}
        self._weigh()
        return have

    def _forget(self) -> None:
        self.sketches, self.turns, self.newest = [], {}, None
        self.courses.clear()
        self.views.clear()
        self.asked.clear()

    def remember(self, key: Any, view: View) -> None:
        if _size(view) > BYTES:
            return
        self.views[key] = view
        while len(self.views) > STRATEGIES or sum(map(_size, self.views.values())) > BYTES:
            self.views.popitem(last=False)
        self._weigh()

    def _weigh(self) -> None:
        turns, views = sum(len(turn.body) for turn in self.turns.values()), sum(map(_size, self.views.values()))
        self.bytes = turns + views + _SKETCH * len(self.sketches) * (1 + len(self.courses))


class Kept:
    """What is kept of the sessions that were asked for last."""

    def __init__(self, most: int = SESSIONS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str, str], Entry] = OrderedDict()

    def entry(self, tenant: str, head: Head) -> Entry:
        """What is kept of the session."""
        key = (tenant, head.agent, head.session)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = Entry()
            self._entries.move_to_end(key)
            while len(self._entries) > self._most or (len(self._entries) > 1 and self._bytes() > self._most_bytes):
                self._entries.popitem(last=False)
            return entry

    def _bytes(self) -> int:
        return sum(entry.bytes for entry in self._entries.values())


def _size(view: View) -> int:
    return 4 * view.tokens_after


def _runs(seqs: list[int], gap: int = 16) -> list[tuple[int, int]]:
    """Ascending numbers as runs, which may hold a few that are not among them: fewer reads."""
    runs: list[tuple[int, int]] = []
    for seq in seqs:
        if runs and seq - runs[-1][1] <= gap:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs
