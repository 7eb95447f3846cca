"""How long a search takes in a large store, at rest and while turns are appended and indexed.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.search [--turns 100000 1000000] [--folder ../shared/eval]

The turns are pieces of real conversations put together anew, their vectors the means of the pieces' vectors, so that
building takes minutes instead of hours. Up to 200,000 turns are appended to the log, indexed and embedded; of more,
the chunks that this would end in are put straight into the tables that a search reads, and the log stays empty.
Queries are the labelled questions, each asked once: none is remembered.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import structlog

from carryover.core.chunk import Chunk, Query
from carryover.core.ports import Embedder, Vector
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.core.usage import Cap
from carryover.evals import recall
from carryover.jobs.worker import Worker
from carryover.log.append import Limits, append, open_log
from carryover.providers.minilm import MiniLM
from carryover.recall import embed, index
from carryover.recall.embed import Models
from carryover.recall.search import search
from carryover.recall.words import terms
from carryover.store import chunks, vectors
from carryover.store.store import Store

SCOPE = Scope("bench")
LIMITS = Limits(index_ms=0)
SESSION = 25  # turns
BEGAN, HOUR = 1_700_000_000_000, 3_600_000
WIDEST = 280  # characters of a piece
WARM_UP = 20
BY_THE_LOG = 200_000  # turns at most
TOGETHER = 200  # sessions that are put into the tables in one transaction


class Mixed:
    """Gives a text of several lines the mean of its lines' vectors, each embedded once."""

    def __init__(self, embedder: Embedder) -> None:
        self.name, self.dim = embedder.name, embedder.dim
        self._embedder = embedder
        self._known: dict[str, Vector] = {}

    def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        lines = [line for text in texts for line in text.splitlines()]
        new = [line for line in dict.fromkeys(lines) if line not in self._known]
        self._known |= dict(zip(new, self._embedder.embed(new), strict=True))
        sums = [np.sum([self._known[line] for line in text.splitlines()], axis=0) for text in texts]
        return [total / np.linalg.norm(total) for total in sums]

    def close(self) -> None:
        self._embedder.close()


def talk(folder: Path) -> tuple[list[tuple[str | None, str]], list[str]]:
    """Pieces of what was said, each with its speaker, and questions about it."""
    pieces: list[tuple[str | None, str]] = []
    questions: list[str] = []
    for name, read in recall.SETS.items():
        for conversation in read(folder / name):
            drafts = [draft for drafts in conversation.sessions.values() for draft in drafts]
            questions += [question.text for question in conversation.questions]
            for draft in drafts:
                text = draft.content if isinstance(draft.content, str) else str(draft.content[0]["text"])
                if draft.role == "user" and text.strip():
                    pieces.append((draft.name, re.sub(r"\s+", " ", text)[:WIDEST].strip()))
    return pieces, questions


