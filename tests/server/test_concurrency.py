"""A crowd of appenders over HTTP: every turn once, in its sender's order, in few commits."""

from __future__ import annotations

import asyncio

import httpx

from serving import Running


def test_sixty_four_appenders_at_once(running: Running, http: httpx.Client) -> None:
    clients, each = 64, 4

    async def write(client: httpx.AsyncClient, who: int) -> None:
        for n in range(each):
            turn = {"role": "user", "content": f"{who}:{n}", "idempotency_key": f"{who}:{n}"}
            for _ in range(2):  # each is sent twice, as after a broken line
                got = await client.post("/sessions/s/turns", json=turn)
                assert got.status_code in (200, 201), got.text

    async def crowd() -> None:
        limits = httpx.Limits(max_connections=clients)
        async with httpx.AsyncClient(base_url=running.url, limits=limits, timeout=60) as client:
            await asyncio.gather(*(write(client, who) for who in range(clients)))

    asyncio.run(crowd())
    turns = http.get("/memory/default/s").json()["turns"]
    assert [turn["seq"] for turn in turns] == list(range(1, clients * each + 1))
    said = [tuple(map(int, turn["content"].split(":"))) for turn in turns]
    assert sorted(said) == [(who, n) for who in range(clients) for n in range(each)]
    for who in range(clients):
        assert [n for sender, n in said if sender == who] == list(range(each))
    log = running.memory.engine.log
    assert log.commits < log.requests


def test_of_many_who_expect_one_version_one_wins(running: Running, http: httpx.Client) -> None:
    async def crowd() -> list[int]:
        async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
            turn = {"role": "user", "content": "x", "expected_version": 0}
            got = await asyncio.gather(*(client.post("/sessions/s/turns", json=turn) for _ in range(20)))
            return sorted(answer.status_code for answer in got)

    assert asyncio.run(crowd()) == [201] + [409] * 19
    assert http.get("/memory/default/s").json()["version"] == 1
