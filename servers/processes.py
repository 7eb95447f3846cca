"""Processes that outlive the command that started them: begun, found again, frozen and killed with all they started."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

_END_S = 10
# A server that is down must find its port again: so none of those that the system lends to clients.
_PORTS = range(20_000, 32_000)
_begun: dict[int, subprocess.Popen[bytes]] = {}  # our own children, which stay zombies until they are waited for


@dataclass(frozen=True)
class Process:
    """What it takes to start a process again, and to find it and all that it started."""

    name: str
    node: str | None  # the machine that it falls with
    command: list[str]
    environment: dict[str, str]  # all of it: nothing is inherited
    log: str
    mark: str  # what its command line shows, and no stranger's
    data: str | None = None  # PostgreSQL's folder: the server leaves its starter, and its pid is written there
    pid: int = 0


def begin(process: Process) -> Process:
    """The process runs in a session of its own; its output is added to its log."""
    with Path(process.log).open("ab") as log:
        child = subprocess.Popen(
            process.command,
            env=process.environment,
            cwd="/",  # the caller's own folder may be closed to another user
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _begun[child.pid] = child
    return replace(process, pid=child.pid)


def is_running(process: Process) -> bool:
    return bool(family([process]))


def family(processes: Iterable[Process]) -> set[int]:
    """The ids of these processes and of all that they started, as far as they run."""
    found: set[int] = set()
    for process in processes:
        for root in _roots(process):
            try:
                below = [child.pid for child in root.children(recursive=True) if _runs(child)]
            except psutil.NoSuchProcess:
                continue
            found |= {root.pid, *below}
    return found


def pause(processes: Iterable[Process]) -> set[int]:
    """All of them are frozen, and cannot have started anything meanwhile; says which."""
    processes, frozen = list(processes), set[int]()
    while found := family(processes) - frozen:
        _send(found, signal.SIGSTOP)
        frozen |= found
    return frozen


def resume(processes: Iterable[Process]) -> None:
    _send(family(processes), signal.SIGCONT)


def kill(processes: Iterable[Process]) -> None:
    """All of them are gone, and fell together, as when a machine loses power."""
    frozen = pause(processes)
    _send(frozen, signal.SIGKILL)
    _await_end(frozen)
    for pid in [pid for pid, child in _begun.items() if pid in frozen or child.poll() is not None]:
        _begun.pop(pid).wait()  # nothing that was killed outlasts this, however long the machine takes


def ports(count: int) -> list[int]:
    """Free ports that a server can come back to."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def environment(home: Path) -> dict[str, str]:
    """What a server needs of our own environment: nothing that would change how it runs."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home)}


def unprivileged() -> list[str]:
    """What stands before a command so that root runs it as the user that PostgreSQL accepts."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise RuntimeError("root needs setpriv to run PostgreSQL as another user; install util-linux")
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]


def reaches(path: Path) -> bool:
    """Whether that user can enter the folder."""
    return subprocess.run([*unprivileged(), "test", "-x", path], check=False, cwd="/").returncode == 0


def tail(process: Process, lines: int = 15) -> str:
    written = Path(process.log).read_text("utf-8", "replace") if Path(process.log).exists() else ""
    return "\n".join(f"{process.name}: {line}" for line in written.splitlines()[-lines:])


def _roots(process: Process) -> Iterator[psutil.Process]:
    ours = [(process.pid, process.mark)]
    if process.data is not None:
        ours.append((_postmaster(Path(process.data)), process.data))
    for pid, mark in ours:
        # A number that was written down long ago may belong to a stranger by now.
        try:
            found = psutil.Process(pid) if pid > 0 else None
            # It shows nothing in the moment that it becomes another program.
            if found and _runs(found) and (mark in (shown := " ".join(found.cmdline())) or not shown):
                yield found
        except psutil.NoSuchProcess:
            continue


def _postmaster(data: Path) -> int:
    try:
        return int((data / "postmaster.pid").read_text("utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _runs(process: psutil.Process) -> bool:
    if child := _begun.get(process.pid):
        child.poll()
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _await_end(pids: Iterable[int]) -> None:
    end = time.monotonic() + _END_S
    for pid in pids:
        while psutil.pid_exists(pid) and _runs(psutil.Process(pid)) and time.monotonic() < end:
            time.sleep(0.01)
