"""How many requests a tenant may make: the same for all processes where there is a Redis to count in.

A window opens with a tenant's first request and ends after its time, whatever happens: one counter a tenant, and
whoever is refused is told the moment from which all is allowed again. Around that moment up to twice the rate gets
through, which a limit that protects the service can bear.
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from carryover.core.errors import TooMany
from carryover.store.redis import Redis


class Limits:
    """Counts in Redis, and in this process alone while Redis is away. Close it, in the loop that it was used in."""

    def __init__(self, rate: str | None, redis: Redis | None) -> None:
        self._rate: RateLimitItem | None = None if rate is None else parse(rate)
        self._redis = redis
        self._here = FixedWindowRateLimiter(MemoryStorage())
        self._pool = None if redis is None or rate is None else redis.pool()
        self._shared = None if self._pool is None else FixedWindowRateLimiter(_storage(self._pool))

    async def admit(self, tenant: str) -> None:
        """One more request of the tenant. Raises TooMany beyond its rate."""
        if self._rate is None:
            return
        if self._redis is None or self._shared is None or self._redis.away:
            return await _hit(self._here, self._rate, tenant)
        try:
            await _hit(self._shared, self._rate, self._redis.seal.name("tenant", tenant))
        except StorageError as failure:
            self._redis.failed(failure.storage_error)
            await _hit(self._here, self._rate, tenant)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.disconnect()


async def _hit(counts: FixedWindowRateLimiter, rate: RateLimitItem, who: str) -> None:
    if await counts.hit(rate, who):
        return
    left_s = (await counts.get_window_stats(rate, who)).reset_time - time.time()
    wait_s = max(1, math.ceil(left_s))
    raise TooMany(f"this tenant may make {rate} requests; wait {wait_s} s and retry", retry_after=wait_s)


def _storage(pool: object) -> RedisStorage:
    options: dict[str, object] = {"connection_pool": pool, "key_prefix": "carryover:rate"}
    return RedisStorage("async+redis://", wrap_exceptions=True, implementation="redispy", **options)  # type: ignore[arg-type]
