"""`why`, `trace` and `verify`: from a sentence to where it came from, and back."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from commands import Commands


@pytest.fixture
def agent(request: pytest.FixtureRequest, either: Commands) -> tuple[str, str]:
    """An agent of the test's own that changed its mind, in two sessions."""
    names = ("--agent", f"trace-{request.node.name.replace('[', '-').rstrip(']')[:100]}")
    either("log", "s1", "Hello. Let's use SQLite for the ledger, it is one file.", *names)
    either("log", "s1", "I need to write the migration by Friday.", *names)
    either("consolidate", "s1", *names)
    either("log", "s2", "Let's use PostgreSQL for the ledger instead.", *names)
    either("log", "s2", "I wrote the migration.", *names)
    either("consolidate", "s2", *names)
    return names


def decision_of(either: Commands, session: str, agent: tuple[str, str]) -> str:
    snapshot = either.json("consolidate", session, *agent)
    return str(snapshot["decisions"][0]["id"])


def test_why_shows_the_turns_the_history_and_the_reason(either: Commands, agent: tuple[str, str]) -> None:
    old, new = (decision_of(either, session, agent) for session in ("s1", "s2"))
    said = either("why", old)
    assert f"decision {old}, superseded" in said
    assert "s1, turn 1, user, 20" in said
    assert "Hello. “Let's use SQLite for the ledger" in said
    assert "ended by\n  s2, turn 1, user, 20" in said
    assert "“Let's use PostgreSQL for the ledger instead.”" in said
    assert [line.split()[0] for line in said.partition("history\n")[2].splitlines()[:2]] == [">", new]
    assert "superseded because turn 1 of 's2' says" in said
    assert either("why", old[:-3]) == said
    detail = either.json("why", new)
    assert [finding["id"] for finding in detail["chain"]] == [old, new]
    assert detail["supersedes"][0]["id"] == old


def test_an_unclear_or_unknown_id_is_an_error_that_helps(either: Commands, agent: tuple[str, str]) -> None:
    old = decision_of(either, "s1", agent)
    either("why", old[:6], code=1)
    assert "give more of the id" in either.err
    for wrong in ("f_zzzzzzzzz", "nothing", "f_"):
        either("why", wrong, code=1)
        assert "take an id from a search or a snapshot" in either.err
    either("why", code=2)


def test_ids_are_printed_where_findings_are(either: Commands, agent: tuple[str, str]) -> None:
    old = decision_of(either, "s2", agent)
    assert old in either("consolidate", "s2", *agent)
    end = time.monotonic() + 20
    while old not in either("search", "ledger", "--kind", "decision", *agent):  # it may not be indexed yet
        assert time.monotonic() < end


def test_trace_shows_what_became_of_a_turn(either: Commands, agent: tuple[str, str]) -> None:
    old = decision_of(either, "s1", agent)
    either("search", "ledger", *agent)
    said = either("trace", "s1", "1", *agent)
    assert said.startswith(f"turn 1 of s1 (agent {agent[1]}), user, 20")
    assert "in memory since snapshot 1 (turns 1 to 2, by rules); 1 finding\n" in said
    assert f"{old}  20" in said
    assert "decision, superseded: Let's use SQLite" in said
    assert "of this agent and of this user draw on its session" in said
    ended = either("trace", "s2", "2", *agent)
    assert "ended by this turn" in ended
    assert "task, done: User: I need to write the migration by Friday." in ended
    trace = either.json("trace", "s2", "1", *agent)
    assert [finding["id"] for finding in trace["closed"]] == [old]
    either("log", "s3", "Hm.", *agent)
    assert "no snapshot holds this turn yet" in either("trace", "s3", "1", *agent)
    for wrong in (("s3", "2"), ("s3", "0"), ("nowhere", "1")):
        either("trace", *wrong, *agent, code=1)
    either("trace", "s3", "x", code=2)


def tampered(home: Path, old: str, new: str) -> None:
    with sqlite3.connect(home / "carryover.db") as db:
        assert db.execute("UPDATE findings SET text = replace(text, ?, ?)", (old, new)).rowcount
    db.close()


def test_verify_finds_what_does_not_stand_in_its_turns(
    carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_ENCRYPTION", "false")  # so that it can be tampered with
    carryover("log", "s1", "We agreed on a budget of $12,000 for the fair.", "--agent", "a")
    carryover("log", "s2", "Let's use PostgreSQL for the ledger.")
    for names in (("s1", "--agent", "a"), ("s2",)):
        carryover("consolidate", *names)
    assert carryover("verify") == "2 findings hold, 0 do not, 0 cannot be checked\n"
    assert carryover.json("verify", "s2") == {"holds": 1, "fails": 0, "unknown": 0, "flagged": []}
    tampered(home, "12,000", "21,000")
    told = carryover("verify", code=1)
    assert "not in its turns: 21000" in told
    assert told.endswith("1 finding hold, 1 do not, 0 cannot be checked\n")
    flagged = carryover.json("verify", "--agent", "a", code=1)["flagged"]
    assert [one["verdict"]["missing"] for one in flagged] == [["21000"]]
    assert carryover("verify", "s2") == "1 finding hold, 0 do not, 0 cannot be checked\n"
    id = flagged[0]["finding"]["id"]
    assert "DOES NOT HOLD: not in its turns: 21000" in carryover("why", id)
    assert "DOES NOT HOLD" in carryover("trace", "s1", "1", "--agent", "a")
    assert f"carryover why {id}" in carryover("doctor")
    carryover("verify", "nowhere", code=1)


def test_verify_acts_on_the_database_itself(carryover: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_URL", "http://127.0.0.1:1")
    carryover("verify", code=1)
    assert "run this where the server runs" in carryover.err
