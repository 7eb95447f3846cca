"""`extractors` and `consolidate --again`, embedded and on a server; and what `doctor` says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carryover.memory.extract import named
from commands import Commands, run
from fakes.messages_api import FakeMessages
from fakes.server import Ask

SAID = "The card fee of the harbour bakery is 2.9% this year."
MODEL = "anthropic:claude-haiku-5-5"
ID = named(MODEL)


def answer(ask: Ask) -> dict[str, Any]:
    """Everything, unless the harbour is spoken of: of that it takes down nothing."""
    told = [] if "harbour" in ask.prompt else re.findall(r'<turn n="(\d+)" [^>]*>\n(.*?)\n</turn>', ask.prompt)
    found = [
        {
            **{"kind": "fact", "text": text, "quote": text, "first": int(n), "last": int(n)},
            **{"subject": "", "pinned": False, "salience": 0.5},
        }
        for n, text in told
    ]
    return {"found": found, "closed": [], "summary": ""}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeMessages]:
    """A model's server, and a home in which rules have made memory so far."""
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path))
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    monkeypatch.delenv("CARRYOVER_URL", raising=False)
    with FakeMessages(answer) as server:
        monkeypatch.setenv("CARRYOVER_LLM_BASE_URL", server.url)
        monkeypatch.setenv("CARRYOVER_LLM_API_KEY", "k")
        yield server


def test_they_are_listed(either: Commands) -> None:
    either("log", "extractors-1", SAID)
    either("consolidate", "extractors-1")
    shown = either("extractors")
    assert re.match(r"rules/\d+: promoted since \d{4}-\d\d-\d\d \d\d:\d\d\n  none was promoted before it\n", shown)
    assert either.json("extractors")["extractors"][0]["state"] == "promoted"
    either("extractors", "promote", "nobody/1", code=1)
    assert "not known here" in either.err


def test_a_session_is_read_anew(either: Commands) -> None:
    either("log", "again-1", SAID)
    either("consolidate", "again-1", "--again", code=1)
    assert "has no snapshot yet" in either.err
    either("consolidate", "again-1")
    assert "snapshot 2 of again-1" in either("consolidate", "again-1", "--again")
    assert either.json("consolidate", "again-1", "--force")["version"] == 3


def test_one_that_answers_less_is_refused_and_then_forced(fake: FakeMessages, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("log", "s1", SAID).returncode == 0
    assert run("consolidate", "s1").returncode == 0
    rules = json.loads(run("extractors", "--json").stdout)["extractors"][0]["name"]
    monkeypatch.setenv("CARRYOVER_LLM", MODEL)
    assert f"memory is made by {rules}, not by {ID}: it waits to be compared" in run("doctor").stdout
    tried = run("extractors", "try", ID)
    said = f"answers 0 % of 1 question, {rules} answers 100 %: not promoted"
    assert tried.stdout.startswith(f"{ID} is candidate (1 session, 1 question, 0 % answered): extractor {ID} {said}")
    assert f"memory is made by {rules}, not by {ID}: extractor {ID} {said}" in run("doctor").stdout
    assert run("extractors", "refuse", ID).stdout.startswith(f"{ID} is refused")
    checked = run("doctor").stdout
    assert f"memory is made by {rules}, not by {ID}: it was refused by hand" in checked
    assert f"carryover extractors promote {ID}" in checked
    forced = run("extractors", "promote", ID)
    assert "is promoted" in forced.stdout
    assert f"{ID}: it was promoted by hand" in run("doctor").stdout
    again = run("consolidate", "s1", "--again")
    assert again.returncode == 1
    assert "snapshot 2 answers 0 %, 1 answered 100 %: not promoted" in again.stderr
    assert "snapshot 2 of s1, turns 1 to 1, by anthropic:claude-haiku-5-5" in run("consolidate", "s1", "--force").stdout


def test_one_that_answers_as_much_is_taken(fake: FakeMessages, monkeypatch: pytest.MonkeyPatch) -> None:
    run("log", "s1", SAID.replace("harbour", "market"))
    run("consolidate", "s1")
    monkeypatch.setenv("CARRYOVER_LLM", MODEL)
    assert run("extractors", "try", ID).stdout.startswith(f"{ID} is promoted (1 session, 1 question, 100 % answered)")
    assert "it was refused" not in run("extractors").stdout
    refused = run("extractors", "refuse", ID)
    assert refused.returncode == 1
    assert "promoted already" in refused.stderr
    monkeypatch.setenv("CARRYOVER_LLM", "rules")
    run("log", "s2", SAID)
    assert "by rules" in run("consolidate", "s2").stdout
    assert f"it took over from {ID}" in run("extractors").stdout
