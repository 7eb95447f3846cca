"""`carryover strategy`: what is set and shown, embedded and on a server, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from carryover.core.strategy import FIELDS
from commands import Commands


@pytest.fixture
def talked(either: Commands, tmp_path: Path) -> tuple[Commands, str]:
    """The command, and an agent of the test's own whose session `s1` has 25 questions with answers."""
    agent = f"strategy-{uuid4().hex}"
    file = tmp_path / "turns.jsonl"
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(1, 26) for role in ("user", "assistant")]
    file.write_text("\n".join(json.dumps(turn) for turn in turns))
    either("log", "s1", "--jsonl", str(file), "--agent", agent)
    return either, agent


def test_fields_are_set_shown_and_cleared(talked: tuple[Commands, str]) -> None:
    run, agent = talked
    assert run("strategy", "show", "s1", "--agent", agent).splitlines()[0] == (
        f"s1 of {agent}: none (said by the default); nothing was ever set here"
    )
    run("strategy", "agent", agent, "--set", "mode=trim", "--set", "max_user_turns=30")
    shown = run("strategy", "set", "s1", "--set", "keep_last_turns=12", "--agent", agent)
    assert [line.split() for line in shown.splitlines()] == [
        ["s1", "of", f"{agent}:", "trim", "(said", "by", "the", "agent);", "version", "1", "is", "stored"],
        ["field", "value", "said", "by"],
        ["mode", "trim", "agent"],
        ["max_user_turns", "30", "agent"],
        ["keep_last_turns", "12", "conversation"],
    ]
    assert "see them with --all" in run.err
    assert run("strategy", "show", "s1", "--agent", agent) == shown
    every = run("strategy", "show", "s1", "--agent", agent, "--all")
    assert [line.split()[0] for line in every.splitlines()[2:]] == list(FIELDS)
    run("strategy", "unset", "s1", "keep_last_turns", "--agent", agent)
    cleared = run.json("strategy", "show", "s1", "--agent", agent)
    assert (cleared["stored"], cleared["version"], cleared["strategy"]["source"]) == ({}, 2, "agent")
    run("strategy", "set", "s1", "--strategy", '{"mode":"none","cache_ttl_s":60}', "--agent", agent)
    assert run.json("strategy", "unset", "s1", "--all", "--agent", agent)["stored"] == {}
    assert run.json("strategy", "agent", agent, "--set", "mode=compact")["stored"] == {"mode": "compact"}
    assert run.json("strategy", "agent", agent)["version"] == 2
    assert run.json("strategy", "agent", agent, "--clear")["stored"] == {}


def test_values_are_read_as_their_fields_are(talked: tuple[Commands, str]) -> None:
    run, agent = talked
    said = {
        "compact_exclude_tools=read, rg": ("compact_exclude_tools", ["read", "rg"]),
        'compact_include_tools=["a,b"]': ("compact_include_tools", ["a,b"]),
        "summary_prefix=12": ("summary_prefix", "12"),
        "placeholder={name}=gone": ("placeholder", "{name}=gone"),
        "memory_injection=true": ("memory_injection", True),
        "token_keep_pct=0.25": ("token_keep_pct", 0.25),
    }
    sets = [word for one in said for word in ("--set", one)]
    changed = run.json("strategy", "set", "s1", "--strategy", '{"mode":"trim"}', *sets, "--agent", agent)
    assert changed["stored"] == {"mode": "trim", **dict(said.values())}
    cleared = run.json("strategy", "set", "s1", "--set", "summary_prefix=null", "--agent", agent)
    assert "summary_prefix" not in cleared["stored"]
    shown = run("strategy", "show", "s1", "--agent", agent)
    assert "read, rg" in shown
    assert "true" in shown


