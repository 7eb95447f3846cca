"""What a view of a long session costs, against reading all of it and cutting that, in the same run.

    python -m benchmarks.views [--turns 10000] [--rounds 200] [--no-postgres]

A session of calls, results and answers is looked at embedded on SQLite and on PostgreSQL, and over HTTP: when nothing
has changed, after one more append, and by a process that never saw it. The baseline is `SQLiteSession` of OpenAI's
Agents SDK, whose items are all read and cut to the last 20 turns of the user, as a session without a strategy is; and
the same written back, as a session is that trims what it stores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from agents.memory.sqlite_session import SQLiteSession

from benchmarks.server import Line, request, resident_mb, served
from carryover.core.session import Append, Draft
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.strategies.kept import Kept
from carryover.strategies.verbs import Strategies
from servers import postgres

MODES: dict[str, dict[str, Any]] = {
    "none": {"mode": "none"},
    "trim": {"mode": "trim"},
    "summarize": {"mode": "summarize"},
    "compact": {"mode": "compact"},
}
GOAL_MS = 5.0
BATCH = 400
FIRST = 5  # processes that see the session for the first time
HEADS = ("store", "mode", "nothing new p50, p99 ms", "after an append", "first look ms", "/ baseline", "KiB kept")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--no-postgres", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        base = asyncio.run(baseline(home, given.turns, max(5, given.rounds // 20)))
        print(f"baseline, read all {given.turns:,} items and cut them: p50 {base['read']:.1f} ms")
        print(f"baseline, the same and written back: p50 {base['rewritten']:.1f} ms\n")
        print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
        embedded("SQLite", Settings(home=home / "own", embedder="none"), given, base["read"])
        if not given.no_postgres:
            with postgres.running() as server:
                url = server.create("carryover")
                settings = Settings(home=home / "pg", database_url=url, embedder="none")
                embedded("PostgreSQL", settings, given, base["read"])
        over_http(home / "http", given, base["read"])


def drafts(turns: int) -> Iterator[Draft]:
    """So many turns: a question, a call, its output, an answer."""
    for n in range(turns // 4):
        yield Draft("user", f"What does row {n} of the ledger say, and who booked it? Look it up, please.")
        yield Draft("assistant", '{"table": "ledger", "row": %d}' % n, "tool_call", "look_up", f"call-{n}")  # noqa: UP031
        yield Draft("tool", f"row {n}: booked by Ana; checked twice. " * 40, "tool_result", call_id=f"call-{n}")
        yield Draft("assistant", f"Row {n} was booked by Ana, and it was checked twice; nothing is missing.")


def batches(turns: int) -> Iterator[tuple[Draft, ...]]:
    whole = list(drafts(turns))
    return (tuple(whole[at : at + BATCH]) for at in range(0, len(whole), BATCH))


def embedded(store: str, settings: Settings, given: argparse.Namespace, base: float) -> None:
    with Carryover.open(settings, work=False) as memory:
        for batch in batches(given.turns):
            memory.append(Append("long", batch))
        for mode, strategy in MODES.items():
            before = resident_mb(os.getpid())
            fresh = [Strategies(memory.engine.store, memory.scope, Kept()) for _ in range(FIRST)]
            first = [timed(partial(one.view, "long", strategy=strategy)) for one in fresh]
            held = max(0.0, resident_mb(os.getpid()) - before) / FIRST
            look = partial(fresh[-1].view, "long", strategy=strategy)
            del fresh
            same = [timed(look) for _ in range(given.rounds)]
            after: list[float] = []
            for n in range(given.rounds):
                memory.append(Append("long", (Draft("user", f"And row {n}?"),)))
                after.append(timed(look))
            tell(store, mode, (same, after, first), base, f"{1024 * held:,.0f}")


def over_http(home: Path, given: argparse.Namespace, base: float) -> None:
    with served(home) as (port, _):
        line = Line(port)

        def post(path: str, body: dict[str, Any]) -> bytes:
            return line.ask(request("POST", path, json.dumps(body).encode()))

        for batch in batches(given.turns):
            names = ("role", "content", "kind", "name", "call_id")
            post("/sessions/long/turns", {"turns": [{n: getattr(draft, n) for n in names} for draft in batch]})
        for mode, strategy in MODES.items():
            if mode == "none":
                continue  # megabytes through a socket measure the socket
            look = partial(post, "/api/v1/conversations/long/view", {"memory_strategy": strategy})
            first = [timed(look)]
            same = [timed(look) for _ in range(given.rounds)]
            after: list[float] = []
            for n in range(given.rounds):
                post("/sessions/long/turns", {"role": "user", "content": f"And row {n}?"})
                after.append(timed(look))
            tell("HTTP, SQLite", mode, (same, after, first), base, "")


async def baseline(home: Path, turns: int, rounds: int) -> dict[str, float]:
    """Milliseconds (p50) of reading all items of the SDK's session and cutting them, and of writing that back."""
    session = SQLiteSession("long", home / "sdk.db")
    items: list[Any] = []
    for draft in drafts(turns):
        match draft.kind:
            case "tool_call":
                items.append({"type": "function_call", "call_id": draft.call_id, "name": draft.name,
                              "arguments": draft.content})  # fmt: skip
            case "tool_result":
                items.append({"type": "function_call_output", "call_id": draft.call_id, "output": draft.content})
            case _:
                items.append({"role": draft.role, "content": draft.content})
    await session.add_items(items)
    read: list[float] = []
    rewritten: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        cut = last_turns(await session.get_items(), 20)
        read.append(1000 * (time.perf_counter() - began))
        assert cut
    for _ in range(max(3, rounds // 4)):
        began = time.perf_counter()
        whole = await session.get_items()
        last_turns(whole, 20)
        await session.clear_session()
        await session.add_items(whole)
        rewritten.append(1000 * (time.perf_counter() - began))
    session.close()
    return {"read": statistics.median(read), "rewritten": statistics.median(rewritten)}


def last_turns(items: list[Any], keep: int) -> list[Any]:
    """From the user's message on with which the last so many turns begin."""
    starts = [n for n, item in enumerate(items) if item.get("role") == "user"]
    return items[starts[-keep] :] if len(starts) > keep else items


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)


def tell(store: str, mode: str, took: tuple[list[float], list[float], list[float]], base: float, held: str) -> None:
    same, after, first = took
    p50 = statistics.median(same)
    cells = [store, mode, f"{p50:.2f}, {p99(same):.2f}{'' if p50 <= GOAL_MS else f' (goal {GOAL_MS:g})'}"]
    cells += [f"{statistics.median(after):.2f}, {p99(after):.2f}", f"{statistics.median(first):.0f}"]
    print(f"| {' | '.join([*cells, f'{p50 / base:.3f}', held])} |", flush=True)


def p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)]


if __name__ == "__main__":
    main()
