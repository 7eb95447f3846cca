"""The catalog of embedders, the one that speaks HTTP, and how little an import costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.core.errors import Invalid, ProviderError, ProviderUnavailable
from carryover.providers.catalog import EMBEDDERS, Access, open_embedder, reopen_embedder
from carryover.providers.http_embedder import BATCH_TEXTS, HttpEmbedder
from carryover.providers.llm import open_llm
from carryover.providers.minilm import MiniLM
from fakes.openai_api import FakeOpenAI


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(dim=64) as server:
        yield server


@pytest.fixture
def embedder(fake: FakeOpenAI, tmp_path: Path) -> Iterator[HttpEmbedder]:
    opened = open_embedder("openai:own-model", Access(tmp_path, api_key="k-123", base_url=fake.url, dim=64))
    assert isinstance(opened, HttpEmbedder)
    yield opened
    opened.close()


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_names(tmp_path: Path) -> None:
    assert isinstance(open_embedder("minilm", Access(tmp_path)), MiniLM)
    assert open_embedder("none", Access(tmp_path)) is None
    large = open_embedder("openai:text-embedding-3-large", Access(tmp_path))
    assert large is not None
    assert (large.name, large.dim) == ("openai:text-embedding-3-large/3072", 3072)
    assert set(EMBEDDERS) == {"minilm", "openai", "none"}


@pytest.mark.parametrize("name", ["", "MiniLM", "minilm:small", "none:x", "openai", "openai:", "cohere:x"])
def test_unknown_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="use minilm, openai:<model> or none"):
        open_embedder(name, Access(tmp_path))


def test_the_model_of_a_space_is_opened_again_by_its_name(tmp_path: Path) -> None:
    access = Access(tmp_path, api_key="k", base_url="http://127.0.0.1:9/v1", dim=12)
    local = reopen_embedder(MiniLM.name, "openai:text-embedding-3-small", access)
    assert isinstance(local, MiniLM)
    for space in ("openai:text-embedding-3-large/256", "openai:team/own-model/64"):
        opened = reopen_embedder(space, "openai:another", access)
        assert opened is not None
        assert opened.name == space
    # Whoever turned to a model on this machine sends no more text to a service.
    assert reopen_embedder("openai:text-embedding-3-large/256", "minilm", access) is None
    for space in ("all-MiniLM-L6-v2/fp32@00000000", "openai:", "openai:m", "openai:m/", "openai:/12", "letters", ""):
        assert reopen_embedder(space, "openai:another", access) is None


def test_unknown_width_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="dimension"):
        open_embedder("openai:own-model", Access(tmp_path))


@pytest.mark.parametrize(
    "url", ["nonsense", "localhost:1/v1", "http://[::bad", "http://host:99999999", "ftp://host", ""]
)
def test_a_url_that_is_none_is_refused_at_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="https://host/path"):
        open_embedder("openai:m", Access(tmp_path, base_url=url, dim=3))
    with pytest.raises(Invalid, match="https://host/path"):
        open_llm("openai:gpt-5", base_url=url)


def test_rows_are_unit_vectors_in_the_texts_order(embedder: HttpEmbedder, fake: FakeOpenAI) -> None:
    texts = ["the ledger uses postgres", "lunch is at noon", "postgres holds the ledger", ""]
    rows = embedder.embed(texts)
    assert [len(row) for row in rows] == [64] * 4
    assert all(abs(cosine(row, row) - 1) < 1e-9 for row in rows)
    assert cosine(rows[0], rows[2]) > cosine(rows[0], rows[1]) + 0.3
    (ask,) = fake.requests
    assert ask.headers["authorization"] == "Bearer k-123"
    assert ask.body["input"] == [*texts[:3], " "]  # the service refuses an empty text
    assert "dimensions" not in ask.body
    assert embedder.embed([]) == []


def test_many_texts_go_in_batches(embedder: HttpEmbedder, fake: FakeOpenAI) -> None:
    texts = [f"turn number {n}" for n in range(BATCH_TEXTS * 2 + 1)]
    rows = embedder.embed(texts)
    assert [len(ask.body["input"]) for ask in fake.requests] == [BATCH_TEXTS, BATCH_TEXTS, 1]
    assert rows[-1] == embedder.embed(texts[-1:])[0]


def test_shorter_vectors_are_asked_for(fake: FakeOpenAI, tmp_path: Path) -> None:
    small = open_embedder("openai:text-embedding-3-small", Access(tmp_path, base_url=fake.url, dim=256))
    assert isinstance(small, HttpEmbedder)
    assert len(small.embed(["x"])[0]) == 256
    assert fake.requests[0].body["dimensions"] == 256
    small.close()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_trouble_that_passes(embedder: HttpEmbedder, fake: FakeOpenAI, status: int) -> None:
    fake.fail_next(status, retry_after=3)
    with pytest.raises(ProviderUnavailable) as raised:
        embedder.embed(["x"])
    assert len(fake.requests) == 1
    assert raised.value.facts == {"retry_after": 3.0}
    assert len(embedder.embed(["x"])) == 1


@pytest.mark.parametrize("status", [400, 401, 404])
def test_trouble_that_stays(embedder: HttpEmbedder, fake: FakeOpenAI, status: int) -> None:
    fake.fail_next(status)
    with pytest.raises(ProviderError, match=f"status {status}") as raised:
        embedder.embed(["x"])
    assert not isinstance(raised.value, ProviderUnavailable)


def test_no_answer_is_unavailable(fake: FakeOpenAI, tmp_path: Path) -> None:
    slow = open_embedder("openai:m", Access(tmp_path, base_url=fake.url, dim=64, timeout_s=0.1))
    assert isinstance(slow, HttpEmbedder)
    fake.hang_next(30)
    with pytest.raises(ProviderUnavailable, match="did not answer"):
        slow.embed(["x"])
    slow.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>",
        b"[]",
        b'{"data": [{"index": 0, "embedding": null}]}',
        b'{"data": [{"index": 0, "embedding": []}]}',
        b'{"data": [{"index": 0, "embedding": [0, 0]}]}',
    ],
)
def test_unreadable_answer_is_an_error(embedder: HttpEmbedder, fake: FakeOpenAI, raw: bytes) -> None:
    fake.garble_next(raw)
    with pytest.raises(ProviderError, match="no embeddings"):
        embedder.embed(["x"])


def test_rows_of_another_width_are_an_error(embedder: HttpEmbedder, fake: FakeOpenAI) -> None:
    fake.dim = 32
    with pytest.raises(ProviderError, match=r"1 rows of \[32\] numbers for 1 texts"):
        embedder.embed(["x"])


def test_the_environments_key_goes_to_no_other_host(
    fake: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    own = open_embedder("openai:m", Access(tmp_path, base_url=fake.url, dim=64))
    monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
    usual = open_embedder("openai:m", Access(tmp_path, dim=64))
    for opened in (own, usual):
        assert isinstance(opened, HttpEmbedder)
        opened.embed(["x"])
        opened.close()
    assert [ask.headers.get("authorization") for ask in fake.requests] == [None, "Bearer secret"]


def test_import_loads_nothing_heavy() -> None:
    program = (
        "import sys, carryover.providers.catalog, carryover.providers.llm\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'tokenizers', 'pydantic', 'pydantic_ai', 'httpx', 'anyio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
