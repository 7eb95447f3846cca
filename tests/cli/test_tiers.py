"""`memory`: how much of its findings memory tells, and telling all of them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from carryover.core.scope import Scope
from carryover.core.tier import Policy
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.memory import evict
from carryover.opening import open_store
from carryover.settings import load
from commands import Commands


@pytest.fixture
def evicted(carryover: Commands, home: Path) -> Commands:
    """The command beside a memory of which only the wish is told in full."""
    said = "Let's use PostgreSQL 17 for the ledger, because the auditors know it. Always answer in French."
    carryover("log", "s1", said)
    carryover("consolidate", "s1")
    with open_store(load(home=home).settings) as store:
        with store.write(Scope()) as tx:
            evict.arm(tx, "default", None, now=True)
        Worker(store, {evict.KIND: evict.eviction(Policy(1, 0))}, lambda _: Cap()).drain([evict.KIND])
    return carryover


def test_tiers_are_counted_and_taken_back(evicted: Commands) -> None:
    before = evicted.json("memory", "tiers")
    assert (before["full"], before["compressed"], before["summarised"], before["gists"]) == (1, 0, 1, 1)
    assert before["freed"] > 0
    assert "summarised         1  in 1 gist, or not" in evicted("memory", "tiers")
    assert "1 finding told in full, 1 in 1 gist or not at all" in evicted("doctor")
    assert "1 finding told in full" in evicted("memory", "restore", "s1")
    assert evicted.json("memory", "tiers") == {"full": 2, "compressed": 0, "summarised": 0, "gists": 0, "freed": 0}
    assert evicted.json("memory", "restore") == {"restored": 0}


def test_a_session_that_is_not_there_is_named(carryover: Commands) -> None:
    carryover("memory", "restore", "nowhere", code=1)
    assert "'nowhere'" in carryover.err
