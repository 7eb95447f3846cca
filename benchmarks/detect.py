"""How long detection takes, beside reading the same digests alone.

`python -m benchmarks.detect [--sessions N]` makes digests of N sessions with about as many signals as real ones have,
over eight repositories and three agents, and prints the median of three runs of each.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

from carryover.coding.patterns import candidates
from carryover.core.clock import DAY_MS
from carryover.core.digest import Digest, FileUse, Outcome, Signal, ToolUse
from carryover.core.digest import Tests as Trials
from carryover.core.scope import Scope
from carryover.core.session import Source
from carryover.core.step import Flavor
from carryover.store import digests, patterns
from carryover.store.store import Store

NOW, RUNS, SCOPE = 1_790_000_000_000, 3, Scope()
FLAVORS: tuple[Flavor, ...] = ("claude-code", "codex", "grok")
OUTCOMES: tuple[Outcome, ...] = ("verified", "verified", "unverified", "errored", "abandoned")
KINDS = [f"kind_{n}" for n in range(20)]
HEADS = ["git status", "git commit", "go test", "go build", "npm run test", "pytest", "rg", "cat", "sed", "make check"]
WORDS = [f"{a}{b}" for a in ("no", "un", "mis", "dis", "out") for b in ("found", "read", "match", "done", "known")]


def made(sessions: int, seed: int = 0) -> Iterator[Digest]:
    """Digests of so many sessions, the same ones for the same seed."""
    draw = random.Random(seed)
    keys = [f"shell {draw.choice(HEADS)}: {' '.join(draw.choices(WORDS, k=6))} {n % 97}" for n in range(2_000)]
    for n in range(sessions):
        flavor, session, ended = draw.choice(FLAVORS), f"session-{n:06}", NOW - draw.randrange(200) * DAY_MS
        told = {(draw.choice(KINDS), keys[int(draw.paretovariate(0.6)) % len(keys)]) for _ in range(25)}
        signals = tuple(
            Signal(kind, key, key, draw.randint(1, 4), 20, sources=tuple(Source(session, m, m, key) for m in range(3)))
            for kind, key in sorted(told)
        )
        yield Digest(
            flavor,
            session,
            flavor,
            1,
            "",
            repo=f"github.com/acme/repo-{n % 8}",
            started_at=ended - 3_600_000,
            ended_at=ended,
            goal=f"goal {n}",
            result=f"result {n}",
            outcome=draw.choice(OUTCOMES),
            tools={"shell": ToolUse(30, 2), "edit": ToolUse(9, 1), "read": ToolUse(20, 0)},
            files=tuple(FileUse(f"src/f{m}.go", 1, 1) for m in range(12)),
            tests=Trials(3, 1, "red green"),
            commands=tuple(draw.sample(HEADS, 5)),
            signals=signals,
        )


def median_s(work: Callable[[], object]) -> float:
    taken: list[float] = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000)
    sessions = parser.parse_args().sessions
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/carryover.db") as store:
        with store.write(SCOPE) as tx:
            for digest in made(sessions):
                digests.put(tx, digest)

        def read() -> int:
            with store.read(SCOPE) as tx:
                return sum(len(digest.signals) for digest in digests.every(tx))

        start = time.perf_counter()
        candidates.detect(store, SCOPE)
        first = time.perf_counter() - start
        reading, detecting = median_s(read), median_s(lambda: candidates.detect(store, SCOPE))
        with store.read(SCOPE) as tx:
            found = len(patterns.listed(tx))
        print(f"{sessions} sessions, {read()} signals, {found} patterns")
        print(f"baseline, reading the digests alone: {reading:.2f} s")
        print(f"detection into an empty catalog: {first:.2f} s; again: {detecting:.2f} s ({detecting / reading:.1f}x)")


if __name__ == "__main__":
    main()
