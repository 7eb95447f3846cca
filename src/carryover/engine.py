"""The parts that all scopes of one process share, put together as the settings say."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from carryover.coding.digests import digest
from carryover.core.clock import DAY_MS
from carryover.core.errors import CarryoverError
from carryover.core.ports import LLM, Cache, Clock, Embedder, Extractor
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.jobs.derivation import Derivation
from carryover.jobs.timer import ticking
from carryover.jobs.worker import Derivations, Worker
from carryover.log import append as appending
from carryover.log import forget, lifecycle
from carryover.memory import again, consolidate, prompts, verify
from carryover.memory.choice import Extractors
from carryover.memory.evict import eviction
from carryover.memory.extract import ModelExtractor, named
from carryover.memory.promote import promotion
from carryover.memory.rules import Rules
from carryover.opening import limits_of, open_news, open_redis, open_store, vault_of
from carryover.persona import fitting, noticing
from carryover.persona.books import Books
from carryover.persona.notice import Rules as NoticeRules
from carryover.persona.notice_model import ModelNoticer
from carryover.persona.noticing import Noticer
from carryover.persona.starter import seeds
from carryover.persona.told import Parts
from carryover.providers.catalog import Access, open_embedder, reopen_embedder
from carryover.providers.chat import ChatModel, open_chat_model
from carryover.providers.llm import open_llm
from carryover.recall import embed, index, reindex
from carryover.recall.embed import Models
from carryover.settings import Settings
from carryover.store import pgvector, queue, sqlitevec
from carryover.store.cache import MemoryCache, RedisCache
from carryover.store.codes_kept import Codes
from carryover.store.news import Change, News
from carryover.store.redis import Redis
from carryover.store.store import Store
from carryover.store.vault import Vault
from carryover.strategies.kept import Kept
from carryover.strategies.summarize import Makers, OpenModel, summarizing

CATCH_UP_S = 0.5  # how long a search waits at most for what was said before it to be indexed, or embedded
_CATCH_UP = 8  # sessions whose new turns it helps to index
_CATCH_UP_CHUNKS = 32  # that it helps to embed


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that all scopes of one process share."""

    settings: Settings
    store: Store
    limits: appending.Limits
    log: appending.Log
    embedder: Embedder | None
    models: Models
    extractors: Extractors
    worker: Worker
    redis: Redis | None
    cache: Cache
    news: News
    vault: Vault
    personas: Parts
    closing: ExitStack
    chat_model: ChatModel | None  # None: the settings name no model
    kept: Kept = field(default_factory=Kept)

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None, embedder: Embedder | None = None) -> Engine:
        """The parts that the settings describe, at rest; `embedder` takes the place of the one that they name.

        Raises Invalid for settings that cannot be, StoreUnavailable when the database cannot be opened.
        """
        limits = limits_of(settings)
        with ExitStack() as opened:
            store = opened.enter_context(open_store(settings, clock=clock))
            vault = vault_of(store)
            redis = open_redis(settings, store)
            if redis is not None:
                opened.callback(redis.close)
            cache = MemoryCache() if redis is None else RedisCache(redis)
            personas = _personas(settings, store, vault, None if isinstance(cache, MemoryCache) else cache)
            news = open_news(store, redis)
            opened.callback(news.close)
            store.listeners.append(news.publish)
            extractors, embedder = _extractors(settings, opened), embedder or embedder_of(settings)
            models = models_of(settings, embedder)
            opened.callback(models.close)
            if settings.vector_index == "pgvector" and embedder is not None:
                pgvector.enable(store, embedder.name, embedder.dim)
            if settings.vector_index == "sqlite-vec" and embedder is not None:
                sqlitevec.enable(store, embedder.name, embedder.dim)
            opener = _opener(settings, opened)
            derivations = _derivations(settings, extractors, models, opener)
            derivations = {**derivations, **_of_personas(settings, personas, models, opener)}
            derivations[forget.KIND] = forget.forgetting(forget.Means(store, personas.codes))
            chat_model = _chat_model(settings, opened)
            worker = Worker(store, derivations, lambda _tenant: settings.cap)
            opened.callback(worker.close)
            log = appending.open_log(store, limits)
            parts = settings, store, limits, log, embedder, models, extractors, worker, redis, cache, news, vault
            return cls(*parts, personas, opened.pop_all(), chat_model)

    @property
    def erasures(self) -> forget.Means:
        """Where everything lies that an erasure reaches."""
        return forget.Means(self.store, self.personas.codes)

    def start_working(self, threads: int = 1) -> None:
        """So many threads run what is due, until the engine is closed; every tenant gets this embedder's vectors."""
        with self.store.read(EVERY_TENANT) as tx:
            self.models.since = tx.now
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


def caught_up(engine: Engine, scope: Scope) -> Embedder | None:
    """What was said just before a search is found by it, unless so much is waiting that a worker has to do it.

    Answers the model of the vectors that are to be searched.
    """
    _help(engine, scope, index.INDEX)
    if engine.embedder is None:
        return None
    with engine.store.read(scope) as tx:
        behind = embed.nearly(tx, _CATCH_UP_CHUNKS)
        if not behind:
            return embed.answering(tx, engine.models)
    for space in behind:
        _help(engine, scope, embed.EMBED, subject=space)
    with engine.store.read(scope) as tx:
        return embed.answering(tx, engine.models)


