"""A server over a fresh memory, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving import Running, open_memory, serving


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """In open local mode until a key is made."""
    with open_memory(tmp_path) as memory, serving(memory) as server:
        yield server


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    with running.http() as client:
        yield client
