"""What `carryover doctor` looks at, one function for each part; none of them changes anything."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from carryover import runtime
from carryover.cli import memory, show
from carryover.core.errors import CarryoverError, ProviderError
from carryover.core.scope import Scope
from carryover.providers import minilm
from carryover.providers.llm import open_llm
from carryover.settings import Settings
from carryover.store import check, keys, migrate, queue
from carryover.store.store import Store, Tx

_LITTLE, _TOO_LITTLE = 1 << 30, 100 << 20  # bytes left on the disk
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at and found; `remedy` says what to do unless the state is `ok`."""

    name: str
    state: Literal["ok", "note", "broken"]
    said: str
    remedy: str = ""


def remote(settings: Settings) -> Iterator[Check]:
    """The server that the settings name."""
    try:
        with memory.server(settings) as client:
            health = client.health()
    except CarryoverError as failure:
        yield Check("server", "broken", f"{settings.url}: {failure.message}", "start it, or correct url and api_key")
        return
    counts = ", ".join(f"{n} {name}" for name, n in health.queue.items())
    said = f"{settings.url} is {health.status}; jobs: {counts}"
    if health.status == "ok":
        yield Check("server", "ok", said)
    else:
        yield Check("server", "broken", said, "run `carryover doctor` where the server runs")


def local(settings: Settings) -> Iterator[Check]:
    """Everything that the embedded memory, a worker or a server on this machine needs."""
    yield from _home(settings.folder)
    yield from _database(settings)
    yield _embedder(settings)
    yield _llm(settings)


def _home(folder: Path) -> Iterator[Check]:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Check(
            "home",
            "broken",
            f"{folder} cannot be written: {there} is closed or no folder",
            "set CARRYOVER_HOME to a folder you may write to",
        )
        return
    yield Check("home", "ok", f"{folder}" if there == folder else f"{folder} (made at first use)")
    free = shutil.disk_usage(there).free
    said = f"{free / (1 << 30):,.1f} GiB free"
    if free < _LITTLE:
        yield Check(
            "disk", "broken" if free < _TOO_LITTLE else "note", said, "free some space: nothing is saved on a full disk"
        )
    else:
        yield Check("disk", "ok", said)


def _database(settings: Settings) -> Iterator[Check]:
    file = Path(settings.store_url.removeprefix("sqlite:///"))
    if settings.store_url.startswith("sqlite:///") and not file.exists():
        yield Check("database", "ok", f"{file} (made at first use)")
        return
    try:
        with Store.open(settings.store_url, upgrade=False) as store, store.read(Scope(settings.tenant)) as tx:
            yield from _state(tx, settings, file.stat().st_size if file.exists() else None)
            yield from _jobs(tx)
            yield from _keys(tx, settings)
    except CarryoverError as failure:
        said, _, remedy = failure.message.rpartition("; ")
        yield Check("database", "broken", said or failure.message, remedy)


def _state(tx: Tx, settings: Settings, size: int | None) -> Iterator[Check]:
    embedder = runtime.embedder_of(settings)
    space = None if embedder is None else embedder.name
    found = check.state(tx, space)
    counts = (
        f"{show.counted(found.sessions, 'session')}, {show.counted(found.turns, 'turn')}, "
        f"{show.counted(found.chunks, 'chunk')}"
    )
    weight = "" if size is None else f", {size / (1 << 20):,.1f} MiB"
    yield Check("database", "ok", f"{found.engine}, schema {migrate.HEAD}{weight}; {counts}")
    for name, lag, noun in (
        ("index", found.unindexed_turns, "turn"),
        ("embedding", found.unembedded_chunks, "chunk"),
    ):
        if lag:
            yield Check(
                name,
                "note",
                f"{show.counted(lag, noun)} behind",
                "run `carryover worker` where none runs; searches index what they need meanwhile",
            )
        else:
            yield Check(name, "ok", "up to date")


def retry(settings: Settings) -> int:
    """Dead jobs of the tenant are due again; how many there were."""
    with Store.open(settings.store_url) as store, store.write(Scope(settings.tenant)) as tx:
        dead = queue.dead(tx, limit=10_000)
        for job in dead:
            queue.revive(tx, job.kind, job.subject)
        return len(dead)


def _jobs(tx: Tx) -> Iterator[Check]:
    dead = queue.dead(tx)
    counts = ", ".join(f"{n} {name}" for name, n in queue.counts(tx).items())
    yield Check("jobs", "ok", counts)
    for job in dead:
        yield Check(
            "dead job",
            "broken",
            f"{job.kind} of {job.subject!r} gave up: {job.reason}",
            "correct that, then run `carryover doctor --retry`",
        )


def _keys(tx: Tx, settings: Settings) -> Iterator[Check]:
    valid = [key for key in keys.listed(tx) if key.revoked_at is None]
    if not valid and settings.host not in _LOOPBACK:
        yield Check(
            "keys",
            "broken",
            f"host is {settings.host} and there is no key: `carryover serve` will not start",
            "make one with `carryover keys create`",
        )
    else:
        yield Check("keys", "ok", show.counted(len(valid), "key") if valid else "none: open to this machine alone")


def _embedder(settings: Settings) -> Check:
    kind, _, model = settings.embedder.partition(":")
    if kind == "none":
        return Check("embedder", "note", "none: search matches words only", "set embedder to `minilm`")
    if kind == "openai":
        if settings.embedder_api_key or settings.embedder_base_url or os.environ.get("OPENAI_API_KEY"):
            return Check("embedder", "ok", f"{settings.embedder} (not called here)")
        return Check("embedder", "broken", f"{model} has no key", "set embedder_api_key or OPENAI_API_KEY")
    try:
        folder = minilm.locate(settings.folder / "models")
    except ProviderError as absent:
        said, _, remedy = absent.message.rpartition("; ")
        return Check("embedder", "broken", said, f"{remedy}; or set embedder to `none`")
    for name, expected in minilm.HASHES.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                return Check("embedder", "broken", f"{folder / name} is not the expected file", minilm.REMEDY)
    return Check("embedder", "ok", f"{minilm.MiniLM.name}, weights present and as expected")


def _llm(settings: Settings) -> Check:
    if settings.llm == "rules":
        return Check("llm", "ok", "rules: no key, no network, no cost")
    try:
        open_llm(settings.llm, own_prices=settings.prices)
    except CarryoverError as failure:
        said = failure.message.partition("\n")[0]
        return Check("llm", "broken", said, "name a model with a price, or set llm to `rules`")
    if importlib.util.find_spec("pydantic_ai") is None:
        return Check(
            "llm", "broken", f"{settings.llm} needs pydantic-ai", "run `pip install 'carryover-memory[models]'`"
        )
    variable = f"{settings.llm.partition(':')[0].partition('-')[0].upper()}_API_KEY"
    if not (settings.llm_api_key or settings.llm_base_url or os.environ.get(variable)):
        return Check("llm", "broken", f"{settings.llm} has no key", f"set llm_api_key or {variable}")
    return Check("llm", "ok", f"{settings.llm} (not called here)")
