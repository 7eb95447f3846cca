"""What sealing costs an append: the same appends to two databases, one sealed and one not, in turns.

`python -m benchmarks.encryption [folder]` prints the rate of each and what of it is left, and the time of the
processor that one turn takes.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.log.append import Limits, Log, append, open_log
from carryover.store import sessions_sealed
from carryover.store.keyring import Keyring
from carryover.store.sealing import Sealing
from carryover.store.store import Store
from carryover.store.vault import Vault

SCOPE, LIMITS = Scope(), Limits()
SENTENCE = "We keep the ledger in PostgreSQL, and we look at it again on Monday. "
SIZES = {"280 bytes": SENTENCE * 4, "2 KB": SENTENCE * 29}
_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Measured:
    """One round: turns a second, and the processor's time a turn in microseconds."""

    rate: float
    cpu_us: float


@contextmanager
def opened(url: str, folder: Path, *, sealed: bool) -> Iterator[Log]:
    """A log over the database at `url`, which seals or does not."""
    with Store.open(url) as store:
        if sealed:
            store.sealing = Sealing(Vault(Keyring(f"sqlite:///{folder}/keys.db")))
            sessions_sealed.begins(store)
        yield open_log(store, LIMITS)


def crowd(log: Log, text: str, threads: int, each: int, name: Callable[[int], str]) -> Measured:
    """So many threads, of which each appends so many turns to sessions that `name` tells by its number."""
    started = threading.Barrier(threads + 1)

    def work(n: int) -> None:
        started.wait()
        for _ in range(each):
            append(log, SCOPE, Append(name(n), (Draft("user", text),)), LIMITS)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    started.wait()
    began, cpu = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.join()
    turns = threads * each
    return Measured(turns / (time.perf_counter() - began), (time.process_time() - cpu) / turns * 1e6)


def compare(what: str, logs: dict[str, Log], run: Callable[[Log], Measured]) -> None:
    """Both take turns in one run, so that a busy machine is busy for both."""
    found: dict[str, list[Measured]] = {name: [] for name in logs}
    for n in range(_ROUNDS + 1):
        for name in list(logs) if n % 2 else list(logs)[::-1]:
            measured = run(logs[name])
            if n:  # the first round warms up
                found[name].append(measured)
    rate = {name: statistics.median(one.rate for one in rounds) for name, rounds in found.items()}
    cpu = {name: statistics.median(one.cpu_us for one in rounds) for name, rounds in found.items()}
    print(
        f"{what}: {rate['readable']:,.0f} -> {rate['sealed']:,.0f} turns/s ({rate['sealed'] / rate['readable']:.3f}), "
        f"{cpu['readable']:.0f} -> {cpu['sealed']:.0f} us of the processor a turn "
        f"({cpu['sealed'] / cpu['readable']:.3f})"
    )


def measure(folder: Path, urls: dict[str, str], threads: int, each: int) -> None:
    fresh = itertools.count()
    with ExitStack() as stack:
        logs = {name: stack.enter_context(opened(urls[name], folder, sealed=name == "sealed")) for name in urls}
        for size, text in SIZES.items():
            compare(
                f"one client, {size}", logs, lambda log, text=text: crowd(log, text, 1, 10 * each, "alone{}".format)
            )
            compare(
                f"{threads} clients, {size}", logs, lambda log, text=text: crowd(log, text, threads, each, "s{}".format)
            )
        compare(
            f"{threads} clients, a session a turn",
            logs,
            lambda log: crowd(log, SIZES["280 bytes"], threads, each, lambda _: f"fresh{next(fresh)}"),
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encryption", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where the databases are made")
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--each", type=int, default=40)
    parser.add_argument("--url", nargs=2, metavar=("READABLE", "SEALED"), help="two empty databases instead")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as made:
        folder = Path(made)
        urls = {name: f"sqlite:///{folder}/{name}.db" for name in ("readable", "sealed")}
        if args.url:
            urls = dict(zip(urls, args.url, strict=True))
        measure(folder, urls, args.threads, args.each)


if __name__ == "__main__":
    main()
