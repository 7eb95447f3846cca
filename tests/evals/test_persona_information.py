"""What personas tell, measured by the way that the product goes."""

from __future__ import annotations

import pytest

from carryover.evals.persona_information import (
    GIVEN,
    NOTICED,
    Plan,
    Result,
    amount,
    of_way,
    own,
    raw,
    run,
    spoken,
    total,
)
from carryover.evals.persona_noticing import count
from carryover.evals.persona_population import Ears, persona, placed, turn
from carryover.evals.persona_reader import Score, lines, read
from carryover.evals.persona_world import Said, User, Want, World
from carryover.persona.book import Codebook

BULLETS = Want("format", "format/bullets", "like")
EMOJIS = Want("avoid", "avoid/emojis", "avoid")


def somebody(*said: Said) -> User:
    return User("u", 0, tuple(dict.fromkeys(one.want for one in said if one.want)), tuple((one,) for one in said))


def meant(want: Want, phrase: str, *, explicit: bool = True) -> Said:
    return Said(f"Something with {phrase}.", "true", want, phrase, explicit)


def test_what_is_said_becomes_a_persona(shipped: Codebook, given: Ears, noticed: Ears) -> None:
    user = somebody(
        Said("Please use bullet points in your answers.", "true", BULLETS, "bullet points", explicit=True),
        Said("Please don't use emojis.", "true", EMOJIS, "emojis", explicit=True),
    )
    for ears in (given, noticed):
        heard = placed(shipped, ears.hear([user]))
        assert {read(line) for line in lines(persona(shipped, heard[0]).text)} == {BULLETS, EMOJIS}


def test_preferences_stand_where_they_were_said(given: Ears) -> None:
    heard = given.hear([somebody(meant(BULLETS, "bullets"), meant(EMOJIS, "emojis"))])[0]
    assert [(one.quote.session_id, one.quote.seq, one.facet) for one in heard.preferences] == [
        ("u-s000", 1, "format"),
        ("u-s001", 1, "avoid"),
    ]
    assert heard.preferences[0].said_at < heard.preferences[1].said_at
    assert turn("Hello").text == "Hello"


def test_only_what_is_far_is_placed_anew(shipped: Codebook, given: Ears) -> None:
    heard = given.hear([somebody(meant(BULLETS, "bullet points"), meant(Want("tone", "tone/noir", "like"), "gumshoe"))])
    first = placed(shipped, heard)[0]
    assert first.preferences[0].label is not None
    nothing = Codebook(space=shipped.space, labels=shipped.labels)
    again = placed(nothing, [first], far=True)[0]
    assert again.preferences[0].label == first.preferences[0].label
    assert all(one.label is None for one in placed(nothing, [first])[0].preferences)


def test_own_phrases_are_the_most_frequent_ones_and_raw_is_all(given: Ears) -> None:
    formal, casual = Want("tone", "tone/formal", "like"), Want("tone", "tone/casual", "like")
    user = somebody(*[meant(formal, "businesslike", explicit=False)] * 3, meant(casual, "chatty", explicit=False))
    heard = given.hear([user])[0]
    assert own(heard) == ["Likes “businesslike”."]
    assert raw(heard) == ["Likes “businesslike”.", "Likes “chatty”."]
    assert spoken("emojis", "avoid") == "Does not want “emojis”."


def test_figures_are_of_all_users_together_and_by_facet() -> None:
    by = {0: {"tone": Score(facets=4, hits=1)}, 1: {"tone": Score(facets=4, hits=3), "stack": Score(2, 2, lines=8)}}
    result = Result("2 users", "ours", GIVEN, 0, 0.6, 2, by)
    assert total([result], "label hit").mean == pytest.approx(0.6)
    assert total([result], "label hit", "tone").mean == pytest.approx(0.5)
    assert total([result], "precision").mean == 0
    assert amount([result], lambda score: score.lines) == 4
    assert of_way([result], "ours", "2 users") == [result]
    assert of_way([result], "ours", "2 users", 0.9) == []


def test_every_population_is_told_in_every_way(shipped: Codebook, noticed: Ears, given: Ears) -> None:
    done: list[str] = []
    plan = Plan(large=40, medium=20, small=10, seeds=1, correlations=(0.6, 0.9), fresh=10)
    found = run(plan, shipped, noticed, given, done.append)
    assert done == ["40 users, correlation 0.6, seed 0", "20 users, correlation 0.9, seed 0"]
    measured = {(r.population, r.way) for r in found if r.correlation == 0.6 and r.heard == NOTICED}
    assert {way for population, way in measured if population == "40 users"} == {
        "ours", "plain", "own phrases", "raw", "popular"
    }  # fmt: skip
    assert ("10 users, shipped codebook", "ours") in measured
    assert ("new users in other words", "ours") in measured
    assert {(r.population, r.way) for r in found if r.correlation == 0.6 and r.heard == GIVEN} == measured
    ours = of_way(found, "ours", "40 users")
    assert total(ours, "label hit").mean > total(of_way(found, "popular", "40 users"), "label hit").mean
    assert total(ours, "precision").mean > 0.8


def test_an_extractor_slips_in_a_facet_as_often_as_it_is_told_to(given: Ears) -> None:
    users = World().users(60)
    meant = [one.facet for of in given.hear(users) for one in of.preferences]
    slipping = Ears(given.embedder, slips=0.05)
    given_as = [one.facet for of in slipping.hear(users) for one in of.preferences]
    assert 0.02 < sum(a != b for a, b in zip(meant, given_as, strict=True)) / len(meant) < 0.08
    assert given_as == [one.facet for of in slipping.hear(users) for one in of.preferences]


def test_noticing_is_counted_apart(given: Ears, noticed: Ears) -> None:
    users = World().users(20)
    perfect = count(users, given)
    assert perfect.true == perfect.noticed == perfect.value == perfect.facet == perfect.polarity == perfect.explicit
    assert perfect.chat_noticed == 0
    assert perfect.passing == perfect.passing_noticed > 0
    real = count(users, noticed)
    assert 0 < real.value <= real.noticed <= real.true == perfect.true
    assert sum(real.missed.values()) == real.true - real.noticed
    assert count([somebody(meant(BULLETS, "tables"))], given).value == 0
