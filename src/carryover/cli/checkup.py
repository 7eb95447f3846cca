"""What `carryover doctor` looks at, one function for each part; none of them changes anything."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from carryover import engine
from carryover.cli import memory, show, standing, tiers
from carryover.core.errors import CarryoverError, Invalid, ProviderError
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.opening import keyring_of, with_keys
from carryover.providers import minilm
from carryover.providers.llm import open_llm
from carryover.settings import Settings
from carryover.store import (
    check,
    extractors,
    keys,
    migrate,
    move,
    postgres_facts,
    queue,
    sessions_sealed,
    sqlitevec,
    summaries,
    verdicts,
)
from carryover.store import tiers as tier_store
from carryover.store.faults import guarded
from carryover.store.redis import Redis
from carryover.store.seal import KEY_BYTES, Seal
from carryover.store.store import Store, Tx

_LITTLE, _TOO_LITTLE = 1 << 30, 100 << 20  # bytes left on the disk
_SKEW_MS = 1000
_REDIS_S = 1.0
_MOST_FLAGGED = 100
_ROTATE = "carryover keys rotate-master"
_APART = f"set master_key_file, master_key or kms, and run `{_ROTATE}`"
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
    jobs = (f"jobs: {counts}",) if counts else ()  # strangers are not told
    said = "; ".join((f"{settings.url} is {health.status}", *jobs, *health.notes))
    if health.status == "ok":
        yield Check("server", "ok", said)
    else:
        yield Check("server", "broken", said, "run `carryover doctor` where the server runs")


def local(settings: Settings) -> Iterator[Check]:
    """Everything that the embedded memory, a worker or a server on this machine needs."""
    yield from _home(settings.folder)
    yield from _database(settings)
    yield _keyring(settings)
    if settings.vector_index == "sqlite-vec" and settings.embedder != "none":
        yield _sqlitevec(settings)
    if settings.redis_url is not None:
        yield _redis(settings.redis_url.get_secret_value())
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
        with with_keys(settings, Store.at(settings.store_url, pool=settings.database_pool)) as store:
            if store.dialect.name == "postgresql":
                yield from _server(store, settings)
            elif settings.vector_index == "pgvector" and settings.embedder != "none":
                yield Check(
                    "vectors",
                    "broken",
                    "pgvector is a part of PostgreSQL",
                    "set vector_index to `memory`, or database_url",
                )
            with guarded():
                migrate.require_current(store.engine, store.dialect)
            with store.read(EVERY_TENANT) as tx:
                if move.is_under_way(tx):
                    yield Check("move", "broken", "a move into this database has not ended", "run it again, as before")
            with store.read(Scope(settings.tenant)) as tx:
                yield from _state(tx, settings, file.stat().st_size if file.exists() else None)
                yield from _jobs(tx)
                yield _extractor(tx, settings)
                yield _grounds(tx)
                yield Check("memory", "ok", tiers.told(tier_store.tally(tx)))
                yield _summaries(tx)
            yield _sealed(store, settings)
            with store.read(Scope(settings.tenant)) as tx:
                yield from _keys(tx, settings)
    except CarryoverError as failure:
        said, _, remedy = failure.message.rpartition("; ")
        yield Check("database", "broken", said or failure.message, remedy)


def _sealed(store: Store, settings: Settings) -> Check:
    """Whether what is kept of sessions can be read without their keys."""
    bare = len(sessions_sealed.unsealed(store))
    if bare and settings.encryption:
        return Check("sealing", "note", f"{show.counted(bare, 'session')} not sealed", "run `carryover keys seal`")
    if not settings.encryption:
        return Check("sealing", "note", "new sessions are not sealed", "set encryption to true, or unset it")
    return Check("sealing", "ok", "every session is sealed with a key of its own")


def _keyring(settings: Settings) -> Check:
    """Where the keys are that users' preferences are sealed with, and whether they can be had; never the keys."""
    try:
        keyring = keyring_of(settings, settings.store_url)
        with guarded():
            found = keyring.look()
    except CarryoverError as failure:
        said, _, remedy = failure.message.rpartition("; ")
        return Check("keyring", "broken", said or failure.message, remedy)
    where = f"{show.without_password(keyring.url)}, master key in {keyring.masters.said}"
    if found is None:
        return Check("keyring", "ok", f"{where} (made at first use)")
    said = f"{show.counted(found.keys, 'data key')}, {found.dropped} dropped, in {where}"
    if found.lost:
        return Check("keyring", "broken", f"{said}, which does not open {found.lost} of them", "put back the old one")
    if found.older:
        return Check("keyring", "note", f"{said}; {found.older} still need an older one", f"run `{_ROTATE}`")
    if keyring.masters.is_beside:
        return Check("keyring", "note", f"{said}: whoever reads that database reads both", _APART)
    return Check("keyring", "ok", said)


