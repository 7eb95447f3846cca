"""A comparison of extractors whose process is killed in the middle goes on where it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from carryover.core.scope import Scope
from carryover.memory.choice import PROMOTE, Extractors, decide
from carryover.memory.rules import Rules
from carryover.store import extractors, queue
from carryover.store.store import Store
from flows.promoter import Third, worker
from talk import consolidate, say
from waiting import until

PROMOTER = Path(__file__).parent / "promoter.py"
LEASE_MS = 1_000
SESSIONS = 5


def test_a_killed_comparison_goes_on_where_it_was(database_url: str) -> None:
    scope = Scope("acme")
    with Store.open(database_url) as store:
        for n in range(SESSIONS):
            say(store, scope, f"s{n}", [f"The card fee of bakery number {n} is {n + 2}.9% this year."])
            consolidate(store, scope, f"s{n}", Rules())
        decide(store, scope, Extractors(Third(0)), Third.id, "try")
        path = os.pathsep.join([str(PROMOTER.parent.parent), *sys.path])
        command = [sys.executable, str(PROMOTER), database_url, str(LEASE_MS)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "hangs\n"
            process.kill()
        with store.read(scope) as tx:
            assert len(extractors.compared(tx, Third.id)) == 2
        second = Third(0)
        at_work = worker(store, second, 60_000)

        def over() -> bool:
            at_work.drain()
            with store.read(scope) as tx:
                return queue.get(tx, PROMOTE, Third.id) is None

        until(over)
        assert len(second.read) == SESSIONS - 2
        with store.read(scope) as tx:
            made = extractors.promoted(tx)
        assert made is not None
        assert (made.name, made.comparison.sessions) == (Third.id, SESSIONS)
