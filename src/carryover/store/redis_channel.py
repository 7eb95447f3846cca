"""News by way of a stream of Redis. (Redis Streams: XADD, XREAD.)

Between two questions nothing is missed, for each names the last entry that was read.
"""

from __future__ import annotations

from typing import Any

from carryover.store.redis import Redis

MOST = 10_000  # entries that Redis keeps, about
_BLOCK_S = 0.25  # how long one question waits for news
_SILENCE_S = 1.0  # a Redis that says nothing for so long is away


class RedisChannel:
    """Entries are sealed: Redis learns neither of tenants nor of agents."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._name = redis.seal.name("news")
        self._client: Any = None
        self._last: Any = None

    @property
    def away(self) -> bool:
        return self._redis.away

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        return self._redis.failures

    def tell(self, entry: bytes) -> bool:
        sealed = {"v": self._redis.seal.close(self._name, entry)}
        return self._redis.ask(lambda client: client.xadd(self._name, sealed, maxlen=MOST)) is not None

    def join(self) -> None:
        self._client = self._client or self._redis.client(_SILENCE_S)
        newest = self._client.xrevrange(self._name, count=1)
        self._last = newest[0][0] if newest else "0-0"

    def heard(self) -> list[bytes]:
        found = self._client.xread({self._name: self._last}, count=1000, block=int(_BLOCK_S * 1000))
        entries: list[tuple[Any, dict[bytes, bytes]]] = found[0][1] if found else []
        if entries:
            self._last = entries[-1][0]
        opened = (self._redis.seal.open(self._name, fields.get(b"v", b"")) for _, fields in entries)
        return [entry for entry in opened if entry is not None]  # others are of another key, or of nobody who has one

    def failed(self, cause: Exception) -> None:
        self._redis.failed(cause)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