def _sqlitevec(settings: Settings) -> Check:
    """Whether SQLite can be given the extension that the settings ask for."""
    try:
        module = sqlitevec.driver(settings.store_url.partition(":")[0])
    except Invalid as failure:
        said, _, remedy = failure.message.rpartition("; ")
        return Check("vectors", "broken", said, remedy)
    return Check("vectors", "ok", f"sqlite-vec, loaded by {module.__name__}")


def _server(store: Store, settings: Settings) -> Iterator[Check]:
    """The PostgreSQL behind the settings, whatever schema it has."""
    with store.read(EVERY_TENANT) as tx:
        here = postgres_facts.server(tx.conn)
        standbys = postgres_facts.standbys(tx.conn)
        bare = postgres_facts.unsecured(tx.conn)
        has_vectors = postgres_facts.has_vectors(tx.conn)
    yield Check("server", "ok", f"postgresql {here.version}, database {here.database}, role {here.role}")
    if here.unbound:
        yield Check(
            "role",
            "note",
            f"row-level security does not hold for {here.role!r}, a superuser or one that bypasses it",
            "make an ordinary role that owns the database, and name it in database_url",
        )
    if bare:
        yield Check(
            "security", "broken", f"no row-level security on {', '.join(bare)}", "run `carryover db check --repair`"
        )
    else:
        yield Check("security", "ok", "row-level security keeps tenants apart" + (", for other roles" * here.unbound))
    yield _replication(here, standbys)
    yield _connections(here, settings)
    if settings.vector_index == "pgvector" and settings.embedder != "none" and not has_vectors:
        yield Check(
            "vectors",
            "broken",
            "the database lacks pgvector",
            "have a superuser run `CREATE EXTENSION vector` in it, or set vector_index to `memory`",
        )
    if abs(store.clock_ahead_ms) > _SKEW_MS:
        yield Check(
            "clock",
            "note",
            f"the database's clock is {store.clock_ahead_ms / 1000:+.1f} s from this machine's; the database's counts",
            "set both by NTP, or leases and times in logs will be hard to read",
        )


def _replication(here: postgres_facts.Server, standbys: Sequence[postgres_facts.Standby]) -> Check:
    """Whether a commit is on a second machine when it is acknowledged."""
    named = ", ".join(standby.name for standby in standbys)
    waits = bool(here.awaited) and here.commit not in ("off", "local")
    # A role that may not see the state of a standby sees only that it is there.
    if waits and not any(standby.sync in (None, "sync", "quorum") for standby in standbys):
        return Check(
            "replication",
            "broken",
            f"commits wait for a standby ({here.awaited}), and none of these follows: {named or 'nobody'}",
            "start one, or take it out of synchronous_standby_names",
        )
    if waits:
        return Check("replication", "ok", f"commits wait for {here.awaited}; following: {named}")
    if standbys:
        return Check(
            "replication",
            "note",
            f"{named} follow, and no commit waits for them: what was acknowledged last is lost with this server",
            "set synchronous_standby_names (Patroni: synchronous_mode) unless that is what you want",
        )
    return Check("replication", "ok", "none: commits are on this server's disk alone")


def _connections(here: postgres_facts.Server, settings: Settings) -> Check:
    most = 2 * settings.database_pool * settings.workers
    said = f"{here.used} in use of {here.connections}; `carryover serve` opens {most} at most"
    if most > here.connections:
        return Check(
            "connections", "note", said, "lower database_pool, raise max_connections, or put PgBouncer between"
        )
    return Check("connections", "ok", said)


