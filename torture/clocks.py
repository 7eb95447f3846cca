"""Clocks that jump, forward and back, while clients append and workers work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from carryover.core.errors import NotFound
from carryover.runtime import Carryover
from torture import found
from torture.run import Run, database, scenario

_HOUR_MS = 3_600_000
_JUMPS_MS = (-30 * 24 * _HOUR_MS, -24 * _HOUR_MS, -_HOUR_MS, -5_000, 5_000, _HOUR_MS, 24 * _HOUR_MS, 30 * 24 * _HOUR_MS)
_TTL_S = 7 * 24 * 3600


@dataclass
class Jumpy:
    """The machine's clock, off by what was set; `latest` is the furthest that it ever showed."""

    off_ms: int = 0
    latest: int = 0

    def now(self) -> int:
        shown = time.time_ns() // 1_000_000 + self.off_ms
        self.latest = max(self.latest, shown)
        return shown


def _clock(engine: str, run: Run) -> None:
    """Jumps of seconds to a month. Sessions with a time to live go when it is over, and not before."""
    with database(run, engine) as given:
        clock = Jumpy()
        with Carryover.open(given, clock=clock, threads=2) as memory:
            due = _mortal(memory)
            talkers = [run.talker(memory, f"talker-{n}", [f"s-{n}", f"s-{n + 1}"]) for n in range(3)]
            with run.talking(talkers, pause_s=0.01):
                for _ in range(run.often(5, 60)):
                    run.pause(0.05, 0.4)
                    clock.off_ms += run.chance.choice(_JUMPS_MS)
                    memory.engine.worker.wake()
            clock.off_ms += clock.latest - clock.now() + 2 * _HOUR_MS  # what was held far ahead is free by now
            _expired(run, memory, clock, due)
            run.notes.append(f"{run.often(5, 60)} jumps; it is {clock.off_ms / 24 / _HOUR_MS:+.1f} days off")
            _conclude(run, memory)


def _mortal(memory: Carryover) -> int:
    """A session with a time to live; when it is over."""
    memory.log_turn("mortal", "user", "This is forgotten in a week.")
    return memory.set_ttl("mortal", _TTL_S).expires_at or 0


def _expired(run: Run, memory: Carryover, clock: Jumpy, due: int) -> None:
    if clock.latest < due:
        try:
            memory.session("mortal")
        except NotFound:
            run.broke("lost", f"a session that lives until {due} is gone, and it was never later than {clock.latest}")
        clock.off_ms += due - clock.now() + _HOUR_MS
    memory.engine.worker.wake()

    def gone() -> bool:
        try:
            memory.session("mortal")
        except NotFound:
            return True
        return False

    run.await_(gone)


def _conclude(run: Run, memory: Carryover) -> None:
    """As `Run.conclude`, by this clock."""
    found.settled(memory)
    seen = found.look(memory)
    seen.events.pop("mortal", None)
    run.judge(seen)


for _engine in ("sqlite", "postgresql"):
    scenario(f"clock-{_engine}")(partial(_clock, _engine))
