"""One scenario as it runs: where its files are, its chance, what it counts, and what is judged in its end."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import queue
from servers import postgres
from torture import children, found, history
from torture.history import Op
from torture.judge import judge
from torture.talker import Talker
from torture.violation import Violation


class Skipped(Exception):
    """This machine lacks what the scenario needs; says what."""


@dataclass
class Run:
    """Everything random in it comes from `chance`, and so from the seed and the scenario's name."""

    name: str
    seed: int
    folder: Path
    short: bool = False
    kills: int = 0
    failovers: int = 0
    acknowledged: int = 0
    unknown: int = 0
    violations: list[Violation] = field(default_factory=list[Violation])
    notes: list[str] = field(default_factory=list[str])
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed} {self.name}")
        self.records.mkdir(parents=True, exist_ok=True)

    @property
    def records(self) -> Path:
        return self.folder / f"{self.seed}-{self.name}"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def printed(self) -> Path:
        """What the scenario's processes printed."""
        return self.folder / "printed"

    def often(self, short: int, long: int) -> int:
        return short if self.short else long

    def pause(self, least_s: float, most_s: float) -> None:
        time.sleep(self.chance.uniform(least_s, most_s))

    def await_(self, holds: Callable[[], object], timeout_s: float = 60) -> None:
        """Returns as soon as it holds. Raises TimeoutError."""
        end = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError("it never came to hold")
            time.sleep(0.005)

    def broke(self, kind: str, detail: str) -> None:
        self.violations.append(Violation(kind, detail))

    def ops(self) -> list[Op]:
        return history.read(*history.files(self.records))

    def count(self, ops: Sequence[Op]) -> None:
        """Turns that were acknowledged, and appends of which nobody heard."""
        told = {key for op in ops if op.outcome == "ok" for key, _ in op.turns}
        self.acknowledged += len(told)
        self.unknown += sum(op.kind == "append" and op.outcome == "unknown" for op in ops)

    def conclude(self, given: Settings, timeout_s: float = 90) -> found.Found:
        """All that is due is done; then every answer is compared with what is there."""
        with Carryover.open(given, threads=2) as memory:
            with memory.engine.store.write(memory.scope) as tx:
                queue.free_orphans(tx)  # else what the killed ones had in hand would have to lapse first
            found.settled(memory, timeout_s)
        with Carryover.open(given, work=False) as memory:
            seen = found.look(memory)
        self.judge(seen)
        return seen

    def judge(self, seen: found.Found) -> None:
        ops = self.ops()
        self.count(ops)
        self.violations += judge(ops, seen)
        if not self.acknowledged:
            self.broke("idle", "nothing was acknowledged: the scenario tested nothing")

    def talker(self, memory: Carryover, name: str, sessions: Sequence[str], **more: bool | int) -> Talker:
        chance = random.Random(f"{self.seed} {self.name} {name}")
        return Talker(memory, history.Recorder(self.records, name), chance, sessions, **more)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def talking(self, talkers: Sequence[Talker], pause_s: float = 0.0) -> Generator[None]:
        """Inside the block each of them talks in a thread of its own; the last operation of each is brought to its end.

        Raises what a thread raised, which is no answer that a client should get.
        """
        stop, raised = threading.Event(), list[BaseException]()

        def talk(talker: Talker) -> None:
            try:
                while not stop.is_set():
                    talker.step()
                    stop.wait(pause_s)
            except BaseException as failure:
                raised.append(failure)

        threads = [threading.Thread(target=talk, args=(one,), daemon=True) for one in talkers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        self.violations += [Violation("odd answer", repr(failure)) for failure in raised]
        self.violations += [Violation("no answer", thread.name) for thread in threads if thread.is_alive()]

    def failed_with(self, ops: Sequence[Op]) -> Counter[str]:
        """How often clients were told which failure."""
        return Counter(op.reason for op in ops if op.outcome != "ok" and op.reason)


Scenario = Callable[[Run], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    """The function is a scenario of this name."""

    def named(made: Scenario) -> Scenario:
        SCENARIOS[name] = made
        return made

    return named


@contextlib.contextmanager
def database(run: Run, engine: str) -> Generator[Settings]:
    """The settings of a memory on this engine: a file, or a PostgreSQL of its own."""
    if engine == "sqlite":
        yield children.settings(run.home)
        return
    with a_postgres(run) as server:
        yield children.settings(run.home, server.create("carryover"))


@contextlib.contextmanager
def a_postgres(run: Run, **options: str) -> Generator[postgres.Server]:
    """A PostgreSQL that flushes as in earnest, in a folder that its user can enter."""
    folder = Path("/tmp") / f"carryover-torture-{os.getpid()}-{run.name}"
    try:
        server = postgres.start(folder, 0, **options)
    except (RuntimeError, OSError) as cause:
        raise Skipped(f"no PostgreSQL here: {cause}") from cause
    try:
        yield server
    finally:
        if postgres.is_running(folder):
            postgres.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
