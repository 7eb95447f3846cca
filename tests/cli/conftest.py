"""The command line in a home of its own; on the embedded store, or on a server that the tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.cli.demo_server import serving
from commands import Commands


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home, with nothing of carryover in the environment but this."""
    for name in [name for name in os.environ if name.startswith("CARRYOVER_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("CARRYOVER_HOME", str(folder))
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server"), embedder="none") as url:
        yield url


@pytest.fixture
def carryover(home: Path) -> Commands:
    """The command on a fresh embedded store."""
    assert not home.exists()
    return Commands()


@pytest.fixture(params=["embedded", "remote"])
def either(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The command on an embedded store and on a server."""
    if request.param == "remote":
        monkeypatch.setenv("CARRYOVER_URL", request.getfixturevalue("address"))
    return Commands()
