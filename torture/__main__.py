"""The command line: scenarios are run beside each other, each in a process of its own, and told in one table."""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torture import children
from torture.all import SCENARIOS
from torture.run import Run, Skipped
from torture.violation import COUNTED

_LONGEST_S = 1500  # of one scenario
_SHOWN = 20


@dataclass
class Result:
    """What became of one scenario."""

    name: str
    kills: int = 0
    failovers: int = 0
    acknowledged: int = 0
    unknown: int = 0
    violations: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    notes: list[str] = field(default_factory=list[str])
    seconds: float = 0.0
    skipped: str = ""
    kept: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--only", choices=sorted(SCENARIOS), action="append", help="this scenario; may be repeated")
    parser.add_argument("--short", action="store_true", help="a few seconds each")
    parser.add_argument("--kept", type=Path, default=Path(".torture"), help="where histories of failed runs are kept")
    parser.add_argument("--lanes", type=int, default=2, help="how many run beside each other")
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.result:
        given.result.write_text(json.dumps(asdict(one(given.only[0], given.seed, given.short, given.kept))), "utf-8")
        return 0
    print(f"seed {given.seed}", flush=True)
    names = given.only or list(SCENARIOS)
    with ThreadPoolExecutor(given.lanes) as lanes:
        results = list(lanes.map(lambda name: _apart(name, given), names))
    return show(results, given.seed, given.short)


def one(name: str, seed: int, short: bool, kept: Path) -> Result:
    """The scenario was run in this process, in a folder that is gone unless it failed."""
    began, result = time.monotonic(), Result(name)
    with tempfile.TemporaryDirectory(prefix="carryover-torture-", ignore_cleanup_errors=True) as folder:
        run = Run(name, seed, Path(folder), short)
        try:
            SCENARIOS[name](run)
        except Skipped as why:
            result.skipped = str(why)
        except Exception:
            run.broke("raised", traceback.format_exc())
        finally:
            children.end()
        counted = ("kills", "failovers", "acknowledged", "unknown", "notes")
        vars(result).update({name: getattr(run, name) for name in counted})
        result.violations = [(violation.kind, violation.detail) for violation in run.violations]
        if result.violations:
            result.kept = str(_keep(run, kept))
    result.seconds = time.monotonic() - began
    return result


def show(results: Sequence[Result], seed: int, short: bool) -> int:
    """The table, and how each failure is played again; 1 if there is any."""
    heads = ("kills", "failovers", "acknowledged", "unknown", *COUNTED, "other", "seconds")
    rows = [[result.name, *_row(result)] for result in results if not result.skipped]
    rows.append(["in all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))])
    print(f"\n{'':<24}" + "".join(f"{head:>{max(7, len(head) + 1)}}" for head in heads))
    for name, *numbers in rows:
        cells = (f"{number:>{max(7, len(head) + 1)},}" for head, number in zip(heads, numbers, strict=True))
        print(f"{name:<24}" + "".join(cells))
    for result in results:
        if result.skipped:
            print(f"skipped {result.name}: {result.skipped}")
        for note in result.notes:
            print(f"{result.name}: {note}")
    failed = [result for result in results if result.violations]
    for result in failed:
        again = f"python -m torture --seed {seed} --only {result.name}{' --short' if short else ''}"
        print(f"\n{result.name} failed; again: {again}; its history: {result.kept}")
        for kind, detail in result.violations[:_SHOWN]:
            print(f"  {kind}: {detail}")
    return 1 if failed else 0


def _row(result: Result) -> list[int]:
    kinds = [kind for kind, _ in result.violations]
    counts = [kinds.count(kind) for kind in COUNTED]
    other = len(kinds) - sum(counts)
    said = result.kills, result.failovers, result.acknowledged, result.unknown
    return [*said, *counts, other, round(result.seconds)]


def _apart(name: str, given: argparse.Namespace) -> Result:
    """The scenario was run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        asked = [sys.executable, "-m", "torture", "--only", name, "--seed", str(given.seed), "--result", str(file)]
        asked += ["--kept", str(given.kept), *(["--short"] if given.short else [])]
        try:
            done = subprocess.run(asked, timeout=_LONGEST_S, check=False, capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            result = Result(name, violations=[("no end", f"it took more than {_LONGEST_S} s")])
        else:
            told = {"name": name, "violations": [("raised", f"{done.stdout}{done.stderr}")]}
            result = Result(**(json.loads(file.read_text("utf-8")) if file.exists() else told))
    fell = ", ".join(sorted({kind for kind, _ in result.violations}))
    said = f"skipped: {result.skipped}" if result.skipped else fell or "kept its word"
    print(f"{time.strftime('%H:%M:%S')}  {name:<24}{result.seconds:>6.0f} s   {said}", flush=True)
    return result


def _keep(run: Run, folder: Path) -> Path:
    """The recorded history as one file, with what the processes printed beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{run.seed}-{run.name}.jsonl"
    kept.write_text("".join(file.read_text("utf-8") for file in sorted(run.records.rglob("*.jsonl"))), "utf-8")
    if run.printed.exists():
        shutil.copy(run.printed, kept.with_suffix(".printed"))
    return kept


if __name__ == "__main__":
    sys.exit(main())
