"""What is installed is what was locked: by hashes, from no index in particular, within what pyproject asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from supply import locks

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = [locks.RUN, locks.DEV]


def asked(kind: str) -> list[Requirement]:
    """What pyproject asks for directly: everybody's and the extras' (`run`), or the development groups' (`dev`)."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    run = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    groups = PROJECT["dependency-groups"]
    dev = [one for group in groups.values() for one in group if isinstance(one, str)]
    return [Requirement(one) for one in (run if kind == "run" else run + dev)]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_release_is_locked_by_sha256(lock: Path) -> None:
    found = locks.read(lock)
    assert len(found) > 100
    assert len(found) == len(re.findall(r"^\S+==", lock.read_text("utf-8"), re.MULTILINE))
    assert [one.name for one in found if not one.hashes] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_lock_names_where_packages_come_from(lock: Path) -> None:
    text = lock.read_text("utf-8")
    assert re.findall(r"^\s*(?:-i|--index-url|--extra-index-url|--find-links|--trusted-host|-e|-r).*", text, re.M) == []
    assert re.findall(r"\w+://\S+| @ \S+", text) == []


@pytest.mark.parametrize("kind", ["run", "dev"])
def test_what_pyproject_asks_for_is_locked_within_its_range(kind: str) -> None:
    locked: dict[str, list[Version]] = {}
    for one in locks.read(locks.RUN if kind == "run" else locks.DEV):
        locked.setdefault(one.name, []).append(Version(one.version))
    wrong = {
        str(one): [str(version) for version in locked.get(locks.canonical(one.name), [])]
        for one in asked(kind)
        if not all(one.specifier.contains(version) for version in locked.get(locks.canonical(one.name), []))
        or locks.canonical(one.name) not in locked
    }
    assert wrong == {}


def test_what_runs_is_locked_alike_for_development() -> None:
    """So tests see the very releases that users get."""
    dev = {(one.name, one.version): set(one.hashes) for one in locks.read(locks.DEV)}
    run = locks.read(locks.RUN)
    assert {one.name for one in run if set(one.hashes) != dev.get((one.name, one.version))} == set()


def test_every_installation_of_ours_asks_for_hashes() -> None:
    """The set-up and the image install by hashes, and nothing that was not locked."""
    commands = [
        line
        for file in (ROOT / "Makefile", ROOT / "deploy" / "Dockerfile")
        for line in re.sub(r"\\\n\s*", " ", file.read_text("utf-8")).splitlines()
        if re.search(r"\bpip install\b", line) and not line.lstrip().startswith("#")
    ]
    assert commands
    for line in commands:
        assert "--no-deps" in line, line
        assert "--require-hashes" in line or "--no-index" in line, line


def test_a_line_without_a_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    lock.write_text("six==1.17.0\n    # via somebody\n", "utf-8")
    with pytest.raises(ValueError, match="is no release locked by sha256"):
        locks.read(lock)
    lock.write_text("six==1.17.0 \\\n    --hash=md5:00\n", "utf-8")
    with pytest.raises(ValueError, match="is no release locked by sha256"):
        locks.read(lock)
