"""The default embedder: it is the published model, it is fast to open, and it says what to do when it is absent."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import erf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from carryover.core.errors import ProviderError
from carryover.providers import minilm, minilm_graph
from carryover.providers.minilm import MiniLM, locate, pull

CARD = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
HAPPY = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
ODD = ["", "naïve café: 東京 🚀", "one two three " * 15, "a" * 300, "x", "SELECT * FROM turns WHERE seq > 3;"]
TEXTS = [*CARD, *HAPPY, *ODD]

needs_model = pytest.mark.skipif(
    importlib.util.find_spec(minilm.PACKAGE) is None, reason="the embedding model's package is not installed"
)
pytestmark = needs_model


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(cache: Path) -> MiniLM:
    return MiniLM(cache)


def embed(model: MiniLM, texts: list[str]) -> NDArray[np.float32]:
    return np.array(model.embed(texts))


def test_the_cards_examples(model: MiniLM) -> None:
    rows = embed(model, CARD)
    published = [[1, 0.6660, 0.1046], [0.6660, 1, 0.1411], [0.1046, 0.1411, 1]]
    assert np.abs(rows @ rows.T - published).max() < 5e-5 + 1e-6


def test_another_published_example(model: MiniLM) -> None:
    first, *others = embed(model, HAPPY)
    assert [round(float(first @ other), 3) for other in others] == [0.695, 0.943, 0.257]


def test_equals_an_independent_forward_pass(model: MiniLM) -> None:
    texts = [HAPPY[0], *ODD]
    rows = embed(model, texts)
    assert rows.dtype == np.float32
    assert rows.shape == (len(texts), model.dim)
    weights = read_weights(locate(Path("nowhere")) / minilm.WEIGHTS)
    expected = np.array([forward(weights, token_ids(text)) for text in texts])
    assert np.abs(rows - expected).max() < 1e-5


def test_order_and_company_do_not_matter(model: MiniLM) -> None:
    together = embed(model, TEXTS * 5)
    alone = np.vstack([embed(model, [text]) for text in TEXTS] * 5)
    assert np.abs(together - alone).max() < 1e-5
    assert model.embed([]) == []


def test_what_passes_256_tokens_does_not_count(model: MiniLM) -> None:
    one, other, shorter = embed(model, ["word " * 254 + "tail", "word " * 254 + "other end", "word " * 253])
    assert np.abs(one - other).max() < 1e-6
    assert np.abs(one - shorter).max() > 1e-5


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(), max_size=300))
def test_any_text_has_a_unit_vector(model: MiniLM, text: str) -> None:
    (row,) = embed(model, [text])
    assert abs(float(row @ row) - 1) < 1e-5


def test_threads_share_a_model(cache: Path) -> None:
    model = MiniLM(cache)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda text: embed(model, [text])[0], HAPPY * 4))
    assert np.abs(np.array(rows) - np.vstack([embed(model, HAPPY)] * 4)).max() < 1e-5


def test_batches_hold_every_text_once_and_stay_small() -> None:
    lengths = [n * 37 % 254 + 2 for n in range(300)]
    batches = list(minilm._batches(lengths))
    assert sorted(n for batch in batches for n in batch) == list(range(300))
    for batch in batches:
        assert len(batch) <= minilm.BATCH_TEXTS
        assert len(batch) == 1 or len(batch) * max(lengths[n] for n in batch) <= minilm.BATCH_TOKENS


def test_the_graph_is_kept_and_mended(tmp_path: Path) -> None:
    assert len(MiniLM(tmp_path).embed(["one"])) == 1
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    os.utime(kept, (1, 1))
    MiniLM(tmp_path).embed(["one"])
    assert kept.stat().st_mtime == 1  # it was read, not built again
    for damaged in (b"", whole[:1000], whole[:-1] + b"?", bytes(32) + whole[32:]):
        kept.write_bytes(damaged)
        assert len(MiniLM(tmp_path).embed(["two"])) == 1
        assert kept.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [kept]


def test_processes_may_build_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from carryover.providers.minilm import MiniLM\n"
        "print(MiniLM(Path(sys.argv[1])).embed(['hello'])[0][:3].tolist())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {run.communicate(timeout=60)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(said) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_works_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert len(MiniLM(tmp_path / "file" / "cache").embed(["one"])) == 1


def test_absent_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(ProviderError, match="carryover model pull"):
        MiniLM(tmp_path).embed(["one"])


def copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model where `pull` would put it, and nowhere else."""
    target = folder / minilm.MODEL
    target.mkdir()
    for file in minilm.HASHES:
        shutil.copyfile(locate(Path("nowhere")) / file, target / file)
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    return target


def flip(file: Path, at: int) -> None:
    """One bit of the file is another, and nothing else tells."""
    about = file.stat()
    with file.open("r+b") as content:
        content.seek(at)
        (byte,) = content.read(1)
        content.seek(at)
        content.write(bytes([byte ^ 1]))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize("name", list(minilm.HASHES))
