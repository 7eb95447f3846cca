"""A run over all targets: so many inputs each, from one seed, resumable, with what broke kept as files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from fuzz import readers, texts, tokens, wires
from fuzz.mutate import Mutator
from fuzz.target import Crash, Target, tried, watched

say = partial(print, flush=True)
MOST_GROWTH = 96 << 20  # bytes that a target's process may grow by once it is warm; what it remembers has bounds
_KEPT = 3  # inputs that are kept of each place that breaks
_ROUND_S = 5.0  # between two notes of how far a run has come


@dataclass
class Standing:
    """How far one target has come; `crashes` are counts by the place that broke."""

    mutated: int = 0
    guided: int = 0
    seconds: float = 0.0
    crashes: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def inputs(self) -> int:
        return self.mutated + self.guided


def every_target() -> list[Target]:
    return [*readers.targets(), *wires.targets(), *tokens.targets(), *texts.targets()]


def named(name: str) -> Target:
    return next(target for target in every_target() if target.name == name)


class Campaign:
    """The state of a run in its folder: `standing.json`, and below `crashes/` the inputs that broke something."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self._file = folder / f"standing-{seed}.json"
        folder.mkdir(parents=True, exist_ok=True)
        said = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.standings = {name: Standing(**told) for name, told in said.items()}

    def of(self, target: Target) -> Standing:
        return self.standings.setdefault(target.name, Standing())

    def save(self) -> None:
        made = self._file.with_suffix(".new")
        made.write_text(json.dumps({name: asdict(one) for name, one in self.standings.items()}, indent=1))
        made.replace(self._file)

    def run(self, target: Target, upto: int) -> None:
        """So many mutated inputs went through the target since the run began."""
        standing, mutator = self.of(target), Mutator(target.name, target.seeds(), target.words, self.seed)
        began = noted = time.monotonic()
        warm, before = standing.mutated + (upto - standing.mutated) // 4, 0
        with watched() as go_on:
            for n in range(standing.mutated, upto):
                data = mutator.input(n)
                go_on()
                crash = tried(target, data)
                standing.mutated = n + 1
                if crash is not None:
                    self.keep(target, data, crash)
                if n == warm:
                    before = resident()
                if n % 256 == 0 and (now := time.monotonic()) - noted > _ROUND_S:
                    standing.seconds, began, noted = standing.seconds + now - began, now, now
                    self.save()
        if before and (grown := resident() - before) > MOST_GROWTH:
            self.keep(target, b"", Crash("memory", f"the process grew by {grown >> 20} MiB"))
        standing.seconds += time.monotonic() - began
        self.save()

    def guide(self, target: Target, runs: int) -> None:
        """So many inputs, which coverage chose, went through the target in a process of its own."""
        standing = self.of(target)
        corpus = self.folder / "corpus" / target.name.replace("/", "-")
        for made in (corpus, self.folder / "crashes"):
            made.mkdir(parents=True, exist_ok=True)
        for n, seed in enumerate(target.seeds()[:40]):
            (corpus / f"seed-{n}").write_bytes(seed)
        told = self.folder / "guided.json"
        told.unlink(missing_ok=True)
        about = [target.name, str(told), str(self.folder), str(self.seed + standing.guided), str(runs), str(corpus)]
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "fuzz.guided", *about],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=1_800,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        said = json.loads(told.read_text()) if told.exists() else {"inputs": 0, "crashes": {"the guided process": 1}}
        standing.guided += said["inputs"]
        standing.seconds += time.monotonic() - began
        if done.returncode:
            said["crashes"]["the guided process"] = (
                1  # an input that took too long, mostly, which lies beside the others
            )
        for place, count in said["crashes"].items():
            standing.crashes[place] = standing.crashes.get(place, 0) + count
        self.save()

    def keep(self, target: Target, data: bytes, crash: Crash) -> None:
        """The crash is counted, and of the first of its kind the input kept, with what replays it."""
        standing = self.of(target)
        count = standing.crashes[crash.place] = standing.crashes.get(crash.place, 0) + 1
        if count <= _KEPT:
            keep(self.folder, target, data, crash, count)


def keep(folder: Path, target: Target, data: bytes, crash: Crash, count: int) -> None:
    name = "".join(c if c.isalnum() else "-" for c in f"{target.name} {crash.place}") + f"-{count}"
    path = folder / "crashes" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".input").write_bytes(data)
    replay = f"python -m fuzz --only {target.name} --replay {path.with_suffix('.input')}"
    path.with_suffix(".txt").write_text(f"{replay}\n\n{crash.told}", "utf-8", "backslashreplace")
    say(f"  {target.name}: {crash.place}\n    {replay}")


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def portions(targets: Sequence[Target], inputs: int) -> dict[str, int]:
    """How many of the inputs each target gets."""
    whole = sum(target.share for target in targets)
    return {target.name: round(inputs * target.share / whole) for target in targets}


def table(standings: dict[str, Standing]) -> str:
    """Target, inputs, of which coverage chose, crashes, seconds."""
    rows = [("target", "inputs", "led by coverage", "crashes", "s")]
    rows += [
        (name, f"{one.inputs:,}", f"{one.guided:,}", str(sum(one.crashes.values())), f"{one.seconds:.0f}")
        for name, one in standings.items()
    ]
    total = list(standings.values())
    broken = sum(sum(one.crashes.values()) for one in total)
    inputs, chosen = sum(one.inputs for one in total), sum(one.guided for one in total)
    rows.append(("all", f"{inputs:,}", f"{chosen:,}", str(broken), f"{sum(one.seconds for one in total):.0f}"))
    said = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([said[0], "|---|---:|---:|---:|---:|", *said[1:]])


def led(targets: Sequence[Target], say: Callable[[str], None]) -> bool:
    """Whether coverage can lead here."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        say("atheris is not installed here: mutation alone makes the inputs")
        return False
    return any(target.guided for target in targets)
