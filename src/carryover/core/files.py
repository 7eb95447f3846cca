"""A file that is replaced at once or not at all.

Whoever reads it finds all of the old or all of the new one, also after a crash. What is written lies beside it
meanwhile, under a name that nobody can foresee and through no link; the folder is held open, so that one that is
exchanged for a link meanwhile does not lead the file elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

PRIVATE = 0o600  # its owner's alone
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Generator[IO[bytes]]:
    """What is written is the file, on disk, once the block has ended; if it fails, the file is as it was.

    With `mode` it gets these rights, else it keeps those that it had, or gets those of any new file. A link at `path`
    is replaced, not followed. Raises OSError, also where a device or a pipe has that name.
    """
    beside = f".{path.name[:100]}.{uuid4().hex}.carryover"
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        kept = _rights(path.name, folder)
        rights = kept if mode is None else mode
        number = os.open(beside, _NEW, 0o666 if rights is None else rights, dir_fd=folder)
        try:
            with os.fdopen(number, "wb") as file:
                yield file
                file.flush()
                if rights is not None:  # whatever the umask takes away
                    os.fchmod(number, rights)
                os.fsync(number)
            os.replace(beside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)
            raise
        _settle(folder)
    finally:
        os.close(folder)


def replace(path: Path, data: bytes, mode: int | None = None) -> None:
    """The file holds this, as `replacing` has it. Raises OSError."""
    with replacing(path, mode) as file:
        file.write(data)


def make_folder(folder: Path) -> None:
    """The folder is there; it and those above it that were missing are their owner's alone. Raises OSError."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def remove(path: Path) -> None:
    """The file is gone, also after a crash; one that was not there is no error. Raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path.name, dir_fd=folder)
        _settle(folder)
    finally:
        os.close(folder)


def _settle(folder: int) -> None:
    """The names in the folder outlast a power failure, where its file system can do that."""
    try:
        os.fsync(folder)
    except OSError as cause:
        if cause.errno not in (errno.EINVAL, errno.EBADF):
            raise


def _rights(name: str, folder: int) -> int | None:
    """Those of the file that is there; None for a link, and where nothing is."""
    try:
        known = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(known) and not stat.S_ISLNK(known):
        raise OSError(errno.EINVAL, "it is no plain file", name)
    return stat.S_IMODE(known) if stat.S_ISREG(known) else None
