"""One memory for many attacks: each has a tenant of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carryover.core.scope import Scope
from carryover.runtime import Carryover
from carryover.settings import Settings


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carryover]:
    home: Path = tmp_path_factory.mktemp("guarded")
    settings = Settings(database_url=f"sqlite:///{home / 'carryover.db'}", home=home, embedder="none")
    with Carryover.open(settings, work=False) as opened:
        yield opened


@pytest.fixture
def tenant(memory: Carryover, request: pytest.FixtureRequest) -> Callable[[str], Carryover]:
    """The memory of a tenant of this name that nobody else has."""
    return lambda name: memory.seen_by(Scope(name))
