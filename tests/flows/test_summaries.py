"""A summary whose worker is killed in the middle is made by another one: once, and nothing half of it is left."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from carryover.core.scope import Scope
from carryover.core.strategy import Strategy
from carryover.store import queue, summaries, usages
from carryover.store.store import Store
from carryover.strategies import summarize
from commands import ENTRY
from condensed import armed, ask, ready, status, talk
from fakes.messages_api import FakeMessages
from fakes.server import Ask
from waiting import until

HERE = Scope("default")
MODEL = Strategy(mode="summarize", summary_max_tokens=200)
ANSWER: dict[str, Any] = {"wants": ["A tender."], "decisions": [], "facts": [], "done": [], "tasks": [], "tools": []}


def test_a_killed_worker_leaves_nothing_half_made(database_url: str, tmp_path: Path) -> None:
    asked, over = threading.Event(), threading.Event()

    def answer(_: Ask) -> dict[str, Any]:
        if not asked.is_set():
            asked.set()
            over.wait(60)  # the one who asked will not hear the answer
        return ANSWER

    with Store.open(database_url) as store, FakeMessages(answer) as fake:
        last = talk(store, HERE)
        ask(store, HERE, last, MODEL)
        settings = {
            "CARRYOVER_HOME": str(tmp_path / "home"),
            "CARRYOVER_DATABASE_URL": database_url,
            "CARRYOVER_EMBEDDER": "none",
            "CARRYOVER_LLM": "anthropic:claude-haiku-5-5",
            "CARRYOVER_LLM_API_KEY": "k",
            "CARRYOVER_LLM_BASE_URL": fake.url,
        }
        command = [ENTRY, "worker"]
        with subprocess.Popen(command, env={**os.environ, **settings}) as doomed:
            assert asked.wait(60)
            doomed.kill()
        over.set()
        assert ready(store, HERE, MODEL) == []
        assert status(store, HERE, last, MODEL) == "wanted"
        with store.write(HERE) as tx:
            assert queue.free_orphans(tx) == 1  # else its lease would have to lapse first
        with subprocess.Popen(command, env={**os.environ, **settings}) as heir:
            until(lambda: not armed(store, HERE), 60)
            heir.terminate()
            assert heir.wait(60) == 0
        (made,) = ready(store, HERE, MODEL)
        assert made.text == "What the user wants:\n- A tender."
        assert len(fake.requests) == 2
        with store.read(HERE) as tx:
            assert summaries.tally(tx) == {"ready": 1}
            (usage,) = (row.usage for row in usages.totals(tx, 0, tx.now + 1, "job") if row.group == summarize.KIND)
            assert usage.calls == 1
            assert usages.reserved(tx, tx.now).calls >= 1  # of the one that was killed, and may have made its call
