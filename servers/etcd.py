"""etcd, which holds the cluster's leader lock: from the PATH, or from Debian's package without installing it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from servers import debian

_HINT = "install etcd (Debian and Ubuntu: `apt-get install etcd-server`; macOS: `brew install etcd`)"


@dataclass(frozen=True)
class Member:
    """One of the etcd servers that vote."""

    name: str
    host: str
    client: int  # the port for clients
    peer: int  # the port for the other members

    @property
    def peer_url(self) -> str:
        return f"http://{self.host}:{self.peer}"

    @property
    def client_url(self) -> str:
        return f"http://{self.host}:{self.client}"


def command(member: Member, members: list[Member], data: Path) -> list[str]:
    """The server of this member, on this folder, which it makes."""
    return [
        str(binary()),
        f"--name={member.name}",
        f"--listen-client-urls={member.client_url}",
        f"--advertise-client-urls={member.client_url}",
        f"--listen-peer-urls={member.peer_url}",
        f"--initial-advertise-peer-urls={member.peer_url}",
        f"--initial-cluster={','.join(f'{one.name}={one.peer_url}' for one in members)}",
        "--initial-cluster-state=new",
        "--logger=zap",
        "--log-level=error",
        "--data-dir",
        str(data),
    ]


def binary() -> Path:
    """The etcd program. Raises RuntimeError, saying what to install, where there is none."""
    if found := shutil.which("etcd"):
        return Path(found)
    try:
        return debian.unpacked("etcd-server") / "usr/bin/etcd"
    except RuntimeError as cause:
        raise RuntimeError(f"there is no etcd: {cause}; {_HINT}") from cause
