"""The gate: so many requests run, tenants take turns, and nothing queues without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from carryover.core.errors import TooMany
from carryover.core.scope import Scope
from carryover.server.gate import RUNNING, SHARE, Gate
from carryover.store import queue
from serving import Running, open_memory, serving


def gate(most: int = 1000) -> Gate:
    return Gate(lambda headers: dict(headers)[b"tenant"].decode(), most)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Requests that want to run, in the order in which they may."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.running: list[str] = []
        self.refused: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, tenant: str, count: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._enter(tenant)) for _ in range(count)]
        await settle()

    async def go(self, tenant: str) -> None:
        self.running.remove(tenant)
        self.gate.leave(tenant)
        await settle()

    async def _enter(self, tenant: str) -> None:
        try:
            await self.gate.enter(tenant)
        except TooMany:
            self.refused.append(tenant)
        else:
            self.running.append(tenant)


def test_a_tenant_that_is_alone_may_have_all_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carryover.server.gate.SHARED_S", 0)

    async def test() -> None:
        crowd = Crowd(gate())
        await crowd.come("big", RUNNING + 5)
        assert crowd.running == ["big"] * RUNNING
        await crowd.go("big")
        assert crowd.running == ["big"] * RUNNING

    run(test)


def test_a_tenant_has_its_share_while_others_are_about_and_lines_take_turns() -> None:
    async def test() -> None:
        crowd = Crowd(gate())
        await crowd.come("big", 100)
        assert crowd.running == ["big"] * SHARE
        await crowd.come("small")
        assert crowd.running[-1] == "small"
        others = RUNNING // SHARE
        for n in range(others):
            await crowd.come(f"other-{n}", 2 * SHARE)
        assert len(crowd.running) == RUNNING
        await crowd.come("late")
        for _ in range(others + 2):  # as many as there are lines
            await crowd.go(crowd.running[0])
        assert "late" in crowd.running

    run(test)


def test_strangers_take_no_place_of_a_tenant(running: Running) -> None:
    secret = running.key("read")
    with running.http(secret) as http:
        assert http.get("/usage").status_code == 200
    tenant_of = running.server._gate._tenant_of
    assert tenant_of([(b"authorization", f"Bearer {secret}".encode())]) == "default"
    for strange in ([], [(b"authorization", b"Bearer co_nobody")], [(b"authorization", b"Basic eA==")]):
        assert tenant_of(strange) == ""


def test_when_all_lines_are_too_long_the_longest_gives_way() -> None:
    async def test() -> None:
        crowd = Crowd(gate(most=20))
        await crowd.come("big", 25)
        assert crowd.refused == ["big"] * 5
        await crowd.come("small", 3)
        assert crowd.refused == ["big"] * 5
        assert crowd.running.count("small") == 3
        crowd = Crowd(gate(most=RUNNING + 4))
        for n in range(RUNNING // SHARE):
            await crowd.come(f"t{n}", SHARE)
        await crowd.come("t0", 4)
        await crowd.come("new")
        assert crowd.refused == ["t0"]
        await crowd.come("t0")
        assert crowd.refused == ["t0", "t0"]

    run(test)


def test_who_gives_up_while_it_waits_leaves_no_trace() -> None:
    async def test() -> None:
        crowd = Crowd(gate())
        await crowd.come("big", SHARE + 2)
        first, second = crowd.tasks[-2:]
        first.cancel()
        await settle()
        crowd.running.remove("big")
        crowd.gate.leave("big")
        second.cancel()  # in the moment in which its turn comes
        await settle()
        for _ in range(SHARE - 1):
            await crowd.go("big")
        assert (crowd.gate._inside, crowd.gate._outside, crowd.gate._lines) == (0, 0, {})  # type: ignore[attr-defined]
        assert await asyncio.gather(*crowd.tasks, return_exceptions=True)

    run(test)


def test_bodies_that_arrive_slowly_and_answers_that_last_hold_no_place() -> None:
    crowd = gate()
    places: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()).get("more_body"):
            places.append(crowd._inside)  # type: ignore[attr-defined]
            assert message["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        places.append(crowd._inside)  # type: ignore[attr-defined]

    async def test() -> None:
        parts = [b"a", b"b", b""]

        async def receive() -> dict[str, Any]:
            places.append(crowd._inside)  # type: ignore[attr-defined]
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(part)}

        async def send(message: Any) -> None:
            return None

        scope = {"type": "http", "path": "/", "headers": [(b"tenant", b"acme")]}
        await crowd.around(app)(scope, receive, send)

    run(test)
    assert places == [0, 1, 0, 1, 0, 0]


def test_too_many_is_a_problem_document_and_health_is_exempt(tmp_path: Path) -> None:
    with open_memory(tmp_path, max_requests=1) as memory, serving(memory) as server, server.http() as http:
        crowd = server.server._gate  # type: ignore[attr-defined]
        crowd._inside = RUNNING  # as if so many ran
        got = http.get("/usage")
        assert (got.status_code, got.headers["retry-after"]) == (429, "1")
        assert got.headers["content-type"] == "application/problem+json"
        assert got.json()["detail"].endswith("retry")
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            assert http.get(path).status_code == 200, path
        crowd._inside = 0
        assert http.get("/usage").status_code == 200


def test_waiting_for_a_consolidation_holds_no_place(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, serving(memory) as server, server.http() as http:
        http.post("/sessions/s/turns", json={"role": "user", "content": "We use PostgreSQL."})
        http.post("/sessions/s/close")
        with memory.engine.store.write(Scope()) as tx:  # somebody else has the job, so it has to be waited for
            assert queue.claim(tx, ["consolidate"], lease_ms=60_000) is not None
        crowd = server.server._gate  # type: ignore[attr-defined]
        inside: list[int] = []
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(http.post, "/sessions/s/consolidate", json={"wait": True, "timeout_s": 1})
            while not waiting.done():
                inside.append(crowd._inside)
        assert waiting.result().status_code == 409
        assert inside.count(0) > 0.9 * len(inside)
