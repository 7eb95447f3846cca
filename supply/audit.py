"""Known vulnerabilities of what is locked, asked of the advisory service by pip-audit; nothing is resolved or fetched.

Where the service does not answer, as on a machine without a network, that is said and nothing fails.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from supply.licences import KNOWN
from supply.locks import Locked

_CAUSE = re.compile(r"\[Errno -?\d+\] [^'\"()]+|timed out|\d{3} (?:Server|Client) Error", re.IGNORECASE)
# A service that lets us wait is one that does not answer.
_ANSWER_S, _FIRST_S, _LIMIT_S = 5, 15, 180  # one package, the first one with all that comes before, all of them


class NoAnswer(Exception):
    """The advisory service cannot be reached from here, or does not say what it should."""


@dataclass(frozen=True)
class Lived:
    """A vulnerability that we know of and live with for a while."""

    id: str
    package: str
    reason: str
    until: date

    @classmethod
    def read(cls, path: Path = KNOWN) -> list[Lived]:
        told: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))["advisories"]
        return [cls(id, one["package"], one["reason"], one["until"]) for id, one in told.items()]


@dataclass(frozen=True)
class Hole:
    """A vulnerability of a locked release; `ids` are all the names that it goes by."""

    package: str
    version: str
    ids: frozenset[str]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"lock {' or '.join(self.fixed_in)}" if self.fixed_in else "no release mends it yet"
        return f"{self.package} {self.version}: {', '.join(sorted(self.ids))}; {remedy}"


def holes(locked: Iterable[Locked], service: str | None = None, limit_s: float = _LIMIT_S) -> list[Hole]:
    """Those that the service (at this address, or pip-audit's own) knows of, for whichever machine a release is.

    Raises NoAnswer, and ValueError for what pip-audit cannot read.
    """
    releases = {(one.name, one.version): one for one in locked}
    with TemporaryDirectory() as folder:
        files = _files(releases.values(), Path(folder))
        for file in files:
            _require_readable(file)
        first = _files(list(releases.values())[:1], Path(folder, "first"))
        for file in first:  # a service that cannot be reached is told by one package
            _asked(file, service, min(limit_s, _FIRST_S))
        documents = [_asked(file, service, limit_s) for file in files]
    found = {
        Hole(one["name"], one["version"], frozenset([hole["id"], *hole["aliases"]]), tuple(hole["fix_versions"]))
        for document in documents
        for one in document["dependencies"]
        for hole in one.get("vulns", [])
    }
    return sorted(found, key=lambda hole: (hole.package, hole.version, *sorted(hole.ids)))


def expired(lived: Collection[Lived], locked: Collection[str], today: date) -> list[str]:
    """Entries that may stand no longer: a line each."""
    late = [f"{one.id} of {one.package}: was accepted until {one.until}; look at it again" for one in lived
            if one.until < today]  # fmt: skip
    gone = [one for one in lived if one.package not in locked]
    return late + [f"{one.id}: {one.package} is not locked any more; remove it from {KNOWN.name}" for one in gone]


def unaccepted(found: Collection[Hole], lived: Collection[Lived]) -> list[str]:
    """Those that nobody has decided to live with: a line each."""
    known = {(one.package, one.id) for one in lived}
    return [str(hole) for hole in found if not any((hole.package, id) in known for id in hole.ids)]


def _files(locked: Iterable[Locked], folder: Path) -> list[Path]:
    """The releases by their hashes, without the markers, by which pip-audit would leave out what other machines get."""
    folder.mkdir(exist_ok=True)
    # A file may name a package once.
    lines: dict[int, list[str]] = {}
    seen: Counter[str] = Counter()
    for one in locked:
        hashes = " ".join(f"--hash=sha256:{hash}" for hash in one.hashes)
        lines.setdefault(seen[one.name], []).append(f"{one.name}=={one.version} {hashes}\n")
        seen[one.name] += 1
    files = {folder / f"{number}.txt": written for number, written in lines.items()}
    for file, written in files.items():
        file.write_text("".join(written), "utf-8")
    return list(files)


def _require_readable(file: Path) -> None:
    # Without this, what cannot be read would look like a service that does not answer.
    done = _pip_audit(file, ["--dry-run"], _LIMIT_S)
    if done.returncode != 0:
        raise ValueError(f"pip-audit cannot read what is locked: {done.stderr.strip()}")


def _asked(file: Path, service: str | None, limit_s: float) -> dict[str, Any]:
    command = ["--vulnerability-service", "osv", *([] if service is None else ["--osv-url", service])]
    command += ["--timeout", str(_ANSWER_S), "--format", "json", "--aliases", "on"]
    try:
        done = _pip_audit(file, command, limit_s)
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"no answer within {limit_s:.0f} s") from None
    # It ends with 1 both for what it found and for what went wrong; only what it found has a document.
    if not done.stdout.strip():
        raise NoAnswer(_reason(done.stderr))
    return json.loads(done.stdout)


def _reason(said: str) -> str:
    """Why there is no answer, out of all that pip-audit and the libraries under it say."""
    last = (said.strip().splitlines() or ["no reason"])[-1]
    cause = _CAUSE.search(last)
    return textwrap.shorten(last if cause is None else cause[0].split("] ")[-1], 100)


def _pip_audit(file: Path, arguments: list[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--requirement", str(file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)
