"""Opening the embedded log as the settings describe it, for all that stand on it."""

from __future__ import annotations

from carryover.core.errors import Invalid
from carryover.core.ports import Clock
from carryover.core.scope import EVERY_TENANT
from carryover.log.append import Limits
from carryover.settings import Settings
from carryover.store.news import LocalNews, News, SharedNews
from carryover.store.redis import Redis
from carryover.store.redis_channel import RedisChannel
from carryover.store.seal import Seal
from carryover.store.secrets import secret
from carryover.store.store import Store


def open_store(settings: Settings, *, clock: Clock | None = None) -> Store:
    """The store, made where there is none, its folder the owner's alone.

    Raises Invalid when the folder cannot be made, StoreUnavailable when the database cannot be opened.
    """
    folder = settings.folder
    if settings.database_url is None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as cause:
            raise Invalid(
                f"{folder} cannot be made ({cause.strerror}); set CARRYOVER_HOME to a folder you may write to",
                field="home",
            ) from cause
    return Store.open(settings.store_url, clock=clock, pool=settings.database_pool)


def open_redis(settings: Settings, store: Store) -> Redis | None:
    """The Redis that the settings name, which need not answer. Raises Invalid for a URL that cannot be."""
    if settings.redis_url is None:
        return None
    key = settings.shared_key
    if key is None:
        key = store.transact(EVERY_TENANT, lambda tx: secret(tx, "cache"))
    return Redis(settings.redis_url.get_secret_value(), Seal(key))


def open_news(store: Store, redis: Redis | None) -> News:
    """How this process hears of the commits of others: by way of Redis, else of the database, else not at all."""
    channel = store.dialect.channel(store.url) if redis is None else RedisChannel(redis)
    return LocalNews() if channel is None else SharedNews(channel)


def limits_of(settings: Settings) -> Limits:
    """What an append may be, and what it sets in motion."""
    return Limits(idle_ms=int(settings.idle_s * 1000), turn_bytes=settings.max_turn_bytes, ttl_s=settings.ttl_s)
