"""The report on personas: goals, Markdown, one JSON object and a page; and the whole run, small."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from carryover.core.errors import Invalid
from carryover.evals import persona
from carryover.evals.bootstrap import Interval
from carryover.evals.persona_drift import Plan as DriftPlan
from carryover.evals.persona_information import Plan as InformationPlan
from carryover.evals.persona_page import page
from carryover.evals.persona_report import HEADLINE, Goal, Report, Section, table, told
from carryover.settings import Settings

TINY = persona.Plan(
    InformationPlan(large=30, medium=20, small=10, seeds=1, correlations=(0.6, 0.9), fresh=5),
    DriftPlan(people=40, changing=3, newcomers=20, mature=2),
    noticing=10,
    planted=20,
    stable=3,
    repeats=6,
    opened=5,
    natural=3,
    all_prices=False,
)


def small(**headline: float | None) -> Report:
    section = Section("One | thing", "About `it`.", (table("Rows", ("a", "b"), [("x|y", "1")]),), (), {"a": 1})
    goals = (Goal("reached", 0.95, 0.9), Goal("passed", 2, 0, at_most=True, shown=".0f"))
    return Report(headline, goals, (section,), {"day": "today"}, ("Missed: passed.",))


def test_goals_are_met_from_one_side() -> None:
    assert Goal("x", 0.9, 0.9).met
    assert not Goal("x", 0.89, 0.9).met
    assert Goal("x", 0, 0, at_most=True).met
    assert Goal("leaks", 2, 0, at_most=True, shown=".0f").told == ("leaks", "2", "0", "missed")
    assert Goal("hit", 0.91234, 0.9).told == ("hit", "0.912", "at least 0.900", "met")


def test_shares_have_their_interval() -> None:
    assert told(Interval(0.5, 0.4, 0.6, 10, 3)) == "0.500 [0.400, 0.600]"
    assert told(Interval(0.5, None, None, 1, 1)) == "0.500"
    assert told(Interval(0.0, None, None, 0, 0)) == ""


def test_markdown_json_and_page_say_the_same() -> None:
    report = small(label_hit=0.95, leaks=2, cost_ratio_cached=None)
    text = report.markdown()
    assert "| passed | 2 | 0 | missed |" in text
    assert "| x\\|y | 1 |" in text
    data = json.loads(report.json())
    assert data["headline"] == {"label_hit": 0.95, "leaks": 2, "cost_ratio_cached": None}
    assert [goal["met"] for goal in data["goals"]] == [True, False]
    assert data["sections"] == {"One | thing": {"a": 1}}
    shown = page(report)
    assert "<code>it</code>" in shown
    assert "label hit" in shown
    assert "<dd>2</dd>" in shown


def test_only_numbers_and_texts_go_into_json() -> None:
    report = replace(small(), sections=(Section("x", "y", figures={"bad": object()}),))
    with pytest.raises(TypeError, match="object is not for JSON"):
        report.json()


def test_without_an_embedder_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="embedder"):
        persona.run(None, Settings(home=tmp_path, embedder="none"), TINY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, int]:
    calls: list[None] = []
    home = tmp_path_factory.mktemp("home")
    report = persona.run(None, Settings(home=home, redis_url=None), TINY.seeded(5), lambda: calls.append(None))
    assert not list(home.rglob("*.db"))
    return report, len(calls)


def test_the_whole_run_fills_the_headline(whole: tuple[Report, int]) -> None:
    report, calls = whole
    assert calls == TINY.steps
    assert tuple(report.headline) == HEADLINE
    assert all(isinstance(value, int | float) for value in report.headline.values())
    data = json.loads(report.json())
    assert data["headline"].keys() == set(HEADLINE)
    assert list(data["sections"]) == [
        "Information", "Noticing", "Drift", "Privacy", "Cost", "Opening a session", "Byte stability"
    ]  # fmt: skip
    assert data["sections"]["Byte stability"]["repeated"] == [1, 2]
    assert "No natural text was measured" in report.markdown()


def test_every_goal_stands_in_the_text(whole: tuple[Report, int]) -> None:
    report, _ = whole
    text = report.markdown()
    for goal in report.goals:
        assert f"| {goal.name} |" in text
    assert any("as noticed by rules" in goal.name for goal in report.goals)


class Closed(HTMLParser):
    """Raises where an element is closed that was not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_with_plots(whole: tuple[Report, int]) -> None:
    shown = page(whole[0])
    parser = Closed()
    parser.feed(shown)
    assert parser.open == []
    assert shown.count("<svg") >= 4
    assert not re.search(r"https?://|<script|<link", shown)
