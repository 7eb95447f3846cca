"""Backups of a database in SQLite: copied while everything goes on, checked, and put back where there is none.

A backup is a file and, beside it, a manifest that says what the file is. The manifest is written last: a file without
one is of a backup that did not end.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from carryover.core import files
from carryover.core.errors import Conflict, DataLoss, Invalid, StoreUnavailable
from carryover.store import migrate

FORMAT = "carryover-backup"
_VERSION = 1  # of the manifest
_PAGES = 2_000  # that are copied at a time: progress is told in between, and nobody waits
_READ = 1 << 20
_COUNTED = ("sessions", "turns", "findings", "chunks")
_COMPANIONS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is: of which moment (UTC milliseconds), with which schema, how many rows, and its bytes."""

    made_at: int
    program: str
    schema: str | None
    counts: dict[str, int]
    size: int
    sha256: str


def make(source: Path, target: Path, *, now: int, program: str, force: bool = False) -> Manifest:
    """The database is in the file `target`, as of one moment, on disk and sound; a manifest lies beside it.

    Whoever writes to the database goes on meanwhile. Raises Invalid where there is no database, Conflict for a target
    that is there already (unless `force`), DataLoss where the copy is not sound, StoreUnavailable where it cannot be
    written. Then the target is as it was.
    """
    if not source.is_file():
        raise Invalid(f"there is no database at {source}; nothing was backed up")
    if target.exists() and target.samefile(source):
        raise Invalid(f"{target} is the database itself; name another file")
    _refuse_taken(target, force)
    with _part(target) as part:
        _copy(source, part)
        schema, counts = _look(part)
        made = Manifest(now, program, schema, counts, part.stat().st_size, _hash(part))
        _flush(part)
        _refuse_taken(target, force)
        manifest_of(target).unlink(missing_ok=True)
        part.replace(target)
    _write_manifest(target, made)
    return made


def read(file: Path) -> Manifest:
    """The manifest of the backup, whose bytes are as it says.

    Raises Invalid for what is no backup, DataLoss for one that is damaged or did not end.
    """
    if not file.is_file():
        raise Invalid(f"there is no backup at {file}; name the file that `carryover backup` wrote")
    try:
        said = cast("dict[str, Any]", json.loads(manifest_of(file).read_text("utf-8")))
    except FileNotFoundError as cause:
        raise DataLoss(
            f"{file} has no manifest ({manifest_of(file).name}): it is of a backup that did not end, or none at all; "
            "take another one, or bring its manifest along"
        ) from cause
    except (OSError, ValueError) as cause:
        raise DataLoss(f"the manifest of {file} cannot be read ({cause}); take another backup") from cause
    if not isinstance(cast("object", said), dict) or said.get("format") != FORMAT:
        raise Invalid(f"{manifest_of(file)} is no manifest of a backup; name the file that `carryover backup` wrote")
    if said["version"] != _VERSION:
        raise Invalid(f"the backup {file} is of a later version of carryover; upgrade carryover")
    found = Manifest(**{name: said[name] for name in Manifest.__dataclass_fields__})
    if file.stat().st_size != found.size or _hash(file) != found.sha256:
        raise DataLoss(f"{file} is not as it was written: it is damaged or torn; take another backup")
    return found


def put_back(file: Path, target: Path, ready: Callable[[Path], None]) -> None:
    """The backup is the database at `target`, where there was none; `ready` had a look at it before it was there.

    Raises Conflict where there is a database, Invalid for a schema of a later version, StoreUnavailable where it cannot
    be written. Then nothing is at `target`, as before.
    """
    _refuse_database(target)
    schema = read(file).schema
    if schema is not None and schema > migrate.HEAD:
        raise Invalid(f"the backup {file} has the schema {schema} and this program knows {migrate.HEAD}; upgrade it")
    with _part(target) as part:
        with _writing(part):
            part.touch(0o600)
            with file.open("rb") as source, part.open("wb") as copy:
                while data := source.read(_READ):
                    copy.write(data)
        ready(part)
        _flush(part)
        _refuse_database(target)
        part.replace(target)
    _flush_folder(target.parent)


def copy_file(source: Path, target: Path, *, force: bool) -> None:
    """The small file is in the other one, its owner's alone to read. Raises what `make` does."""
    _refuse_taken(target, force)
    with _writing(target):
        files.replace(target, source.read_bytes(), files.PRIVATE)


def manifest_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def _copy(source: Path, part: Path) -> None:
    """The source as of now is in the other file.

    A transaction that reads is held open all the while: what is written meanwhile goes to the journal, so that the
    copy need not begin anew, and no writer waits.
    """
    with _writing(part):
        part.touch(0o600)
        with closing(_connected(source)) as ours, closing(_connected(part)) as theirs:
            ours.execute("BEGIN")
            ours.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            ours.backup(theirs, pages=_PAGES, sleep=0)
            ours.rollback()


def _look(part: Path) -> tuple[str | None, dict[str, int]]:
    """The schema of the copy and how many rows it has. Raises DataLoss unless the copy is sound."""
    try:
        with closing(_connected(part)) as conn:
            said = [row[0] for row in conn.execute("PRAGMA integrity_check(5)")]
            tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if said != ["ok"]:
                raise DataLoss(f"the database is damaged ({said[0]}); run `carryover db check`, nothing was backed up")
            if "alembic_version" not in tables:
                return None, {}
            schema = conn.execute("SELECT version_num FROM alembic_version").fetchone()
            counts = {name: conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in _COUNTED}
    except sqlite3.DatabaseError as cause:
        raise DataLoss(f"the database is damaged ({cause}); run `carryover db check`, nothing was backed up") from cause
    return schema and schema[0], counts


def _connected(path: Path) -> sqlite3.Connection:
    """A file that is there, opened; it is not made."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10)


@contextmanager
def _part(target: Path) -> Generator[Path]:
    """A name beside the target for what is not whole yet; nothing is left there."""
    part = target.with_name(f"{target.name}.part")
    leftover = [part, *(part.with_name(part.name + end) for end in _COMPANIONS)]
    with _writing(part):
        for path in leftover:
            path.unlink(missing_ok=True)
    try:
        yield part
    finally:
        with suppress(OSError):
            for path in leftover:
                path.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as cause:
        raise StoreUnavailable(
            f"{path} cannot be written ({cause.strerror}); free some space, or choose another folder"
        ) from cause
    except sqlite3.OperationalError as cause:
        raise StoreUnavailable(f"{path} cannot be written ({cause}); free some space and retry") from cause
    except sqlite3.DatabaseError as cause:
        raise DataLoss(f"what is to be copied is no sound database ({cause}); run `carryover db check`") from cause


def _write_manifest(target: Path, made: Manifest) -> None:
    path = manifest_of(target)
    with _part(path) as part, _writing(path):
        said = {"format": FORMAT, "version": _VERSION, **asdict(made)}
        part.write_text(json.dumps(said, indent=2) + "\n", "utf-8")
        _flush(part)
        part.replace(path)
    _flush_folder(target.parent)


def _refuse_taken(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise Conflict(f"{target} is there already; name another file, or give --force to replace it")


def _refuse_database(target: Path) -> None:
    there = [path for path in (target, *(target.with_name(target.name + end) for end in _COMPANIONS)) if path.exists()]
    if there:
        raise Conflict(
            f"{there[0]} is there already, and a restore replaces no database; move it away, or set CARRYOVER_HOME to "
            "another folder"
        )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """What was written to the file is on disk."""
    with _writing(path), path.open("rb") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """The names in the folder are on disk, where its file system can be told so."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
