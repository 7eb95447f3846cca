"""How long a hook keeps a coding agent waiting: the whole process, from its start to its end.

    python -m benchmarks.hooks [--runs 200] [--busy 2]

Warm runs come one after the other. Before each cold one, the pages of the interpreter, its library, the script and
the notes are dropped from the page cache, as far as the system does that for the asking. With `--busy`, so many
processes keep the processors busy meanwhile, as an agent at work does. The time of the processor itself (`cpu`) is
what a busy machine does not change much.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from carryover.integrations import hooks
from carryover.integrations.carryover_hook import key

PYTHON = os.path.realpath(sys.executable)
LIMIT_MS = 100
NOTES = "- Use PostgreSQL for the ledger (7 May 2026)\n" * 45  # about 500 tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--busy", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home, repo = Path(folder) / "home", Path(folder) / "shop"
        (repo / ".git").mkdir(parents=True)
        (repo / "src").mkdir()
        hooks.write_script(home)
        contexts = home / "hooks" / "contexts"
        contexts.mkdir()
        (contexts / f"{key('claude-code', str(repo))}.md").write_text(NOTES)
        for _ in range(asked.busy):
            spinner = multiprocessing.Process(target=_spin, daemon=True)
            spinner.start()
            stack.callback(spinner.kill)
        said = json.dumps({"session_id": "s1", "cwd": str(repo / "src"), "transcript_path": str(repo / "log.jsonl")})
        load = os.getloadavg()[0]
        print(f"{'':24} {'p50':>8} {'p99':>8} {'most':>8} {'cpu p50':>8}  (ms; {asked.runs} runs, load {load:.1f})")
        for name, before in (("warm", lambda: None), ("cold", lambda: _forget(home))):
            for event in ("SessionStart", "Stop", "SessionEnd"):
                command = [PYTHON, "-I", "-S", str(home / "hooks" / "carryover_hook.py"), event, "claude-code"]
                _show(f"{event}, {name}", _timed(command, said.encode(), asked.runs, before))
        _show("bare interpreter, warm", _timed([PYTHON, "-I", "-S", "-c", ""], b"", asked.runs, lambda: None))


def _timed(command: Sequence[str], stdin: bytes, runs: int, before: Callable[[], None]) -> list[tuple[float, float]]:
    """Of each run how long it took, and how long the processor worked for it."""
    found: list[tuple[float, float]] = []
    for _ in range(runs):
        before()
        worked, began = _worked(), time.perf_counter()
        done = subprocess.run(command, input=stdin, capture_output=True, check=True)
        found.append(((time.perf_counter() - began) * 1000, _worked() - worked))
        assert not done.stderr
    return found


def _worked() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def _show(name: str, found: Sequence[tuple[float, float]]) -> None:
    took, worked = sorted(one[0] for one in found), sorted(one[1] for one in found)
    p99 = took[min(int(len(took) * 0.99), len(took) - 1)]
    late = "" if took[-1] < LIMIT_MS else f"  {sum(one >= LIMIT_MS for one in took)} over {LIMIT_MS} ms"
    half = len(found) // 2
    print(f"{name:24} {took[half]:8.1f} {p99:8.1f} {took[-1]:8.1f} {worked[half]:8.1f}{late}")


def _forget(home: Path) -> None:
    """The pages of all files that a hook reads are not in memory any more."""
    library = Path(sysconfig.get_paths()["stdlib"])
    loaded = [path for name in ("encodings", "json", "collections", "re") for path in (library / name).rglob("*.py*")]
    binary = [
        Path(PYTHON),
        *library.glob("*.py"),
        *library.glob("__pycache__/*.pyc"),
        *library.glob("lib-dynload/*.so"),
    ]
    for path in (*binary, *loaded, *(path for path in home.rglob("*") if path.is_file())):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
