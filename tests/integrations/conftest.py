"""Homes of coding agents and of carryover, which are nobody's own."""

from __future__ import annotations

from pathlib import Path

import pytest


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
