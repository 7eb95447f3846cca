"""What speaks against a strategy."""

from __future__ import annotations

from typing import Any

import pytest

from carryover.core.strategy import MODES, Strategy
from carryover.strategies.advice import breaks, warnings
from carryover.strategies.course import course_of
from sketched import log

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "slides": (
        {"mode": "trim", "max_user_turns": 20, "keep_last_turns": 20},
        "slides with every turn, and the provider reads all of it anew; raise max_user_turns to 40",
    ),
    "keeps all": (
        {"mode": "trim", "max_user_turns": 20, "keep_last_turns": 0},
        "slides with every turn",
    ),
    "more than all": (
        {"mode": "summarize", "max_user_turns": 20, "keep_last_turns": 30},
        "nothing is ever cut; lower it, or raise max_user_turns to 40",
    ),
    "close": (
        {"mode": "summarize", "max_user_turns": 21, "keep_last_turns": 20},
        "about 50 of 100 turns break the provider's cache; raise max_user_turns to 30",
    ),
    "long summary": (
        {"mode": "summarize", "token_budget": 1_000, "summary_max_tokens": 500},
        "summary_max_tokens 500 is not less than the 500 tokens that a cut leaves",
    ),
    "few characters": (
        {"mode": "summarize", "summary_max_chars": 300},
        "raise it to 2400",
    ),
    "each turn": (
        {"mode": "compact", "compact_trigger_turns": 3, "compact_keep": 3},
        "each turn clears one, and breaks the provider's cache; raise compact_trigger_turns to 13",
    ),
    "small batches": (
        {"mode": "compact", "compact_trigger_turns": 5, "compact_keep": 3},
        "up to 33 of 100 turns break the provider's cache; raise compact_trigger_turns to 13",
    ),
    "frees nothing": (
        {"mode": "compact", "clear_at_least_tokens": 0},
        "for next to nothing; raise it to 2000",
    ),
    "both lists": (
        {"mode": "compact", "compact_include_tools": ("look",), "compact_exclude_tools": ("write",)},
        "only the first one counts; remove one of them",
    ),
    "larger than the window": (
        {"token_budget": 9_000, "context_window_tokens": 8_000},
        "token_budget 9000 is more than context_window_tokens 8000; lower it",
    ),
    "soft above hard": (
        {"mode": "trim", "token_budget": 8_000, "token_soft_budget": 9_000},
        "token_soft_budget 9000 is not less than the budget of 8000, so that it never counts; lower it",
    ),
    "nothing left": (
        {"mode": "trim", "token_budget": 8_000, "reserve_tokens": 8_000},
        "leaves nothing of the budget to the turns; lower it",
    ),
    "frees little": (
        {"mode": "trim", "token_keep_pct": 0.95},
        "makes a cut free so little",
    ),
    "told anew": (
        {"memory_injection": True, "cache_ttl_s": 5},
        "cache_ttl_s 5 is shorter than any provider keeps its cache: what other sessions settled is told anew",
    ),
    "cold at once": (
        {"mode": "compact", "cache_ttl_s": 5},
        "cuts are taken to be free while it is still warm; raise it to 300",
    ),
    "tells too much": (
        {"memory_injection": True, "mode": "trim", "token_budget": 800, "injection_max_tokens": 400},
        "injection_max_tokens 400 is not less than the 400 tokens",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_what_to_change(name: str) -> None:
    fields, wanted = BAD[name]
    told = warnings(Strategy(**fields))
    assert any(wanted in text for text in told), told
    assert all(text.count("; ") >= 1 and not text.endswith(".") for text in told)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("injected", [False, True])
def test_the_defaults_are_beyond_reproach(mode: Any, injected: bool) -> None:
    assert warnings(Strategy(mode=mode, memory_injection=injected)) == ()


def test_lists_of_clearing_do_not_matter_where_nothing_is_cleared() -> None:
    assert warnings(Strategy(mode="trim", clear_at_least_tokens=0, compact_keep=20)) == ()


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy(mode="trim", max_user_turns=20, keep_last_turns=20),
        Strategy(mode="trim", max_user_turns=30, keep_last_turns=20),
        Strategy(mode="compact", compact_trigger_turns=12, compact_keep=3, compact_trigger_calls=None),
    ],
)
def test_breaks_are_predicted_as_they_come(strategy: Strategy) -> None:
    course = course_of(log("".join(f"u c{n} o{n} a " for n in range(1_000))), strategy)
    assert breaks(strategy) == pytest.approx(len(course.moves) / 10, rel=0.05)


def test_no_breaks_are_predicted_where_turns_set_off_nothing() -> None:
    assert breaks(Strategy()) is None
