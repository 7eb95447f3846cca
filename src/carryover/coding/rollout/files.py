"""Files of other people, replaced as a whole or not at all, and never where somebody else changed them meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from carryover.core import files
from carryover.core.errors import Conflict, Invalid
from carryover.core.text import digest

try:
    import fcntl
except ImportError:  # where there is no such lock, what was read is still compared with what is replaced
    fcntl = None

LARGEST = 4 << 20  # bytes of a file that agents are told to read


@dataclass(frozen=True, slots=True)
class Held:
    """A file as it was read: `path` is itself, whichever links led there. `content` is None where there is none."""

    path: Path
    content: bytes | None

    @property
    def hash(self) -> str:
        return _hash(self.content)


def read(path: Path, inside: Path | None = None) -> Held:
    """The file as it is, which may be replaced. Raises Invalid for what is no plain file that one may write.

    With `inside`, it must lie in that folder, wherever links lead.
    """
    real = Path(os.path.realpath(path))
    if inside is not None and not real.is_relative_to(os.path.realpath(inside)):
        raise Invalid(
            f"{path} leads out of {inside}, to {real}; leave it out, or name that folder itself", field="path"
        )
    try:
        known = os.lstat(real)
    except FileNotFoundError:
        if path.is_symlink():
            raise Invalid(f"{path} is a link to {real}, which is not there; make it or remove the link") from None
        _require_folder(real)
        return Held(real, None)
    except OSError as cause:
        raise _refused(path, cause) from cause
    _require_plain(path, known)
    _require_folder(real)
    try:
        return Held(real, real.read_bytes())
    except OSError as cause:
        raise _refused(path, cause) from cause


def replace(held: Held, content: bytes | None) -> None:
    """The file holds `content` (None: it is gone), all of it on disk; a crash leaves all of the one or of the other.

    Raises Conflict when somebody changed it since it was `held`, Invalid when it cannot be written; it is then as it
    was.
    """
    path = held.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent):
            now = read(path)
            if now.hash != held.hash:
                raise Conflict(f"{path} was changed since its difference was shown; run it again")
            if content is None:
                files.remove(path)
            else:
                files.replace(path, content)
    except OSError as cause:
        raise _refused(path, cause) from cause


def _require_plain(path: Path, known: os.stat_result) -> None:
    if stat.S_ISDIR(known.st_mode):
        raise Invalid(f"{path} is a folder; move it away, or leave it out", field="path")
    if not stat.S_ISREG(known.st_mode):
        raise Invalid(f"{path} is no plain file; move it away, or leave it out", field="path")
    if not known.st_mode & 0o222:
        raise Invalid(f"{path} is read-only; make it writable with `chmod u+w`, or leave it out", field="path")
    if known.st_nlink > 1:
        raise Invalid(
            f"{path} has {known.st_nlink} names (hard links), which replacing it would part; make one a symbolic link",
            field="path",
        )
    if known.st_size > LARGEST:
        raise Invalid(f"{path} has {known.st_size:,} bytes, beyond {LARGEST:,}; leave it out", field="path")


def _require_folder(real: Path) -> None:
    """The nearest folder that is there may be written to."""
    folder = next(parent for parent in real.parents if os.path.lexists(parent))
    if not folder.is_dir():
        raise Invalid(f"{folder} is no folder, so {real} cannot be; move it away, or leave it out", field="path")
    if not os.access(folder, os.W_OK | os.X_OK) or not folder.stat().st_mode & 0o222:
        raise Invalid(f"{folder} is read-only; make it writable, or leave it out", field="path")


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """No other carryover replaces a file in the folder meanwhile."""
    if fcntl is None:
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _hash(content: bytes | None) -> str:
    return "" if content is None else digest(content.decode("latin-1"))


def _refused(path: Path, cause: OSError) -> Invalid:
    return Invalid(f"{path} cannot be read or written ({cause.strerror}); see to that, or leave it out", field="path")
