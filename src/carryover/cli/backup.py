"""The verbs that back up a database in SQLite, and put it back."""

from __future__ import annotations

import importlib.metadata
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, example
from carryover.core.clock import SystemClock, rfc3339
from carryover.core.errors import Conflict, DataLoss, Invalid
from carryover.opening import keyring_of, with_keys
from carryover.settings import Settings
from carryover.store import backup as backups
from carryover.store import check as checks
from carryover.store import keyring, master
from carryover.store.backup import Manifest
from carryover.store.openable import Unreadable, unreadable
from carryover.store.store import Store

app = typer.Typer(rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)]
_APART = (
    "keep {0} apart from the backup of the data, and for a short time: whoever has both reads everything, and with an "
    "old copy of the keys what was erased since can be read again"
)
_SHOWN = 20


@app.command(
    epilog=example(
        "carryover backup /mnt/backups/monday.db", "carryover backup /mnt/backups --keys /mnt/keys/monday.db"
    )
)
def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write; in a folder, a file named by the moment.")
    ],
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Back up the keyring too, into this file: keep it elsewhere.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Check the copy as `carryover db check` does.")] = False,
    force: Annotated[bool, typer.Option(help="Replace what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the database into one file, as of one moment, while everything goes on.

    The copy is read and verified before it has its name. Beside it lies FILE.json, which says what it is. A backup of
    the data holds no key: `--keys` copies the keyring, and a master key that lies beside it.
    """
    settings = memory.local("backup")
    now = SystemClock().now()
    source, target = _database(settings), _named(file, now)
    made = backups.make(source, target, now=now, program=_program(), force=force)
    copied = [] if keys is None else _copy_keys(settings, keys, now=now, force=force)
    if check:
        _check(settings, target)
    if as_json:
        show.as_json({"file": str(target), **_told(made), "keys": [str(path) for path in copied]})
        return
    show.out(f"{target}: {_said(made)}")
    for path in copied:
        show.out(f"{path}: keys")
    show.note(_APART.format(copied[0]) if copied else _without_keys(settings))


@app.command(epilog=example("carryover restore /mnt/backups/monday.db"))
def restore(
    file: File,
    keys: Annotated[Path | None, typer.Option(metavar="FILE", help="Put back this backup of the keyring too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a backup the database of this installation, where there is none.

    An older schema is brought up to date, and all of it is checked before it is there. With the keyring of today,
    nothing of what was erased since the backup can be read. It says which sessions cannot be opened, and why.
    """
    settings = memory.local("restore")
    target = _database(settings)
    manifest = backups.read(file)
    _make_folder(target.parent)
    if keys is not None:
        _put_back_keys(settings, keys)
    found: list[tuple[checks.Report, Unreadable]] = []

    def ready(part: Path) -> None:
        found.append(_look(settings, f"sqlite:///{part}"))

    backups.put_back(file, target, ready)
    report, unreadable = found[0]
    if as_json:
        shut = {"erased": len(unreadable.erased), "lost": len(unreadable.lost)}
        show.as_json({"file": str(file), "database": str(target), **_told(manifest), **shut, "faults": report.faults})
    else:
        show.out(f"{target}: {_said(manifest)}")
        _tell(report, unreadable)
    if report.faults:
        raise DataLoss(
            f"restored, with {show.counted(len(report.faults), 'fault')}; run `carryover db check` to see them again, "
            "and --repair for what is derived"
        )


def _database(settings: Settings) -> Path:
    """The file of the database. Raises Invalid where it is none."""
    if not settings.store_url.startswith("sqlite:///"):
        raise Invalid(
            "the settings name a database in PostgreSQL, which has its own tools for this; see docs/howto/backup.md",
            field="database_url",
        )
    return Path(settings.store_url.removeprefix("sqlite:///"))


def _named(file: Path, now: int) -> Path:
    return file / f"carryover-{rfc3339(now)[:19].replace(':', '')}.db" if file.is_dir() else file


def _keyring_file(settings: Settings) -> tuple[Path, Path | None]:
    """The file of the keyring, and that of the master key where carryover made it and it lies in a file of its own."""
    with closing(keyring_of(settings, settings.store_url)) as ring:
        if not ring.url.startswith("sqlite:///"):
            raise Invalid(
                "the keyring is not in a file; back it up with the tools of its database", field="keyring_url"
            )
        beside = ring.masters.own if ring.masters.given is None else None
        file = Path(ring.url.removeprefix("sqlite:///"))
        return file, beside.path if isinstance(beside, master.OwnFile) else None


def _copy_keys(settings: Settings, target: Path, *, now: int, force: bool) -> list[Path]:
    """The keyring is in this file, and a master key of our own beside it: without it no key could be used."""
    source, own = _keyring_file(settings)
    backups.make(source, target, now=now, program=_program(), force=force)
    if own is None or not own.exists():
        return [target]
    copy = _master_of(target)
    backups.copy_file(own, copy, force=force)
    return [target, copy]


def _put_back_keys(settings: Settings, file: Path) -> None:
    target, own = _keyring_file(settings)
    copy = _master_of(file)
    if own is not None and copy.exists():
        if own.exists():
            raise Conflict(f"{own} is there already, and a restore replaces no key; move it away")
        backups.copy_file(copy, own, force=False)
    backups.put_back(file, target, lambda _: None)


def _master_of(keys: Path) -> Path:
    return keys.with_name(f"{keys.name}.master")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as cause:
        raise Invalid(f"{folder} cannot be made ({cause.strerror}); set CARRYOVER_HOME to another folder") from cause


def _check(settings: Settings, target: Path) -> None:
    """Raises DataLoss unless the copy is sound through and through."""
    keys = settings.keyring_url or keyring.default_url(settings.store_url)
    there = settings.model_copy(update={"keyring_url": keys})
    with with_keys(there, Store.open(f"sqlite:///{target}", upgrade=False)) as store:
        faults = checks.check(store)
    if faults:
        raise DataLoss(
            f"{target} has {show.counted(len(faults), 'fault')}, as the database has ({faults[0].detail}); "
            "run `carryover db check`"
        )


def _look(settings: Settings, url: str) -> tuple[checks.Report, Unreadable]:
    """What a check finds in the copy, once its schema is up to date; it lies in the folder of the database to be."""
    with with_keys(settings, Store.open(url)) as store:
        return checks.look(store), unreadable(store)


def _told(made: Manifest) -> dict[str, object]:
    return {"made_at": rfc3339(made.made_at), "schema": made.schema, "counts": made.counts, "bytes": made.size}


def _said(made: Manifest) -> str:
    counts = made.counts
    rows = f"{show.counted(counts.get('sessions', 0), 'session')}, {show.counted(counts.get('turns', 0), 'turn')}"
    return f"{rows}, {made.size / (1 << 20):,.1f} MiB, schema {made.schema}, as of {show.when(made.made_at)} UTC"


def _tell(report: checks.Report, shut: Unreadable) -> None:
    for what, sessions in (("was erased since, and cannot be read", shut.erased), ("has no key here", shut.lost)):
        for _, agent, session in sessions[:_SHOWN]:
            show.out(f"session {session} of agent {agent} {what}")
        if len(sessions) > _SHOWN:
            show.out(f"... and {len(sessions) - _SHOWN:,} more")
    if shut.erased:
        show.note("what cannot be read is still kept: `carryover forget --session ID --agent AGENT` takes it out")
    if shut.lost:
        show.note("the keyring here is not the one that these were sealed with; see docs/howto/backup.md")
    for fault in report.faults[:_SHOWN]:
        show.out(f"{fault.check}: {fault.detail}")
    if not report.faults:
        show.out(f"checked: {show.counted(report.log.turns, 'turn')}, no fault")


def _program() -> str:
    return importlib.metadata.version("carryover-memory")


def _without_keys(settings: Settings) -> str:
    file, own = _keyring_file(settings)
    both = str(file) if own is None else f"{file} and {own}"
    return f"what is sealed in it opens with {both} alone: back those up elsewhere, with --keys FILE"
