"""Patroni, which runs one PostgreSQL of a cluster and decides together with the others which of them leads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from servers import postgres
from servers.etcd import Member
from servers.network import RANGE
from servers.processes import unprivileged

TTL_S = 20  # how long a leader that is silent keeps its lock; Patroni takes no less
_SCOPE = "carryover"
_DISTRIBUTIONS = ("patroni", "psycopg", "psycopg-binary", "python-etcd", "dnspython")
_ALONE = ("-P", "-S")  # another Python brings packages of its own, which do not go with ours


@dataclass(frozen=True)
class Node:
    """One PostgreSQL with its Patroni."""

    name: str
    host: str  # where clients reach it
    peer: str  # where the other nodes reach it
    port: int
    rest: int  # the port of Patroni's REST interface
    namespace: str | None = None

    @property
    def api(self) -> str:
        return f"http://{self.host}:{self.rest}"


@dataclass(frozen=True)
class Standing:
    """A node as the cluster sees it."""

    name: str
    role: str  # leader, sync_standby or replica
    state: str  # running, streaming, stopped, ...
    timeline: int


def configuration(node: Node, members: list[Member], folder: Path, settings: dict[str, str] | None = None) -> str:
    """The node's configuration, as YAML; `settings` are PostgreSQL's own, and the same for every node."""
    addresses = list(dict.fromkeys((node.peer, node.host, "127.0.0.1")))
    trusted = "127.0.0.1/32" if node.namespace is None else RANGE
    content: dict[str, Any] = {
        "scope": _SCOPE,
        "name": node.name,
        "restapi": {
            "listen": f"{node.host if node.namespace is None else '0.0.0.0'}:{node.rest}",
            "connect_address": f"{node.peer}:{node.rest}",
        },
        "etcd3": {"hosts": [f"{member.host}:{member.client}" for member in members]},
        "bootstrap": {
            "dcs": _shared(settings or {}),
            # Options without a value are plain strings.
            "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}, "no-locale", "data-checksums"],
        },
        "postgresql": {
            "listen": f"{','.join(addresses)}:{node.port}",
            "connect_address": f"{node.peer}:{node.port}",
            "data_dir": str(folder / "data"),
            "bin_dir": str(postgres.binaries()),
            "pgpass": str(folder / "pgpass"),
            "authentication": {
                "superuser": {"username": "postgres"},
                "replication": {"username": "replicator"},
                "rewind": {"username": "postgres"},
            },
            "parameters": {"unix_socket_directories": ""},
            "pg_hba": [
                f"host {databases} {user} {address} trust"
                for address in dict.fromkeys(("127.0.0.1/32", trusted))
                for databases, user in (("all", "all"), ("replication", "replicator"))
            ],
        },
        "watchdog": {"mode": "off"},
    }
    return yaml.safe_dump(content, sort_keys=False)


def command(configured: Path) -> tuple[list[str], dict[str, str]]:
    """Patroni on this configuration, and the environment that it needs."""
    python, packages = interpreter()
    if not packages:
        return [python, "-m", "patroni", str(configured)], {}
    return [python, *_ALONE, "-m", "patroni", str(configured)], {"PYTHONPATH": packages}


def view(node: Node, timeout_s: float = 1.5) -> list[Standing] | None:
    """All nodes as this one sees them; None where it does not answer."""
    try:
        with urllib.request.urlopen(f"{node.api}/cluster", timeout=timeout_s) as answer:
            members = json.load(answer)["members"]
    except (OSError, ValueError, KeyError):
        return None
    return [Standing(one["name"], one["role"], one["state"], int(one.get("timeline", 0))) for one in members]


def switchover(leader: Node, candidate: str) -> None:
    """The candidate leads instead. Raises RuntimeError where Patroni refuses."""
    asked = json.dumps({"leader": leader.name, "candidate": candidate}).encode()
    request = urllib.request.Request(f"{leader.api}/switchover", asked, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60):
            return
    except urllib.error.HTTPError as refusal:
        raise RuntimeError(f"no switchover to {candidate!r}: {refusal.read().decode('utf-8', 'replace')}") from refusal


def _shared(settings: dict[str, str]) -> dict[str, Any]:
    parameters = {
        "max_connections": 200,  # a carryover process holds up to 32
        "shared_buffers": "64MB",
        "wal_level": "replica",
        "hot_standby": "on",
        "wal_log_hints": "on",
        "wal_keep_size": "128MB",
        "max_wal_senders": 10,
        "max_replication_slots": 10,
        "synchronous_commit": "on",
    }
    return {
        "ttl": TTL_S,
        "loop_wait": 2,
        "retry_timeout": 3,
        "maximum_lag_on_failover": 1 << 20,
        # Strict: without a synchronous standby nothing is acknowledged, so a lost node never loses a commit.
        "synchronous_mode": True,
        "synchronous_mode_strict": True,
        "synchronous_node_count": 1,
        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": {**parameters, **settings}},
    }


@cache
def interpreter() -> tuple[str, str]:
    """A Python with Patroni that the user who runs PostgreSQL can start, and the PYTHONPATH that it needs."""
    this = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not unprivileged():
        return sys.executable, ""
    others = [found for name in (this, "python3") if (found := shutil.which(name, path="/usr/local/bin:/usr/bin"))]
    installed = str(metadata.distribution("patroni").locate_file(""))
    for packages in (installed, _copied_packages):
        path = packages if isinstance(packages, str) else packages()
        for python in (sys.executable, *others):
            # Compiled packages serve one version of Python.
            asked = f"import sys, psycopg, patroni.dcs.etcd3; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
            tried = [*unprivileged(), "env", f"PYTHONPATH={path}", python, *_ALONE, "-c", asked]
            if subprocess.run(tried, check=False, capture_output=True, cwd="/").returncode == 0:
                return python, path
    raise RuntimeError(
        f"root runs Patroni as another user, who can start no {this}; install it in /usr, or do not run this as root"
    )


def _copied_packages() -> str:
    """Patroni and all it needs, copied to where every user can read it."""
    needed, open_ = set[str](), list(_DISTRIBUTIONS)
    while open_:
        name = open_.pop()
        if name in needed:
            continue
        needed.add(name)
        wanted = [Requirement(text) for text in metadata.requires(name) or ()]
        open_ += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    kept = Path(tempfile.gettempdir()) / f"carryover-patroni-{metadata.version('patroni')}"
    if kept.exists() and kept.stat().st_uid == os.geteuid():
        return str(kept)
    folder = Path(tempfile.mkdtemp(prefix="carryover-patroni-"))
    for name in needed:
        for file in metadata.distribution(name).files or ():
            if ".." not in file.parts and not file.parts[0].startswith("/"):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), folder / file)
    folder.chmod(0o755)
    return str(folder.rename(kept))
