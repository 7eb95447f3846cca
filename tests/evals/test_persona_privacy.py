"""Planted strings: each that gets out is counted, and with the floor none does."""

from __future__ import annotations

from dataclasses import replace

from carryover.evals.persona_information import FLOOR
from carryover.evals.persona_population import Ears, placed
from carryover.evals.persona_privacy import HEAVY, ORDERS, REPEATS, leaks, plant, run
from carryover.evals.persona_world import Said, User, Want, World
from carryover.persona.book import Codebook


def test_a_tenth_of_the_turns_holds_something_personal_and_some_users_repeat_it() -> None:
    before = World().users(60)
    users, secrets = plant(before, seed=0)
    said = [(a, b) for old, new in zip(before, users, strict=True) for a, b in zip(old.said, new.said, strict=False)]
    changed = [b for a, b in said if a != b]
    assert 0.07 < len(changed) / len(said) < 0.13
    assert all(one.phrase in one.text for one in changed)
    assert all(any(word in one.text.lower() for word in secrets) for one in changed)
    assert len(users[0].said) - len(before[0].said) == REPEATS
    assert len(users[HEAVY].said) == len(before[HEAVY].said)
    assert len(set(secrets.values())) == len(users)


def test_what_gets_out_is_counted_wherever_it_is(shipped: Codebook, given: Ears) -> None:
    """A label with a name of one user, which other users are told."""
    heard = given.hear([_liking_bullets(n) for n in range(6)])
    label = placed(shipped, heard)[0].preferences[0].label
    assert label is not None
    told = replace(shipped.labels[label], name="as for xorvath", likes="Sits by xorvath.", avoids="Not by xorvath.")
    book = replace(shipped, labels={**shipped.labels, label: told})
    found = leaks(book, heard, {"xorvath": heard[0].user.id}, floor=6)
    assert (found.labels, found.blocks, found.overview) == (3, 5, 1)
    assert leaks(book, heard, {"xorvath": heard[0].user.id}, floor=7).overview == 0
    assert leaks(shipped, heard, {"xorvath": "nobody"}, floor=1).total == 0


def _liking_bullets(n: int) -> User:
    want = Want("format", "format/bullets", "like")
    return User(f"u{n}", 0, (want,), ((Said("Bullet points, please.", "true", want, "bullet points", explicit=True),),))


def test_nothing_leaks_with_the_floor_and_much_would_without(shipped: Codebook, noticed: Ears, given: Ears) -> None:
    found = run(40, 0, shipped, noticed, given)
    assert found.noticed.total == found.through.total == 0
    assert found.unguarded.labels > 0
    assert found.noticed.planted == 5 * 40
    assert found.orders == len(ORDERS)
    assert FLOOR == 5


def test_no_order_stands_in_a_persona(shipped: Codebook, noticed: Ears, given: Ears) -> None:
    found = run(HEAVY, 0, shipped, noticed, given)
    assert (found.orders_told, found.orders_through) == (0, 0)
    assert found.leaks == 0
