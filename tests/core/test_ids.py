"""Ids: exactly the alphabet that the contract names, and our own sort by the time of their making."""

from __future__ import annotations

import re
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.errors import Invalid
from carryover.core.ids import check_id, check_session_id, new_id

LEGAL = string.ascii_letters + string.digits + "._:@-"


@given(st.text(LEGAL, min_size=1, max_size=128))
def test_a_legal_id_is_accepted(value: str) -> None:
    assert check_id(value, "agent_id") == value


@given(st.text(max_size=140))
def test_an_id_is_legal_or_refused(value: str) -> None:
    legal = 1 <= len(value) <= 128 and set(value) <= set(LEGAL)
    if legal:
        assert check_id(value, "agent_id") == value
    else:
        with pytest.raises(Invalid, match=re.escape("use 1 to 128 of A-Z a-z 0-9 . _ : @ -")) as refusal:
            check_id(value, "agent_id")
        assert refusal.value.facts == {"field": "agent_id"}


@pytest.mark.parametrize("value", ["", "a" * 129, "a/b", "a b", "é", "a\n", "\ud800", "a\x00"])
def test_an_illegal_id_is_refused(value: str) -> None:
    with pytest.raises(Invalid):
        check_id(value, "agent_id")


def test_the_session_id_of_a_route_is_reserved() -> None:
    with pytest.raises(Invalid, match="reserved"):
        check_session_id("sessions")
    assert check_session_id("sessions2") == "sessions2"


def test_new_ids_are_legal_differ_and_sort_by_time() -> None:
    ids = [new_id("t") for _ in range(2000)]
    assert len(set(ids)) == len(ids)
    assert all(check_id(one, "id").startswith("t_") and len(one) == 24 for one in ids)
    earlier = new_id("t")
    time.sleep(0.002)
    assert earlier < new_id("t")
