"""Scores: what counts as an answer, what counts as a loss, and how it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carryover.core.extractor import Comparison, Tally
from carryover.core.session import Source, Turn, to_json
from carryover.core.snapshot import Finding, Snapshot
from carryover.memory import score
from carryover.memory.questions import Probe
from talk import note

FEE = Probe("The card fee is what percentage?", "2.9%", "number", "ada", "s1", 1)


def turns(*lines: str) -> list[Turn]:
    return [Turn(n, f"t{n}", "user", to_json(line), "message", 0, 10, 0) for n, line in enumerate(lines, 1)]


def snapshot(*findings: Finding, summary: str = "") -> Snapshot:
    return Snapshot("s1", "ada", 1, 2, 1, "test", summary, findings)


def pairs(*changes: int, asked: int = 20) -> list[tuple[Tally, Tally]]:
    """A session for each change: so many answers more than the 10 of before."""
    return [(Tally(asked, 10), Tally(asked, 10 + change)) for change in changes]


def test_an_answer_stands_in_a_live_finding_that_cites_the_turn() -> None:
    known = note("The card fee is 2.9% now.")
    assert score.answers(snapshot(known), FEE)
    assert not score.answers(snapshot(note("The card fee is 1.4%.")), FEE)
    assert not score.answers(snapshot(replace(known, status="superseded")), FEE)
    assert not score.answers(snapshot(replace(known, sources=(Source("s1", 2, 2, "2.9%"),))), FEE)
    assert not score.answers(snapshot(replace(known, sources=(Source("s2", 1, 1, "2.9%"),))), FEE)
    assert score.answers(snapshot(replace(known, sources=(Source("s1", 3, 4, "x"), Source("s1", 1, 2, "2.9%")))), FEE)
    assert score.answers(snapshot(summary="It is about the fee of 2.9%."), FEE)


def test_the_answers_words_may_stand_in_another_order() -> None:
    due = Probe("The audit is when?", "March 12", "date", "ada", "s1", 1)
    assert score.answers(snapshot(note("The audit is on 12 March.")), due)
    assert not score.answers(snapshot(note("The audit is on 13 March.")), due)
    question = Probe("Who?", "you", "cloze", "ada", "s1", 1)  # not one of its words carries content
    assert score.answers(snapshot(note("You decide.")), question)


def test_details_are_counted_as_kept_and_as_made_up() -> None:
    said = turns("The card fee is 2.9% and the rent 1450.", "Ask Ana Petrova.")
    kept = note("The card fee is 2.9%.", session="s1")
    invented = note("The card fee is 2.9% until 2031.", session="s1")
    made = score.tally(snapshot(kept, invented, replace(invented, status="superseded")), said, [FEE])
    assert made == Tally(asked=1, answered=1, said=3, kept=1, unsupported=1)


def test_with_few_questions_nothing_may_be_lost_at_all() -> None:
    assert not score.loses(pairs(0, 0, asked=10))
    assert not score.loses(pairs(-1, 1, asked=10))
    assert score.loses(pairs(-1, asked=10))
    assert score.loses(pairs(-1, 0, 0, 0))  # many questions, but four sessions


def test_with_many_what_chance_does_is_no_loss() -> None:
    assert not score.loses(pairs(*[0] * 20))
    assert not score.loses(pairs(*[1] * 20))
    assert not score.loses(pairs(*[-1, 1] * 9, -1))  # one lost in nineteen sessions that differ
    assert score.loses(pairs(*[-1] * 12, *[0] * 8))
    assert score.loses(pairs(*[-3, 1] * 10))
    assert [score.loses(pairs(*[-2, 1] * 6)) for _ in range(3)] == [score.loses(pairs(*[-2, 1] * 6))] * 3


def test_where_nothing_can_be_asked_details_decide() -> None:
    worse, better = Tally(said=9, kept=3), Tally(said=9, kept=4)
    assert score.loses([(better, worse)])
    assert not score.loses([(worse, better)])
    assert not score.loses([])


@pytest.mark.parametrize(
    ("shares", "shown"),
    [
        ((0.94, 0.97), ["94 %", "97 %"]),
        ((0.942, 0.944), ["94.2 %", "94.4 %"]),
        ((0.94, 0.94), ["94 %", "94 %"]),
        ((1.0, None), ["100 %", "none"]),
    ],
)
def test_shares_are_told_apart(shares: tuple[float | None, ...], shown: list[str]) -> None:
    assert score.percent(shares) == shown


def test_a_comparison_is_one_sentence() -> None:
    asked = Comparison(9, Tally(180, 175, 10, 5), Tally(180, 169, 10, 5))
    assert score.found("rules/3", "rules/2", asked) == (
        "extractor rules/3 answers 94 % of 180 questions, rules/2 answers 97 %"
    )
    kept = Comparison(1, Tally(said=10, kept=5), Tally(said=10, kept=7))
    assert score.found("x", "y", kept) == "extractor x keeps 70 % of 10 details, y keeps 50 %"
    assert score.found("x", "y", Comparison()) == "there is nothing yet to ask extractor x and y"
    assert score.invented(Tally(unsupported=1), Tally(unsupported=1)) == ""
    assert score.invented(Tally(), Tally(unsupported=2)) == ", but its findings hold 2 details that their turns lack"
