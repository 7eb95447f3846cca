"""What evaluations of personas share: the shipped codebook, and ears that have heard much already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from carryover.evals.persona_population import Ears
from carryover.persona.book import Codebook, starter_book
from carryover.persona.notice import Rules
from carryover.persona.starter import seeds
from carryover.providers.minilm import MiniLM


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniLM]:
    opened = MiniLM(tmp_path_factory.mktemp("model"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shipped(embedder: MiniLM) -> Codebook:
    return starter_book(seeds(), embedder)


@pytest.fixture(scope="session")
def given(embedder: MiniLM) -> Ears:
    """Hears every turn as it was meant."""
    return Ears(embedder)


@pytest.fixture(scope="session")
def noticed(embedder: MiniLM) -> Ears:
    """Hears what rules notice."""
    return Ears(embedder, Rules())