def sessions(pieces: Sequence[tuple[str | None, str]], turns: int, chance: random.Random) -> Iterator[Append]:
    """Sessions of turns that each join two pieces."""
    for number in range(turns // SESSION):
        said: list[Draft] = []
        for _ in range(SESSION):
            (name, first), (_, second) = chance.sample(pieces, 2)
            said.append(
                Draft("user", f"{first}\n{second}", name=name, created_at=1_700_000_000_000 + number * 3_600_000)
            )
        yield Append(f"session-{number}", tuple(said), f"agent-{number % 4}", f"user-{number % 50}")


def build(store: Store, embedder: Embedder, appends: Iterator[Append]) -> Callable[[Append | None], None]:
    """Everything is appended, indexed and embedded; the function does the same with one append more."""
    log = open_log(store, LIMITS)
    models = Models(embedder)
    derivations = {index.INDEX: index.indexing(models), embed.EMBED: embed.embedding(models)}
    worker = Worker(store, derivations, lambda _tenant: Cap())

    def take(request: Append | None) -> None:
        if request is not None:
            append(log, SCOPE, request, LIMITS)
        worker.drain((index.INDEX,))
        worker.drain((embed.EMBED,))

    for request in appends:
        append(log, SCOPE, request, LIMITS)
    take(None)
    return take


def fill(store: Store, embedder: Embedder, appends: Iterator[Append]) -> None:
    """The chunks and vectors of these turns are there, though the turns are not."""
    while some := list(islice(appends, TOGETHER)):
        made = [_chunk(request, seq, draft) for request in some for seq, draft in enumerate(request.drafts, 1)]
        rows = embedder.embed([chunk.text for chunk in made])
        with store.write(SCOPE) as tx:
            added = chunks.add(tx, made)
            vectors.add(tx, embedder.name, [(chunk.n, row) for chunk, row in zip(added, rows, strict=True)])


def _chunk(request: Append, seq: int, draft: Draft) -> Chunk:
    text, at = str(draft.content), draft.created_at or 0
    lines = f"{index.spoken_date(at)} {draft.name}", *text.splitlines()
    return Chunk(
        n=0,
        kind="turn",
        ref=f"{request.session_id}/{seq}",
        agent_id=request.agent_id,
        session_id=request.session_id,
        user_id=request.user_id,
        first=seq,
        last=seq,
        part=0,
        role=draft.role,
        name=draft.name,
        text=text,
        created_at=at,
        terms=" ".join(map(_terms, lines)),
    )


@lru_cache(None)
def _terms(line: str) -> str:
    return " ".join(terms(line))


def timed(store: Store, embedder: Embedder | None, questions: Sequence[str]) -> list[float]:
    """Milliseconds of each search after the warm-up."""
    taken: list[float] = []
    for question in questions:
        start = time.perf_counter()
        search(store, SCOPE, Query(question), embedder=embedder)
        taken.append((time.perf_counter() - start) * 1000)
    return taken[WARM_UP:]


def meanwhile(
    store: Store, embedder: Embedder, questions: Sequence[str], work: Callable[[], None]
) -> tuple[list[float], int]:
    """The same while `work` is done over and over in another thread; how often it was done."""
    over = threading.Event()
    done = 0

    def keep_working() -> None:
        nonlocal done
        while not over.is_set():
            work()
            done += 1

    thread = threading.Thread(target=keep_working)
    thread.start()
    try:
        return timed(store, embedder, questions), done
    finally:
        over.set()
        thread.join()


def line(name: str, taken: Sequence[float]) -> str:
    cuts = statistics.quantiles(taken, n=100)
    return f"{name:34} {len(taken):5} {cuts[49]:8.1f} {cuts[94]:8.1f} {cuts[98]:8.1f} {max(taken):8.1f}"


def main() -> None:
    logging.disable(logging.DEBUG)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    options = argparse.ArgumentParser(description="Time searches in a large store.")
    options.add_argument("--turns", type=int, nargs="+", default=[100_000])
    options.add_argument("--queries", type=int, default=220)
    options.add_argument("--folder", type=Path, default=Path(os.environ.get("CARRYOVER_SHARED", "../shared")) / "eval")
    options.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "carryover-bench")
    asked = options.parse_args()
    for turns in asked.turns:
        measure(turns, asked)


def measure(turns: int, asked: argparse.Namespace) -> None:
    """Builds a store of so many turns, and prints how long searches in it take."""
    chance = random.Random(7)
    pieces, questions = talk(asked.folder)
    chance.shuffle(questions)
    questions = questions[: 3 * asked.queries]
    model = MiniLM(asked.cache)
    mixed = Mixed(recall.Remembering(model, asked.cache))
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/bench.db") as store:
        start = time.perf_counter()
        given = sessions(pieces, turns, chance)
        if turns > BY_THE_LOG:
            fill(store, mixed, given)
        take = build(store, mixed, iter(()) if turns > BY_THE_LOG else given)
        how = "put into the tables" if turns > BY_THE_LOG else "appended, indexed and embedded"
        print(f"\n{turns} turns {how} in {time.perf_counter() - start:.0f} s")
        start = time.perf_counter()
        search(store, SCOPE, Query("how are you?"), embedder=model)
        print(f"the first search (reads the codes) took {time.perf_counter() - start:.2f} s\n")
        print(f"{'':34} {'n':>5} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8}")
        third = asked.queries
        print(line("hybrid", timed(store, model, questions[:third])))
        print(line("text only", timed(store, None, questions[third : 2 * third])))
        more = sessions(pieces, 10**9, chance)
        numbered = (Append(f"new-{n}", r.drafts, r.agent_id, r.user_id) for n, r in enumerate(more))
        taken, done = meanwhile(store, model, questions[2 * third :], lambda: take(next(numbered)))
        print(line("hybrid, while appending", taken))
        print(f"\nmeanwhile {done * SESSION} turns were appended, indexed and embedded; no search failed")


if __name__ == "__main__":
    main()
