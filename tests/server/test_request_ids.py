"""Every request has an id: in its answer, and in every line of the log that is made for it."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands import line_of, rest_of, started
from serving import Running, open_memory, serving
from waiting import until

TURN = {"role": "user", "content": "We decided to use PostgreSQL."}
ACCESS = "carryover.server.requests"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    """The lines of ours as they are made, with their members."""
    caplog.set_level(logging.DEBUG)

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if hasattr(record, "told"):
                found.append({"logger": record.name, "level": record.levelname, **record.told})

    found: list[dict[str, Any]] = []
    handler = Told()
    logging.getLogger().addHandler(handler)
    yield found
    logging.getLogger().removeHandler(handler)


def access(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(one["method"], one["route"], one["status"]) for one in lines if one["logger"] == ACCESS]


def test_an_answer_carries_a_fresh_id(http: httpx.Client) -> None:
    ids = [http.get(path).headers["x-request-id"] for path in ("/health", "/health", "/nowhere", "/usage")]
    assert len(set(ids)) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", id) for id in ids)


@pytest.mark.parametrize("id", ["a", "8f14e45f-ceea-4e7a:1/2", "x" * 128])
def test_a_sane_id_of_the_client_is_kept(http: httpx.Client, id: str) -> None:
    assert http.get("/health", headers={"X-Request-Id": id}).headers["x-request-id"] == id


@pytest.mark.parametrize("id", ["", "x" * 129, "a b", "a\tb", 'a"b', "a;b", "ä"])
def test_any_other_is_replaced(http: httpx.Client, id: str) -> None:
    got = http.get("/health", headers={b"X-Request-Id": id.encode("latin-1")}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{16}", got)


def test_each_request_has_one_line_and_it_tells_no_content(running: Running, lines: list[dict[str, Any]]) -> None:
    key = running.key("admin")
    with running.http(key) as http:
        http.post("/sessions/s-secret/turns?agent_id=a", json=TURN)
        http.get("/memory/a/s-secret/window")
        http.get("/sessions/s-secret/turns", params={"agent_id": "a"})
        http.get("/memory/a/s-secret", headers={"Authorization": "Bearer co_wrong"})
        http.get("/nowhere/s-secret")
        http.request("PATCH", "/usage")
        http.request("PROPFIND", "/usage")
    until(lambda: len(access(lines)) == 7)  # a line follows its answer
    assert access(lines) == [
        ("POST", "/sessions/{id}/turns", 201),
        ("GET", "/memory/{agent_id}/{session_id}/window", 200),
        ("GET", "/sessions/{id}/turns", 200),
        ("GET", "/memory/{agent_id}/{session_id}", 401),
        ("GET", "unmatched", 404),
        ("PATCH", "/usage", 405),
        ("other", "/usage", 405),
    ]
    told = [one for one in lines if one["logger"] == ACCESS]
    assert all(one["level"] == "INFO" and one["ms"] >= 0 and one["event"] == "request" for one in told)
    assert all(set(one) == {"logger", "level", "event", "request_id", *_SHOWN} for one in told)
    assert not any(secret in str(told) for secret in (key, "co_wrong", "s-secret", "PostgreSQL"))


_SHOWN = ("method", "route", "status", "ms")


def test_without_the_level_there_is_no_line(http: httpx.Client, lines: list[dict[str, Any]]) -> None:
    logging.getLogger(ACCESS).setLevel(logging.WARNING)
    try:
        assert http.get("/health").status_code == 200
    finally:
        logging.getLogger(ACCESS).setLevel(logging.NOTSET)
    assert access(lines) == []


def test_lines_of_a_job_that_a_request_runs_name_both(http: httpx.Client, lines: list[dict[str, Any]]) -> None:
    http.post("/sessions/s/turns", json=TURN)
    got = http.post("/sessions/s/consolidate", headers={"X-Request-Id": "r-7"})
    assert got.status_code == 200
    told = next(one for one in lines if one["event"] == "job done")
    assert told["request_id"] == "r-7"
    assert told["job"] == {"kind": "consolidate", "subject": "default/s", "attempt": 1}
    assert told["tenant"] == "default"
    http.get("/health")
    assert "job" not in lines[-1]


def test_a_failure_that_nobody_expected_has_its_id_too(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a bug")

    with open_memory(tmp_path) as memory, serving(memory) as running, running.http() as http:
        memory.engine.store.listeners.append(fails)
        got = http.post("/sessions/s/turns", json=TURN, headers={"X-Request-Id": "r-8"})
        memory.engine.store.listeners.remove(fails)
    assert (got.status_code, got.headers["x-request-id"]) == (500, "r-8")
    failed = next(one for one in lines if one["event"] == "request failed unexpectedly")
    assert failed["request_id"] == "r-8"
    assert "RuntimeError: a bug" in failed["exception"]
    assert access(lines) == [("POST", "/sessions/{id}/turns", 500)]


def test_the_whole_log_is_json_where_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path))
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    monkeypatch.setenv("CARRYOVER_LOG_FORMAT", "json")
    monkeypatch.setenv("CARRYOVER_LOG_LEVEL", "info")
    with started("serve", "--port", "0", "--no-worker") as process:
        said: list[str] = []
        while not (said and "Application startup complete" in said[-1]):
            said.append(line_of(process.stderr))
            assert said[-1], said
        url = re.search(r"http://\S+", "".join(said))
        assert url is not None
        assert httpx.get(f"{url[0]}/health", headers={"X-Request-Id": "r-9"}).status_code == 200
        os.kill(process.pid, signal.SIGTERM)
        said += rest_of(process.stderr).splitlines()
    told = [json.loads(line) for line in said if line.startswith("{")]
    assert {"uvicorn.error", ACCESS} <= {one["logger"] for one in told}
    request = next(one for one in told if one["logger"] == ACCESS)
    assert (request["route"], request["status"], request["request_id"]) == ("/health", 200, "r-9")
    notes = [line for line in said if line.strip() and not line.startswith("{")]
    assert all("carryover" in line or "API key" in line for line in notes), notes
