"""Refusals as problem documents: every error has its status, and the store's troubles leave as 503."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import sqlalchemy as sa

from carryover.core import errors as tree
from carryover.core.clock import rfc3339
from carryover.core.errors import CarryoverError, ProviderUnavailable, TooMany, Unauthorized, VersionConflict
from carryover.core.usage import Usage
from carryover.core.wire import decode_error, encode_error
from carryover.server import errors
from serving import Running

KINDS = [kind for kind in vars(tree).values() if isinstance(kind, type) and issubclass(kind, CarryoverError)]
TURN = {"role": "user", "content": "x", "idempotency_key": "k"}


@contextmanager
def failing(running: Running, moment: str, failure: Exception) -> Iterator[None]:
    """Inside the block each `moment` of the database raises."""

    def fail(*_: object) -> None:
        raise failure

    engine = running.memory.engine.store.engine
    sa.event.listen(engine, moment, fail)
    try:
        yield
    finally:
        sa.event.remove(engine, moment, fail)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status_and_comes_back_as_itself(kind: type[CarryoverError]) -> None:
    assert kind in errors.STATUS
    error = kind("it went wrong; retry", field="a.b", until=1_790_000_000_000, usage=Usage(calls=1))
    got = errors.problem(error)
    assert got.status_code == errors.STATUS[kind]
    assert got.media_type == "application/problem+json"
    document = json.loads(bytes(got.body))
    assert document["until"] == rfc3339(1_790_000_000_000)
    assert document["type"] == encode_error(error)["type"]
    back = decode_error(document)
    assert type(back) is kind
    assert back.message == error.message
    assert (back.facts["field"], back.facts["until"]) == ("a.b", 1_790_000_000_000)


def test_types_are_stable_paths() -> None:
    assert encode_error(VersionConflict())["type"] == "/problems/version-conflict"
    assert encode_error(VersionConflict())["title"] == "Version conflict"
    assert len({encode_error(kind())["type"] for kind in KINDS}) == len(KINDS)


def test_headers_say_when_to_come_back_and_with_what() -> None:
    assert errors.problem(TooMany(retry_after=7)).headers["retry-after"] == "7"
    assert errors.problem(TooMany()).headers["retry-after"] == "1"
    assert errors.problem(ProviderUnavailable(retry_after=0.2)).headers["retry-after"] == "1"
    assert errors.problem(Unauthorized()).headers["www-authenticate"].startswith("Bearer")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_commit_that_fails_is_503_and_saves_nothing(running: Running, http: httpx.Client) -> None:
    with failing(running, "commit", sqlite3.OperationalError("database or disk is full")):
        got = http.post("/sessions/s/turns", json=TURN)
        assert got.status_code == 503
        assert got.headers["retry-after"] == "1"
        assert got.json()["type"] == "/problems/store-unavailable"
        assert "free some disk space" in got.json()["detail"]
    assert http.post("/sessions/s/turns", json=TURN).status_code == 201
    assert http.get("/memory/default/s").json()["version"] == 1


def test_health_is_down_when_the_store_is(running: Running, http: httpx.Client) -> None:
    with failing(running, "begin", sqlite3.OperationalError("unable to open database file")):
        got = http.get("/health")
        assert (got.status_code, got.json()["status"]) == (503, "down")
        assert "check that the folder exists" in got.json()["store"]["reason"]
        assert http.get("/memory/default/s").status_code == 503
    assert http.get("/health").json()["status"] == "ok"


def test_what_nobody_foresaw_is_a_problem_that_tells_nothing(running: Running, http: httpx.Client) -> None:
    with failing(running, "commit", RuntimeError("a secret")):
        got = http.post("/sessions/s/turns", json=TURN)
    assert (got.status_code, got.json()["status"]) == (500, 500)
    assert "secret" not in got.text
    assert http.post("/sessions/s/turns", json=TURN).status_code == 201


def test_the_server_loads_no_model_library() -> None:
    code = "import sys, carryover.server.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"onnxruntime", "tokenizers", "pydantic_ai", "onnx", "safetensors"} & set(loaded)
