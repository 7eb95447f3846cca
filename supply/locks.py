"""The lock files: which release of each package, by which hashes, and who asked for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN, DEV = ROOT / "requirements" / "run.lock", ROOT / "requirements" / "dev.lock"
_RELEASE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)(?:\s*;\s*(.+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Locked:
    """A release of a package; `marker` says on which machines it is installed, '' is everywhere."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    asked_by: tuple[str, ...]  # names of packages; `carryover-memory` is our own

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def read(path: Path) -> list[Locked]:
    """What the lock holds, in its order. Raises ValueError for a line that is no release with its hashes."""
    blocks = re.split(r"^(?=\S)", path.read_text("utf-8"), flags=re.MULTILINE)
    return [_locked(block, path) for block in blocks if block.strip()]


def canonical(name: str) -> str:
    """The name as locks and package URLs spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked(block: str, path: Path) -> Locked:
    head, *rest = block.splitlines()
    release = _RELEASE.fullmatch(head.removesuffix("\\").strip())
    hashes = [_HASH.fullmatch(line.strip().removesuffix("\\").strip()) for line in rest if "--" in line]
    if release is None or not hashes or None in hashes:
        raise ValueError(f"{path.name}: {head!r} is no release locked by sha256 hashes; run `make lock`")
    name, version, marker = release.groups()
    comments = " ".join(line.strip().lstrip("#").strip() for line in rest if line.strip().startswith("#"))
    asked = re.sub(r"\([^)]*\)", "", comments).removeprefix("via").split()
    return Locked(
        canonical(name), version, marker or "", tuple(one[1] for one in hashes if one), tuple(sorted(set(asked)))
    )
