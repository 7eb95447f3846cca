"""Workers that stand still beyond their lease, and wake up when another one has their job."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from functools import partial

from carryover.runtime import Carryover
from tests.fakes.messages_api import FakeMessages
from tests.fakes.server import Ask
from torture import answers, children
from torture.run import Run, database, scenario

_LEASE_MS = 600


def _paused(engine: str, run: Run) -> None:
    """Two workers whose model takes its time; one after the other is frozen for longer than it has its jobs."""

    def slowly(ask: Ask) -> dict[str, object]:
        time.sleep(0.15)
        return answers.notes(ask)

    with database(run, engine) as plain, FakeMessages(slowly) as fake:
        given = children.settings(plain.home, plain.database_url, log_level="warning", **answers.model(fake.url))
        with Carryover.open(given, work=False) as memory, contextlib.ExitStack() as woken:
            talkers = [run.talker(memory, f"talker-{n}", [f"s-{n}-{m}" for m in range(3)]) for n in range(2)]
            workers = [children.begin(children.work, run.printed, given, 2, _LEASE_MS) for _ in range(2)]
            with run.talking(talkers, pause_s=0.03):
                for n in range(run.often(3, 30)):
                    pid = workers[n % 2].pid
                    assert pid is not None
                    run.pause(0.2, 0.6)
                    os.kill(pid, signal.SIGSTOP)
                    woken.callback(os.kill, pid, signal.SIGCONT)
                    run.pause(1.2 * _LEASE_MS / 1000, 2.5 * _LEASE_MS / 1000)
                    os.kill(pid, signal.SIGCONT)
            run.pause(0.5, 0.6)
            for worker in workers:
                woken.pop_all()
                children.kill(worker)
                run.kills += 1
            run.conclude(given)
            dropped = run.printed.read_text("utf-8").count("job dropped")
            run.notes.append(f"{run.often(3, 30)} pauses; {dropped} results came too late and were dropped")


for _engine in ("sqlite", "postgresql"):
    scenario(f"paused-{_engine}")(partial(_paused, _engine))
