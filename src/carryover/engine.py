"""The parts that all scopes of one process share, put together as the settings say."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from carryover.core.clock import DAY_MS
from carryover.core.ports import LLM, Cache, Clock, Embedder, Extractor
from carryover.jobs.derivation import Derivation
from carryover.jobs.timer import ticking
from carryover.jobs.worker import Derivations, Worker
from carryover.log import append as appending
from carryover.log import lifecycle
from carryover.memory import consolidate
from carryover.memory.extract import ModelExtractor
from carryover.memory.rules import Rules
from carryover.opening import limits_of, open_news, open_redis, open_store
from carryover.providers.catalog import Access, open_embedder
from carryover.providers.llm import open_llm
from carryover.recall import index
from carryover.settings import Settings
from carryover.store import pgvector
from carryover.store.cache import MemoryCache, RedisCache
from carryover.store.news import Change, News
from carryover.store.redis import Redis
from carryover.store.store import Store


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that all scopes of one process share."""

    settings: Settings
    store: Store
    limits: appending.Limits
    log: appending.Log
    embedder: Embedder | None
    worker: Worker
    redis: Redis | None
    cache: Cache
    news: News
    closing: ExitStack

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None) -> Engine:
        """The parts that the settings describe, at rest.

        Raises Invalid for settings that cannot be, StoreUnavailable when the database cannot be opened.
        """
        limits = limits_of(settings)
        with ExitStack() as opened:
            store = opened.enter_context(open_store(settings, clock=clock))
            redis = open_redis(settings, store)
            if redis is not None:
                opened.callback(redis.close)
            cache = MemoryCache() if redis is None else RedisCache(redis)
            news = open_news(store, redis)
            opened.callback(news.close)
            store.listeners.append(news.publish)
            llm, embedder = _llm(settings), embedder_of(settings)
            for model in filter(None, (llm, embedder)):
                opened.callback(model.close)
            if settings.vector_index == "pgvector" and embedder is not None:
                pgvector.enable(store, embedder.name, embedder.dim)
            derivations = _derivations(ModelExtractor(llm) if llm else Rules(), embedder)
            worker = Worker(store, derivations, lambda _tenant: settings.cap)
            opened.callback(worker.close)
            log = appending.open_log(store, limits)
            return cls(settings, store, limits, log, embedder, worker, redis, cache, news, opened.pop_all())

    def start_working(self, threads: int = 1) -> None:
        """So many threads run what is due, until the engine is closed."""
        drain_s = self.settings.drain_s
        days = self.settings.events_days
        keep_events_ms = None if days is None else days * DAY_MS
        self.closing.enter_context(
            ticking(self.store, self.worker, concurrency=threads, drain_s=drain_s, keep_events_ms=keep_events_ms)
        )
        self.closing.callback(self.news.listen(self._hear))

    def _hear(self, change: Change) -> None:
        if change.due or change.unknown:
            self.worker.wake()


def embedder_of(settings: Settings) -> Embedder | None:
    """The embedder that the settings name, at rest: nothing is loaded or connected yet."""
    key = settings.embedder_api_key
    return open_embedder(
        settings.embedder,
        Access(
            settings.folder / "models",
            api_key=key.get_secret_value() if key else None,
            base_url=settings.embedder_base_url,
            dim=settings.embedder_dim,
        ),
    )


def _llm(settings: Settings) -> LLM | None:
    if settings.llm == "rules":
        return None
    key = settings.llm_api_key
    return open_llm(
        settings.llm,
        api_key=key.get_secret_value() if key else None,
        base_url=settings.llm_base_url,
        own_prices=settings.prices,
    )


def _derivations(extractor: Extractor, embedder: Embedder | None) -> Derivations:
    made: list[Derivation[Any, Any]] = [
        consolidate.consolidation(extractor),
        index.indexing(embedder.name if embedder else None),
        lifecycle.expiry(),
    ]
    if embedder is not None:
        made.append(index.embedding(embedder))
    return {derivation.kind: derivation for derivation in made}
