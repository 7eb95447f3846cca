"""Reports: means, tables, JSON and back, the page, and two runs side by side."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from carryover.core.errors import Invalid
from carryover.evals import compare, draw
from carryover.evals.page import page
from carryover.evals.report import Kept, Report, Result, about, read

EVIL = '<script>alert("1")</script> | & more'


def result(cluster: str, question: str, r10: float, **more: float) -> Result:
    ranks = {f"R@{k}": r10 for k in (1, 3, 5, 10, 20, 50)}
    budgets = {f"B{budget}": r10 / 2 for budget in (250, 500, 1000, 2000, 4000)}
    values = {**ranks, **budgets, "nDCG@10": r10, "QC": r10, **more}
    return Result("set", "text", cluster, "c1", question, values, answer="42", found=("found " + EVIL,))


def report(*r10: float) -> Report:
    """One question about each of so many conversations."""
    results = tuple(result(f"talk-{n}", f"Question {n}? {EVIL}", value) for n, value in enumerate(r10))
    kept = Kept("set", "talk-0", {"names": (1, 4)}, {"names": (1, 2)}, 7, 9, (f"atom: {EVIL}",))
    return Report(results, (kept,), {"search": [1.0, 2.0, 100.0]}, {"seed": "0"}, ("a note",))


def test_means_are_over_all_questions_or_those_of_a_category() -> None:
    made = report(0.0, 1.0, 0.5)
    assert made.of("set", "text")["R@10"] == 0.5
    assert made.of("set", "text")["n"] == 3
    assert made.of("set", "text", "c9")["n"] == 0
    assert made.sets == [("set", "text")]


def test_a_measure_counts_the_questions_for_which_it_was_taken() -> None:
    made = Report((result("a", "x", 1.0, stale=1.0), result("b", "y", 1.0)))
    assert made.of("set", "text")["stale"] == 1.0
    assert made.headline("set", "text", ["stale"])["stale"].n == 1
    assert "answer" not in made.headline("set", "text", ["answer"])


def test_the_table_shows_percent_with_intervals_what_was_kept_and_times() -> None:
    text = report(0.0, 1.0, 0.5).markdown()
    assert "| text | all | 3 | 50.0 | 50.0 |" in text
    assert re.search(r"\| R@10 \| 50\.0 \[0\.0, 100\.0\] \|", text)
    assert "| names | 25.0 of 4 | 50.0 of 2 |" in text
    assert "1 unsupported details in 7 statements and 9 contexts." in text
    assert "| search | 3 | 2.0 | 100.0 |" in text
    assert "> a note" in text


def test_the_worst_questions_are_those_that_were_not_found() -> None:
    assert [r.values["R@10"] for r in report(1.0, 0.5, 0.0).worst("set", "text", 5)] == [0.0, 0.5]


def test_json_is_read_back(tmp_path: Path) -> None:
    made = about(report(0.0, 1.0), folder="eval")
    (tmp_path / "old.json").write_text(made.json(), "utf-8")
    again = read(tmp_path / "old.json")
    assert again.results == made.results
    assert again.about == made.about
    assert made.about["folder"] == "eval"
    assert "resamples" in made.about["bootstrap"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"form": 99}', '{"form": 1, "results": [{"dataset": 1}]}', "\0"]
)
def test_a_file_that_is_no_report_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(text, "utf-8")
    with pytest.raises(Invalid, match="is no report of this version"):
        read(path)


# Two runs


def test_the_same_questions_are_compared_and_only_they() -> None:
    old, new = report(0.0, 0.0, 0.0, 0.5, 0.5, 0.5), report(0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 0.0)
    found = {one.measure: one for one in compare.differences(new, old)}
    by = found["R@10"].by
    assert (found["R@10"].before, by.mean, by.low, by.high, by.n) == (0.25, 0.5, 0.5, 0.5, 6)
    assert found["R@10"].verdict == "better"
    assert {one.verdict for one in compare.differences(old, new)} == {"worse"}


def test_where_0_is_inside_there_is_no_difference() -> None:
    old, new = report(0.5, 0.5, 0.5, 0.5, 0.5, 0.5), report(0.0, 1.0, 0.5, 1.0, 0.0, 0.5)
    assert {one.verdict for one in compare.differences(new, old)} == {"no difference"}
    assert {one.verdict for one in compare.differences(old, old)} == {"no difference"}


def test_one_conversation_tells_nothing_and_few_say_so() -> None:
    assert "no telling" in compare.differences(report(1.0), report(0.0))[0].verdict
    assert compare.differences(report(1.0, 1.0), report(0.0, 0.0))[0].verdict == "better, of few conversations"


def test_of_some_measures_less_is_more() -> None:
    old = Report(tuple(result(f"t{n}", "x", 1.0, stale=1.0) for n in range(6)))
    new = Report(tuple(result(f"t{n}", "x", 1.0, stale=0.0) for n in range(6)))
    assert [one.verdict for one in compare.differences(new, old) if one.measure == "stale"] == ["better"]


def test_runs_without_a_common_question_are_not_compared() -> None:
    other = Report(tuple(replace(r, dataset="other") for r in report(1.0).results))
    with pytest.raises(Invalid, match="no question in common"):
        compare.differences(report(1.0), other)


def test_the_comparison_is_a_table() -> None:
    text = compare.markdown(compare.differences(report(1.0, 1.0), report(0.0, 0.0)))
    assert "| R@10 | 2 | 0.0 | +100.0 | +100.0 to +100.0 | better, of few conversations |" in text


# The page


class Seen(HTMLParser):
    """What a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "rect", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "circle"):
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_is_whole() -> None:
    made = report(0.0, 1.0, 0.5)
    html = page(made, compare.differences(made, report(0.0, 0.0, 0.0)))
    seen = Seen(html)
    assert seen.open == []
    assert seen.links == []
    assert "script" not in seen.tags
    assert "url(" not in html
    assert "@import" not in html
    assert seen.tags.count("svg") == 5  # two bars, two curves, one histogram
    for wanted in ("against the other run", "Found least", "found instead", "a note", "prefers-color-scheme", "R@10"):
        assert wanted in html


def test_a_page_about_nothing_says_so() -> None:
    html = page(Report((), notes=("There is too little.",)))
    assert "There is too little." in html
    assert Seen(html).open == []


def test_what_users_said_is_text_on_the_page() -> None:
    html = page(report(0.0))
    assert EVIL not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    "figure",
    [
        draw.bars(EVIL, {EVIL: {"a": 0.0, EVIL: 1.0}, "empty": {}}),
        draw.curves(EVIL, EVIL, {EVIL: [(1, 0.0), (5, 1.0)], "b": [(5, 0.5)]}),
        draw.histogram(EVIL, EVIL, [0.0, 0.5, 9.9]),
        draw.histogram(EVIL, "ms", []),
        draw.curves("nothing", "k", {}),
    ],
)
def test_every_plot_has_a_title_that_its_picture_is_named_by(figure: str) -> None:
    tree = ElementTree.fromstring(figure)
    picture, caption = tree.find("svg"), tree.find("figcaption")
    assert picture is not None
    assert caption is not None
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby") == caption.get("id")


def test_json_of_a_report_is_json() -> None:
    assert json.loads(report(1.0).json())["results"][0]["cluster"] == "talk-0"
