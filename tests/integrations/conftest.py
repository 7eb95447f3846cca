"""Homes of coding agents and of carryover, which are nobody's own, and memories of both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.client.client import Client
from carryover.memories import Memory
from serving import open_memory, serving


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user without agents and without carryover; it is where `~` leads."""
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GROK_HOME", "CARRYOVER_CONFIG", "GROK_HOOK_EVENT"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "ada"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("CARRYOVER_HOME", str(folder / ".carryover"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def carryover_home(home: Path) -> Path:
    return home / ".carryover"


@pytest.fixture(params=["embedded", "remote"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    """A memory in this process, and one on a server."""
    with open_memory(tmp_path / "memory") as embedded:
        if request.param == "embedded":
            yield embedded
        else:
            with serving(embedded) as running, Client(running.url) as client:
                yield client
