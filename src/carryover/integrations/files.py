"""Files that belong to others: read as text, and replaced at once or not at all."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

from carryover.core import files
from carryover.core.errors import Invalid


def read(path: Path) -> bytes | None:
    """What the file holds; None where it is not there. Raises Invalid for what cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as cause:
        raise Invalid(f"{path} cannot be read ({cause.strerror}); correct that and run this again") from cause


def text_of(data: bytes | None, path: Path) -> str:
    """The bytes as text, line ends as they are. Raises Invalid for what is no UTF-8."""
    try:
        return "" if data is None else data.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise Invalid(f"{path} is no UTF-8 (byte {cause.start}); save it as UTF-8, then run this again") from cause


def make_private(folder: Path) -> None:
    """The folder is there, the owner's alone where it is new. Raises Invalid where it cannot be made."""
    try:
        files.make_folder(folder)
    except OSError as cause:
        raise Invalid(
            f"{folder} cannot be made ({cause.strerror}); make it, or set CARRYOVER_HOME to a folder you may write to"
        ) from cause


def replace(path: Path, data: bytes, mode: int | None = None) -> None:
    """The file holds this, on disk, or what it held before; its rights stay, and a symbolic link stays one.

    Raises Invalid for a file that is read-only or cannot be written.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.stat().st_mode & stat.S_IWUSR:
            raise Invalid(f"{path} is read-only; make it writable (`chmod u+w`), then run this again", field=str(path))
        files.replace(path, data, mode)
    except OSError as cause:
        raise Invalid(f"{path} cannot be written ({cause.strerror}); nothing in it was changed") from cause


def remove(path: Path) -> None:
    """The file is gone, and its folder where that held nothing else. Raises Invalid where it cannot be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as cause:
        raise Invalid(f"{path} cannot be removed ({cause.strerror}); remove it by hand") from cause
    with suppress(OSError):
        path.parent.rmdir()
