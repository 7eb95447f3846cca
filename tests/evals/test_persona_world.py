"""The made-up world: the same seed makes the same users, who mostly say what is true of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from carryover.core.persona import FACETS, SINGLE
from carryover.evals.persona_reader import read
from carryover.evals.persona_world import Making, Said, User, Want, World, words


def test_the_same_seed_makes_the_same_users_however_many() -> None:
    assert World(seed=3).users(5) == World(seed=3).users(8)[:5]
    assert World(seed=3).users(5) != World(seed=4).users(5)


def test_there_are_values_in_every_facet_and_a_quarter_of_them_are_rare() -> None:
    values = words().values.values()
    assert len(values) > 100
    assert {value.facet for value in values} == set(FACETS)
    assert 0.2 < sum(value.rare for value in values) / len(values) < 0.3
    assert all(len(value.say) == 3 and value.ask and not set(value.say) & set(value.ask) for value in values)


def test_every_way_to_say_a_value_is_read_as_that_value() -> None:
    wrong = [
        (value.key, phrase)
        for value in words().values.values()
        for phrase in (*value.say, *value.ask)
        if read(f"Likes “{phrase}”.") != Want(value.facet, value.key, "like")
    ]
    assert wrong == []


def test_most_is_true_some_is_wrong_and_some_is_chatter() -> None:
    users = World().users(300)
    said = [one for user in users for one in user.said]
    kinds = Counter(one.kind for one in said)
    assert kinds["true"] / len(said) == pytest.approx(0.88, abs=0.02)
    assert kinds["wrong"] / len(said) == pytest.approx(0.08, abs=0.015)
    assert all(one.want is not None and one.phrase for one in said if one.kind != "chat")
    assert not any(one.explicit for one in said if one.kind == "wrong")
    assert all("{" not in one.text for one in said)


def test_a_user_wants_one_value_of_a_single_valued_facet_at_a_time() -> None:
    for user in World().users(100):
        liked = Counter(want.facet for want in user.wants if want.polarity == "like")
        assert all(liked[facet] <= 1 for facet in SINGLE)
        assert all(want.polarity == "avoid" for want in user.wants if want.facet == "avoid")


def alike(correlation: float) -> float:
    """The share of liked single-valued wants that two users of the same archetype have in common."""
    users = World(correlation=correlation, archetypes=2, changes=0).users(200)
    wants = [{want.key for want in user.wants if want.facet in SINGLE and want.polarity == "like"} for user in users]
    pairs = [
        (a, b) for n, a in enumerate(wants) for m, b in enumerate(wants[:n]) if users[n].archetype == users[m].archetype
    ]
    return sum(len(a & b) for a, b in pairs) / sum(min(len(a), len(b)) for a, b in pairs)


def test_users_of_an_archetype_are_alike_as_far_as_they_follow_it() -> None:
    assert alike(0.0) < 0.25 < alike(0.6) < 0.6 < alike(0.9)


def test_nobody_wants_or_mentions_what_is_left_out() -> None:
    without = frozenset({"tone/formal", "stack/cobol"})
    users = World(without=without).users(200)
    assert not without & {one.want.key for user in users for one in user.said if one.want is not None}
    only = World(only=without, correlation=1.0, archetypes=3, changes=0).users(30)
    assert {want.key for user in only for want in user.wants if want.facet == "tone" and want.polarity == "like"} == {
        "tone/formal"
    }


def test_new_users_speak_in_other_words() -> None:
    value = words().values["format/bullets"]
    said = [one for user in World(new=True).users(200) for one in user.said]
    mine = {one.phrase for one in said if one.want is not None and one.want.key == value.key}
    assert mine
    assert mine <= set(value.ask)


def test_a_change_of_taste_holds_from_then_on() -> None:
    """Who changed said the new taste last: nothing of its facet is said later that was true before."""
    for before, after in zip(World(changes=0.0).users(60), World(changes=1.0).users(60), strict=True):
        gone = [want for want in before.wants if want not in after.wants]
        assert len(gone) <= 1
        late = [
            one.want for session in after.sessions[len(after.sessions) // 2 :] for one in session if one.kind == "true"
        ]
        assert not set(gone) & set(late)


def test_what_was_told_weighs_statements_and_hints() -> None:
    want = Want("tone", "tone/formal", "like")
    hint = Said("x", "true", want, "formal")
    stated = replace(hint, explicit=True)
    wrong = replace(hint, kind="wrong")
    user = User("u", 0, (want,), ((hint, stated), (wrong,)))
    assert user.told() == {want: 5.0}


def test_a_turn_holds_the_phrase_and_says_how_it_was_meant() -> None:
    making = Making(World())
    draw = np.random.default_rng(1)
    want = Want("format", "format/tables", "like")
    assert making.put(draw, want, "stated", "true").explicit
    assert making.put(draw, want, "corrected", "true").correction
    assert not making.put(draw, want, "hinted", "true").explicit
    once = making.put(draw, want, "once", "wrong")
    assert once.passing
    assert once.phrase in once.text
