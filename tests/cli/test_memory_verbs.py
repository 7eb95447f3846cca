"""`context`, `search`, `consolidate` and `forget`, embedded and on a server."""

from __future__ import annotations

import pytest

from commands import Commands


@pytest.fixture
def agent(request: pytest.FixtureRequest, either: Commands) -> tuple[str, str]:
    """An agent of the test's own, with one session in which something was settled."""
    names = ("--agent", f"recall-{request.node.name.replace('[', '-').rstrip(']')[:100]}")
    either("log", "s1", "Let's use PostgreSQL for the ledger.", "--user", "mara", *names)
    either("log", "s1", "Please always answer in metric units.", "--user", "mara", *names)
    return names


def test_what_one_session_settles_the_next_one_is_told(either: Commands, agent: tuple[str, str]) -> None:
    shown = either("consolidate", "s1", *agent)
    assert "snapshot 1 of s1, turns 1 to 2, by rules" in shown
    assert "“Let's use PostgreSQL for the ledger.”" in shown
    told = either("context", "s2", "--user", "mara", *agent)
    assert "PostgreSQL" in told
    assert "metric" in told
    context = either.json("context", "s2", "--user", "mara", "--max-tokens", "300", *agent)
    assert context["tokens"] <= 300
    assert context["findings"][0]["sources"][0]["session_id"] == "s1"
    alone = either.json("context", "s2", "--scope", "session", *agent)
    assert "PostgreSQL" not in alone["markdown"]


def test_consolidate_as_json_or_later(either: Commands, agent: tuple[str, str]) -> None:
    snapshot = either.json("consolidate", "s1", *agent)
    assert (snapshot["version"], snapshot["through"]) == (1, 2)
    assert [finding["text"] for finding in snapshot["decisions"]]
    either("log", "s1", "One more thing.", *agent)
    assert either("consolidate", "s1", "--no-wait", *agent) == ""
    assert "worker" in either.err
    either("consolidate", "nowhere", *agent, code=1)


def test_search_finds_and_cites(either: Commands, agent: tuple[str, str]) -> None:
    found = either("search", "which database for the ledger?", *agent)
    assert "Let's use PostgreSQL for the ledger." in found
    assert "s1, turn 1" in found
    hits = either.json("search", "ledger", "--kind", "turn", "-k", "2", "--session", "s1", *agent)
    assert hits["mode"] == "text"
    assert ("turn", 1) in [(hit["kind"], hit["sources"][0]["first"]) for hit in hits["results"]]
    assert either.json("search", "ledger", "--until", "2001-01-01", *agent)["results"] == []
    assert either("search", "zeppelin", *agent) == ""
    assert "other words" in either.err


def test_forget_shows_asks_and_erases(either: Commands, agent: tuple[str, str]) -> None:
    either("log", "s2", "Another one.", *agent)
    either("forget", "--session", "s1", *agent, code=1)
    assert "s1 of agent" in either.err
    assert "3 turns" not in either.err
    assert "add --yes" in either.err
    assert len(either.json("sessions", *agent)["sessions"]) == 2
    assert "erased s1" in either("forget", "--session", "s1", "--yes", *agent)
    either("window", "s1", *agent, code=1)
    receipts = either.json("forget", *agent, "--yes")["receipts"]
    assert [(r["agent_id"], r["session_id"], r["counts"]["turns"]) for r in receipts] == [(agent[1], None, 1)]
    assert either.json("sessions", *agent)["sessions"] == []
    assert "nothing was left" in either("forget", "--session", "s1", "--yes", *agent)  # what is gone is gone
    assert "nothing was left" in either("forget", *agent, "--yes")
    either("forget", "--session", "nowhere", "--yes", *agent, code=1)
    either("forget", "--agent", "nobody-at-all", "--yes", code=1)
    assert "PostgreSQL" not in either("search", "PostgreSQL", *agent)
