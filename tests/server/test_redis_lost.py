"""Whatever becomes of Redis in the middle of traffic: no request fails, no answer is wrong, no event is lost."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from carryover.runtime import Carryover
from carryover.store import redis as connecting
from servers import redis as servers
from servers.postgres import free_port
from servers.redis import Server
from serving import Running, open_memory, serving
from waiting import until

ROUNDS = 4  # of losing Redis and having it again


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "LOOK_S", 0.05)


@contextmanager
def two_servers(home: Path, database_url: str, redis: Server) -> Iterator[tuple[Running, Running]]:
    settings = {"database_url": database_url, "redis_url": SecretStr(redis.url), "rate_limit": "1000000/hour"}
    with (
        open_memory(home, **settings) as one,
        open_memory(home, **settings) as two,
        serving(one) as first,
        serving(two) as second,
    ):
        for running in (first, second):
            # One after the other: the framework builds its routes at the first request, not for two threads at once.
            with running.http() as http:
                assert http.get("/nowhere").status_code == 404
        yield first, second


def stop(redis: Server) -> Server:
    servers.stop(redis.folder)
    return redis


def start(redis: Server) -> Server:
    return servers.start(redis.folder, redis.port)


def freeze(redis: Server) -> Server:
    redis.pause()
    return redis


def thaw(redis: Server) -> Server:
    redis.resume()
    return redis


def flush(redis: Server) -> Server:
    redis.cli("FLUSHALL")
    return redis


class Reader(threading.Thread):
    """Follows an agent's stream on one line, until so many turns were appended."""

    def __init__(self, running: Running, turns: int) -> None:
        super().__init__()
        self._running, self._turns = running, turns
        self.versions: list[int] = []

    def run(self) -> None:
        with self._running.http() as http, http.stream("GET", "/stream/default/live?action=append&after=0") as got:
            for line in got.iter_lines():
                if line.startswith("data: "):
                    self.versions.append(json.loads(line[6:])["detail"]["version"])
                    if self.versions[-1] == self._turns:
                        return


