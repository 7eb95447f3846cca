"""What is kept and written is its owner's alone to read, whatever the umask lets through."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Commands


@pytest.fixture(autouse=True)
def _open_handed() -> Iterator[None]:
    """As it is on most machines: everybody may read new files."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_lies_in_the_home_is_its_owners_alone(carryover: Commands, home: Path) -> None:
    carryover("log", "s", "Please always answer in metric units.", "--user", "ada")
    carryover("consolidate", "s")
    carryover("search", "units")
    assert rights(home) == 0o700
    kept = {path.name: rights(path) for path in home.rglob("*") if path.is_file()}
    assert "carryover.db" in kept
    assert {name: oct(mode) for name, mode in kept.items() if mode & 0o077} == {}


def test_an_export_is_its_owners_alone(carryover: Commands, tmp_path: Path) -> None:
    carryover("log", "s", "Please always answer in metric units.")
    (tmp_path / "old.jsonl").write_text("", "utf-8")
    for name in ("new.jsonl", "old.jsonl"):
        carryover("export", str(tmp_path / name))
        assert rights(tmp_path / name) == 0o600
    assert sorted(path.name for path in tmp_path.glob("*.jsonl*")) == ["new.jsonl", "old.jsonl"]
