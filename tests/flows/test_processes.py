"""Several processes on one database, and processes that are killed: nothing acknowledged is ever lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT
from carryover.log import stream
from carryover.store.store import Store
from carryover.store.tables import bodies, events, sessions, turns
from logbook import ACME, Book

APPENDER = Path(__file__).parent / "appender.py"
KILLS = int(os.environ.get("CARRYOVER_KILLS", "15"))
SESSIONS = ("shared-0", "shared-1", "shared-2")

Said = tuple[str, int, str, str]


def start(url: str, name: str, most: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(APPENDER.parent.parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, str(APPENDER), url, name, str(most)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def parsed(output: str) -> list[Said]:
    """The acknowledged turns; a last line that the kill cut short says nothing."""
    lines = output.split("\n")[:-1]
    return [(session, int(seq), id, text) for session, seq, id, text in (line.split("\t") for line in lines)]


def check(url: str, said: list[Said]) -> int:
    """All that was acknowledged is where it was said to be, and the log is whole; how many turns there are."""
    with Store.open(url) as store:
        book = Book(store)
        with store.read(EVERY_TENANT) as tx:
            conn = tx.conn
            known = set(conn.execute(sa.select(sessions.c.session)).scalars())
            counted = {name: conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                       for name, table in (("turns", turns), ("bodies", bodies))}  # fmt: skip
            ids = list(conn.execute(sa.select(events.c.id).order_by(events.c.id)).scalars())
        there = {session: book.turns(session) for session in SESSIONS if session in known}
        for session, found in there.items():
            assert [turn.seq for turn in found] == list(range(1, len(found) + 1))
            head = book.session(session)
            assert (head.version, head.token_count) == (len(found), sum(turn.tokens for turn in found))
        assert counted["turns"] == counted["bodies"] == sum(map(len, there.values()))
        assert len(ids) == len(set(ids))
        appended = [e for e in stream.after(store, ACME, "default", 0, limit=1_000_000) if e.action == "append"]
        assert sum(e.detail["turns"] for e in appended) == counted["turns"]
        for session, seq, id, text in said:
            turn = there[session][seq - 1]
            assert (turn.id, turn.content) == (id, text)
        return counted["turns"]


def test_two_processes_append_to_one_log_at_once(database_url: str) -> None:
    Store.open(database_url).close()
    running = [start(database_url, name, 60) for name in ("one", "two")]
    answers = [process.communicate(timeout=90) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    said = [turn for output, _ in answers for turn in parsed(output)]
    assert len(said) == 2 * 20 * (1 + 2 + 3)
    assert check(database_url, said) == len(said)


@pytest.mark.timeout(60 + 5 * KILLS)
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(database_url: str) -> None:
    """`CARRYOVER_KILLS=100` gives the long form."""
    chance = random.Random(KILLS)
    said: list[Said] = []
    for kill in range(KILLS):
        process = start(database_url, f"kill-{kill}", 0)
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()  # it is at work
        threading.Event().wait(chance.uniform(0, 0.06))
        os.kill(process.pid, signal.SIGKILL)
        # Not `communicate`: it passes over what reading the first line has buffered.
        rest, errors = process.stdout.read(), process.stderr.read()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        assert errors == ""
        said += parsed(first + rest)
    assert len(said) >= KILLS
    total = check(database_url, said)
    # What the last moment of each process had committed but not yet said is there as well.
    assert len(said) <= total <= len(said) + 3 * KILLS
