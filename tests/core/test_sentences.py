"""Sentences out of prose, lists, code and what programs put around speech."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.sentences import MOST_CHARS, sentences


def texts(text: str) -> list[str]:
    return [s.text for s in sentences(text)]


@pytest.mark.parametrize(
    "whole",
    [
        "We use e.g. Redis 7.2.1 and v1.2.3-rc.1 of the client.",
        "Dr. Ana Silva meets J.K. Rowling at 5 p.m. on Friday.",
        "See https://example.com/a.b?c=d.e and /etc/app.d/x.conf for that.",
        "Run `make all. then test` on main.",
        "Open No. 5 of the list.",
        "It was... strange to see.",
        "The fee is 2.5 % of $1,200.50 a year.",
    ],
)
def test_a_full_stop_inside_does_not_end_it(whole: str) -> None:
    assert texts(whole) == [whole]


def test_sentences_end_where_they_end() -> None:
    assert texts("ok. let's use postgres! Deadline is Friday; I'll ask. Why?") == [
        "ok.", "let's use postgres!", "Deadline is Friday", "I'll ask.", "Why?",
    ]  # fmt: skip
    assert texts("Is it No. Then stop.") == ["Is it No.", "Then stop."]


def test_code_logs_tables_and_quotations_are_no_speech() -> None:
    text = (
        "Before.\n```python\nlimit = 500\n```\n~~~\nx\n```\n~~~\n    indented = code()\n| a | b |\n> quoted\n"
        "$ rm -rf build\nTraceback (most recent call last):\n2026-01-02 10:11:12 started\nfoo({a: 1});\nAfter."
    )
    assert texts(text) == ["Before.", "After."]


def test_blocks_in_tags_are_passed_over_and_lone_tags_are_not() -> None:
    assert texts("A.\n<reminder kind='x'>\nAlways do it.\n</reminder>\nB.") == ["A.", "B."]
    assert texts("<hint>\nStill said.")[-1] == "Still said."


def test_an_unclosed_fence_hides_the_rest() -> None:
    assert texts("Said.\n```\nnot said") == ["Said."]


def test_items_know_their_heading_and_their_box() -> None:
    first, second, third = sentences("## Next steps\n- [ ] write docs\n- [x] fix CI\n1. ship it")
    assert [(s.text, s.under, s.item, s.box) for s in (first, second, third)] == [
        ("write docs", "Next steps", True, " "),
        ("fix CI", "Next steps", True, "x"),
        ("ship it", "Next steps", True, None),
    ]
    lead, item = sentences("Decisions:\n* use **Redis** here")
    assert (lead.text, item.under, item.text, item.quote) == (
        "Decisions:",
        "Decisions",
        "use Redis here",
        "use **Redis** here",
    )


def test_a_sentence_broken_to_fit_a_width_is_one() -> None:
    text = "The quick decision that we took in the meeting yesterday is\nto use PostgreSQL for the ledger. Good."
    assert (
        texts(text)[0]
        == "The quick decision that we took in the meeting yesterday is to use PostgreSQL for the ledger."
    )


def test_of_a_long_text_its_head_and_tail_are_read() -> None:
    text = "First line.\n" + "Filler line here.\n" * 10_000 + "Last line."
    found = texts(text)
    assert (found[0], found[-1]) == ("First line.", "Last line.")
    assert sum(len(t) for t in found) <= MOST_CHARS


@given(st.text(max_size=400))
def test_every_quote_stands_in_the_text_in_order(text: str) -> None:
    at = 0
    for sentence in sentences(text):
        at = text.index(sentence.quote, at)
        assert sentence.text == sentence.text.strip() != ""
        assert "\n" not in sentence.text