@pytest.mark.parametrize("damage", ["replaced", "cut off", "a bit flipped", "empty"])
def test_corrupt_model_says_what_to_do(tmp_path: Path, name: str, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = copied(tmp_path, monkeypatch) / name
    if damage == "replaced":
        file.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    elif damage == "a bit flipped":
        flip(file, file.stat().st_size // 2)
    else:
        os.truncate(file, file.stat().st_size // 2 if damage == "cut off" else 0)
    with pytest.raises(ProviderError, match=f"{name} is not the expected file.*carryover model pull"):
        MiniLM(tmp_path).embed(["one"])


def test_a_bit_that_flips_while_the_graph_is_kept_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = copied(tmp_path, monkeypatch) / minilm.WEIGHTS
    MiniLM(tmp_path).embed(["one"])
    flip(weights, weights.stat().st_size - 1000)
    with pytest.raises(ProviderError, match="not the expected file"):
        MiniLM(tmp_path).embed(["one"])


def test_a_damaged_copy_is_passed_over_where_there_is_another(
    tmp_path: Path, model: MiniLM, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / minilm.MODEL
    folder.mkdir()
    for file in minilm.HASHES:
        (folder / file).write_bytes(b"damaged")
    assert np.array_equal(embed(MiniLM(tmp_path), HAPPY), embed(model, HAPPY))
    (said,) = [record.getMessage() for record in caplog.records]
    assert "is not the expected file" in said
    assert "carryover model pull" in said
    assert said.endswith("is used")


def test_a_model_that_cannot_be_loaded_is_tried_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locate(Path("nowhere"))
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    model = MiniLM(tmp_path)
    with pytest.raises(ProviderError, match="not installed"):
        model.embed(["one"])
    (tmp_path / minilm.MODEL).symlink_to(package)
    with pytest.raises(ProviderError, match="not installed"):
        model.embed(["one"])
    monkeypatch.setattr(minilm, "AGAIN_S", 0.0)
    assert len(model.embed(["one"])) == 1


def test_another_models_weights_build_no_graph(tmp_path: Path) -> None:
    header = json.dumps({"other.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "other").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(KeyError):
        minilm_graph.build(tmp_path / "other")


def test_closed_model_loads_again(cache: Path) -> None:
    model = MiniLM(cache)
    first = embed(model, ["one"])
    model.close()
    assert np.array_equal(embed(model, ["one"]), first)


# pull


def make_wheel(folder: Path, *, spoil: str | None = None, leave_out: str | None = None) -> None:
    """A wheel such as pip would fetch, made of the installed package."""
    package = locate(Path("nowhere")).parent
    about = package.parent / f"{minilm.PACKAGE}-{minilm.PACKAGE_VERSION}.dist-info"
    wheel = folder / f"{minilm.PACKAGE}-{minilm.PACKAGE_VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("METADATA", "WHEEL", "RECORD"):
            archive.write(about / name, f"{about.name}/{name}")
        for name in minilm.HASHES:
            path = f"{minilm.PACKAGE}/model/{name}"
            if name == spoil:
                archive.writestr(path, "something else")
            elif name != leave_out:
                archive.write(package / "model" / name, path)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What pip may fetch from, in place of an index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    yield folder
    shutil.rmtree(tmp_path)  # a wheel and a model, 90 MB each


def test_pull_brings_a_model_that_works(
    index: Path, tmp_path: Path, model: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(index)
    folder = pull(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == sorted(minilm.HASHES)
    assert list((tmp_path / "cache").iterdir()) == [folder]
    expected = embed(model, HAPPY)
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    assert np.array_equal(embed(MiniLM(tmp_path / "cache"), HAPPY), expected)


@pytest.mark.parametrize("fault", ["spoil", "leave_out"])
def test_pull_takes_nothing_but_the_model(index: Path, tmp_path: Path, fault: Any) -> None:
    make_wheel(index, **{fault: minilm.WEIGHTS})
    with pytest.raises(ProviderError, match="check the index that pip uses"):
        pull(tmp_path / "cache")
    assert list((tmp_path / "cache" / minilm.MODEL).iterdir()) == []


def test_pull_without_an_index_says_why(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"pip could not fetch.*No matching distribution"):
        pull(tmp_path / "cache")


# The same network once more, in numpy, from the paper and the published configuration.


def read_weights(file: Path) -> dict[str, NDArray[np.float32]]:
    raw = file.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    found: dict[str, NDArray[np.float32]] = {}
    for name, entry in header.items():
        first, end = (start + offset for offset in entry["data_offsets"])
        kind = np.float32 if entry["dtype"] == "F32" else np.int64
        found[name] = np.frombuffer(raw[first:end], kind).reshape(entry["shape"])
    return found


def token_ids(text: str) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(locate(Path("nowhere")) / minilm.TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    return tokenizer.encode(text).ids


def forward(w: dict[str, NDArray[np.float32]], ids: list[int]) -> NDArray[np.float64]:
    def linear(x: NDArray[Any], name: str) -> NDArray[Any]:
        return x @ w[f"{name}.weight"].T.astype(np.float64) + w[f"{name}.bias"]

    def norm(x: NDArray[Any], name: str) -> NDArray[Any]:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    e = "embeddings"
    x = w[f"{e}.word_embeddings.weight"][ids].astype(np.float64)
    x = x + w[f"{e}.position_embeddings.weight"][: len(ids)] + w[f"{e}.token_type_embeddings.weight"][0]
    x = norm(x, f"{e}.LayerNorm")
    for n in range(6):
        layer = f"encoder.layer.{n}"
        q, k, v = (
            linear(x, f"{layer}.attention.self.{part}").reshape(len(ids), 12, 32).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(32)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(len(ids), 384)
        x = norm(x + linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(erf)(inner / np.sqrt(2)))
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)
