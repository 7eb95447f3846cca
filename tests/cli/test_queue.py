"""`queue`: what background jobs do, and letting dead ones try again."""

from __future__ import annotations

from pathlib import Path

import pytest

from carryover.core.scope import Scope
from carryover.opening import open_store
from carryover.settings import load
from carryover.store import queue
from commands import Commands


@pytest.fixture
def jobs(carryover: Commands, home: Path) -> Commands:
    """The command beside a dead, a running and a due job, and a dead one of another tenant."""
    with open_store(load(home=home).settings) as store:
        for tenant, subject in (("default", "planner/dead"), ("other", "planner/theirs")):
            with store.write(Scope(tenant)) as tx:
                queue.arm(tx, [("consolidate", subject, tx.now - 300_000)])
                job = queue.claim(tx, ["consolidate"], lease_ms=1000)
                assert job is not None
                queue.fail(tx, job, "ProviderError: the model refused", due=None)
        with store.write(Scope()) as tx:
            queue.arm(tx, [("index", "planner/running", tx.now)])
            assert queue.claim(tx, ["index"], lease_ms=60_000) is not None
            queue.arm(
                tx, [("expire", "planner/due", tx.now - 300_000), ("expire", "planner/later", tx.now + 9_000_000)]
            )
    return carryover


def test_jobs_are_listed_with_age_holder_and_reason(jobs: Commands) -> None:
    text = jobs("queue", "list")
    lines = {line.split()[2]: line for line in text.splitlines()[1:]}
    assert set(lines) == {"planner/dead", "planner/running", "planner/due", "planner/later"}
    assert "ProviderError: the model refused" in lines["planner/dead"]
    assert "5 min" in lines["planner/due"]
    assert "in 2 h" in lines["planner/later"]
    (running,) = jobs.json("queue", "list", "--state", "running")["jobs"]
    assert running["subject"] == "planner/running"
    assert running["holder"] in lines["planner/running"]
    assert running["leased_until"] > running["claimed_at"]


def test_states_and_tenants_narrow_the_list(jobs: Commands) -> None:
    def subjects(*args: str) -> list[str]:
        return [job["subject"] for job in jobs.json("queue", *args)["jobs"]]

    assert subjects("list", "--state", "due") == ["planner/due"]
    assert subjects("list", "--state", "stuck") == []
    assert subjects("dead") == ["planner/dead"]
    assert subjects("dead", "--tenant", "other") == ["planner/theirs"]
    assert sorted(subjects("dead", "--all-tenants")) == ["planner/dead", "planner/theirs"]
    assert jobs("queue", "list", "--state", "waiting") == ""
    jobs("queue", "list", "--state", "lost", code=2)
    jobs("queue", "list", "--tenant", "other", "--all-tenants", code=2)


def test_dead_jobs_are_retried_one_or_all(jobs: Commands) -> None:
    for wrong in ((), ("consolidate",), ("consolidate", "planner/dead", "--all")):
        jobs("queue", "retry", *wrong, code=2)
    jobs("queue", "retry", "index", "planner/dead", code=1)
    assert "carryover queue dead" in jobs.err
    assert "1 dead job will be tried again" in jobs("queue", "retry", "consolidate", "planner/dead")
    assert jobs.json("queue", "dead")["jobs"] == []
    assert jobs.json("queue", "retry", "--all")["revived"] == 0
    assert jobs.json("queue", "retry", "--all", "--all-tenants")["revived"] == 1
