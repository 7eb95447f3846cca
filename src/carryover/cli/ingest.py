"""The verb `ingest`: one pass over the logs of coding agents, or one whenever something changes in them."""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, example
from carryover.core.budget import PASSES, Budget, Evicted
from carryover.core.scope import Scope
from carryover.settings import Settings
from carryover.store import queue

DIGEST, INDEX = "digest", "index"  # the kinds of jobs that a pass waits for
app = typer.Typer(rich_markup_mode=None, help="Read the logs of coding agents, keep them within a budget, digest them.")
_LOOK_MS = 1000  # within which it is noticed that it is time for a pass
_SHOWN = 5  # paths that are named where there are many


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one pass did."""

    swept: Any
    analyzed: int
    evicted: Evicted


@app.command(
    epilog=example(
        "carryover ingest",
        "carryover ingest ~/old-laptop/.claude/projects --dry-run",
        "carryover ingest --watch",
    )
)
def ingest(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            exists=True,
            show_default=False,
            help="Logs, or folders that hold some (default: the settings' `coding.sources`, else where each coding "
            "agent is known to keep its sessions).",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be read.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, show_default=False, help="A carryover.toml to go by."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until told to stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read what is new in the logs of coding agents: log it, archive its bytes, digest its sessions, keep the budget.

    Reading again costs one look at each file. Nothing outside of session folders is read: no credentials, no history
    of what was typed elsewhere.
    """
    if config is not None:
        os.environ["CARRYOVER_CONFIG"] = os.fspath(config)
    settings = memory.local("ingest")
    places = _places(settings, paths)
    if not places:
        show.note("no coding agent keeps sessions where it usually would; name the folders that hold them")
    # By name: the wiring takes longer to load than most verbs take to run.
    engine = importlib.import_module("carryover.engine").Engine.open(settings)
    with engine.closing:
        _tell(_pass(engine, settings, places, dry_run=dry_run), as_json=as_json)
        if watch and not dry_run:
            watched = [*(place.path for place in places), settings.folder / "hooks" / "spool"]
            with suppress(KeyboardInterrupt):  # it is how one tells it to stop
                for _ in _changes(watched, settings.coding.every_s):
                    _tell(_pass(engine, settings, places), as_json=as_json, quiet=True)


def _places(settings: Settings, paths: Sequence[Path] | None) -> list[Any]:
    discover = _coding("logs.discover")
    given = paths or settings.coding.sources
    if given is not None:
        return discover.given_places(given)
    return discover.known_places(_coding("adapters.catalog").ADAPTERS)


def _pass(engine: Any, settings: Settings, places: Sequence[Any], *, dry_run: bool = False) -> Ingested:
    sweeping, retention, spool = _coding("logs.sweep"), _coding("logs.retention"), _coding("logs.spool")
    store, scope, coding = engine.store, Scope(settings.tenant), settings.coding
    discover = _coding("logs.discover")
    handed: list[Any] = [] if dry_run else spool.take(settings.folder)  # by hooks, since the last time
    files = list(discover.files_in([*places, *discover.given_places(spool.logs(handed))]))
    with show.progress("logs", len(files)) as advance:
        options = sweeping.Options(user=coding.user, dry_run=dry_run)
        swept = sweeping.sweep(store, scope, files, options, lambda: advance(1))
    if dry_run:
        return Ingested(swept, 0, Evicted())
    spool.remove(handed)
    with store.write(scope) as tx:
        queue.free_orphans(tx)  # of an ingest that was killed
    analyzed = engine.worker.drain([DIGEST], tenant=scope.tenant)
    engine.worker.drain([INDEX], tenant=scope.tenant)
    evicted = retention.evict(store, scope, budget_of(settings), store.clock.now())
    if (settings.folder / "hooks").is_dir():
        # By name: hooks and the command line are doors of one floor.
        prepared = importlib.import_module("carryover.integrations.prepared")
        prepared.prepare(store, scope, settings.folder, user=coding.user)
    return Ingested(swept, analyzed, evicted)


