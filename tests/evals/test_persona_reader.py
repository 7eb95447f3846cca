"""What a reader understands, and scores with known answers."""

from __future__ import annotations

import pytest

from carryover.evals.persona_reader import Score, is_refusal, lines, read, scores, wording
from carryover.evals.persona_world import Said, User, Want

FORMAL = Want("tone", "tone/formal", "like")
BULLETS = Want("format", "format/bullets", "like")
NO_TABLES = Want("format", "format/tables", "avoid")
EMOJIS = Want("avoid", "avoid/emojis", "avoid")


def user(*wants: Want, said: int = 1) -> User:
    stated = tuple(Said("…", "true", want, explicit=True) for want in wants)
    return User("u", 0, wants, (stated,) * said)


def together(found: dict[str, Score]) -> Score:
    total = Score()
    for score in found.values():
        total = total.plus(score)
    return total


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("Prefers answers in bullet points.", BULLETS),
        ("Does not want tables.", NO_TABLES),
        ("Likes, in the user's own words: “bulleted lists”.", BULLETS),
        ("Does not want, in the user's own words: “tabular form”.", NO_TABLES),
        ("Leave out emojis.", EMOJIS),
        ("Prefers a formal tone.", FORMAL),
        ("Likes the sea.", None),
    ],
)
def test_a_line_is_read_by_its_words(line: str, wanted: Want | None) -> None:
    assert read(line) == wanted


def test_a_refusal_inside_a_quotation_does_not_count() -> None:
    assert read("Likes, in the user's own words: “a manager without a technical background”.") == Want(
        "expertise", "expertise/manager", "like"
    )
    assert not is_refusal("Likes “no sugar”.")
    assert is_refusal("Does not want “sugar”.")
    assert wording("Does not want “sugar”.") == "sugar"


def test_lines_are_those_below_the_heading() -> None:
    assert lines("About the user:\n- One.\n- Two - three.") == ["One.", "Two - three."]
    assert lines("") == []


def test_a_perfect_persona_scores_one_everywhere() -> None:
    told = ["Prefers bullet points.", "Does not want tables.", "Prefers a formal tone.", "Does not want emojis."]
    score = together(scores(user(BULLETS, NO_TABLES, FORMAL, EMOJIS), told))
    assert score == Score(facets=4, hits=4, lines=4, true=4, wants=4, told=4, stated=4)


def test_the_same_persona_for_everybody_scores_the_share_for_whom_it_holds() -> None:
    told = ["Prefers bullet points."]
    users = [user(BULLETS), user(BULLETS), user(FORMAL), user(NO_TABLES)]
    score = together({str(n): together(scores(one, told)) for n, one in enumerate(users)})
    assert (score.hits, score.facets) == (2, 4)
    assert (score.true, score.lines) == (2, 4)
    assert (score.stated, score.wants) == (2, 4)


def test_the_first_line_of_a_facet_counts_and_later_ones_do_not() -> None:
    one = user(BULLETS)
    assert together(scores(one, ["Prefers tables.", "Prefers bullet points."])).hits == 0
    assert together(scores(one, ["Prefers bullet points.", "Prefers tables."])).hits == 1
    assert together(scores(one, ["Does not want tables.", "Prefers bullet points."])).hits == 1


def test_what_nothing_is_read_in_is_stated_and_wrong() -> None:
    score = together(scores(user(BULLETS), ["Likes the sea."]))
    assert (score.lines, score.true, score.unread) == (1, 0, 1)


def test_a_single_hint_is_not_enough_to_be_asked_for() -> None:
    hinted = User("u", 0, (BULLETS,), ((Said("…", "true", BULLETS),),))
    assert together(scores(hinted, [])) == Score(wants=1, told=1)
    unsaid = User("u", 0, (BULLETS,), ())
    assert together(scores(unsaid, ["Prefers bullet points."])) == Score(lines=1, true=1, wants=1, stated=1)
