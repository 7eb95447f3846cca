"""What reading coding agents' logs costs, as ratios to decoding and normalising the same bytes in the same run.

`python -m benchmarks.ingest [FOLDER] [--rounds 3] [--large]` reads every log below the folder (default: the shared
corpus) into fresh databases and prints megabytes a CPU second. `--large` adds the memory that a log of 1 GB takes,
one record of which has 90 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs import discover, sweep
from carryover.coding.logs.reading import beginning, opened, read
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.recall import index
from carryover.store.store import Store

SHARED = Path(os.environ.get("CARRYOVER_SHARED", Path(__file__).parent.parent.parent / "shared"))
SCOPE = Scope()
GOALS = {"metadata": 0.40, "with archived bodies": 0.15, "with text index": 0.08}
MANY, A_FOLDER = 20_000, 100  # logs of the unchanged sweep


def cpu(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def normalised(paths: list[str]) -> int:
    """Every record of the logs was decoded and normalised, and nothing was kept; how many steps there were."""
    steps = 0
    for path in map(Path, paths):
        adapter = adapter_for(beginning(path, 64 << 10), path)
        if adapter is None:
            continue
        with opened(adapter, path) as file:
            end, state, more = 0, {}, True
            while more:
                reading, after = read(adapter, path, file, start=end, state=state, until=end + sweep.BATCH)
                steps += sum(len(part.steps) for part in reading.parts.values())
                more = after - end >= sweep.BATCH and adapter.form != "document"
                end, state = after, reading.state
    return steps


def ingested(folder: Path, files: list[tuple[str, discover.Stamp]], level: str) -> tuple[float, int]:
    """CPU seconds of a sweep into a fresh database, and the bytes that it takes afterwards."""
    options = sweep.Options(archived=level != "metadata", indexed=level == "with text index")
    with tempfile.TemporaryDirectory(dir=folder) as fresh, Store.open(f"sqlite:///{fresh}/x.db") as store:
        worker = Worker(store, {"index": index.indexing()}, lambda _tenant: Cap())

        def work() -> None:
            sweep.sweep(store, SCOPE, files, options)
            if options.indexed:
                worker.drain(["index"])

        spent = cpu(work)
        worker.close()
        with store.write(SCOPE) as tx:
            tx.conn.exec_driver_sql("SELECT 1")
        store.settle()
        return spent, sum(path.stat().st_size for path in Path(fresh).iterdir())


def unchanged(folder: Path) -> float:
    """Logs a CPU second in a sweep that finds nothing new."""
    for n in range(MANY):
        path = folder / f"{n // A_FOLDER}" / f"{n}.jsonl"
        path.parent.mkdir(exist_ok=True)
        said = {"type": "user", "uuid": f"u{n}", "sessionId": f"s{n}", "version": "2.1.0", "parentUuid": None}
        said |= {"timestamp": "2026-01-01T00:00:00.000Z", "cwd": "/w", "isSidechain": False, "userType": "external"}
        path.write_text(json.dumps({**said, "message": {"role": "user", "content": "hello"}}) + "\n")
    places = discover.given_places([folder])
    with tempfile.TemporaryDirectory() as fresh, Store.open(f"sqlite:///{fresh}/x.db") as store:
        sweep.sweep(store, SCOPE, list(discover.files_in(places)))
        done: list[sweep.Swept] = []
        spent = cpu(lambda: done.append(again(store, places)))
        if done[0].skipped != MANY:
            raise RuntimeError(f"{done[0].skipped} of {MANY} logs were skipped; nothing in them had changed")
    return MANY / spent


def again(store: Store, places: list[discover.Place]) -> sweep.Swept:
    return sweep.sweep(store, SCOPE, list(discover.files_in(places)))


def growing(folder: Path) -> tuple[float, float]:
    """CPU milliseconds of reading one appended record: of a log of 50 records, and of one of 50,000."""
    times: list[float] = []
    for records in (50, 50_000):
        path = folder / f"grows-{records}.jsonl"
        line = '{{"type":"user","uuid":"u{0}","sessionId":"s","version":"2.1.0","parentUuid":null,"timestamp":'
        line += '"2026-01-01T00:00:00.000Z","cwd":"/w","isSidechain":false,"userType":"external","message":'
        line += '{{"role":"user","content":"message number {0}"}}}}\n'
        path.write_text("".join(line.format(n) for n in range(records)))
        places = discover.given_places([path])
        with tempfile.TemporaryDirectory() as fresh, Store.open(f"sqlite:///{fresh}/x.db") as store:
            sweep.sweep(store, SCOPE, list(discover.files_in(places)))
            spent: list[float] = []
            for n in range(20):
                with path.open("a") as file:
                    file.write(line.format(records + n))
                spent.append(cpu(partial(again, store, places)))
            times.append(1000 * statistics.median(spent))
    return times[0], times[1]


def large(folder: Path) -> None:
    """Writes a log of 1 GB, one record of which has 90 MB, and reads it in a process of its own."""
    path = folder / "large.jsonl"
    head = '{"type":"user","uuid":"%s","sessionId":"s","version":"2.1.0","parentUuid":null,"timestamp":'
    head += '"2026-01-01T00:00:00.000Z","cwd":"/w","isSidechain":false,"userType":"external","message":'
    head += '{"role":"user","content":"'
    with path.open("w") as file:
        for n in range(10_000):
            file.write(head % f"u{n}" + (f"{n} says a little. " * 5_900)[:91_000] + '"}}\n')
            if n == 5_000:
                file.write(head % "large" + "x" * 90_000_000 + '"}}\n')
    print(f"log: {path.stat().st_size / 1e6:,.0f} MB")
    told = subprocess.run([sys.executable, "-m", "benchmarks.ingest", "--one", path], check=True, capture_output=True)
    print(told.stdout.decode(), end="")


def one(path: Path) -> None:
    with tempfile.TemporaryDirectory() as fresh, Store.open(f"sqlite:///{fresh}/x.db") as store:
        base = peak_memory()
        spent = cpu(lambda: sweep.sweep(store, SCOPE, list(discover.files_in(discover.given_places([path])))))
        peak = peak_memory()
    print(f"peak memory {peak:,.0f} MB (goal 200; {base:,.0f} before), {spent:.1f} CPU s")


def peak_memory() -> float:
    """The most that this process ever held, in MB: on Linux its own, for `ru_maxrss` begins with its parent's."""
    try:
        said = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(said.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED / "corpus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--one", type=Path)
    given = parser.parse_args()
    if given.one is not None:
        one(given.one)
        return
    files = list(discover.files_in(discover.given_places([given.folder])))
    size = sum(stamp.size for _, stamp in files)
    paths = [path for path, _ in files]
    normalised(paths)  # once, so that every file is in the page cache
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rounds: list[dict[str, float]] = []
        stored = 0
        for _ in range(given.rounds):
            spent = {"decode and normalise": cpu(lambda: normalised(paths))}
            for level in GOALS:
                spent[level], stored = ingested(folder, files, level)
            rounds.append(spent)
        print(f"{len(files)} files, {size / 1e6:.1f} MB, {normalised(paths):,} steps; median of {given.rounds}")
        for level in rounds[0]:
            rate = size / 1e6 / statistics.median(one[level] for one in rounds)
            ratio = statistics.median(one["decode and normalise"] / one[level] for one in rounds)
            goal = f"  goal {GOALS[level]:.2f}" if level in GOALS else ""
            print(f"{level:24} {rate:8.1f} MB/s  ratio {ratio:.2f}{goal}")
        print(f"stored bytes / raw bytes  {stored / size:.2f}  goal 0.50")
        many = folder / "many"
        many.mkdir()
        print(f"unchanged sweep  {unchanged(many):,.0f} logs a CPU second  goal 100,000")
        small, grown = growing(folder)
        print(f"one appended record: {small:.1f} ms after 50 records, {grown:.1f} ms after 50,000")
        if given.large:
            large(folder)


if __name__ == "__main__":
    main()