def budget_of(settings: Settings) -> Budget:
    """How much of the logs the settings let the archive keep."""
    coding = settings.coding
    days, distilled = coding.raw_max_age_days, coding.distilled_cap_bytes
    return Budget(coding.raw_soft_cap_bytes, coding.raw_hard_cap_bytes, days, distilled)


def _changes(paths: Iterable[Path], every_s: float) -> Iterator[None]:
    """One item whenever something changed below the paths, and every `every_s` seconds whatever did.

    The first comes as soon as they are watched: what changed during the pass before is not missed.
    """
    watching = importlib.import_module("watchfiles").watch
    there = [path for path in paths if path.exists()]
    last = -math.inf
    for changed in watching(*there, rust_timeout=_LOOK_MS, yield_on_timeout=True):
        if changed or time.monotonic() - last >= every_s:
            last = time.monotonic()
            yield


def _tell(done: Ingested, *, as_json: bool, quiet: bool = False) -> None:
    swept, evicted = done.swept, done.evicted
    if as_json:
        show.as_json(_as_json(done))
    elif not quiet or swept.ingested or evicted.freed:
        show.out(
            f"discovered {swept.discovered:,}  ingested {swept.ingested:,}  "
            f"skipped_unchanged {swept.skipped:,}  analyzed {done.analyzed:,}"
        )
        by_pass = "  ".join(f"{name} {len(evicted.evictions.get(name, ())):,}" for name in PASSES)
        show.out(f"retention: freed {evicted.freed:,}  final_usage {evicted.final_usage:,}  evictions {by_pass}")
        if swept.flavors:
            rows = [
                (flavor, tally.files, len(tally.sessions), tally.steps, tally.bytes, tally.malformed)
                for flavor, tally in sorted(swept.flavors.items())
            ]
            show.table(("flavor", "files", "sessions", "steps", "bytes", "malformed"), rows)
    for alarm in _alarms(done):
        show.note(f"alarm: {alarm}")


def _as_json(done: Ingested) -> dict[str, Any]:
    swept, evicted = done.swept, done.evicted
    return {
        "discovered": swept.discovered,
        "ingested": swept.ingested,
        "skipped_unchanged": swept.skipped,
        "analyzed": done.analyzed,
        "freed": evicted.freed,
        "final_usage": evicted.final_usage,
        "evictions": {name: len(evicted.evictions.get(name, ())) for name in PASSES},
        "data_loss": [{"path": one.path, "bytes": one.bytes, "reason": one.reason} for one in evicted.data_loss],
        "flavors": {
            flavor: {
                "discovered": tally.files,
                "ingested": tally.ingested,
                "sessions": len(tally.sessions),
                "steps": tally.steps,
                "bytes": tally.bytes,
                "malformed": tally.malformed,
            }
            for flavor, tally in sorted(swept.flavors.items())
        },
        "unrecognised": swept.unrecognised,
        "failed": [{"path": path, "reason": reason} for path, reason in swept.failed],
        "alarms": _alarms(done),
    }


def _alarms(done: Ingested) -> list[str]:
    swept = done.swept
    told = [
        f"{' '.join(filter(None, (one.flavor, one.version)))} writes records of type {one.type!r}, which nothing here "
        f"reads ({show.counted(one.records, 'record')}); the archive keeps them: upgrade carryover to have them read"
        for one in swept.drift
    ]
    told += [f"{path} could not be read ({reason}); it is tried again next time" for path, reason in swept.failed]
    if swept.unrecognised:
        named = ", ".join(swept.unrecognised[:_SHOWN]) + (", …" if len(swept.unrecognised) > _SHOWN else "")
        told.append(f"{show.counted(len(swept.unrecognised), 'file')} of no known format left alone: {named}")
    told += [
        f"data_loss: {one.path} lost {show.counted(one.bytes, 'byte')} before a digest told of it; raise "
        "coding.raw_hard_cap_bytes"
        for one in done.evicted.data_loss
    ]
    return [*told, *done.evicted.alarms]


def _coding(name: str) -> Any:
    # By name: adapters and the archive take long to load, and most verbs have no use for them.
    return importlib.import_module(f"carryover.coding.{name}")
