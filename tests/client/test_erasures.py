"""Erasures and legal holds: the same verbs, answers and errors in this process and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from carryover.client.aclient import AsyncClient
from carryover.client.client import Client
from carryover.core.erasure import Receipt
from carryover.core.errors import Held, Invalid, NotFound
from carryover.core.wire import encode
from carryover.runtime import Carryover
from carryover.store.erasures import is_genuine
from serving import Running, open_memory, serving

Memory = Carryover | Client


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    with open_memory(tmp_path) as embedded, serving(embedded) as running:
        for n in range(3):
            embedded.log_turn("s", "user", f"words {n}", user="ana")
        embedded.log_turn("t", "user", "other words", agent="b", user="ana")
        yield running


@pytest.fixture(params=["embedded", "remote"])
def memory(request: pytest.FixtureRequest, served: Running) -> Iterator[Memory]:
    if request.param == "embedded":
        yield served.memory
    else:
        with Client(served.url) as client:
            yield client


def test_what_is_previewed_is_erased_and_the_receipt_is_genuine(memory: Memory) -> None:
    shown = memory.erasures.preview(session="s", turns=(2, 3))
    assert (shown.sessions, shown.turns, shown.holds) == (1, 2, ())
    receipt = memory.erasures.erase(session="s", turns=(2, 3))
    assert (receipt.session_id, receipt.first, receipt.last, receipt.turns) == ("s", 2, 3, 2)
    assert [turn.seq for turn in memory.turns("s")[1]] == [1]
    key = memory.erasures.key()
    assert is_genuine(encode(receipt), key)
    kept = memory.erasures.receipt(receipt.id)
    assert is_genuine(encode(kept), key)
    assert (kept.session_id, kept.counts) == (None, receipt.counts)
    assert memory.erasures.erase(user="ana").sessions == 2
    with pytest.raises(NotFound):
        memory.session("t", agent="b")
    with pytest.raises(NotFound):
        memory.erasures.erase(user="nobody")
    with pytest.raises(Invalid):
        memory.erasures.erase()


def test_holds_are_placed_listed_and_released(memory: Memory) -> None:
    hold = memory.holds.place("case 12", user="ana")
    assert memory.holds.list() == [hold]
    with pytest.raises(Held, match="case 12") as refused:
        memory.delete_session("s")
    assert refused.value.facts["hold_id"] == hold.id
    with pytest.raises(Held):
        memory.profiles.erase("ana")
    assert memory.erasures.preview(user="ana").holds == (hold,)
    released = memory.holds.release(hold.id)
    assert memory.holds.list() == []
    assert memory.holds.list(released=True) == [released]
    assert memory.delete_session("s").turns == 3


def test_the_async_client_does_the_same(served: Running) -> None:
    async def ask() -> Receipt:
        async with AsyncClient(served.url) as client:
            hold = await client.holds.place("case 12", agent="b")
            assert await client.holds.list() == [hold]
            await client.holds.release(hold.id)
            assert (await client.erasures.preview(agent="b")).turns == 1
            receipt = await client.erasures.erase(agent="b")
            assert is_genuine(encode(receipt), await client.erasures.key())
            return await client.erasures.receipt(receipt.id)

    assert anyio.run(ask).turns == 1


def test_the_routes_that_delete(served: Running) -> None:
    with served.http() as http:
        turns = http.delete("/memory/default/s", params={"turns": "2..3"}).json()
        assert (turns["message"], turns["receipt"]["turns"]) == ("deleted", 2)
        assert http.get("/memory/default/s").json()["turns"][-1]["seq"] == 1
        assert http.delete("/memory/default/s", params={"turns": "3-4"}).status_code == 422
        placed = http.post("/holds", json={"agent_id": "b", "reason": "case 12"}).json()
        refused = http.delete("/agents/b")
        assert (refused.status_code, refused.json()["hold_id"], refused.json()["reason"]) == (
            423,
            placed["id"],
            "case 12",
        )
        assert http.delete(f"/holds/{placed['id']}").status_code == 200
        assert http.delete("/agents/b").json()["receipt"]["sessions"] == 1
        assert http.delete("/users/ana").json()["receipt"]["sessions"] == 1
        assert http.delete("/memory/default/s").status_code == 404
        assert http.delete("/users/nobody").status_code == 404
        _refuses(http)


def _refuses(http: httpx.Client) -> None:
    for body in ({}, {"session_id": "s", "turns": "x"}, {"since": "yesterday"}, {"sessions": "s"}):
        assert http.post("/erasures", json=body).status_code == 422, body
    assert http.get("/erasures/none").status_code == 404
