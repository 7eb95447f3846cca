"""A shortened statement keeps every detail and every condition, and is made of words that were there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.memory.brief import WORTH, brief
from carryover.memory.ground import atoms, carried

PIECES = st.sampled_from(
    """We moved the ledger to PostgreSQL 17|because the auditors asked for it|, which took a while|; it was fun|
    , but not the archive| (see `ledger.py`)|, unless Ana objects| really|. The export runs at 02:30|, as Mia knows
    | — a relief —|, and it never failed|"no refunds"|, since v2.3.1|!|?|, so the team is happy|, while we waited|:|
    e.g. on Friday|User: |Ana:|, though it rained""".replace("\n", "").split("|")
)


@given(st.lists(PIECES, min_size=1, max_size=8).map("".join))
def test_every_atom_stays_and_no_word_is_new(text: str) -> None:
    short = brief(text)
    assert carried(atoms(text), short.lower()) == carried(atoms(text), text.lower())
    words = iter(text.split())
    assert all(any(word.strip(".,;:!?—–-()") in one for one in words) for word in short.split())
    assert short == text or len(short) <= WORTH * len(text)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (
            "Ana: So basically I moved to Lisbon in March 2023, because the light is nicer there.",
            "Ana: I moved to Lisbon in March 2023",
        ),
        (
            "We chose PostgreSQL 17 for the ledger, which pleases everybody here, but not for the archive.",
            "We chose PostgreSQL 17 for the ledger, but not for the archive.",
        ),
        (
            "The export runs at night (and that takes a while), unless it is Friday.",
            "The export runs at night, unless it is Friday.",
        ),
        ("Call Ana about the lease.", "Call Ana about the lease."),
        ("", ""),
    ],
)
def test_what_goes_and_what_stays(text: str, short: str) -> None:
    assert brief(text) == short
