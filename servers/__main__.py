"""Servers from the command line: a throw-away PostgreSQL, and a cluster to try out. `python -m servers --help`."""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from servers import postgres, processes, services
from servers.cluster import DATABASE, Cluster

_CHECKOUT = Path(__file__).resolve().parent.parent
_CHANGES = ("kill", "pause", "resume", "restart", "cut", "heal")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m servers", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("postgres-url", help="start a PostgreSQL unless one runs, and print its URL")
    verbs.add_parser("postgres-down", help="stop that PostgreSQL and wipe its data")
    cluster = verbs.add_parser("cluster", help="three PostgreSQL nodes, Redis, two API processes and two workers")
    cluster.add_argument("--folder", type=Path, default=_CHECKOUT / ".cluster", help="where it lives")
    does = cluster.add_subparsers(dest="does", required=True)
    up = does.add_parser("up", help="start it, or what of it has ended")
    up.add_argument("--namespaces", action="store_true", help="a network for each node, so that it can be cut off")
    does.add_parser("down", help="stop all of it and wipe its data")
    does.add_parser("status", help="show what runs where")
    does.add_parser("switchover", help="let the synchronous replica lead")
    for change in _CHANGES:
        does.add_parser(change, help=f"{change} a node or a process").add_argument("name", help="as `status` shows it")
    given = parser.parse_args()
    try:
        return _run(given)
    except (RuntimeError, TimeoutError) as failure:
        print(f"servers: {failure}", file=sys.stderr)
    except subprocess.CalledProcessError as failure:
        print(f"servers: {failure}: {failure.stderr}", file=sys.stderr)
    return 1


def _run(given: argparse.Namespace) -> int:
    if given.verb == "postgres-url":
        print(postgres_url())
    elif given.verb == "postgres-down":
        postgres_down()
    elif given.does == "up":
        up(given.folder.resolve(), given.namespaces)
    elif given.does == "down":
        down(given.folder.resolve())
    else:
        _operate(Cluster(given.folder.resolve()), given)
    return 0


def postgres_url() -> str:
    """The URL of this checkout's own PostgreSQL, which runs, with a database that has the vector extension."""
    folder = _throwaway()
    with _alone(folder):
        port = _port(folder)
        if port is not None and _answers(postgres.Server(folder, port)):
            return postgres.Server(folder, port).url(DATABASE)
        server = postgres.start(folder, fsync="off")
        if not server.sql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            server.create(DATABASE)
        server.sql("CREATE EXTENSION IF NOT EXISTS vector", database=DATABASE)
        return server.url(DATABASE)


def postgres_down() -> None:
    """That PostgreSQL has ended, and its data is gone."""
    folder = _throwaway()
    with _alone(folder):
        postgres.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def up(folder: Path, namespaces: bool) -> None:
    """The cluster of this folder runs, all of it; says what runs where."""
    cluster, began = Cluster(folder), time.monotonic()
    if cluster.exists:
        again = cluster.begin_again()
        _tell(f"it runs already; started again: {', '.join(again) or 'nothing'}")
        cluster.wait_healthy()
    else:
        _tell("starting three PostgreSQL nodes")
        Cluster.start(folder, namespaces=namespaces)
        _tell(f"healthy after {time.monotonic() - began:.0f} s; starting Redis, the API and the workers")
        services.serve(cluster)
        _tell(f"ready after {time.monotonic() - began:.0f} s")
    _show(cluster)


def down(folder: Path) -> None:
    """Nothing of it runs; that there was nothing is no error."""
    cluster = Cluster(folder)
    if cluster.exists:
        cluster.stop()


def _operate(cluster: Cluster, given: argparse.Namespace) -> None:
    if given.does == "status":
        _show(cluster)
    elif given.does == "switchover":
        print(f"{cluster.switchover().name} leads")
    else:
        change: Callable[[str], None] = getattr(cluster, given.does)
        change(given.name)


def _show(cluster: Cluster) -> None:
    state, leader = cluster.state, cluster.leader()
    followers = cluster.replicas()
    shown: list[str] = []
    for node in state.nodes:
        role = "leads" if node == leader else "follows" if node in followers else "is not there"
        shown.append(f"{node.name:<10} {role:<13} PostgreSQL {node.host}:{node.port:<6} Patroni {node.api}")
    for process in state.processes:
        runs = "runs" if processes.is_running(process) else "has ended"
        shown.append(f"{process.name:<10} {runs:<13} pid {process.pid:<8} log {process.log}")
    control, lost = " ".join(state.control), leader.name if leader else "node-1"
    shown += [
        "",
        f"database   {state.dsn}",
        f"redis      {state.redis_url}",
        f"api        {'  '.join(state.api_urls)}",
        "",
        *([f"Try it:    curl {state.api_urls[0]}/health"] if state.api_urls else []),
        f"Break it:  {control} kill {lost}",
        f"Mend it:   {control} restart {lost}",
        f"End it:    {control} down",
    ]
    print("\n".join(shown))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _throwaway() -> Path:
    name = hashlib.sha256(str(_CHECKOUT).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"carryover-postgres-{name}"


def _port(folder: Path) -> int | None:
    try:
        return int((folder / "data/postmaster.pid").read_text("utf-8").splitlines()[3])
    except (OSError, ValueError, IndexError):
        return None


def _answers(server: postgres.Server) -> bool:
    try:
        return server.sql("SHOW data_directory") == str(server.folder / "data")
    except subprocess.CalledProcessError:
        return False


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
