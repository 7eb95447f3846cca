"""Finding logs: in the places where coding agents are known to keep them, or below the paths that are given."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from operator import attrgetter
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG

from carryover.coding.adapters.base import Adapter
from carryover.store.cursors import Stamp

_DATABASES = (".db", ".vscdb")
_SUFFIXES = (".jsonl", ".json", ".jsonl.zst", *_DATABASES)
# What lies beside sessions and is none: credentials, what was typed in all sessions, settings, locks.
_NEVER = frozenset({"auth.json", "history.jsonl", "session_index.jsonl"})
_NEVER_ENDING = (".lock", ".tmp", "-wal", "-shm")
_NAME = attrgetter("name")
_NEVER_BELOW = {".git", "node_modules", ".venv", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder (or one file) to look in, and which names of files there are looked at."""

    path: Path
    files: tuple[str, ...]


def known_places(adapters: Iterable[Adapter], environment: Mapping[str, str] | None = None) -> list[Place]:
    """Where the flavors keep their sessions on this machine, as far as it is there."""
    environment = os.environ if environment is None else environment
    found: dict[Path, Place] = {}
    for adapter in adapters:
        for place in adapter.places:
            path = _resolved(place, environment)
            if path is not None and path.exists():
                files = (*found[path].files, *adapter.files) if path in found else adapter.files
                found[path] = Place(path, tuple(dict.fromkeys(files)))
    return list(found.values())


def given_places(paths: Sequence[Path]) -> list[Place]:
    """The paths themselves; in folders all files that could be logs are looked at."""
    return [Place(path.expanduser(), tuple(f"*{suffix}" for suffix in _SUFFIXES)) for path in paths]


def files_in(places: Iterable[Place]) -> Iterator[tuple[str, Stamp]]:
    """Every file to look at, once, in one order whatever the disk's, with what it looks like now.

    Symbolic links to folders are not followed. What cannot be read is left out: it is found when it can be.
    """
    seen: set[tuple[int, int]] = set()
    for place in places:
        for path, stat in _below(place):
            device, inode = stat.st_dev, stat.st_ino
            if (device, inode) in seen:
                continue
            if inode:  # some file systems number nothing
                seen.add((device, inode))
            stamp = Stamp(device, inode, stat.st_size, stat.st_mtime_ns)
            yield path, _with_journal(path, stamp) if path.endswith(_DATABASES) else stamp


def _with_journal(path: str, stamp: Stamp) -> Stamp:
    """What a database looks like whose last changes may stand in a file beside it."""
    try:
        beside = os.stat(f"{path}-wal")
    except OSError:
        return stamp
    return stamp._replace(size=stamp.size + beside.st_size, mtime=max(stamp.mtime, beside.st_mtime_ns))


def _resolved(place: str, environment: Mapping[str, str]) -> Path | None:
    if place.startswith("$"):
        name, _, below = place[1:].partition("/")
        root = environment.get(name, "")
        return Path(root).expanduser() / below if root else None
    return Path(place).expanduser()


def _below(place: Place) -> Iterator[tuple[str, os.stat_result]]:
    root = os.path.realpath(place.path)  # one name for a log, whatever way leads to it
    if not os.path.isdir(root):
        try:
            stat = os.stat(root)
        except OSError:
            return
        if S_ISREG(stat.st_mode):
            yield root, stat
        return
    wanted = _wanted(place.files)
    waiting = [root]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                entries = sorted(found, key=_NAME)
        except OSError:
            continue
        folders: list[str] = []
        for entry in entries:
            name = entry.name
            try:
                if not wanted(name):
                    if name not in _NEVER_BELOW and entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    continue
                path, stat = entry.path, entry.stat(follow_symlinks=False)
                if S_ISLNK(stat.st_mode):
                    path, stat = os.path.realpath(path), entry.stat()
                    if S_ISDIR(stat.st_mode):
                        continue
            except OSError:
                continue
            if S_ISREG(stat.st_mode):
                yield path, stat
            elif S_ISDIR(stat.st_mode):
                folders.append(path)
        waiting += reversed(folders)


def _wanted(files: tuple[str, ...]) -> Callable[[str], bool]:
    """Which names fit one of the patterns, and are no names of what is never looked at.

    Every file is asked: most patterns are endings, and those need no expression.
    """
    endings = tuple(one[1:] for one in files if one[:1] == "*" and not set(one[1:]) & set("*?["))
    others = [translate(one) for one in files if one[1:] not in endings]
    rest = re.compile("|".join(others)).match if others else None

    def fits(name: str) -> bool:
        if not name.endswith(endings) and (rest is None or rest(name) is None):
            return False
        plain = name.lower()
        return not ("credential" in plain or plain in _NEVER or plain.endswith(_NEVER_ENDING))

    return fits
