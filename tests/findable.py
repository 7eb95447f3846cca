"""A conversation whose answers are known, and how tests put it where search can find it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from carryover.core.clock import parse_time
from carryover.core.ports import Embedder
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log.append import Limits, append, open_log
from carryover.providers import minilm
from carryover.providers.minilm import MiniLM
from carryover.recall import embed, index
from carryover.recall.embed import Models
from carryover.store.store import Store

LIMITS = Limits(index_ms=0)

_TALK: Mapping[str, tuple[str, str]] = {
    "spring": (
        "2025-03-04T10:00:00Z",
        """Nora: Morning Tom, did the greenhouse survive the storm?
        Tom: Two panes broke, but the tomatoes are fine.
        Nora: Which glazier are you calling this time?
        Tom: The one on Harbour Street, he repaired the skylight in January.
        Nora: I finally signed up for the pottery course.
        Tom: Wonderful! Who teaches it?
        Nora: An old ceramist called Ilse Brandt, every Thursday evening.
        Tom: My sister moved to Lisbon last week.
        Nora: Does she like it there?
        Tom: She adores the light, but the flat is tiny.""",
    ),
    "summer": (
        "2025-07-19T18:30:00Z",
        """Tom: I am training for the Dolomites marathon.
        Nora: How far do you run these days?
        Tom: Eighteen kilometres on Sundays, with the dog.
        Nora: Poor Biscuit, he must be exhausted.
        Tom: He sleeps the whole afternoon afterwards.
        Nora: My bowls cracked in the kiln again.
        Tom: What did Ilse say?
        Nora: That the clay was too wet when I fired it.
        Tom: We are selling the old van, by the way.
        Nora: For how much?
        Tom: Four thousand euros, if the buyer from Trento comes.""",
    ),
    "work": (
        "2025-09-02T09:15:00Z",
        """user: We decided to keep the ledger in PostgreSQL, not in MongoDB.
        assistant: Understood, I will write the migration for PostgreSQL 17.
        user: Please always answer in short sentences.
        assistant: I will.
        user: The nightly backup failed with error E4711.
        assistant: E4711 means that the disk was full; free some space on the volume and start it again.
        user: The deadline for the tax report is the 30th of October.
        assistant: Noted, I will remind you a week before.
        user: 我们把数据库迁移到东京机房了。
        assistant: 好的。""",
    ),
}

# What is asked, and the turns (session, seq) of which one must be among the first three hits: by words; by meaning too.
BY_WORDS = (
    ("Who repaired the skylight?", {("spring", 4)}),
    ("Which course did Nora sign up for?", {("spring", 5)}),
    ("What is Tom training for?", {("summer", 1)}),
    ("Why did the bowls crack?", {("summer", 6), ("summer", 8)}),
    ("What does error E4711 mean?", {("work", 6)}),
    ("Where do we keep the ledger?", {("work", 1)}),
    ("When is the tax report due?", {("work", 7)}),
    ("数据库迁移", {("work", 9)}),
    ("what was said about the kiln on 19 July 2025", {("summer", 6)}),
    ("Who teaches the pottery class?", {("spring", 6), ("spring", 7)}),
)
BY_MEANING = (
    ("Which city does Tom's sibling live in?", {("spring", 8)}),
    ("What is the price of the vehicle?", {("summer", 11)}),
    ("Which pet accompanies him when he jogs?", {("summer", 3), ("summer", 4)}),
)


def open_model(cache: Path) -> MiniLM:
    """The real embedding model; skips the test where its package is not installed."""
    if importlib.util.find_spec(minilm.PACKAGE) is None:
        pytest.skip("the embedding model's package is not installed")
    return MiniLM(cache)


def drafts(session: str) -> tuple[Draft, ...]:
    when, lines = _TALK[session]
    said: list[Draft] = []
    for line in lines.splitlines():
        speaker, _, text = line.strip().partition(": ")
        role: Any = "assistant" if speaker == "assistant" else "user"
        name = speaker if speaker[0].isupper() else None
        said.append(Draft(role, text, name=name, created_at=parse_time(when) + 60_000 * len(said)))
    return tuple(said)


def log(store: Store, scope: Scope, session: str, said: Iterable[Draft], agent: str = "ada", user: str = "u1") -> None:
    append(open_log(store, LIMITS), scope, Append(session, tuple(said), agent, user), LIMITS)


def catch_up(store: Store, embedder: Embedder | None = None, *, only: tuple[str, ...] | None = None) -> None:
    """Everything that was logged is indexed, and has vectors where there is an embedder."""
    models = Models(embedder)
    derivations: dict[str, Any] = {index.INDEX: index.indexing(models)}
    if embedder is not None:
        derivations[embed.EMBED] = embed.embedding(models)
    Worker(store, derivations, lambda _tenant: Cap()).drain(only or tuple(derivations))


def tell(store: Store, scope: Scope, embedder: Embedder | None = None) -> None:
    """The whole conversation is there to be found."""
    for session in _TALK:
        log(store, scope, session, drafts(session))
    catch_up(store, embedder)