def test_a_view_is_told_with_its_operations_and_items(talked: tuple[Commands, str]) -> None:
    run, agent = talked
    sets = ("--set", "mode=trim", "--set", "max_user_turns=6", "--set", "keep_last_turns=3")
    lines = run("strategy", "view", "s1", *sets, "--dry-run", "--agent", agent).splitlines()
    assert lines[0] == f"s1 of {agent}, 50 turns: trim (said by the request)"
    assert lines[1].startswith("  tokens: ")
    assert " -> " in lines[1]
    assert lines[-2].startswith("  turns 1 to ")
    assert lines[-2].endswith(": left out (trimmed)")
    assert lines[-1].endswith("to 50: kept (as_is)")
    assert "warning: max_user_turns 6 and keep_last_turns 3 are close" in run.err
    items = run("strategy", "view", "s1", *sets, "--items", "--agent", agent).splitlines()
    assert items[: len(lines)] == lines
    assert items[-1] == "[50] assistant message: assistant 25"
    wire = run("strategy", "view", "s1", *sets, "--items", "--provider", "anthropic", "--agent", agent)
    assert json.loads(wire.splitlines()[-1])["role"] == "assistant"
    whole = run.json("strategy", "view", "s1", "--strategy", "{}", "--agent", agent)
    assert (len(whole["items"]), whole["operations"]) == (
        50, [{"op": "keep", "range": [1, 50], "reason": "as_is"}],
    )  # fmt: skip


def test_what_is_missing_or_too_much_is_told(talked: tuple[Commands, str]) -> None:
    run, agent = talked
    sets = ("--set", "mode=summarize", "--set", "max_user_turns=6", "--set", "keep_last_turns=2")
    small = ("--set", "token_budget=1", "--set", "memory_injection=true", "--set", "summary_max_tokens=1")
    text = run("strategy", "view", "s1", *sets, *small, "--dry-run", "--agent", agent)
    assert "  budget: 1: it cannot be made smaller" in text.splitlines()
    assert "  what other sessions settled: none" in text.splitlines()
    assert "  a summary of turns 1 to " in text
    assert "(summary_pending)" in text
    one = run("strategy", "view", "s1", "--set", "mode=trim", "--set", "token_budget=1", "--dry-run", "--agent", agent)
    assert "  turns 1 to 48: left out (token_budget)" in one.splitlines()


def test_of_two_that_expect_the_same_version_the_second_is_told(talked: tuple[Commands, str]) -> None:
    run, agent = talked
    run("strategy", "set", "s1", "--set", "mode=trim", "--expect", "0", "--agent", agent)
    run("strategy", "set", "s1", "--set", "mode=none", "--expect", "0", "--agent", agent, code=1)
    assert run.err == ("carryover: the strategy of session 's1' is at version 1, not 0; read it again and retry\n")
    run("strategy", "agent", agent, "--set", "mode=none", "--expect", "3", code=1)
    assert "is at version 0, not 3" in run.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("set", "s1", "--set", "mdoe=trim"), "'mdoe' is no field of a strategy; the nearest known one is 'mode'"),
        (("set", "s1", "--set", "mode=trm"), "the nearest one is 'trim'"),
        (("set", "s1", "--set", "max_user_turns=many"), "max_user_turns is 'many'; use a whole number"),
        (("set", "s1", "--set", "token_keep_pct=NaN"), "token_keep_pct"),
        (("unset", "s1", "mdoe"), "'mdoe' is no field of a strategy"),
        (("set", "s1", "--strategy", "{"), "--strategy is no JSON"),
        (("set", "s1", "--strategy", "[]"), "--strategy is no object"),
        (("view", "s1", "--strategy", '{"mode":3}'), "mode is 3; use one of"),
        (("view", "nowhere"), "session 'nowhere' of agent"),
        (("show", "nowhere"), "session 'nowhere' of agent"),
    ],
)
def test_what_cannot_be_is_one_line(talked: tuple[Commands, str], args: tuple[str, ...], said: str) -> None:
    run, agent = talked
    assert run("strategy", *args, "--agent", agent, code=1) == ""
    assert run.err.startswith("carryover: ")
    assert said in run.err
    assert run.err.count("\n") == 1


def test_wrong_usage_is_2(carryover: Commands) -> None:
    for args in (("unset", "s1", "mode", "--all"), ("agent", "a", "--clear", "--set", "mode=trim")):
        carryover("strategy", *args, code=2)
