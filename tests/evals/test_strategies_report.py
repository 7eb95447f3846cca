"""What a report on strategies says: figures with intervals, ratios, warnings, and a page."""

from __future__ import annotations

import json

import pytest

from carryover.core.errors import Invalid
from carryover.core.strategy import Strategy
from carryover.evals.strategies import STRATEGIES, Last, Replayed, Terms, run
from carryover.evals.strategies_page import page
from carryover.evals.strategies_report import ALL, MEANING, MEASURES, Report, given, given_of, made
from carryover.evals.strategies_talks import made_up
from carryover.providers.prices import find

BY_NAME = {measure.name: measure for measure in MEASURES}


def replayed(dataset: str, talk: str, strategy: str, tokens: int, shared: int) -> Replayed:
    return Replayed(
        dataset, talk, strategy, requests=10, tokens=tokens, shared=shared, warm=8, stability=6.0, breaks=2, peak=tokens
    )


@pytest.fixture
def report() -> Report:
    costs = {"none": (2_000, 1_000), "sliding 20": (4_000, 0), "trim": (1_000, 500)}
    results = [
        replayed(dataset, talk, name, *costs[name])
        for dataset, talk in (("chats", "a"), ("chats", "b"), ("tools", "c"))
        for name in costs
    ]
    return Report(tuple(results), {name: STRATEGIES[name] for name in costs}, {"prices": "some"})


def test_figures_are_of_all_requests_together(report: Report) -> None:
    assert report.datasets == ["chats", "tools", ALL]
    cost = report.figure("chats", "trim", BY_NAME["cost"])
    assert cost is not None
    assert (cost.mean, cost.low, cost.high, cost.clusters) == (67.5, 67.5, 67.5, 2)
    stability, breaks = (report.figure(ALL, "trim", BY_NAME[name]) for name in ("stability", "breaks"))
    assert stability is not None
    assert breaks is not None
    assert (stability.mean, breaks.mean) == (0.75, 25.0)
    assert report.figure("chats", "trim", BY_NAME["evidence %"]) is None


def test_costs_are_compared_on_the_same_conversations(report: Report) -> None:
    against = report.against("chats", "trim", "sliding 20")
    assert against is not None
    assert against.mean == pytest.approx(675 / 5_000)
    assert report.against("chats", "trim", "last 40") is None


def test_the_table_leaves_out_what_was_not_measured_and_intervals_of_no_width(report: Report) -> None:
    text = report.markdown()
    assert "| strategy | cost | stability | breaks | input | hit % | $ per 1,000 | of none | of sliding 20 |" in text
    assert "| trim | 68 | 0.750 | 25.0 | 100 | 50.0 | 0.00 | 0.50 | 0.14 | 1,000 | 0 |  |" in text
    assert "2 conversations, 20 requests" in text
    assert "1 conversation, 10 requests" in text
    assert "- sliding 20: max_user_turns and keep_last_turns are both 20" in text


def test_the_json_holds_strategies_figures_and_results(report: Report) -> None:
    told = json.loads(report.json())
    assert told["strategies"]["sliding 20"] == {"mode": "trim", "max_user_turns": 20, "keep_last_turns": 20}
    assert told["figures"]["tools"]["trim"]["of none"]["mean"] == pytest.approx(0.5)
    assert len(told["results"]) == 9


def test_a_real_report_has_a_page_with_plots_for_each_set() -> None:
    strategies = {**STRATEGIES, "mine": Strategy(mode="trim", max_user_turns=12, keep_last_turns=10)}
    terms = Terms(find("anthropic:claude-sonnet-5"))
    results = [one for part in run(made_up(turns=60, talks=2), strategies, terms) for one in part]
    report = made(results, strategies, {"prices": "anthropic:claude-sonnet-5"})
    html = page(report)
    assert html.count("<figure>") == 3
    assert all(f"<td>{name}</td>" in html for name in strategies)
    assert "Tokens of each request of 0/0" in html
    assert "about 33 of 100 turns break" in html
    assert "<script" not in html
    assert all(name in html for name in MEANING)
    assert "resamples" in html


def test_where_nothing_was_replayed_the_report_says_so() -> None:
    report = made([], STRATEGIES, {})
    assert "nothing to compare" in report.markdown()
    assert "nothing to compare" in page(report)


def test_a_strategy_of_your_own_is_checked_and_named() -> None:
    name, strategy = given('{"mode": "trim", "max_user_turns": 60}', ())
    assert name == "trim max_user_turns=60"
    assert (strategy.max_user_turns, strategy.keep_last_turns) == (60, 20)
    assert given('{"mode": "trim"}', ["none", "trim"])[0] == "trim (2)"
    for wrong in ("trim", '{"modus": "trim"}', '{"mode": "trim", "max_user_turns": 0}', '["trim"]', "7"):
        with pytest.raises(Invalid):
            given(wrong, ())


def test_only_what_is_not_the_default_is_told_of_a_strategy() -> None:
    assert given_of(Strategy(mode="trim", cache_ttl_s=60)) == {"mode": "trim", "cache_ttl_s": 60}
    assert given_of(Last(40)) == {"entries": 40}
