"""The cache: what is put is got until it expires, Redis can read none of it, and without it there are only misses."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.core.errors import Invalid
from carryover.core.ports import Cache
from carryover.store import redis as connecting
from carryover.store.cache import MemoryCache, RedisCache
from carryover.store.redis import Redis
from carryover.store.seal import Seal
from servers import redis as servers
from servers.redis import Server
from waiting import until

KEY = bytes(range(32))
WORDS = b"We decided to use PostgreSQL for the ledger."


@pytest.fixture
def redis(redis_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setattr(connecting, "LOOK_S", 0.02)
    opened = Redis(redis_server.url, Seal(KEY))
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest) -> Cache:
    return MemoryCache() if request.param == "memory" else RedisCache(request.getfixturevalue("redis"))


def test_what_is_put_is_got_until_it_is_dropped(cache: Cache) -> None:
    assert cache.get("a") is None
    cache.put("a", WORDS, ttl_s=60)
    cache.put("b", b"", ttl_s=60)
    cache.put("a\x00ä", b"\x00\xff" * 5000, ttl_s=60)
    assert (cache.get("a"), cache.get("b"), cache.get("a\x00ä")) == (WORDS, b"", b"\x00\xff" * 5000)
    cache.put("a", b"other", ttl_s=60)
    assert cache.get("a") == b"other"
    cache.drop("a")
    cache.drop("never")
    assert (cache.get("a"), cache.get("b")) == (None, b"")


def test_what_is_put_expires(cache: Cache) -> None:
    cache.put("a", WORDS, ttl_s=1)
    cache.put("b", WORDS, ttl_s=60)
    until(lambda: cache.get("a") is None)
    assert cache.get("b") == WORDS


def test_a_full_memory_gives_up_what_was_used_longest_ago() -> None:
    cache = MemoryCache(most_bytes=10_000)
    for n in range(5):
        cache.put(f"k{n}", bytes(1500), ttl_s=60)
    assert cache.get("k0") is not None
    cache.put("k5", bytes(1500), ttl_s=60)
    assert [f"k{n}" for n in range(6) if cache.get(f"k{n}") is None] == ["k1"]
    cache.put("k0", bytes(20_000), ttl_s=60)
    assert [f"k{n}" for n in range(6) if cache.get(f"k{n}")] == []


def test_an_entry_opens_under_its_own_key_alone(redis_server: Server, redis: Redis) -> None:
    cache = RedisCache(redis)
    cache.put("mine", WORDS, ttl_s=60)
    here, elsewhere = redis.seal.name("cache", "mine"), redis.seal.name("cache", "yours")
    assert redis_server.cli("RENAME", here, elsewhere) == "OK"
    assert (cache.get("mine"), cache.get("yours")) == (None, None)


def test_what_does_not_open_is_a_miss(redis_server: Server, redis: Redis) -> None:
    cache, name = RedisCache(redis), redis.seal.name("cache", "a")
    closed = redis.seal.close(name, WORDS)
    for broken in ("", "x", "\x01" * 40):
        redis_server.cli("SET", name, broken)
        assert cache.get("a") is None
    for at in range(len(closed)):
        assert redis.seal.open(name, closed[:at]) is None
        assert redis.seal.open(name, closed[:at] + bytes([closed[at] ^ 1]) + closed[at + 1 :]) is None
    assert redis.seal.open(name, closed) == WORDS
    assert Seal(os.urandom(32)).open(name, closed) is None
    assert Seal(KEY).close(name, WORDS) != closed


def test_a_dump_of_redis_says_nothing(redis_server: Server, redis: Redis) -> None:
    cache = RedisCache(redis)
    cache.put("tenant acme, agent ada", WORDS, ttl_s=60)
    assert redis_server.cli("SAVE") == "OK"
    dump = (redis_server.folder / "dump.rdb").read_bytes()
    assert redis.seal.name("cache", "tenant acme, agent ada").encode() in dump
    for word in (b"acme", b"ada", b"PostgreSQL", b"ledger", WORDS):
        assert word not in dump


def gone(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(",")[0] for record in log.records if record.name == connecting.__name__]


def test_a_redis_that_ends_and_comes_back(redis_server: Server, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    cache = RedisCache(redis)
    cache.put("a", WORDS, ttl_s=60)
    servers.stop(redis_server.folder)
    for _ in range(20):
        assert cache.get("a") is None
        cache.put("a", WORDS, ttl_s=60)
        cache.drop("a")
    assert redis.away
    servers.start(redis_server.folder, redis_server.port)
    until(lambda: not redis.away)
    assert cache.get("a") is None
    cache.put("a", WORDS, ttl_s=60)
    assert cache.get("a") == WORDS
    assert gone(caplog) == ["Redis is away", "Redis is back"]


def test_one_that_says_nothing_is_waited_for_once(redis_server: Server, redis: Redis) -> None:
    cache = RedisCache(redis)
    cache.put("a", WORDS, ttl_s=60)
    redis_server.pause()
    try:
        assert cache.get("a") is None
        asked: list[object] = []
        assert redis.ask(asked.append) is None
        assert (asked, redis.away) == ([], True)
    finally:
        redis_server.resume()
    until(lambda: not redis.away)
    assert cache.get("a") == WORDS


def test_many_threads_find_out_together_and_tell_it_once(
    redis_server: Server, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    cache = RedisCache(redis)
    ready = threading.Barrier(9)
    found: list[bytes | None] = []

    def ask() -> None:
        ready.wait()
        found.extend(cache.get("a") for _ in range(50))

    cache.put("a", WORDS, ttl_s=60)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    servers.stop(redis_server.folder)
    ready.wait()
    for thread in threads:
        thread.join()
    assert found == [None] * 400
    assert gone(caplog) == ["Redis is away"]


def test_a_redis_that_refuses_is_no_error(redis_server: Server, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    cache = RedisCache(redis)
    redis_server.cli("CONFIG", "SET", "maxmemory", "1")
    for _ in range(3):
        cache.put("a", WORDS, ttl_s=60)
        assert cache.get("a") is None
    assert not redis.away
    assert gone(caplog) == ["Redis refuses"]


def test_one_that_is_not_there_at_the_start_is_found_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connecting, "LOOK_S", 0.02)
    caplog.set_level(logging.WARNING)
    with servers.running(tmp_path) as server:
        servers.stop(tmp_path)
        redis = Redis(server.url, Seal(KEY))
        cache = RedisCache(redis)
        assert cache.get("a") is None
        servers.start(tmp_path, server.port)
        until(lambda: not redis.away)
        cache.put("a", WORDS, ttl_s=60)
        assert cache.get("a") == WORDS
        redis.close()


def test_closing_one_that_is_away_ends_the_looking(redis_server: Server, redis: Redis) -> None:
    servers.stop(redis_server.folder)
    RedisCache(redis).get("a")
    redis.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "redis-look"]


@pytest.mark.parametrize("url", ["http://:hunter2@host/0", "redis://:hun/ter2@host:6379/0", "hunter2"])
def test_a_url_that_cannot_be_is_told_without_its_password(url: str) -> None:
    with pytest.raises(Invalid, match="write it as redis://") as refused:
        Redis(url, Seal(KEY))
    assert "hun" not in str(refused.value)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(Invalid, match=r"carryover-memory\[redis\]"):
        Redis("redis://localhost", Seal(KEY))


def test_no_question_waits_longer_than_its_time(redis_server: Server, redis: Redis) -> None:
    """The bound is loose: it fails when the client waits without an end, or tries again and again."""
    redis_server.pause()
    try:
        began = time.monotonic()
        RedisCache(redis).get("a")
        assert time.monotonic() - began < 30 * connecting.TIMEOUT_S
    finally:
        redis_server.resume()
