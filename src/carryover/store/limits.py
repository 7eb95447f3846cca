"""How many requests a tenant or a key may make: the same for all processes where there is a Redis to count in.

A window opens with the first request and ends after its time, whatever happens: one counter each, and whoever is
refused is told the moment from which all is allowed again. Around that moment up to twice the rate gets through,
which a limit that protects the service can bear.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from carryover.core.errors import TooMany
from carryover.store.redis import Redis


class Limits:
    """Counts in Redis, and in this process alone while Redis is away. Close it, in the loop that it was used in."""

    def __init__(self, rate: str | None, redis: Redis | None) -> None:
        """`rate` is each tenant's; None is no limit."""
        self._rate = rate
        self._redis = redis
        self._here = FixedWindowRateLimiter(MemoryStorage())
        self._pool = None if redis is None else redis.pool()
        self._shared = None if self._pool is None else FixedWindowRateLimiter(_storage(self._pool))

    async def admit(self, tenant: str, who: str = "", rate: str | None = None) -> None:
        """One more request of the tenant, by somebody who may have a rate of their own. Raises TooMany beyond one."""
        if rate is not None:  # first: what is refused here takes nothing from the others of the tenant
            await self._count(rate, "caller", f"{tenant}/{who}")
        if self._rate is not None:
            await self._count(self._rate, "tenant", tenant)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.disconnect()

    async def _count(self, rate: str, kind: str, of: str) -> None:
        if self._redis is None or self._shared is None or self._redis.away:
            return await _hit(self._here, _parsed(rate), kind, of)
        try:
            await _hit(self._shared, _parsed(rate), kind, self._redis.seal.name(kind, of))
        except StorageError as failure:
            self._redis.failed(failure.storage_error)
            await _hit(self._here, _parsed(rate), kind, of)


@lru_cache(maxsize=1_000)
def _parsed(rate: str) -> RateLimitItem:
    return parse(rate)


async def _hit(counts: FixedWindowRateLimiter, rate: RateLimitItem, kind: str, of: str) -> None:
    if await counts.hit(rate, kind, of):
        return
    left_s = (await counts.get_window_stats(rate, kind, of)).reset_time - time.time()
    wait_s = max(1, math.ceil(left_s))
    whose = "this tenant" if kind == "tenant" else "whoever sends this key or token"
    raise TooMany(f"{whose} may make {rate} requests; wait {wait_s} s and retry", retry_after=wait_s)


def _storage(pool: object) -> RedisStorage:
    options: dict[str, object] = {"connection_pool": pool, "key_prefix": "carryover:rate"}
    return RedisStorage("async+redis://", wrap_exceptions=True, implementation="redispy", **options)  # type: ignore[arg-type]
