"""Views that were sent before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from carryover.core.strategy import NONE, View
from carryover.server.sent import Sent

VIEW = View(
    agent_id="a",
    session_id="s",
    version=1,
    format="generic",
    items=({"role": "user", "content": "hi"},),
    operations=(),
    tokens_before=1,
    tokens_after=1,
    prefix_tokens_shared=0,
    prefix_tokens_before=0,
    budget=9,
    over_budget=False,
    cut_seq=1,
    cleared_seq=1,
    strategy=NONE,
    sources={"mode": "default"},
    hash="h",
    etag="e",
)


def test_the_same_view_has_the_same_bytes() -> None:
    sent = Sent()
    first = sent.body("t", VIEW)
    assert sent.body("t", replace(VIEW)) is first
    assert json.loads(first)["items"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    "other",
    [
        replace(VIEW, session_id="other"),
        replace(VIEW, agent_id="other"),
        replace(VIEW, etag="other"),
        replace(VIEW, format="openai"),
    ],
)
def test_another_one_has_its_own(other: View) -> None:
    sent = Sent()
    first = sent.body("t", VIEW)
    assert sent.body("t", other) != first
    assert json.loads(sent.body("t", other))["session_id"] == other.session_id
    assert sent.body("t", VIEW) is first


def test_tenants_share_nothing() -> None:
    sent = Sent()
    assert sent.body("t", VIEW) is not sent.body("u", VIEW)


def test_no_more_is_kept_than_allowed() -> None:
    sent = Sent(views=2)
    first = sent.body("t", VIEW)
    for etag in ("b", "c"):
        sent.body("t", replace(VIEW, etag=etag))
    assert sent.body("t", VIEW) is not first
    nothing = Sent(size=10)
    assert nothing.body("t", VIEW) is not nothing.body("t", VIEW)
