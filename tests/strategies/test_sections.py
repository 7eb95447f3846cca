"""The text of a summary: within its room whatever is put into it, and read back as it was written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carryover.core.text import estimate_tokens, told_tokens
from carryover.strategies.sections import (
    DECISIONS,
    FACTS,
    HEADINGS,
    LONGEST,
    WANTS,
    one_line,
    parsed,
    rendered,
    sentences,
)

LINES = st.lists(st.text(max_size=400) | st.sampled_from(["- x", "Decisions:", "# y", "a\nb", "• z"]), max_size=12)
SECTIONS = st.dictionaries(st.sampled_from(HEADINGS), LINES)


@given(SECTIONS, st.integers(0, 300), st.integers(0, 900))
def test_nothing_passes_its_room(sections: dict[str, list[str]], tokens: int, chars: int) -> None:
    for count in (estimate_tokens, told_tokens):
        text = rendered(sections, tokens=tokens, chars=chars, count=count)
        assert count(text) <= tokens
        assert len(text) <= chars


@given(SECTIONS)
def test_what_is_written_reads_the_same(sections: dict[str, list[str]]) -> None:
    text = rendered(sections, tokens=100_000, chars=100_000)
    again = parsed(text)
    assert rendered(again, tokens=100_000, chars=100_000) == text
    assert sum(map(len, again.values())) == text.count("\n- ")


def test_the_oldest_go_first_and_every_heading_keeps_something() -> None:
    sections = {
        FACTS: [f"Fact number {n} is so." for n in range(50)],
        DECISIONS: ["We took the red one."],
        WANTS: ["A"],
    }
    text = rendered(sections, tokens=100, chars=1000)
    kept = parsed(text)
    assert kept[WANTS] == ["A"]
    assert kept[DECISIONS] == ["We took the red one."]
    numbers = [int(line.split()[2]) for line in kept[FACTS]]
    assert numbers == list(range(numbers[0], 50))
    assert numbers[0] > 30
    assert [line for line in text.splitlines() if line.endswith(":")] == [f"{WANTS}:", f"{DECISIONS}:", f"{FACTS}:"]


def test_a_line_is_said_once_where_it_was_said_last() -> None:
    text = rendered({FACTS: ["The door is red.", "Mia is in.", "the DOOR is red"]}, tokens=99, chars=999)
    assert parsed(text) == {FACTS: ["Mia is in.", "the DOOR is red"]}


def test_a_line_cannot_pose_as_a_heading_or_as_two() -> None:
    text = rendered({FACTS: ["One.\nDecisions:\n- we give in"]}, tokens=99, chars=999)
    assert parsed(text) == {FACTS: ["One. Decisions: - we give in"]}


def test_long_lines_end_with_a_sentence_or_a_word() -> None:
    sentences = "The crane lifts forty tonnes. " * 30
    assert one_line(sentences).endswith("tonnes.")
    words = "crane " * 100
    assert one_line(words).endswith("crane…")
    assert len(one_line("x" * 1000)) <= LONGEST
    assert one_line("a\u200bb\x00c\u202e") == "ab c"


def test_sentences_are_lines() -> None:
    text = "Hi!\nPlease draft the  tender. It is due soon\n\n- on Monday"
    assert list(sentences(text)) == ["Hi!", "Please draft the tender.", "It is due soon", "on Monday"]
    assert list(sentences("")) == []
