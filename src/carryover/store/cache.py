"""Bytes that are kept for a while, in this process or encrypted in a Redis: losing them costs time, never truth."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from carryover.store.redis import Redis

MOST_BYTES = 16 << 20


class MemoryCache:
    """The cache of one process; beyond `most_bytes` what was used longest ago goes."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._held = 0
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            if time.monotonic() >= found[1]:
                self._remove(key)
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: str, value: bytes, *, ttl_s: int) -> None:
        with self._lock:
            self._remove(key)
            self._kept[key] = (value, time.monotonic() + ttl_s)
            self._held += _size(key, value)
            while self._held > self._most:
                self._remove(next(iter(self._kept)))

    def drop(self, key: str) -> None:
        with self._lock:
            self._remove(key)

    def _remove(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._held -= _size(key, found[0])


class RedisCache:
    """The cache that all processes share: Redis holds neither a key nor a value that it could read."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def get(self, key: str) -> bytes | None:
        """What was put under this key; None too for what does not open, or when Redis does not answer."""
        name = self._redis.seal.name("cache", key)
        closed = self._redis.ask(lambda client: client.get(name))
        return None if closed is None else self._redis.seal.open(name, closed)

    def put(self, key: str, value: bytes, *, ttl_s: int) -> None:
        name = self._redis.seal.name("cache", key)
        closed = self._redis.seal.close(name, value)
        self._redis.ask(lambda client: client.set(name, closed, ex=ttl_s))

    def drop(self, key: str) -> None:
        name = self._redis.seal.name("cache", key)
        self._redis.ask(lambda client: client.delete(name))


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + 200  # about what the entry itself takes
