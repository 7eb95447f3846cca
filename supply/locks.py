"""The lock files: which release of each package, by which hashes, and who asked for it.

Images need less than all that is locked for development: `parts` are the files that hold just that, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN, DEV = ROOT / "requirements" / "run.lock", ROOT / "requirements" / "dev.lock"
# What builds wheels out of sources, and what the nodes of a PostgreSQL cluster run: cut out of DEV by `make lock`.
PARTS = {
    ROOT / "requirements" / "build.lock": frozenset({"hatchling", "setuptools"}),
    ROOT / "requirements" / "patroni.lock": frozenset({"patroni"}),
}
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
    return [_locked(block, path) for block in _blocks(path)]


def part(path: Path, roots: Collection[str]) -> str:
    """Of the lock what these packages need, themselves included."""
    blocks = {block: _locked(block, path) for block in _blocks(path)}
    needed, more = set[str](), set(roots)
    while more:
        needed |= more
        more = {one.name for one in blocks.values() if needed.intersection(one.asked_by)} - needed
    return "".join(block for block, one in blocks.items() if one.name in needed)


def canonical(name: str) -> str:
    """The name as locks and package URLs spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _blocks(path: Path) -> list[str]:
    return [block for block in re.split(r"^(?=\S)", path.read_text("utf-8"), flags=re.MULTILINE) if block.strip()]


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
