"""A digest fits on a page, says the most telling first, and is the same bytes every time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from carryover.core.digest import Digest, FileUse, Signal, ToolUse
from carryover.core.digest import Tests as RunsOfTests
from carryover.core.page import TOKENS, page
from carryover.core.session import Source
from carryover.core.step import Spend
from carryover.core.text import count_tokens

FULL = Digest(
    "codex",
    "s1",
    "codex",
    1,
    "hash",
    repo="github.com/acme/shop",
    branch="main",
    models=("gpt-5",),
    started_at=1_770_000_000_000,
    active_s=600,
    title="Fix the parser of dates",
    goal="Fix the parser of dates that have no year",
    result="Dates without a year are read.",
    outcome="verified",
    confidence=0.85,
    because=(Source("s1", 3, 3, "4 passed"),),
    prompts=3,
    corrections=1,
    interrupts=0,
    rejections=2,
    tools={"shell": ToolUse(9, 1, 0), "edit": ToolUse(2, 0, 0)},
    files=(FileUse("src/dates.py", 1, 2), FileUse("README.md", 1)),
    tests=RunsOfTests(2, 1, "red green"),
    tokens=Spend("", input=100, cache_read=900, output=50, cost=12_000_000),
    signals=(
        Signal("error", "shell pytest: tests failed", "said", 1, 2),
        Signal("test_fixed", "pytest", "red to green", 1, 1, good=True),
    ),
    unknown=("cost",),
)


def test_a_page_tells_what_came_of_a_session() -> None:
    assert page(FULL).splitlines() == [
        "# Fix the parser of dates that have no year",
        "codex · github.com/acme/shop (main) · 2026-02-02 02:40 · 10 min · gpt-5",
        "Outcome: verified (85% sure): 4 passed",
        "Result: Dates without a year are read.",
        "Tests: 2 runs, red green",
        "Edited: src/dates.py",
        "Went well: test_fixed (pytest)",
        "- error: shell pytest: tests failed (1 of 2)",
        "Tools: shell 9 (1 failed), edit 2",
        "Steering: 3 prompts, 1 corrections, 2 refusals",
        "Spent: 1000 tokens in, 50 out, $0.01",
        "Unknown: cost",
    ]


def test_a_title_of_its_own_stands_above_the_goal() -> None:
    assert page(replace(FULL, title="Dates")).splitlines()[:3:2] == ["# Dates", "Goal: " + FULL.goal]


def test_an_empty_session_has_a_page() -> None:
    assert page(Digest("grok", "s9", "grok", 1, "")).splitlines() == [
        "# Session s9",
        "grok",
        "Outcome: unknown (0% sure)",
    ]


@given(
    st.text(max_size=400),
    st.text(max_size=400),
    st.lists(st.tuples(st.text(max_size=200), st.booleans()), max_size=30),
    st.lists(st.text(max_size=200), max_size=50),
)
def test_no_page_is_larger_than_its_budget(
    goal: str, result: str, signals: list[tuple[str, bool]], paths: list[str]
) -> None:
    made = replace(
        FULL,
        title=goal[:100],
        goal=goal,
        result=result,
        signals=tuple(Signal("error", key, key, 1, 1, good=good) for key, good in signals),
        files=tuple(FileUse(path, 1, 1) for path in paths),
    )
    told = page(made)
    assert count_tokens(told) < TOKENS
    assert told == page(made)
