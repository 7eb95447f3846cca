"""The profile: every line with where it was said, as the persona tells it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from carryover.core.persona import Edits, Label, Preference, Profile, Quote, line_id
from carryover.persona.book import Codebook
from carryover.persona.encode import code_of
from carryover.persona.profile import MOST_QUOTES, offered, own_lines, profile

BOOK = Codebook(
    version=7,
    labels={
        1: Label(1, "format", "bullet points", "Prefers bullet points.", "Prefers no bullet points."),
        2: Label(2, "format", "tables", "Prefers tables.", "Prefers no tables."),
        3: Label(3, "avoid", "emojis", "", "Does not want emojis."),
        4: Label(4, "format", "lists", "Prefers lists.", "Prefers no lists.", retired=2, retired_into=1),
        1000: Label(1000, "cuisine", "thai food", "Likes Thai food.", "Does not like Thai food."),
    },
)
EAST, NEAR_EAST, NORTH = (
    np.asarray(row, "<f4").tobytes() for row in ([1.0, 0.0], [0.96, 0.28], [0.0, 1.0])
)  # fmt: skip


def said(n: int, value: str, label: int | None = None, polarity: Any = "like", **more: Any) -> Preference:
    quote = Quote("support", f"s{n}", n, f"I said {value}")
    facet = BOOK.labels[label].facet if label else ""
    one = Preference(f"pr{n}", "ana", facet, value, polarity, True, False, 4.0, quote, n * 10**8, label)
    return replace(one, **more)


def shown(*preferences: Preference, edits: Edits | None = None) -> Profile:
    return profile("ana", 3, edits or Edits(), code_of(preferences, BOOK), BOOK, preferences)


def lines(found: Profile) -> dict[str, str]:
    return {line.id: "removed" if line.removed else "told" if line.shown else "not told" for line in found.lines}


def test_nothing_is_known_of_a_new_user() -> None:
    found = shown()
    assert (found.lines, found.persona.text, found.sessions, found.preferences) == ((), "", 0, 0)
    assert (found.user_id, found.version, found.book_version) == ("ana", 3, 7)


def test_labels_come_before_own_words_and_what_is_told_before_what_is_not() -> None:
    found = shown(
        said(1, "thai food", 1000),
        said(2, "emojis", 3, "avoid"),
        said(3, "tables", 2, weight=1.0, explicit=False),
        said(4, "bullet points", 1),
        said(5, "maritime law"),
    )
    phrase = line_id("like", phrase="maritime law")
    assert lines(found) == {"1+": "told", "2+": "not told", "3-": "told", "1000+": "told", phrase: "told"}
    assert list(lines(found)) == ["1+", "2+", "3-", "1000+", phrase]
    assert [line.facet for line in found.lines] == ["format", "format", "avoid", "cuisine", ""]
    assert [line.origin for line in found.lines] == ["label"] * 4 + ["phrase"]
    assert (found.sessions, found.preferences) == (5, 5)
    told = [line.text for line in found.lines if line.shown]
    assert sorted(f"- {text}" for text in told) == sorted(found.persona.text.split("\n")[1:])


def test_each_line_quotes_where_it_was_said_the_newest_first() -> None:
    found = shown(*(said(n, "bullet points", 1) for n in range(1, 9)), said(9, "lists", 4), said(10, "tables", 2))
    line = next(line for line in found.lines if line.id == "1+")
    assert line.evidence == 9
    assert [quote.seq for quote in line.quotes] == [9, 8, 7, 6, 5]
    assert len(line.quotes) == MOST_QUOTES
    assert line.quotes[0] == Quote("support", "s9", 9, "I said lists", said_at=9 * 10**8)
    assert [quote.seq for quote in next(line for line in found.lines if line.id == "2+").quotes] == [10]


def test_what_was_said_twice_in_a_turn_is_quoted_once() -> None:
    twice = said(1, "bullet points", 1)
    line = shown(twice, replace(twice, id="pr2", value="bullets")).lines[0]
    assert (line.evidence, len(line.quotes)) == (2, 1)


def test_a_polarity_has_quotes_of_its_own() -> None:
    found = shown(said(1, "tables", 2), said(2, "tables", 2, "avoid"))
    quotes = {line.id: [quote.seq for quote in line.quotes] for line in found.lines}
    assert quotes == {"2+": [1], "2-": [2]}


def test_a_phrase_in_other_words_is_quoted_with_the_phrase_that_counts_it() -> None:
    one = said(1, "maritime law", vector=EAST, space="m")
    other = said(2, "law of the sea", explicit=False, weight=1.0, vector=NEAR_EAST, space="m")
    far = said(3, "rock climbing", vector=NORTH, space="m")
    found = {line.text: [quote.seq for quote in line.quotes] for line in shown(one, other, far).lines}
    assert next(seqs for text, seqs in found.items() if "maritime law" in text)[:2] == [2, 1]
    assert next(seqs for text, seqs in found.items() if "rock climbing" in text) == [3]


def test_what_was_removed_is_there_to_be_taken_back_and_what_was_pinned_though_never_noticed() -> None:
    edits = Edits({"2+": 0.5}, ("1000-",), ("1+",), ("I read on a small screen",))
    found = shown(said(1, "bullet points", 1), said(2, "tables", 2), edits=edits)
    by_id = {line.id: line for line in found.lines}
    assert (by_id["1+"].removed, by_id["1+"].shown, len(by_id["1+"].quotes)) == (True, False, 1)
    assert (by_id["1000-"].pinned, by_id["1000-"].shown, by_id["1000-"].quotes) == (True, True, ())
    assert by_id["2+"].weight == 0.5
    text = found.lines[-1]
    assert (text.origin, text.shown, "I read on a small screen" in text.text) == ("text", True, True)
    assert "bullet points" not in found.persona.text
    assert found.edits == edits


def test_edits_of_a_retired_label_are_shown_at_the_one_that_stands_for_it() -> None:
    found = shown(said(1, "bullet points", 1), edits=Edits(removed=("4+",)))
    assert found.edits == Edits(removed=("1+",))
    assert lines(found) == {"1+": "removed"}


def test_votes_are_told_to_two_digits() -> None:
    found = shown(said(1, "bullet points", 1), *(said(n, "tables", 2) for n in range(2, 7)))
    assert all(line.votes == round(line.votes, 2) for line in found.lines)


def test_own_lines_are_the_phrases() -> None:
    code = code_of([said(1, "bullet points", 1), said(2, "maritime law")], BOOK)
    assert own_lines(code) == {line_id("like", phrase="maritime law")}


def test_lines_to_choose_from_are_those_that_can_be_told() -> None:
    found = offered(BOOK)
    assert [one.id for one in found] == ["1+", "1-", "2+", "2-", "3-", "1000+", "1000-"]
    assert found[4].text == "Does not want emojis."