@pytest.mark.parametrize("happens", [(stop, start), (freeze, thaw), (flush,), (stop, start, flush, freeze, thaw)])
def test_traffic_goes_on(
    tmp_path: Path, database_url: str, redis_server: Server, happens: tuple[Callable[[Server], Server], ...]
) -> None:
    turns = ROUNDS * len(happens) * 12
    with two_servers(tmp_path, database_url, redis_server) as (first, second):
        readers = [Reader(first, turns), Reader(second, turns)]
        for reader in readers:
            reader.start()
        with first.http() as one, second.http() as two:
            doors = itertools.cycle((one, two))
            told: set[bytes] = set()
            for n in range(turns):
                if n % 12 == 6:
                    redis_server = happens[n // 12 % len(happens)](redis_server)
                said = next(doors).post("/sessions/s/turns", json={"role": "user", "content": f"word {n}"})
                assert (said.status_code, said.json()["version"]) == (201, n + 1)
                got = next(doors).get("/sessions/next/context")
                assert got.status_code == 200
                assert f"word {n}" in got.json()["markdown"]
                told.add(got.content)
            assert len(told) == turns
        for reader in readers:
            reader.join(30)
            assert reader.versions == list(range(1, turns + 1))


def contexts(*memories: Carryover) -> list[str]:
    return [memory.context("next").markdown for memory in memories]


def learn(memory: Carryover, text: str) -> None:
    memory.log_turn("s1", "user", text)
    memory.consolidate("s1")


def test_a_kept_context_is_the_one_that_would_be_told_now(
    tmp_path: Path, database_url: str, redis_server: Server
) -> None:
    """Over every change, and after an old state of Redis has come back."""
    redis_url = SecretStr(redis_server.url)
    with (
        open_memory(tmp_path, database_url=database_url, redis_url=redis_url) as one,
        open_memory(tmp_path, database_url=database_url, redis_url=redis_url) as two,
        open_memory(tmp_path, database_url=database_url) as without,
    ):
        said: list[str] = []

        def agree() -> None:
            told = contexts(one, two, one, without)
            assert len(set(told)) == 1
            said.append(told[0])

        learn(one, "Let's use PostgreSQL for the ledger.")
        agree()
        assert redis_server.cli("SAVE") == "OK"
        two.log_turn("s2", "user", "The deadline is 12 March 2027.")
        agree()
        learn(two, "We decided against MongoDB.")
        agree()
        restored = start(stop(redis_server))
        until(lambda: not (one.engine.redis and one.engine.redis.away) and contexts(two))
        assert restored.cli("DBSIZE") != "0"
        agree()
        two.delete_session("s1")
        agree()
        two.delete_session("s2")
        agree()
        assert [said[n] == said[n + 1] for n in range(5)] == [False, False, True, False, False]
        assert said[-1] == ""


def hits(redis: Server) -> int:
    return int(redis.cli("INFO", "stats").partition("keyspace_hits:")[2].split()[0])


def test_a_process_is_told_what_another_has_rendered(tmp_path: Path, database_url: str, redis_server: Server) -> None:
    settings = {"database_url": database_url, "redis_url": SecretStr(redis_server.url)}
    with open_memory(tmp_path, **settings) as one, open_memory(tmp_path, **settings) as two:
        learn(one, "Let's use PostgreSQL for the ledger.")
        told = one.context("next")
        before = hits(redis_server)
        assert two.context("next") == told
        assert hits(redis_server) == before + 1
        assert two.context("next", max_tokens=400).tokens <= 400
        assert hits(redis_server) == before + 1


def test_redis_holds_no_word_of_the_conversations(tmp_path: Path, database_url: str, redis_server: Server) -> None:
    with two_servers(tmp_path, database_url, redis_server) as (first, second), second.http() as http:
        learn(first.memory, "Let's use PostgreSQL for the ledger of customer Brandybuck.")
        assert "Brandybuck" in http.get("/sessions/next/context").json()["markdown"]
        until(lambda: int(redis_server.cli("DBSIZE")) >= 3)  # a context, a count, and news
        assert redis_server.cli("SAVE") == "OK"
    dump = (redis_server.folder / "dump.rdb").read_bytes()
    assert b"carryover:" in dump
    # No shorter words: two bytes stand somewhere in as much ciphertext by chance.
    for word in (b"Brandybuck", b"PostgreSQL", b"ledger", b"default", b"next"):
        assert word not in dump, word


def test_a_redis_that_was_never_there_is_not_missed(tmp_path: Path) -> None:
    url = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    settings = {"redis_url": url, "rate_limit": "3/hour"}
    with open_memory(tmp_path, **settings) as memory, serving(memory) as running, running.http() as http:
        assert http.post("/sessions/s/turns", json={"role": "user", "content": "hello"}).status_code == 201
        assert [http.get("/sessions/s/context").status_code for _ in range(3)] == [200, 200, 429]
        health = http.get("/health").json()
        assert (health["status"], health["cache"]["engine"], health["cache"]["status"]) == ("ok", "redis", "away")


def test_each_process_may_be_given_the_key(tmp_path: Path, redis_server: Server) -> None:
    """With another key nothing opens, so nothing is shared and nothing is wrong."""
    keys = [SecretStr(base64.b64encode(bytes([n] * 32)).decode()) for n in (1, 1, 2)]
    redis_url = SecretStr(redis_server.url)
    opened = [open_memory(tmp_path, redis_url=redis_url, cache_key=key) for key in keys]
    one, same, other = opened
    learn(one, "Let's use PostgreSQL for the ledger.")
    one.engine.cache.put("a", b"value", ttl_s=60)
    assert (same.engine.cache.get("a"), other.engine.cache.get("a")) == (b"value", None)
    assert len(set(contexts(one, same, other))) == 1
    for memory in opened:
        memory.close()
