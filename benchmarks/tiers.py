"""What memory weighs as sessions add up, and what its tiers cost in recall.

    python -m benchmarks.tiers [--sessions 10000] [--turns 100000] [--only one] [--database postgresql://...]
    python -m benchmarks.tiers price ../shared/eval [--model] [--limit 40]

The first tells how much is told, indexed and kept after 10, 100, 1,000 ... sessions of one user, of as many users, and
in one session without end: made-up talk of which every line of the user is a finding, and the product's own path for
all else, without an embedder. The second measures published conversations with all findings in each tier; `--model`
embeds as well.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import tiers_price
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft, Turn
from carryover.core.snapshot import Closed, Extraction, Finding, FindingKind, Found
from carryover.core.usage import Cap, Usage
from carryover.core.wire import encode
from carryover.jobs import logger
from carryover.jobs.worker import Worker
from carryover.memory import evict
from carryover.memory.choice import Extractors
from carryover.memory.consolidate import consolidation
from carryover.recall import context_known
from carryover.recall.index import indexing
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import snapshots, tiers
from carryover.store.tables import findings

TOOLS = ("PostgreSQL", "SQLite", "Redis", "Kafka", "Nomad", "Terraform", "Grafana", "Vault", "MinIO")
THINGS = ("printer", "ledger", "projector", "archive", "kettle", "plotter", "safe")
MONEY = ("euros", "dollars", "francs", "yen", "pounds", "crowns")
_KINDS: dict[str, tuple[FindingKind, bool]] = {
    "Let's": ("decision", False),
    "TODO:": ("task", False),
    "Always": ("fact", True),
}
STEP_MS = 120_000  # between sessions
VECTOR = 4 * 384 + 48  # bytes of a vector of the default model and of its code
PER_RUN = 500  # turns of the endless session between two consolidations
HEADS = (
    "after", "full", "compressed", "gists", "live in the newest snapshot", "its KiB", "finding chunks",
    "told KiB", "kept states", "context ms", "context tokens", "a session's ms",
)  # fmt: skip


@dataclass
class Clock:
    """A clock that is moved."""

    at: int = 1_767_225_600_000

    def now(self) -> int:
        return self.at


class Script:
    """The extractor of the made-up talk."""

    id = "script/1"

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        return Usage()

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        found: list[Found] = []
        closed: list[Closed] = []
        tasks = {task.text: task for task in live if task.kind == "task"}
        for turn in turns:
            if turn.role == "user" and turn.text.startswith("Done: "):
                task = tasks.get("TODO: " + turn.text.removeprefix("Done: "))
                place = next((n for n, one in enumerate(found) if one.text[6:] == turn.text[6:]), None)
                if task is not None or place is not None:
                    id = task.id if task else ""
                    closed.append(Closed(id, "done", turn.text, turn.seq, turn.seq, "done", found=place))
            elif turn.role == "user":
                kind, pinned = _KINDS.get(turn.text.split()[0], ("fact", False))
                weight = int(blake2b(turn.text.encode(), digest_size=2).hexdigest(), 16) / 65_536
                found.append(Found(kind, turn.text, turn.text, turn.seq, turn.seq, salience=weight, pinned=pinned))
        return Extraction(tuple(found), tuple(closed), turns[0].text, "script"), Usage()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("growth", "price"), default="growth")
    parser.add_argument("data", nargs="?", type=Path, help="folder of published conversations")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=100_000)
    parser.add_argument("--only", choices=("one", "many", "endless"), help="one of the three alone")
    parser.add_argument("--database", help="an empty database (default: SQLite in a temporary folder)")
    parser.add_argument("--model", action="store_true", help="embed with the default model as well")
    parser.add_argument("--limit", type=int, help="questions of a conversation at most")
    given = parser.parse_args()
    logger.to_stderr("error", "text")
    if given.what == "price":
        tiers_price.show(given.data, with_model=given.model, limit=given.limit)
        return
    runs: tuple[tuple[str, str, Callable[[Carryover, Clock], Iterator[tuple[Any, ...]]]], ...] = (
        ("one", "sessions of one user", lambda memory, clock: _sessions(memory, clock, given.sessions, users=1)),
        (
            "many",
            "sessions, each of another user",
            lambda memory, clock: _sessions(memory, clock, given.sessions, users=None),
        ),
        ("endless", "turns of one session", lambda memory, clock: _endless(memory, clock, given.turns)),
    )
    for tenant, name, run in runs:
        if given.only not in (None, tenant):
            continue
        print(f"\n## {name}\n\n| {' | '.join(HEADS)} |\n|{'---:|' * len(HEADS)}", flush=True)
        with tempfile.TemporaryDirectory() as home:
            clock = Clock()
            settings: dict[str, Any] = {"home": home, "embedder": "none", "tenant": tenant}
            if given.database:
                settings["database_url"] = given.database
            with Carryover.open(Settings.model_validate(settings), clock=clock, work=False) as memory:
                for row in run(memory, clock):
                    print(f"| {' | '.join(f'{cell:,}' for cell in row)} |", flush=True)


def _sessions(memory: Carryover, clock: Clock, most: int, users: int | None) -> Iterator[tuple[Any, ...]]:
    worker, taken = _worker(memory), list[float]()
    for n in range(1, most + 1):
        user = "mara" if users else f"u{n}"
        clock.at += STEP_MS
        began = time.perf_counter()
        memory.append(Append(f"s{n}", tuple(_said(n)), "default", user))
        memory.close_session(f"s{n}")
        worker.drain()
        taken.append(time.perf_counter() - began)
        if n in (10, 100, 1_000, 3_000, 10_000, most):
            clock.at += 2 * 3_600_000  # what is due within the hour is done
            worker.drain()
            yield n, *_weighed(memory, f"s{n}", user), round(1000 * statistics.median(taken[-50:]), 1)


def _endless(memory: Carryover, clock: Clock, most: int) -> Iterator[tuple[Any, ...]]:
    worker, taken = _worker(memory), list[float]()
    said = (draft for n in range(1, most + 1) for draft in _said(n))
    marks = {1_000, 10_000, 30_000, 100_000, most - most % PER_RUN}
    for upto in range(PER_RUN, most + 1, PER_RUN):
        clock.at += 2 * 3_600_000
        began = time.perf_counter()
        memory.append(Append("endless", tuple(next(said) for _ in range(PER_RUN)), "default", "mara"))
        memory.close_session("endless")
        worker.drain()
        taken.append(time.perf_counter() - began)
        if upto in marks:
            yield upto, *_weighed(memory, "endless", "mara"), round(1000 * statistics.median(taken[-5:]), 1)


def _worker(memory: Carryover) -> Worker:
    settings = memory.engine.settings
    known = consolidation(Extractors(Script()), settings.snapshot_findings_max)
    derivations = {"consolidate": known, "index": indexing(), evict.KIND: evict.eviction(settings.eviction)}
    return Worker(memory.engine.store, derivations, lambda _: Cap())


def _said(n: int) -> Iterator[Draft]:
    yield Draft("user", f"Let's use {TOOLS[n % len(TOOLS)]} for the billing of project {n}, because Ana knows it well.")
    yield Draft("assistant", f"Noted: {TOOLS[n % len(TOOLS)]} for project {n}.")
    yield Draft("user", f"I moved the {THINGS[n % len(THINGS)]} to room {n} yesterday, which took a while.")
    if n % 10 == 0:
        yield Draft("user", f"TODO: send invoice {n} to the tax office.")
    if n % 10 == 1 and n > 1:
        yield Draft("user", f"Done: send invoice {n - 1} to the tax office.")
    if n % 50 == 0:
        yield Draft("user", f"Always show amounts in {MONEY[n // 50 % len(MONEY)]}.")


def _weighed(memory: Carryover, session: str, user: str) -> tuple[Any, ...]:
    with memory.engine.store.read(Scope(memory.scope.tenant)) as tx:
        newest = snapshots.latest(tx, "default", session)
        held = [h.tier for h in tiers.held(tx, "default", user)]
        gists = tiers.gists(tx, "default", user)
        characters, rows = tiers_price.indexed(tx, user)
        mine = (findings.c.tenant == tx.tenant, findings.c.user == user)
        kept = tx.conn.execute(sa.select(sa.func.count()).where(*mine)).scalar_one()
    assert newest is not None
    told = memory.context("a-new-one", user=user)
    times: list[float] = []
    for n in range(9):
        context_known._kept.clear()  # nothing is remembered, nor of another budget
        began = time.perf_counter()
        memory.context("a-new-one", user=user, max_tokens=499 - n)
        times.append(1000 * (time.perf_counter() - began))
    return (
        held.count("full"),
        held.count("compressed"),
        len(gists),
        sum(f.live for f in newest.findings),
        round(len(json.dumps(encode(newest))) / 1024, 1),
        rows,
        round((characters + sum(len(gist.text) for gist in gists) + rows * VECTOR) / 1024),
        kept,
        round(statistics.median(times), 1),
        told.tokens,
    )


if __name__ == "__main__":
    main()
