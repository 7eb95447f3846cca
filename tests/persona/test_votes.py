"""A user's code: what stands out of what they said, and how steadily."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.clock import DAY_MS
from carryover.core.persona import EXPLICIT, IMPLIED, PERSONAL, Code, Label, Polarity, Preference, Quote, Vote
from carryover.persona import votes

NAMES = {1: ("format", "bullet points"), 2: ("format", "tables"), 3: ("tone", "casual"), 4: ("tone", "formal")}
NAMES |= {10 + n: ("stack", name) for n, name in enumerate(("python", "rust", "java", "go", "ruby"))}
LABELS = {id: Label(id, facet, name, f"Likes {name}.", f"Avoids {name}.") for id, (facet, name) in NAMES.items()}


def said(
    label: int | None,
    session: int,
    *,
    polarity: Polarity = "like",
    explicit: bool = False,
    correction: bool = False,
    value: str = "",
    agent: str = "a",
    vector: list[float] | None = None,
    n: int = 1,
) -> Preference:
    facet, name = NAMES[label] if label else (PERSONAL, value)
    raw = None if vector is None else np.asarray(vector, "<f4").tobytes()
    return Preference(
        f"pr_{session}_{n}_{label}_{value}",
        "ada",
        facet,
        name,
        polarity,
        explicit,
        correction,
        EXPLICIT if explicit else IMPLIED,
        Quote(agent, f"s{session}", n, name),
        session * DAY_MS + n,
        label,
        raw,
        "test" if raw else None,
    )


def code(*preferences: Preference) -> Code:
    return votes.code_of(preferences, LABELS, 1)


def shown(made: Code) -> list[tuple[str, Polarity]]:
    return sorted((LABELS[v.label].name if v.label else v.phrase or "", v.polarity) for v in made.votes if v.shown)


def of(made: Code, label: int, polarity: Polarity = "like") -> Vote:
    return next(vote for vote in made.votes if vote.label == label and vote.polarity == polarity)


def test_nothing_said_is_no_vote() -> None:
    assert code() == Code(1, (), 0, 0)


def test_one_hint_is_not_told_and_two_are() -> None:
    assert shown(code(said(1, 1))) == []
    assert shown(code(said(1, 1), said(1, 2))) == [("bullet points", "like")]


def test_a_statement_is_told_at_once() -> None:
    assert shown(code(said(1, 1, explicit=True))) == [("bullet points", "like")]


def test_votes_decay_by_the_end_of_a_session_and_not_by_the_clock() -> None:
    made = code(said(1, 1, explicit=True), said(10, 2), said(10, 300))
    assert of(made, 1).votes == round(4 * 0.9**2, 6)
    assert of(made, 10).votes == round(0.9 + 1, 6)
    assert (made.sessions, made.preferences) == (3, 3)


def test_a_long_silence_inside_a_session_is_its_end() -> None:
    late = replace(said(1, 1, n=2), said_at=said(1, 1).said_at + votes.PAUSE_MS + 1)
    assert code(said(1, 1), late).sessions == 2
    assert code(said(1, 1), said(1, 1, n=2)).sessions == 1


def test_a_single_valued_facet_tells_one_and_keeps_to_it() -> None:
    told = [said(3, n, explicit=True) for n in range(3)]
    lead = of(code(*told), 3).votes
    # The other has to lead by more than a little: one statement is not enough.
    assert shown(code(*told, said(4, 5, explicit=True))) == [("casual", "like")]
    assert lead > 4
    assert shown(code(*told, *(said(4, 5 + n, explicit=True) for n in range(6)))) == [("formal", "like")]


def test_a_correction_resets_its_rivals() -> None:
    told = [said(3, n, explicit=True) for n in range(10)]
    made = code(*told, said(4, 20, explicit=True, correction=True))
    assert shown(made) == [("formal", "like")]
    assert of(made, 3).votes == 0


def test_a_statement_takes_back_its_opposite_and_nothing_else() -> None:
    told = [said(10, n, explicit=True) for n in range(5)]
    made = code(*told, said(11, 1, explicit=True, n=2), said(10, 9, polarity="avoid", explicit=True))
    assert ("python", "avoid") in shown(made)
    assert ("python", "like") not in shown(made)
    assert ("rust", "like") in shown(made)


def test_a_facet_of_several_tells_at_most_three() -> None:
    told = [said(10 + n, s, explicit=True, n=n + 1) for s in range(3) for n in range(5)]
    assert len(shown(code(*told))) == votes.SEVERAL


def test_a_lone_slip_beside_a_steady_taste_is_not_told() -> None:
    steady = [said(10, n, explicit=True) for n in range(8)]
    assert shown(code(*steady, said(11, 9))) == [("python", "like")]


def test_a_label_that_was_retired_counts_for_the_one_that_stands_for_it() -> None:
    labels = {**LABELS, 2: replace(LABELS[2], retired=2, retired_into=1)}
    made = votes.code_of([said(2, 1), said(1, 2)], labels, 2)
    assert [(vote.label, vote.evidence) for vote in made.votes] == [(1, 2)]
    gone = {**LABELS, 2: replace(LABELS[2], retired=2)}
    assert [(v.label, v.phrase) for v in votes.code_of([said(2, 1)], gone, 2).votes] == [(None, "tables")]


def test_phrases_that_say_the_same_count_together_by_the_words_that_came_first() -> None:
    near, far = [1.0, 0.0], [0.0, 1.0]
    made = code(
        said(None, 1, value="vegan food", vector=near),
        said(None, 2, value="vegan meals", vector=near, explicit=True),
        said(None, 3, value="trail running", vector=far, explicit=True, agent="b"),
    )
    assert shown(made) == [("trail running", "like"), ("vegan food", "like")]
    assert {vote.phrase: (vote.evidence, vote.agents) for vote in made.votes} == {
        "vegan food": (2, ("a",)),
        "trail running": (1, ("b",)),
    }


def test_vectors_of_two_spaces_are_never_compared() -> None:
    made = code(
        said(None, 1, value="vegan food", vector=[1.0, 0.0]),
        replace(said(None, 2, value="vegan meals", vector=[1.0, 0.0]), space="other"),
    )
    assert len(made.votes) == 2


_SAID = st.builds(
    said,
    st.sampled_from([*NAMES, None]),
    st.integers(1, 12),
    polarity=st.sampled_from(["like", "avoid"]),
    explicit=st.booleans(),
    correction=st.booleans(),
    value=st.sampled_from(["vegan food", "night shifts", "my twins"]),
    n=st.integers(1, 9),
)


@given(st.lists(_SAID, max_size=60, unique_by=lambda one: one.id), st.randoms(use_true_random=False))
def test_the_order_in_which_rows_are_read_does_not_matter(told: list[Preference], order: random.Random) -> None:
    shuffled = list(told)
    order.shuffle(shuffled)
    assert code(*shuffled) == code(*told)


@given(st.lists(_SAID, max_size=60, unique_by=lambda one: one.id))
def test_whatever_is_said_what_is_told_keeps_to_its_limits(told: list[Preference]) -> None:
    made = code(*told)
    for facet in {vote.facet for vote in made.votes}:
        here = [vote for vote in made.votes if vote.facet == facet and vote.shown and vote.label is not None]
        assert len(here) <= (2 if facet in votes.SINGLE else votes.SEVERAL)
        assert len({(vote.label, vote.polarity) for vote in here}) == len(here)
    assert sum(vote.shown for vote in made.votes if vote.phrase is not None) <= 3
    assert sum(vote.evidence for vote in made.votes) == len(told)
    assert all(vote.votes >= 0 and 0 <= vote.share <= 1 for vote in made.votes)
