"""What `export --raw` does: the archived logs of a session, byte for byte, as files."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from carryover.coding.logs import archive
from carryover.core import files
from carryover.core.errors import Invalid, NotFound
from carryover.core.scope import Scope
from carryover.core.step import FLAVORS
from carryover.guard.redact import redact
from carryover.opening import open_store
from carryover.settings import Settings
from carryover.store import origins
from carryover.store.store import Tx

_SAFE = re.compile(r"[^\w.+@=, -]|^\.+|\.+$")
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which session's logs, and how they are written: with secrets masked, and what is left where something went."""

    session: str
    agent: str | None = None
    redacted: bool = False
    partial: bool = False


def export(settings: Settings, wanted: Wanted, target: str) -> list[tuple[str, str, int]]:
    """The session's logs are written to `target`: (path of the log, file written, bytes).

    One log becomes the file `target`, or a file of its own name where that is a folder, or standard output for `-`;
    several become a folder. Raises NotFound, DataLoss for a log that something was taken of, Invalid for a target
    that cannot be written.
    """
    with open_store(settings) as store, store.read(Scope(settings.tenant)) as tx:
        paths = _paths(tx, wanted)
        if target == "-" and len(paths) > 1:
            raise Invalid(f"session {wanted.session!r} has {len(paths)} logs; name a folder to write them to with -o")
        # All of them are looked at first: either all can be written, or none is.
        logs = {path: archive.restore(tx, path, partial=wanted.partial) for path in paths}
        if target == "-":
            size = 0
            for block in _blocks(logs[paths[0]], wanted):
                size += sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
            return [(paths[0], "-", size)]
        files = _files(paths, Path(target))
        try:
            return [(path, os.fspath(files[path]), _write(files[path], _blocks(logs[path], wanted))) for path in paths]
        except OSError as cause:
            raise Invalid(f"{target} cannot be written ({cause.strerror}); choose another with -o") from cause


def _paths(tx: Tx, wanted: Wanted) -> list[str]:
    agents = FLAVORS if wanted.agent is None else (wanted.agent,)
    found = [(agent, path) for agent in agents for path, _ in origins.abouts(tx, agent, wanted.session)]
    flavors = sorted({agent for agent, _ in found})
    if not found:
        raise NotFound(f"no log of session {wanted.session!r} is archived; see `carryover sessions` for their ids")
    if len(flavors) > 1:
        raise Invalid(
            f"{' and '.join(flavors)} have a session {wanted.session!r}; name one with --agent", field="agent"
        )
    return [path for _, path in found]


def _files(paths: Sequence[str], target: Path) -> dict[str, Path]:
    """Where each log goes: below the target whatever it was called, and no two into one file."""
    if len(paths) == 1 and not target.is_dir():
        return {paths[0]: target}
    files: dict[str, Path] = {}
    taken: set[str] = set()
    for path in paths:
        # Only the last part of the name; what a file system would read as something else is gone from it.
        name = _SAFE.sub("_", re.split(r"[/\\]", path)[-1])[-_LONGEST_NAME:].strip() or "log"
        stem, dot, suffix = name.rpartition(".")
        n = 1
        while name.casefold() in taken:  # some file systems do not tell cases apart
            n += 1
            name = f"{stem or name}-{n}{dot}{suffix}" if stem else f"{suffix}-{n}"
        taken.add(name.casefold())
        files[path] = target / name
    return files


def _blocks(plain: Iterator[bytes], wanted: Wanted) -> Iterable[bytes]:
    return _redacted(plain) if wanted.redacted else plain


def _redacted(plain: Iterator[bytes]) -> Iterator[bytes]:
    """As they are, with secrets masked; a secret may reach over the end of a block, but not of a line."""
    rest = b""
    for block in plain:
        whole, end, rest = (rest + block).rpartition(b"\n")
        if end:
            yield _masked(whole + end)
    if rest:
        yield _masked(rest)


def _masked(text: bytes) -> bytes:
    return redact(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _write(path: Path, blocks: Iterable[bytes]) -> int:
    """The file appears whole or not at all, for its owner alone: logs hold what was said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with files.replacing(path, files.PRIVATE) as file:
        for block in blocks:
            size += file.write(block)
    return size