def _redis(url: str) -> Check:
    shown = show.without_password(url)
    try:
        with closing(Redis(url, Seal(bytes(KEY_BYTES)))) as redis, closing(redis.client(_REDIS_S)) as client:
            try:
                client.ping()
            except redis.failures as cause:
                said = f"{shown} does not answer ({cause}): carryover works without it, somewhat slower"
                return Check("redis", "note", said, "start it, correct redis_url, or unset it")
    except CarryoverError as failure:
        said, _, remedy = failure.message.rpartition("; ")
        return Check("redis", "broken", said, remedy)
    return Check("redis", "ok", f"{shown} answers")


def _state(tx: Tx, settings: Settings, size: int | None) -> Iterator[Check]:
    models = engine.models_of(settings)
    found = check.state(tx, models.space)
    counts = (
        f"{show.counted(found.sessions, 'session')}, {show.counted(found.turns, 'turn')}, "
        f"{show.counted(found.chunks, 'chunk')}"
    )
    weight = "" if size is None else f", {size / (1 << 20):,.1f} MiB"
    yield Check("database", "ok", f"{found.engine}, schema {found.schema}{weight}; {counts}")
    yield Check("index", *standing.index(tx, found))
    yield Check("embedding", *standing.vectors(tx, found, models))


def _jobs(tx: Tx) -> Iterator[Check]:
    dead = queue.dead(tx)
    counts = ", ".join(f"{n} {name}" for name, n in queue.counts(tx).items())
    yield Check("jobs", "ok", counts)
    for job in dead:
        yield Check(
            "dead job",
            "broken",
            f"{job.kind} of {job.subject!r} gave up: {job.reason}",
            "correct that, then run `carryover queue retry --all`",
        )


def _extractor(tx: Tx, settings: Settings) -> Check:
    """Whether memory is made with what the settings name."""
    configured, promoted = engine.extractor_id(settings), extractors.promoted(tx)
    if promoted is None or promoted.name == configured:
        return Check("extractor", "ok", configured if promoted is None else f"{configured}: {promoted.reason}")
    state = extractors.find(tx, configured)
    why = "it waits to be compared" if state is None or state.state == "former" else state.reason
    said = f"memory is made by {promoted.name}, not by {configured}: {why}"
    if state is not None and state.state == "refused":
        remedy = f"to have it all the same, run `carryover extractors promote {configured}`"
        return Check("extractor", "note", said, remedy)
    return Check("extractor", "note", said, "run `carryover worker` where none runs, or consolidate a session")


def _grounds(tx: Tx) -> Check:
    """Whether findings stand in the turns that they cite."""
    flagged = verdicts.flagged(tx, _MOST_FLAGGED)
    if not flagged:
        return Check("findings", "ok", "each stands in its turns, as far as they were checked")
    more = " or more" if len(flagged) == _MOST_FLAGGED else ""
    said = f"{show.counted(len(flagged), 'finding')}{more} that the cited turns do not bear out, left out of contexts"
    return Check("findings", "note", said, f"run `carryover verify`, and `carryover why {flagged[0]}`")


def _summaries(tx: Tx) -> Check:
    """Whether what views asked for is made."""
    counts = summaries.tally(tx)
    said = ", ".join(f"{counts[status]} {status}" for status in sorted(counts)) or "none was asked for"
    if not counts.get("failed"):
        return Check("summaries", "ok", said)
    return Check("summaries", "note", said, "`carryover stream --action summarize` says why, in the sessions' agent")


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
    return _minilm(settings.folder / "models")


def _minilm(cache_dir: Path) -> Check:
    damaged: list[str] = []
    for folder in minilm.locations(cache_dir):
        try:
            minilm.check(folder)
        except ProviderError as wrong:
            damaged.append(wrong.message.rpartition("; ")[0])
        else:
            said = f"{minilm.MiniLM.name}, weights present and as expected"
            if not damaged:
                return Check("embedder", "ok", said)
            return Check("embedder", "note", f"{damaged[0]}; the one in {folder} is used", minilm.REMEDY)
    if damaged:
        return Check("embedder", "broken", f"{damaged[0]}: search matches words only", minilm.REMEDY)
    said = f"the embedding model {minilm.MODEL} is not installed: search matches words only"
    return Check("embedder", "broken", said, f"{minilm.REMEDY}; or set embedder to `none`")


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
