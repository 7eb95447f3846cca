"""Three PostgreSQL nodes under Patroni and etcd, and what uses them, on one machine: to try out, to break and to mend.

A node stands for a machine: an etcd member, Patroni and PostgreSQL, which fall together. Everything outlives the
process that started it. What runs is written to `state.json` in the cluster's folder, so that any process can go on:

    version     1
    ttl_s       seconds that a silent leader keeps its lock; a fail-over takes about as long
    dsn         libpq URI of all nodes; it leads to the one that takes writes
    redis_url   where Redis runs; empty until `serve`
    api_urls    the API processes; empty until `serve`
    nodes       name, host, peer, port (PostgreSQL), rest (Patroni), namespace: of each node
    processes   name, node (that it falls with; null for what stands alone), command, environment (all of it), log,
                mark (what its command line shows), data (PostgreSQL's folder or null), pid: of each process
    data        the folder with the servers' data
    control     a command; with `kill`, `pause`, `resume`, `restart`, `cut` or `heal` and the name of a node or of a
                process after it, it does that and writes the new process ids here
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from servers import etcd, network, patroni, postgres, processes
from servers.patroni import Node, Standing
from servers.processes import Process

DATABASE = postgres.ROLE
_STATE, _LOCK = "state.json", "lock"
_VERSION = 1
_NODES = 3
_HEALTHY_S = 90
_LOOK_S = 0.1
_CHECKOUT = Path(__file__).parent.parent

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """What runs; the module's docstring says what each field means."""

    data: str
    dsn: str
    nodes: list[Node]
    control: list[str]
    processes: list[Process] = field(default_factory=list[Process])
    redis_url: str = ""
    api_urls: list[str] = field(default_factory=list[str])
    ttl_s: int = patroni.TTL_S
    version: int = _VERSION


