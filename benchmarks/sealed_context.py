"""What sealing costs those who read: contexts, searches, windows and consolidations, sealed and unsealed, in turns.

    python -m benchmarks.sealed_context [folder] [--users 8] [--sessions 40] [--turns 24]

Every user has so many sessions, consolidated by rules and indexed. The same is asked of both databases in turn, and
the time is that of the processor. A context is told anew where something changed in it, and kept where nothing did.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from carryover.core.chunk import Query
from carryover.core.context import Wanted
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.log.append import Limits, append, open_log
from carryover.memory.choice import Extractors
from carryover.memory.consolidate import consolidation
from carryover.memory.rules import Rules
from carryover.recall.context import context
from carryover.recall.context_kept import Shelf
from carryover.recall.embed import Models, embedding
from carryover.recall.index import indexing
from carryover.recall.search import search
from carryover.store import counters, sessions_sealed, turns
from carryover.store.cache import MemoryCache
from carryover.store.keyring import Keyring
from carryover.store.sealing import Sealing
from carryover.store.store import Store
from carryover.store.vault import Vault

SCOPE, LIMITS, AGENT = Scope("acme"), Limits(), "ada"
THINGS = [
    "ledger",
    "harbour",
    "garden",
    "bridge",
    "novel",
    "orchestra",
    "kitchen",
    "telescope",
    "vineyard",
    "archive",
    "festival",
    "workshop",
]
PLACES = ["Lisbon", "Oslo", "Kyoto", "Quito", "Tunis", "Perth", "Riga", "Bergen", "Porto", "Cusco", "Malmo", "Tartu"]
SAID = (
    "I prefer short answers with a table whenever the {thing} comes up.",
    "We decided to move the {thing} to {place} by {day} March 2026.",
    "Please remind me to call the owner of the {thing} in {place} on the {day}th.",
    "The budget of the {thing} is ${day},400 and not a dollar more.",
    "My sister lives in {place}, near the {thing}, at number {day}.",
    "The {thing} in {place} opens at {day}:30 and I never remember it.",
)


class Fake:
    """Vectors that cost nothing."""

    name, dim = "fake:64", 64

    def embed(self, texts: Sequence[str]) -> list[Any]:
        rows = np.stack([np.random.default_rng(len(text)).normal(size=self.dim) for text in texts])
        return list((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


@contextmanager
def opened(folder: Path, *, sealed: bool) -> Iterator[Store]:
    with Store.open(f"sqlite:///{folder}/{'sealed' if sealed else 'readable'}.db") as store:
        if sealed:
            store.sealing = Sealing(Vault(Keyring(f"sqlite:///{folder}/keys.db")))
            sessions_sealed.begins(store)
        yield store


def lines(seed: int, turns_each: int) -> list[Draft]:
    chance = random.Random(seed)
    drafts: list[Draft] = []
    for n in range(turns_each):
        said = chance.choice(SAID).format(
            thing=chance.choice(THINGS), place=chance.choice(PLACES), day=chance.randint(2, 28)
        )
        drafts.append(Draft("user", said) if n % 2 == 0 else Draft("assistant", f"Noted. {said} I will keep to that."))
    return drafts


def worker(store: Store) -> Worker:
    made: list[Any] = [consolidation(Extractors(Rules())), indexing(Models(Fake(), lambda _: None))]
    made.append(embedding(Models(Fake(), lambda _: None)))
    return Worker(store, {one.kind: one for one in made}, lambda _: Cap())


class Timed:
    """Both databases, asked the same in turn."""

    def __init__(self, stores: dict[str, Store]) -> None:
        self.stores = stores

    def both(self, what: str, do: Callable[[Store, int], Any], times: int) -> None:
        spent: dict[str, list[float]] = {name: [] for name in self.stores}
        for n in range(times + 2):
            for name in list(self.stores) if n % 2 else list(self.stores)[::-1]:
                began = time.process_time()
                do(self.stores[name], n)
                if n > 1:  # the first rounds warm up
                    spent[name].append((time.process_time() - began) * 1e3)
        bare, sealed = (statistics.median(spent[name]) for name in ("readable", "sealed"))
        print(f"{what}: {bare:.2f} -> {sealed:.2f} ms of the processor (x{sealed / bare:.2f})", flush=True)


def changed(store: Store) -> None:
    """What is kept of contexts is out of date."""
    with store.write(SCOPE) as tx:
        counters.bump(tx, "tiers")


def ask(store: Store, wanted: Wanted, shelf: Shelf | None = None, **more: Any) -> None:
    context(store, SCOPE, wanted, shelf=shelf, **more)


def measure(stores: dict[str, Store], users: int, sessions: int, turns_each: int, rounds: int) -> None:
    for store in stores.values():
        log = open_log(store, LIMITS)
        for user in range(users):
            for n in range(sessions):
                drafts = tuple(lines(user * 1000 + n, turns_each))
                append(log, SCOPE, Append(f"u{user}-{n}", drafts, AGENT, f"u{user}"), LIMITS)
                lifecycle.close(store, SCOPE, AGENT, f"u{user}-{n}")
        worker(store).drain(tenant=SCOPE.tenant)
    timed = Timed(stores)
    shelves = {id(store): Shelf(MemoryCache(), 3600) for store in stores.values()}
    embedder = Fake()

    def wanted(n: int, query: str | None = None) -> Wanted:
        return Wanted("new", AGENT, f"u{n % users}", query=query)

    def cold(store: Store, n: int) -> None:
        changed(store)
        ask(store, wanted(n), shelves[id(store)])

    def answered(store: Store, n: int) -> None:
        found = lambda query: search(store, SCOPE, query, embedder=embedder)  # noqa: E731
        ask(store, wanted(n, f"when does the {THINGS[n % 12]} open?"), search=found)

    def sought(store: Store, n: int) -> None:
        query = f"the {THINGS[n % 12]} in {PLACES[n % 7]}"
        search(store, SCOPE, Query(query, user_id=f"u{n % users}"), embedder=embedder)

    def window(store: Store, n: int) -> None:
        with store.read(SCOPE) as tx:
            turns.last(tx, AGENT, f"u{n % users}-{n % sessions}", turns_each)

    def consolidated(store: Store, n: int) -> None:
        name = f"late-{n}"
        append(open_log(store, LIMITS), SCOPE, Append(name, tuple(lines(n, turns_each)), AGENT, "late"), LIMITS)
        lifecycle.close(store, SCOPE, AGENT, name)
        worker(store).drain(tenant=SCOPE.tenant)

    timed.both("context, told anew", cold, rounds)
    timed.both("context, unchanged", lambda store, n: ask(store, wanted(n % users), shelves[id(store)]), rounds)
    timed.both("context with a question", answered, rounds)
    timed.both("search", sought, rounds)
    timed.both(f"a window of {turns_each} turns", window, rounds)
    timed.both(f"consolidate and index {turns_each} turns", consolidated, max(8, rounds // 4))
    sizes = {name: sum(path.stat().st_size for path in _files(store)) / 2**20 for name, store in stores.items()}
    bare, sealed = sizes["readable"], sizes["sealed"]
    print(f"on disk: {bare:.1f} -> {sealed:.1f} MB (x{sealed / bare:.2f})")


def _files(store: Store) -> list[Path]:
    file = Path(store.url.removeprefix("sqlite:///"))
    store.settle()
    return [file]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sealed_context", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where the databases are made")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--sessions", type=int, default=40, help="of each user")
    parser.add_argument("--turns", type=int, default=24, help="of each session")
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as made, ExitStack() as stack:
        names = {"readable": False, "sealed": True}
        stores = {name: stack.enter_context(opened(Path(made), sealed=sealed)) for name, sealed in names.items()}
        measure(stores, given.users, given.sessions, given.turns, given.rounds)


if __name__ == "__main__":
    main()
