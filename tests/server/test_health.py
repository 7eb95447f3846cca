"""Whether the process lives, and whether requests are welcome."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from carryover.core.errors import StoreUnavailable
from carryover.server.routes import health
from carryover.store import migrate
from policy import TURN
from serving import Running, open_memory, serving


def test_a_sound_server_lives_and_is_ready(http: httpx.Client) -> None:
    for path in ("/health/live", "/health/ready"):
        got = http.get(path)
        assert (got.status_code, got.json()["status"]) == (200, "ok")


def test_how_much_a_tenant_has_to_do_is_told_to_nobody_without_a_key(running: Running, http: httpx.Client) -> None:
    assert http.post("/sessions/s/turns", json=TURN).status_code == 201
    assert http.get("/health").json()["queue"]["due"] >= 1
    with running.http(running.key("read")) as own, running.http("co_nobody") as stranger:
        assert own.get("/health").json()["queue"]["due"] >= 1
        asked = stranger.get("/health")
        assert (asked.status_code, asked.json()["status"], asked.json()["queue"]) == (200, "ok", {})


def test_a_store_that_is_away_is_said_and_leaves_the_process_alive(
    running: Running, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise StoreUnavailable("the schema is at 0000; run `carryover db upgrade`")

    monkeypatch.setattr(migrate, "require_current", away)
    got = http.get("/health/ready")
    assert (got.status_code, got.headers["content-type"]) == (503, "application/problem+json")
    assert "carryover db upgrade" in got.json()["detail"]
    assert http.get("/health/live").status_code == 200


def test_a_store_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, asked = threading.Event(), threading.Semaphore(0)

    def hang(*_: Any) -> None:
        asked.release()
        assert answer.wait(60)

    monkeypatch.setattr(migrate, "require_current", hang)
    monkeypatch.setattr(health, "PATIENCE_S", 0.05)
    with open_memory(tmp_path) as memory:
        monkeypatch.setattr(migrate, "require_current", hang)
        with serving(memory) as server, server.http() as http:
            assert [http.get("/health/ready").status_code for _ in range(3)] == [503] * 3
            assert asked.acquire(timeout=10)
            assert not asked.acquire(blocking=False)  # one question at a time, however many ask
            assert http.get("/health/live").status_code == 200
            answer.set()
            monkeypatch.setattr(health, "PATIENCE_S", 10)
            assert http.get("/health/ready").status_code == 200


def test_a_server_that_is_about_to_stop_says_so_and_still_serves(running: Running, http: httpx.Client) -> None:
    running.server._leave_at = math.inf  # the longest wait there is
    running.server._gate.closing = True  # as a signal does
    got = http.get("/health/ready")
    assert (got.status_code, got.json()["detail"]) == (
        503,
        "The server is about to stop; send the request to another one.",
    )
    got = http.get("/")
    assert (got.status_code, got.headers["connection"]) == (200, "close")
