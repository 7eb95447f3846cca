"""Laws of what views cost with a provider that keeps the beginning of what it was sent last."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from carryover.core.strategy import Sketch, Strategy, Summary
from carryover.strategies.course import Course
from carryover.strategies.plan import planned
from strategies.logs import summary_of

READ, WRITE = 0.1, 1.25  # of the price of a token: what the provider still has, and what it has not
HEAD = 3_000  # tokens of tools and instructions before every view
TURNS = 200
Block = tuple[int, str, int]  # a turn or a summary, what became of it, and its tokens

DEFAULTS = {mode: Strategy(mode=mode) for mode in ("trim", "summarize", "compact")}
SLIDING = Strategy(mode="trim", max_user_turns=20, keep_last_turns=20)


@cache
def corpus() -> list[Sketch]:
    """Two hundred turns of a user, each with none to four calls whose outputs have 200 to 2,500 tokens."""
    random, made = Random(7), list[Sketch]()

    def add(role: str, kind: str, tokens: int, **more: str) -> None:
        made.append(Sketch(len(made) + 1, role, kind, tokens, 1_000 * len(made), **more))  # type: ignore[arg-type]

    for _ in range(TURNS):
        add("user", "message", random.randint(20, 120))
        for _ in range(random.randint(0, 4)):
            id = f"c{len(made)}"
            add("assistant", "tool_call", random.randint(20, 80), name="look", call_id=id)
            add("tool", "tool_result", random.randint(200, 2_500), call_id=id)
        add("assistant", "message", random.randint(50, 400))
    return made


@cache
def cost(strategy: Strategy) -> tuple[float, float, int]:
    """Per request: what it costs, and the stability of its beginning; and how often that was not as it had been."""
    course, summaries, before = Course(strategy), list[Summary](), list[Block]()
    total, stable, breaks = 0.0, list[float](), 0
    for sketch in corpus():
        course.take(sketch)
        if sketch.role != "user":
            continue
        made = planned(course, summaries)
        blocks: list[Block] = []
        if made.summary is not None:
            blocks.append((-made.summary.last, "summary", made.summary.tokens))
        for seq, action in made.shown():
            tokens = corpus()[seq - 1].tokens
            blocks.append((seq, action, tokens if action == "keep" else 25))
        same = next((n for n, pair in enumerate(zip(before, blocks, strict=False)) if pair[0] != pair[1]), len(before))
        shared = HEAD + sum(tokens for _, _, tokens in blocks[:same])
        total += READ * shared + WRITE * (HEAD + sum(tokens for _, _, tokens in blocks) - shared)
        if before:
            stable.append(shared / (HEAD + sum(tokens for _, _, tokens in before)))
            breaks += same < len(before)
        if made.wanted is not None:
            summaries.append(summary_of(strategy, made.wanted, sketch.received_at, "what was said " * 170))
        before = blocks
    return total / TURNS, sum(stable) / len(stable), breaks


@pytest.mark.parametrize("mode", DEFAULTS)
def test_law_23_defaults_cost_less_than_to_leave_all_as_it_is(mode: str) -> None:
    assert cost(DEFAULTS[mode])[0] < cost(Strategy())[0]


@pytest.mark.parametrize("mode", DEFAULTS)
def test_law_23_defaults_cost_less_than_a_window_that_slides(mode: str) -> None:
    assert cost(DEFAULTS[mode])[0] < cost(SLIDING)[0] / 3


@pytest.mark.parametrize("mode", DEFAULTS)
def test_law_23_defaults_keep_the_beginning_of_a_view(mode: str) -> None:
    _, stability, breaks = cost(DEFAULTS[mode])
    assert stability >= 0.95
    assert 100 * breaks / TURNS <= 10


def test_law_23_a_window_that_slides_keeps_next_to_nothing() -> None:
    """What the others are measured against is what it is said to be."""
    _, stability, breaks = cost(SLIDING)
    assert stability < 0.3
    assert breaks > 0.8 * TURNS
