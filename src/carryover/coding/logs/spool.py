"""What the hooks of coding agents handed in: which logs went on, a file each, until a sweep has read them.

A hook writes one file per session into `CARRYOVER_HOME/hooks/spool`, in place of the one before. A sweep takes what
is there aside, reads those logs, and removes it; what it took and did not come to remove, the next one takes too.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import first_text, table
from carryover.core.clock import Time
from carryover.core.step import FLAVORS, Flavor

FOLDER = Path("hooks") / "spool"  # below the home
_HANDED, _TAKEN = ".json", ".taken"
_TORN, _TORN_S = ".tmp", 60  # what a hook left that was killed, and after how long it is certain to be that
_FLAVORS: dict[str, Flavor] = {flavor: flavor for flavor in FLAVORS}
_LARGEST = 64 << 10  # bytes of what a hook writes


@dataclass(frozen=True, slots=True)
class Handed:
    """A session that went on: `log` is where, None where the agent did not say and it was not found."""

    file: Path
    flavor: Flavor
    session: str
    log: Path | None
    cwd: str
    at: Time


def spooled(home: Path) -> list[Path]:
    """The logs that hooks handed in and that are there to be read, each once; nothing is taken from the spool."""
    return logs(_read(home / FOLDER, (_HANDED, _TAKEN)))


def take(home: Path) -> list[Handed]:
    """What hooks handed in until now, taken aside: what comes while it is read stays for the next time.

    Call `remove` once it is read. What cannot be read is removed here.
    """
    folder = home / FOLDER
    _sweep_torn(folder)
    for file in _files(folder, (_HANDED,)):
        try:
            # A name of its own, so that nothing that an earlier sweep took and has not read yet is replaced.
            file.rename(file.with_suffix(f".{os.stat(file).st_mtime_ns:x}{_TAKEN}"))
        except FileNotFoundError:
            continue  # another sweep took it
        except OSError:
            return []  # a spool that cannot be changed is read by the next full sweep
    return _read(folder, (_TAKEN,), drop=True)


def logs(handed: Iterable[Handed]) -> list[Path]:
    """The logs themselves, each once, in order."""
    return sorted({one.log for one in handed if one.log is not None})


def remove(handed: Iterable[Handed]) -> None:
    """These were read."""
    for one in handed:
        one.file.unlink(missing_ok=True)


def _read(folder: Path, suffixes: tuple[str, ...], *, drop: bool = False) -> list[Handed]:
    found: list[Handed] = []
    for file in _files(folder, suffixes):
        try:
            with file.open("rb") as opened:
                said = json.loads(opened.read(_LARGEST))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            said = None
        handed = _handed(file, said)
        if handed is not None:
            found.append(handed)
        elif drop:
            file.unlink(missing_ok=True)
    return found


def _sweep_torn(folder: Path) -> None:
    for file in _files(folder, (_TORN,)):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > _TORN_S:
                file.unlink()


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in suffixes)
    except OSError:
        return []


def _handed(file: Path, record: Any) -> Handed | None:
    said = table(record)
    flavor = _FLAVORS.get(first_text(said.get("flavor")))
    if flavor is None:
        return None
    session, cwd, at = first_text(said.get("session")), first_text(said.get("cwd")), said.get("at")
    return Handed(file, flavor, session, _log(said, flavor, session), cwd, at if isinstance(at, int) else 0)


def _log(said: Mapping[str, Any], flavor: Flavor, session: str) -> Path | None:
    """The log that the agent named; Grok names none, and keeps it in a folder that is called like the session."""
    named = first_text(said.get("log"))
    if named and os.path.isabs(named) and os.path.isfile(named):
        return Path(named)
    plain = session.replace("-", "").replace("_", "")
    if flavor != "grok" or not (plain.isascii() and plain.isalnum()):
        return None
    try:
        sessions = Path(first_text(said.get("root")) or "~/.grok").expanduser() / "sessions"
        return next(iter(sorted(sessions.glob(f"*/{session}/updates.jsonl"))), None)
    except (OSError, ValueError, RuntimeError):  # no name of a folder, or of nobody's home
        return None
