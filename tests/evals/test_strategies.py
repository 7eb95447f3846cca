"""Conversations replayed under strategies: what is counted, and what the defaults have to reach."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given

from carryover.core.session import Kind, Role, Turn, to_json
from carryover.core.strategy import Strategy
from carryover.evals.strategies import STRATEGIES, Last, Replayed, Showing, Terms, dollars, entries, replay
from carryover.evals.strategies_talks import Talk, asked_at, coding, made_up, published
from carryover.providers.prices import Price, find
from carryover.strategies.course import course_of
from carryover.strategies.plan import planned
from carryover.strategies.render import sketch_of
from strategies.logs import Case, cases

PRICE = Price(200_000, Decimal(2), Decimal(10), Decimal("0.1"), Decimal("1.25"))
TERMS = Terms(PRICE, head=100)
DEFAULTS = ("trim", "summarize", "compact")
# Of section "what each strategy costs": the same marks, and no other that counts.
STUDIED = {
    "none": Strategy(),
    "sliding": STRATEGIES["sliding 20"],
    "trim 20..30": Strategy(mode="trim", max_user_turns=30, keep_last_turns=20),
    "trim 20..40": Strategy(mode="trim", max_user_turns=40, keep_last_turns=20),
    "summarize 20..21": Strategy(mode="summarize", max_user_turns=21, keep_last_turns=20),
    "summarize 10..40": Strategy(mode="summarize", max_user_turns=40, keep_last_turns=10),
    "compact each turn": Strategy(
        mode="compact", compact_trigger_turns=5, compact_keep=5, clear_at_least_tokens=0, compact_trigger_calls=None
    ),
    "compact in batches": Strategy(mode="compact", compact_trigger_turns=15, compact_keep=5),
}


def talk(*said: tuple[Role, int], gap_s: int = 1, kinds: dict[int, Kind] | None = None) -> Talk:
    """A conversation of turns with so many tokens each, one a second."""
    turns = tuple(
        Turn(
            n,
            f"t{n}",
            role,
            to_json(f"This is what turn {n} says of the ledger."),
            (kinds or {}).get(n, "message"),
            n * gap_s * 1000,
            tokens,
            0,
        )
        for n, (role, tokens) in enumerate(said, 1)
    )
    return Talk("some", "one", turns, asked_at(turns))


ROUNDS = (("user", 10), ("assistant", 20), ("user", 30), ("assistant", 40), ("user", 50), ("assistant", 60))


def test_the_model_is_asked_before_all_that_it_says_until_it_waits() -> None:
    assert talk(*ROUNDS).asks == (1, 3, 5)
    kinds: dict[int, Kind] = {3: "tool_call", 4: "tool_call", 5: "tool_result", 6: "tool_result"}
    rounds = talk(*(("user", 1), *(("assistant", 1),) * 3, *(("tool", 1),) * 2, ("assistant", 1)), kinds=kinds)
    assert rounds.asks == (1, 6)
    assert talk(("assistant", 5), ("user", 5)).asks == ()


def test_what_a_view_begins_with_is_read_and_the_rest_is_written() -> None:
    """By hand: inputs of 110, 160 and 250 tokens, of which the second shares 110 and the third 160."""
    found = replay(talk(*ROUNDS), "none", Strategy(), TERMS)
    assert (found.requests, found.tokens, found.shared, found.peak) == (3, 520, 270, 250)
    assert found.cost == pytest.approx(0.1 * 270 + 1.25 * 250)
    assert found.dollars == Decimal(2) * (Decimal("0.1") * 270 + Decimal("1.25") * 250) / 1_000_000
    assert (found.warm, found.stability, found.breaks) == (2, 2.0, 0)
    assert found.curve == [(1, 110), (2, 160), (3, 250)]


def test_a_window_that_slides_shares_nothing_but_what_is_before_the_view() -> None:
    """Two turns of the log are shown: 10, then 20 + 30, then 40 + 50."""
    found = replay(talk(*ROUNDS), "last", Last(2), TERMS)
    assert (found.tokens, found.shared, found.peak) == (300 + 10 + 50 + 90, 200, 190)
    assert (found.warm, found.stability, found.breaks, found.moves) == (2, 0.0, 2, 2)


def test_a_cut_shares_what_stands_before_it() -> None:
    """The second turn of the user sets off a cut to it: nothing of the view is left, and the third one adds to it."""
    strategy = Strategy(mode="trim", max_user_turns=2, keep_last_turns=1)
    found = replay(talk(*ROUNDS), "trim", strategy, TERMS)
    assert (found.tokens, found.shared) == (110 + 160 + 150, 100 + 110)
    assert (found.breaks, found.stability, found.moves) == (1, 1.0, 1)


def test_after_a_silence_all_is_written_and_a_cut_is_no_break() -> None:
    apart = talk(*ROUNDS, gap_s=301)
    found = replay(apart, "none", Strategy(), TERMS)
    assert (found.shared, found.warm, found.cost) == (0, 0, 1.25 * 520)
    strategy = Strategy(mode="trim", max_user_turns=2, keep_last_turns=1)
    assert replay(apart, "trim", strategy, TERMS).breaks == 0
    assert replay(apart, "none", Strategy(), Terms(PRICE, head=100, ttl_s=0)).shared == 270


def test_a_beginning_that_is_too_short_is_never_cached() -> None:
    least = Price(200_000, Decimal(2), Decimal(10), Decimal("0.1"), Decimal("1.25"), cache_least=150)
    assert dollars(least, 0, 110) == Decimal(2) * 110 / 1_000_000
    assert dollars(least, 110, 160) == Decimal(2) * Decimal("1.25") * 160 / 1_000_000
    assert dollars(least, 160, 250) == Decimal(2) * (16 + Decimal("1.25") * 90) / 1_000_000
    assert find("anthropic:claude-haiku-4-5").cache_least == 4_096


def test_a_summary_is_there_a_request_after_it_is_wanted() -> None:
    """The cut wants one: until it is there the turns stand for themselves, and what it stands for is told after it."""
    long = talk(*((role, 400) for _ in range(6) for role in ("user", "assistant")))
    strategy = Strategy(mode="summarize", max_user_turns=3, keep_last_turns=1, summary_max_tokens=50)
    showing = Showing(long, strategy)
    views = [(showing.advance(ask), list(showing.marks))[1] for ask in long.asks]
    assert views[3] == [1, 2, 3, 4, 5, 6, 7]
    assert views[4] == ["s6", 7, 8, 9]
    assert showing.summary.startswith("What the user wants:")
    found = replay(long, "summarize", strategy, TERMS)
    assert (found.summaries, found.breaks) == (1, 1)
    assert found.summary_tokens == 6 * 400


@given(cases())
def test_a_view_that_grew_is_the_one_that_is_made_anew(case: Case) -> None:
    showing = Showing(Talk("some", "one", tuple(case.turns), ()), case.strategy)
    for upto in range(1, len(case.turns) + 1):
        before = list(zip(showing.marks, showing.ends[1:], strict=True))
        shared = showing.advance(upto)
        course = course_of([sketch_of(turn) for turn in case.turns[:upto]], case.strategy)
        wanted = list(entries(course, planned(course, showing.summaries)))
        assert showing.marks == [mark for mark, _ in wanted]
        assert showing.tokens == sum(tokens for _, tokens in wanted)
        now = list(zip(showing.marks, showing.ends[1:], strict=True))
        same = [end for (a, end), (b, _) in zip(before, now, strict=False) if a == b]
        together = next((n for n, (a, b) in enumerate(zip(before, now, strict=False)) if a[0] != b[0]), len(same))
        assert shared == (before[min(together, len(before)) - 1][1] if together and before else 0)
        assert showing.shown == {mark for mark in showing.marks if isinstance(mark, int) and mark > 0}


def test_evidence_counts_where_it_is_shown_at_the_end() -> None:
    asked = talk(*ROUNDS)
    told = Talk("some", "one", asked.turns, asked.asks, evidence=(frozenset({1, 5}), frozenset({2})))
    assert replay(told, "none", Strategy(), TERMS).evidence == (3, 3)
    strategy = Strategy(mode="trim", max_user_turns=2, keep_last_turns=1)
    assert replay(told, "trim", strategy, TERMS).evidence == (1, 3)
    assert replay(told, "last", Last(2), TERMS).evidence == (1, 3)


def test_what_the_model_takes_up_counts_where_some_turn_with_it_is_shown() -> None:
    asked = talk(*ROUNDS)
    told = Talk("some", "one", asked.turns, asked.asks, taken_up={1: ((1,), (2, 3)), 2: ((1,), (4,))})
    assert replay(told, "none", Strategy(), TERMS).taken_up == (4, 4)
    assert replay(told, "last", Last(2), TERMS).taken_up == (2, 4)


def pooled(talks: list[Talk], strategies: dict[str, Strategy | Last]) -> dict[str, list[Replayed]]:
    terms = Terms(PRICE)
    return {name: [replay(one, name, strategy, terms) for one in talks] for name, strategy in strategies.items()}


def cost(found: list[Replayed]) -> float:
    return sum(one.cost for one in found) / sum(one.requests for one in found)


def test_the_same_seed_makes_the_same_conversation() -> None:
    assert list(made_up(1, 20)) == list(made_up(1, 20))
    assert list(made_up(1, 20)) != list(made_up(2, 20))
    assert [one.name for one in made_up(3, 2, talks=2)] == ["3/0", "3/1"]


def test_made_up_conversations_cost_what_was_found_for_such() -> None:
    """Cutting every turn costs more than not cutting at all; two marks far apart cost least."""
    costs = {name: cost(found) for name, found in pooled(list(made_up(talks=2)), STUDIED).items()}
    assert sorted(costs, key=lambda name: costs[name]) == [
        "summarize 10..40",
        "trim 20..40",
        "trim 20..30",
        "compact in batches",
        "compact each turn",
        "summarize 20..21",
        "none",
        "sliding",
    ]
    published_costs = {"none": 34_765, "sliding": 51_493, "trim 20..40": 10_887, "summarize 10..40": 8_420}
    for name, found in published_costs.items():
        assert costs[name] == pytest.approx(found, rel=0.12)


def reaches(found: dict[str, list[Replayed]], mode: str, of_sliding: float | None) -> None:
    warm = sum(one.warm for one in found[mode])
    assert sum(one.stability for one in found[mode]) / warm >= 0.95
    assert 100 * sum(one.breaks for one in found[mode]) / warm <= 10
    assert cost(found[mode]) <= cost(found["none"])
    if of_sliding is not None:
        assert cost(found[mode]) <= of_sliding * cost(found["sliding 20"])


def test_the_defaults_keep_the_cache_warm() -> None:
    found = pooled(list(made_up(seed=11, talks=2)), STRATEGIES)
    for mode in DEFAULTS:
        reaches(found, mode, of_sliding=0.25)


def test_the_defaults_keep_the_cache_warm_in_real_conversations(shared: Path) -> None:
    """Of chats without tools `compact` changes nothing, and coding sessions have few turns of their user."""
    chats = pooled(list(islice(published(shared / "eval", "beam"), 3)), STRATEGIES)
    sessions = pooled(list(coding(shared / "corpus" / "claude")), STRATEGIES)
    for mode in DEFAULTS:
        reaches(chats, mode, of_sliding=None if mode == "compact" else 0.27)
        reaches(sessions, mode, of_sliding=None)
