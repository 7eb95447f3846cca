"""What each tier of memory costs: the same questions, asked while all findings are in it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from carryover.core.ports import Embedder
from carryover.core.scope import DEFAULT, Scope
from carryover.core.session import Append
from carryover.core.tier import Policy
from carryover.core.usage import Cap
from carryover.engine import Engine
from carryover.evals import metrics
from carryover.evals.asking import CONTEXT_TOKENS, Memory, Told, ask
from carryover.evals.labelled import Conversation
from carryover.evals.recall import Plan, Remembering, found
from carryover.jobs.worker import Worker
from carryover.memory import evict
from carryover.providers.minilm import MiniLM
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store.store import Tx
from carryover.store.tables import chunks

ALL = 1_000_000
TIERS = (
    ("full", Policy(ALL, ALL)),
    ("compressed", Policy(ALL, 0)),
    ("summarised", Policy(0, 0)),
)
MEASURES = ("R@10", "B1000", "QC", "answer", "answer static")
Figures = dict[tuple[str, str], dict[str, list[float]]]


def show(data: Path, *, with_model: bool, limit: int | None) -> None:
    """A table for each set: a row for each tier. Vectors are remembered in the folder of temporary files."""
    embedder: Embedder | None = None
    if with_model:
        embedder = Remembering(MiniLM(Path.home() / ".carryover/models"), Path(tempfile.gettempdir()) / "vectors")
    figures: Figures = {}
    for dataset, conversation in found(data, Plan(sets=("locomo", "beam"))):
        _measure(figures, dataset, conversation, embedder, limit)
        print(f"{dataset} {conversation.name}", flush=True)
    for dataset in dict.fromkeys(name for name, _ in figures):
        heads = ("tier", "questions", *MEASURES, "KiB told", "finding chunks")
        print(f"\n## {dataset}\n\n| {' | '.join(heads)} |\n|---|{'---:|' * (len(heads) - 1)}")
        for tier, _ in TIERS:
            of = figures[dataset, tier]
            shares = [f"{100 * metrics.mean(of[name]):.1f}" if name in of else "" for name in MEASURES]
            sums = [f"{sum(of['bytes']) / 1024:.0f}", f"{sum(of['chunks']):.0f}"]
            print(f"| {' | '.join((tier, str(len(of['R@10'])), *shares, *sums))} |")


def _measure(
    figures: Figures, dataset: str, conversation: Conversation, embedder: Embedder | None, limit: int | None
) -> None:
    with tempfile.TemporaryDirectory() as home:
        engine = Engine.open(Settings.model_validate({"home": home, "embedder": "none"}), embedder=embedder)
        engine = replace(engine, limits=replace(engine.limits, index_ms=0))
        with Carryover(engine, Scope(engine.settings.tenant)) as memory:
            for session, drafts in conversation.sessions.items():
                memory.append(Append(session, tuple(drafts)))
                memory.consolidate(session)
            for tier, policy in TIERS:
                _lower(memory, policy)
                _ask(figures.setdefault((dataset, tier), {}), memory, conversation, limit)


def _lower(memory: Carryover, policy: Policy) -> None:
    engine = memory.engine
    with engine.store.write(memory.scope) as tx:
        evict.arm(tx, DEFAULT, None, now=True)
    derivations = {**engine.worker.derivations, evict.KIND: evict.eviction(policy)}
    Worker(engine.store, derivations, lambda _: Cap()).drain(tenant=memory.scope.tenant)


def _ask(of: dict[str, list[float]], memory: Carryover, conversation: Conversation, limit: int | None) -> None:
    def told(query: str | None) -> str:
        return memory.context("a-new-one", max_tokens=CONTEXT_TOKENS, query=query).markdown

    asked = Memory(memory.search, lambda query: memory.context("a-new-one", max_tokens=CONTEXT_TOKENS, query=query))
    with memory.engine.store.read(memory.scope) as tx:
        characters, rows = indexed(tx)
    of.setdefault("bytes", []).append(characters)
    of.setdefault("chunks", []).append(rows)
    texts = {
        (session, turn.seq): turn.text
        for session in conversation.sessions
        for turn in memory.window(session, last_n=1000)[1]
    }
    about = Told(texts, static=told(None))
    for question in conversation.questions[:limit]:
        values = ask(asked, question, about, contexts=True).values
        for name in MEASURES:
            if name in values:
                of.setdefault(name, []).append(values[name])


def indexed(tx: Tx, user: str | None = None) -> tuple[int, int]:
    """How many characters the chunks of the user's findings hold, and how many chunks there are."""
    characters = sa.func.coalesce(sa.func.sum(sa.func.length(chunks.c.text) + sa.func.length(chunks.c.terms)), 0)
    wanted = sa.select(characters, sa.func.count()).where(chunks.c.tenant == tx.tenant, chunks.c.kind != "turn")
    wanted = wanted.where(chunks.c.user.is_not_distinct_from(user))
    found, rows = tx.conn.execute(wanted).one()
    return int(found), rows
