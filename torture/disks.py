"""Disks that fail: full ones, and a write-ahead log that a power cut tore."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Generator
from pathlib import Path

from carryover.core.errors import StoreUnavailable
from carryover.runtime import Carryover
from carryover.settings import Settings
from servers import postgres
from torture import children, found
from torture.history import Op
from torture.run import Run, Skipped, scenario

_MEGABYTES = 24  # what the clients say has room, and what fills the disk up soon does
_FRAME = 4096 + 24  # of a write-ahead log: a page and its header


@scenario("full-disk")
def _full_disk(run: Run) -> None:
    """The disk fills up while clients append: they are told so, nothing is half there, and with room all goes on."""
    with _small_disk(run, run.folder / "disk", _MEGABYTES) as disk:
        given = children.settings(disk / "home")
        for _ in range(run.often(2, 12)):
            with Carryover.open(given, work=run.chance.random() < 0.5) as memory:
                _fill(run, memory, disk)
        run.conclude(given)
    _told_clearly(run)


@scenario("full-disk-postgresql")
def _full_database_server(run: Run) -> None:
    """The same under PostgreSQL, which ends itself when it cannot write its own log: it is started again."""
    folder = Path("/tmp") / f"carryover-torture-disk-{os.getpid()}"
    with _small_disk(run, folder, megabytes=160) as disk:
        disk.chmod(0o755)
        options = {"max_wal_size": "48MB", "min_wal_size": "32MB", "shared_buffers": "16MB"}
        server = postgres.start(disk / "server", **options)
        try:
            given = children.settings(run.home, server.create("carryover"))
            for _ in range(run.often(1, 6)):
                with Carryover.open(given, work=run.chance.random() < 0.5) as memory:
                    _fill(run, memory, disk)
                if not postgres.is_running(disk / "server"):
                    server = postgres.start(disk / "server", server.port, **options)
            run.conclude(given)
        finally:
            postgres.stop(disk / "server")
    _told_clearly(run)


def _fill(run: Run, memory: Carryover, disk: Path) -> None:
    """Clients talk until the disk is full, a while longer, and again with room."""
    number = len(list(run.records.glob("*.jsonl")))
    talkers = [run.talker(memory, f"talker-{number + n}", [f"s-{n}", "shared"]) for n in range(3)]
    filler = disk / "filler"
    with run.talking(talkers, pause_s=0.002):
        run.pause(0.05, 0.3)
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        run.pause(0.3, 0.8)
        filler.unlink(missing_ok=True)
        run.pause(0.2, 0.5)


def _told_clearly(run: Run) -> None:
    """Whoever was refused was told what to do, and some were."""
    told = run.failed_with(run.ops())
    full = {reason: n for reason, n in told.items() if "free some disk space" in reason}
    run.notes.append(f"{sum(full.values())} requests were told of the full disk")
    if not full:
        run.broke("untrue", f"nobody was told that the disk is full; they were told {told}")


@contextlib.contextmanager
def _small_disk(run: Run, folder: Path, megabytes: int) -> Generator[Path]:
    """A disk of its own, as small as this."""
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "carryover-torture", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounted, check=False, capture_output=True).returncode != 0:
        folder.rmdir()
        raise Skipped("a small disk needs root and the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False, capture_output=True)
        folder.rmdir()


@scenario("torn-wal")
def _torn(run: Run) -> None:
    """A power cut tears SQLite's write-ahead log: what was acknowledged before the tear is there, and nothing else.

    Somebody reads all the while, so the log only grows, and each acknowledgement can say how long it was.
    """
    given = children.settings(run.home)
    Carryover.open(given, work=False).close()
    file = run.home / "carryover.db"
    wal = Path(f"{file}-wal")
    with contextlib.closing(sqlite3.connect(file)) as reader, Carryover.open(given, work=False) as memory:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM turns").fetchone()
        talker = run.talker(memory, "talker", ["s-1", "s-2", "s-3", "s-4"])
        talker.passing = False  # what is erased is gone from the keyring, which is not torn
        talker.marked = lambda: wal.stat().st_size
        for _ in range(run.often(40, 400)):
            talker.step()
        cut = run.folder / "cut"
        shutil.copytree(run.home, cut)  # as a machine would find it: nothing of it is still under way
        reader.rollback()
    ops = run.ops()
    run.count(ops)
    length = (cut / wal.name).stat().st_size
    for n in range(run.often(4, 120)):
        at = run.chance.randrange(32, length)
        _tear(run, cut, at, truncate=n % 2 == 0)
        _compare(run, ops, at)
    run.notes.append(f"torn {run.often(4, 120)} times, at any of {length:,} bytes")


def _tear(run: Run, cut: Path, at: int, truncate: bool) -> None:
    """The folder `torn` is as `cut`, with a log that ends there, or says nonsense from there on."""
    torn = run.folder / "torn"
    shutil.rmtree(torn, ignore_errors=True)
    shutil.copytree(cut, torn, ignore=shutil.ignore_patterns("*-shm"))
    with (torn / "carryover.db-wal").open("r+b") as file:
        if truncate:
            file.truncate(at)
        else:
            size = run.chance.randrange(1, 4 * _FRAME)
            file.seek(at)
            file.write(run.chance.randbytes(size))


def _compare(run: Run, ops: list[Op], at: int) -> None:
    """It opens, holds whole commits from the first one on, and all that were acknowledged before the tear."""
    given: Settings = children.settings(run.folder / "torn")
    with Carryover.open(given, work=False) as memory:
        seen = found.look(memory)
        keys = {row.key: (row.seq, row.id, row.text) for rows in seen.rows.values() for row in rows}
        missing = False
        for op in ops:
            if op.kind != "append" or op.outcome != "ok" or not op.saved:
                continue
            there = [key in keys for key, _ in op.turns]
            if any(there) != all(there):
                run.broke("lost", f"torn at {at}: {op.id} is half there")
            if all(there) and missing:
                run.broke("invented", f"torn at {at}: {op.id} is there, and an earlier commit is not")
            if not all(there) and (op.mark or 0) <= at:
                run.broke("lost", f"torn at {at}: {op.id} was acknowledged at {op.mark} and is gone")
            missing = missing or not all(there)
            for (key, text), place in zip(op.turns, op.places, strict=True):
                if keys.pop(key, (*place, text)) != (*place, text):
                    run.broke("reordered", f"torn at {at}: {key} is not where it was")
        for key in keys:
            run.broke("invented", f"torn at {at}: nobody was told of {key}")
        for fault in seen.faults:
            run.broke("unsound", f"torn at {at}: {fault}")
        try:
            memory.log_turn("after", "user", "It goes on.")
        except StoreUnavailable as failure:
            run.broke("lost", f"torn at {at}: it does not go on: {failure}")