def _help(engine: Engine, scope: Scope, kind: str, *, subject: str | None = None) -> None:
    """The due jobs of this kind (or its one job of `subject`) are done, by this thread or a worker, if they are few."""
    end = time.monotonic() + CATCH_UP_S
    with engine.store.read(scope) as tx:
        behind = queue.subjects(tx, kind, limit=_CATCH_UP + 1)
    if subject is not None:
        behind &= {subject}
    while 0 < len(behind) <= _CATCH_UP and time.monotonic() < end:
        if not engine.worker.run_one((kind,), tenant=scope.tenant, subject=subject):
            time.sleep(0.005)  # a worker has it
        with engine.store.read(scope) as tx:
            behind &= queue.subjects(tx, kind, limit=_CATCH_UP + 1)


def embedder_of(settings: Settings) -> Embedder | None:
    """The embedder that the settings name, at rest: nothing is loaded or connected yet."""
    return open_embedder(settings.embedder, _access(settings))


def models_of(settings: Settings, embedder: Embedder | None = None) -> Models:
    """The embedder that the settings name, or the one that is given, and how those of other spaces are opened."""
    return Models(
        embedder or embedder_of(settings),
        lambda space: reopen_embedder(space, settings.embedder, _access(settings)),
    )


def _access(settings: Settings) -> Access:
    key = settings.embedder_api_key
    return Access(
        settings.folder / "models",
        api_key=key.get_secret_value() if key else None,
        base_url=settings.embedder_base_url,
        dim=settings.embedder_dim,
    )


def extractor_id(settings: Settings) -> str:
    """The id of the extractor that the settings name."""
    return Rules.id if settings.llm == "rules" else named(settings.llm)


def _extractors(settings: Settings, opened: ExitStack) -> Extractors:
    models = opened.enter_context(ExitStack())

    def model(name: str, prompt: str) -> Extractor:
        llm = llm_of(settings, name)
        models.callback(llm.close)
        return ModelExtractor(llm, prompt)

    @cache
    def earlier(id: str) -> Extractor | None:
        if id.startswith("rules/"):
            return Rules()
        name, _, prompt = id.rpartition("@")
        # Rules call no model, and the key is the configured provider's: whoever changed either may have meant that.
        if name.partition(":")[0] != settings.llm.partition(":")[0]:
            return None
        try:
            return model(name, prompt if prompt in prompts.HEADS else prompts.NEWEST)
        except CarryoverError:  # its price is not known any more
            return None

    return Extractors(Rules() if settings.llm == "rules" else model(settings.llm, prompts.NEWEST), earlier)


def llm_of(settings: Settings, name: str) -> LLM:
    """The model of that name, with the key and the prices that the settings give."""
    key = settings.llm_api_key
    return open_llm(
        name,
        api_key=key.get_secret_value() if key else None,
        base_url=settings.llm_base_url,
        own_prices=settings.prices,
    )


def _chat_model(settings: Settings, opened: ExitStack) -> ChatModel | None:
    if settings.llm == "rules":
        return None
    key = settings.llm_api_key
    model = open_chat_model(
        settings.llm,
        api_key=key.get_secret_value() if key else None,
        base_url=settings.llm_base_url,
        own_prices=settings.prices,
    )
    opened.callback(model.close)
    return model


def _opener(settings: Settings, opened: ExitStack) -> OpenModel:
    """Opens the models that strategies name; they stay open until the engine is closed."""
    models = opened.enter_context(ExitStack())

    @cache
    def model(name: str) -> LLM:
        # Key and base URL are of the provider that the settings name; another one's library finds its own.
        same = name.partition(":")[0] == settings.llm.partition(":")[0]
        llm = llm_of(settings, name) if same else open_llm(name, own_prices=settings.prices)
        models.callback(llm.close)
        return llm

    return model


def _personas(settings: Settings, store: Store, vault: Vault, cache: RedisCache | None) -> Parts:
    mine = settings.persona
    for own in mine.facets.values():
        seeds(own)  # a value that cannot be told to a model is found here, and not in the middle of a job
    return Parts(store, vault, Codes(vault, cache, mine.code_ttl_s), Books(vault, mine.facets, mine.strategy))


def _of_personas(settings: Settings, parts: Parts, models: Models, open_model: OpenModel) -> Derivations:
    mine = settings.persona

    @cache
    def noticer(tenant: str) -> Noticer:
        if settings.llm == "rules":
            return NoticeRules(mine.facets.get(tenant, {}))
        return ModelNoticer(open_model(settings.llm), mine.facets.get(tenant, {}))

    made: list[Derivation[Any, Any]] = [
        noticing.noticing(noticing.Means(parts, noticer, models.embedder, mine.enabled)),
        fitting.fitting(fitting.Means(parts.books, models.embedder, mine.floor)),
    ]
    return {derivation.kind: derivation for derivation in made}


def _derivations(settings: Settings, extractors: Extractors, models: Models, open_model: OpenModel) -> Derivations:
    most_live = settings.snapshot_findings_max
    made: list[Derivation[Any, Any]] = [
        consolidate.consolidation(extractors, most_live),
        eviction(settings.eviction),
        promotion(extractors, most_live),
        again.reconsolidation(extractors, again.KIND, most_live),
        again.reconsolidation(extractors, again.FORCED, most_live),
        verify.verification(),
        index.indexing(models),
        reindex.reindexing(),
        lifecycle.expiry(),
        digest.digesting(settings.coding.domains),
        summarizing(Makers(Rules(), settings.llm, open_model)),
    ]
    if models.embedder is not None:
        made.append(embed.embedding(models))
    return {derivation.kind: derivation for derivation in made}
