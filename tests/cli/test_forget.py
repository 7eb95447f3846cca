"""`forget`, `hold` and `verify-erasure`, embedded and on a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import Commands

WORDS = "velvet walrus quartz canary"


@pytest.fixture
def names(request: pytest.FixtureRequest, either: Commands) -> tuple[str, str]:
    """An agent of the test's own, with a session of three turns."""
    agent = ("--agent", f"forget-{request.node.name.replace('[', '-').rstrip(']')[:100]}")
    for text in ("one", f"two {WORDS}", "three"):
        either("log", "s1", text, *agent)
    return agent


def test_a_run_of_turns_and_its_receipt(either: Commands, names: tuple[str, str], tmp_path: Path) -> None:
    either("forget", "--session", "s1", "--turns", "2..3", *names, code=1)
    assert "2 turns of 1 session" in either.err
    assert "these turns alone" in either.err
    file = tmp_path / "receipt.json"
    told = either("forget", "--session", "s1", "--turns", "2..3", *names, "--yes", "--receipt", str(file))
    assert told.startswith("erased turns 2 to 3 of s1 of agent ")
    assert "three" not in either("window", "s1", *names)
    assert either("verify-erasure", "--receipt", str(file)) == ""
    assert "is genuine: 2 turns" in either.err
    said = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**said, "turns": 3}), "utf-8")
    either("verify-erasure", "--receipt", str(file), code=1)
    assert "not as it was signed" in either.err
    file.write_text("[]", "utf-8")
    either("verify-erasure", "--receipt", str(file), code=1)


def test_a_hold_refuses_and_is_released(either: Commands, names: tuple[str, str]) -> None:
    hold = either.json("hold", "place", *names, "--reason", "case 12")["id"]
    assert "case 12" in either("hold", "list")
    either("forget", *names, "--yes", code=1)
    assert f"legal hold '{hold}' forbids this (case 12)" in either.err
    assert "is released" in either("hold", "release", hold)
    assert hold not in either("hold", "list")
    assert hold in [one["id"] for one in either.json("hold", "list", "--released")["holds"]]
    assert "erased agent" in either("forget", *names, "--yes")


def test_the_search_finds_what_is_there_and_exits_1(either: Commands, tmp_path: Path) -> None:
    folder, words = tmp_path / "there", tmp_path / "words"
    folder.mkdir()
    words.write_text(f"{WORDS}\nother words\n", "utf-8")
    (folder / "a").write_bytes(b"..." + WORDS.encode("utf-16-le"))
    assert "canary 1 in" in either("verify-erasure", "--canary-file", str(words), str(folder), code=1)
    found = either.json("verify-erasure", "--canary", "other words", str(folder))
    assert (found["hits"], found["looked_at"]) == ([], [str(folder / "a")])
    either("verify-erasure", "--canary", "ana", code=1)
    assert "6 or more" in either.err
    either("verify-erasure", code=2)
    either("forget", "--turns", "x", code=2)