@dataclass(frozen=True)
class Cluster:
    """A cluster that was started in this folder, perhaps by another process."""

    folder: Path

    @classmethod
    def start(cls, folder: Path, *, namespaces: bool = False, settings: dict[str, str] | None = None) -> Cluster:
        """A new cluster is healthy, with the database in it. Raises RuntimeError with the ends of the logs.

        `settings` are PostgreSQL's own. With `namespaces` each node has a network of its own and can be `cut` off.
        """
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if any(path.name != _LOCK for path in folder.iterdir()):
            raise RuntimeError(f"{folder} is not empty; stop the cluster in it, or name another folder")
        cluster = cls(folder)
        with cluster.undone_on_failure():
            _begin_nodes(cluster, namespaces, settings)
            wait_for(cluster._is_up, _HEALTHY_S, lambda: f"its nodes see {cluster.views()}")
            _make_database(cluster)
        return cluster

    @property
    def state(self) -> State:
        """Raises RuntimeError where no cluster was started in the folder."""
        try:
            read = json.loads((self.folder / _STATE).read_text("utf-8"))
        except FileNotFoundError as cause:
            raise RuntimeError(f"there is no cluster in {self.folder}; start one with `make cluster`") from cause
        nodes, begun = read.pop("nodes"), read.pop("processes")
        return State(**read, nodes=[Node(**one) for one in nodes], processes=[Process(**one) for one in begun])

    @property
    def exists(self) -> bool:
        return (self.folder / _STATE).exists()

    @property
    def nodes(self) -> list[Node]:
        return self.state.nodes

    def dsn(self) -> str:
        """A libpq URI that leads to the node that takes writes, as the role that owns the database."""
        return self.state.dsn

    def leader(self) -> Node | None:
        """The node that holds the lock, as most of those that answer see it."""
        named = Counter(one.name for view in self.views() for one in view if one.role == "leader")
        return self.node(named.most_common(1)[0][0]) if named else None

    def replicas(self) -> list[Node]:
        """The nodes that stream from the leader, the synchronous one first."""
        leader = self.leader()
        view = (patroni.view(leader) if leader else None) or []
        streaming = [one for one in view if one.role != "leader" and one.state == "streaming"]
        return [self.node(one.name) for one in sorted(streaming, key=lambda one: one.role != "sync_standby")]

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def views(self) -> list[list[Standing]]:
        """The cluster as seen by each node that answers."""
        nodes = self.nodes
        with ThreadPoolExecutor(len(nodes)) as pool:
            return [view for view in pool.map(patroni.view, nodes) if view is not None]

    def is_healthy(self) -> bool:
        """Every node answers, and all see one leader and two streaming replicas, one of them synchronous."""
        views = self.views()
        return len(views) == _NODES and all(_is_whole(view) for view in views) and _agree(views)

    def wait_healthy(self, timeout_s: float = _HEALTHY_S) -> None:
        """Raises TimeoutError with what the nodes see."""
        wait_for(self.is_healthy, timeout_s, lambda: f"the cluster is not healthy; its nodes see {self.views()}")

    def wait_leader(self, other_than: str = "", timeout_s: float = _HEALTHY_S) -> Node:
        """The node that leads and takes writes. Raises TimeoutError where none does."""

        def found() -> Node | None:
            leader = self.leader()
            return leader if leader and leader.name != other_than and _takes_writes(leader) else None

        return wait_for(found, timeout_s, lambda: f"no node leads; they see {self.views()}")

    def sql(self, *statements: str, node: Node | None = None, database: str = DATABASE) -> str:
        """What psql prints, as superuser, on the leader or on another node."""
        at = node or self.wait_leader()
        return _server(at).sql(*statements, database=database)

    def of(self, name: str) -> list[Process]:
        """The processes of a node, or the one process of this name. Raises RuntimeError for an unknown name."""
        known = self.state.processes
        found = [process for process in known if name in (process.node, process.name)]
        if not found:
            names = dict.fromkeys(name for process in known for name in (process.node, process.name) if name)
            raise RuntimeError(f"there is no {name!r}; there are {', '.join(names)}")
        return found

    def kill(self, name: str) -> None:
        """All of it is gone, as if its machine had lost power."""
        processes.kill(self.of(name))

    def pause(self, name: str) -> None:
        """All of it stands still, and its connections stay open."""
        processes.pause(self.of(name))

    def resume(self, name: str) -> None:
        processes.resume(self.of(name))

    def restart(self, name: str) -> None:
        """All of it runs anew, on its own data; what ran was killed."""
        chosen = self.of(name)
        processes.kill(chosen)
        self.begin(*chosen)

    def cut(self, name: str) -> None:
        """The node and the others do not reach each other; clients reach it. Raises RuntimeError where it cannot be."""
        network.cut(self._namespace(name))

    def heal(self, name: str) -> None:
        network.heal(self._namespace(name))

    def switchover(self, to: str | None = None) -> Node:
        """Another node leads: the named one, or the synchronous replica. Raises RuntimeError where Patroni refuses."""
        leader, replicas = self.wait_leader(), self.replicas()
        candidate = to or (replicas[0].name if replicas else "")
        patroni.switchover(leader, candidate)
        return self.wait_leader(leader.name)

    def stop(self) -> None:
        """Nothing of it runs, and the folder is gone."""
        state = self.state
        processes.kill(state.processes)
        if namespaces := [node.namespace for node in state.nodes if node.namespace]:
            network.remove(namespaces)
        shutil.rmtree(state.data, ignore_errors=True)
        shutil.rmtree(self.folder)

    def begin(self, *begun: Process) -> None:
        """They run, and the state says so; those of the same name are replaced in it."""
        with self._alone():
            for process in begun:
                running = processes.begin(process)
                state = self.state
                others = [one for one in state.processes if one.name != process.name]
                self.write(replace(state, processes=[*others, running]))

    def begin_again(self) -> list[str]:
        """What had ended runs again; says what that was."""
        ended = [process for process in self.state.processes if not processes.is_running(process)]
        if any(node.namespace and not network.exists(node.namespace) for node in self.nodes):
            raise RuntimeError("the nodes' networks are gone; run `make cluster-down`, then start it anew")
        self.begin(*ended)
        return [process.name for process in ended]

    def write(self, state: State) -> None:
        """The state is replaced at once: nobody reads half of it."""
        half = self.folder / f"{_STATE}.{os.getpid()}"
        half.write_text(json.dumps(dataclasses.asdict(state), indent=2), "utf-8")
        half.rename(self.folder / _STATE)

    @contextmanager
    def undone_on_failure(self) -> Generator[None]:
        """What a start that fails has begun is stopped. Raises RuntimeError with the ends of the logs."""
        try:
            yield
        except BaseException as cause:
            begun = self.state.processes if self.exists else []
            logs = "\n".join(processes.tail(process) for process in begun)
            if self.exists:
                self.stop()
            if not isinstance(cause, Exception):
                raise
            raise RuntimeError(f"the cluster did not start: {cause}\n{logs}".rstrip()) from cause

    def require_running(self) -> None:
        """Raises RuntimeError where a process has ended."""
        if ended := [process.name for process in self.state.processes if not processes.is_running(process)]:
            raise RuntimeError(f"{', '.join(ended)} ended")

    def _is_up(self) -> bool:
        self.require_running()
        return self.is_healthy()

    def _namespace(self, name: str) -> str:
        if (namespace := self.node(name).namespace) is None:
            raise RuntimeError("this cluster's nodes share one network; start it with --namespaces to cut one off")
        return namespace

    @contextmanager
    def _alone(self) -> Generator[None]:
        with (self.folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def wait_for(found: Callable[[], T | None], timeout_s: float, otherwise: Callable[[], str]) -> T:
    """What `found` gave when it first gave something true. Raises TimeoutError."""
    end = time.monotonic() + timeout_s
    while not (value := found()):
        if time.monotonic() > end:
            raise TimeoutError(f"after {timeout_s:.0f} s: {otherwise()}")
        time.sleep(_LOOK_S)
    return value


def _is_whole(view: list[Standing]) -> bool:
    leaders = [one for one in view if one.role == "leader" and one.state == "running"]
    streaming = [one for one in view if one.state == "streaming"]
    return (
        len(leaders) == 1
        and len(streaming) == _NODES - 1
        and any(one.role == "sync_standby" for one in streaming)
        and len({one.timeline for one in view}) == 1
    )


def _agree(views: list[list[Standing]]) -> bool:
    return len({one.name for view in views for one in view if one.role == "leader"}) == 1


def _server(node: Node) -> postgres.Server:
    return postgres.Server(Path(), node.port, node.host)


def _takes_writes(node: Node) -> bool:
    try:
        return _server(node).sql("SELECT pg_is_in_recovery()") == "f"
    except subprocess.CalledProcessError:
        return False


def _begin_nodes(cluster: Cluster, namespaces: bool, settings: dict[str, str] | None) -> None:
    data = _place(cluster.folder)
    nodes, members = _on_machines() if namespaces else _on_loopback()
    hosts = ",".join(f"{node.host}:{node.port}" for node in nodes)
    # A node that stands still accepts a connection and says nothing: hence a time limit for connecting.
    dsn = f"postgresql://{postgres.ROLE}@{hosts}/{DATABASE}?target_session_attrs=read-write&connect_timeout=2"
    cluster.write(State(str(data), dsn, nodes, _control(cluster.folder)))
    logs = cluster.folder / "logs"
    logs.mkdir()
    begun: list[Process] = []
    for node, member in zip(nodes, members, strict=True):
        folder = data / node.name
        folder.mkdir()
        configured = folder / "patroni.yml"
        configured.write_text(patroni.configuration(node, members, folder, settings), "utf-8")
        if processes.unprivileged():
            for path in (folder, configured):
                shutil.chown(path, "nobody")
        started, more = patroni.command(configured)
        for name, command, mark in (
            (member.name, etcd.command(member, members, folder / "etcd"), str(folder / "etcd")),
            (node.name.replace("node", "patroni"), started, str(configured)),
        ):
            begun.append(
                Process(
                    name=name,
                    node=node.name,
                    command=[*network.inside(node.namespace), *processes.unprivileged(), *command],
                    environment={**processes.environment(folder), **more},
                    log=str(logs / f"{name}.log"),
                    mark=mark,
                    data=None if name == member.name else str(folder / "data"),
                )
            )
    cluster.begin(*begun)


def _on_loopback() -> tuple[list[Node], list[etcd.Member]]:
    free, here = processes.ports(4 * _NODES), "127.0.0.1"
    numbered = [(n + 1, free[4 * n : 4 * n + 4]) for n in range(_NODES)]
    nodes = [Node(f"node-{n}", here, here, port, rest) for n, (port, rest, _, _) in numbered]
    return nodes, [etcd.Member(f"etcd-{n}", here, client, peer) for n, (_, _, client, peer) in numbered]


def _on_machines() -> tuple[list[Node], list[etcd.Member]]:
    machines = list(enumerate(network.make(_NODES), 1))
    nodes = [Node(f"node-{n}", one.client, one.peer, 5432, 8008, one.namespace) for n, one in machines]
    return nodes, [etcd.Member(f"etcd-{n}", one.peer, 2379, 2380) for n, one in machines]


def _place(folder: Path) -> Path:
    """A folder for data that the servers' user can enter: here, or where everyone can."""
    here = folder / "data"
    here.mkdir()
    if processes.reaches(here):
        return here
    elsewhere = Path(tempfile.mkdtemp(prefix="carryover-cluster-"))
    elsewhere.chmod(0o755)
    return elsewhere


def _control(folder: Path) -> list[str]:
    asked = [sys.executable, "-m", "servers", "cluster", "--folder", str(folder)]
    return ["env", f"PYTHONPATH={_CHECKOUT}", *asked]


def _make_database(cluster: Cluster) -> None:
    leader = cluster.wait_leader()
    cluster.sql(
        f"CREATE ROLE {postgres.ROLE} LOGIN", f"CREATE DATABASE {DATABASE} OWNER {postgres.ROLE}",
        node=leader, database="postgres",
    )  # fmt: skip
    # Only a superuser may: pgvector is not marked as trusted.
    cluster.sql("CREATE EXTENSION vector", node=leader)
