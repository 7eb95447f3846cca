"""What can break in a cluster: each fault is done, and answers how it is mended."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import httpx

from servers import network
from servers.cluster import Cluster, wait_for

Mend = Callable[[], None]
Fault = Callable[[Cluster, random.Random], Mend]

_HEALTHY_S = 180
_WORKS = b"carryover worker runs what is due"


def _leader_killed(cluster: Cluster, chance: random.Random) -> Mend:
    """Its machine loses power: etcd member, Patroni and PostgreSQL, killed -9."""
    name = cluster.wait_leader().name
    cluster.kill(name)
    cluster.wait_leader(name)
    return lambda: cluster.restart(name)


def _leader_paused(cluster: Cluster, chance: random.Random) -> Mend:
    """It stands still with its connections open (SIGSTOP), and wakes up when another one leads."""
    name = cluster.wait_leader().name
    cluster.pause(name)
    cluster.wait_leader(name)
    return lambda: cluster.resume(name)


def _leader_cut_off(cluster: Cluster, chance: random.Random) -> Mend:
    """It and the other nodes do not reach each other; clients reach all of them."""
    name = cluster.wait_leader().name
    cluster.cut(name)
    cluster.wait_leader(name)
    return lambda: cluster.heal(name)


def _switchover(cluster: Cluster, chance: random.Random) -> Mend:
    """The synchronous replica leads, as for maintenance."""
    cluster.switchover()
    return lambda: None


def _replica_killed(cluster: Cluster, chance: random.Random) -> Mend:
    """The one that confirms commits, with all of its machine."""
    name = cluster.replicas()[0].name
    cluster.kill(name)
    return lambda: cluster.restart(name)


def _one_killed(*names: str) -> Fault:
    def killed(cluster: Cluster, chance: random.Random) -> Mend:
        name = chance.choice(names)
        cluster.kill(name)
        return lambda: cluster.restart(name)

    return killed


def _worker_killed(cluster: Cluster, chance: random.Random) -> Mend:
    """It is back once it works: one that meets no database as it starts ends, and nobody starts it again here."""
    name = chance.choice(("worker-1", "worker-2"))
    log = Path(cluster.of(name)[0].log)
    cluster.kill(name)
    said = log.stat().st_size

    def mend() -> None:
        cluster.restart(name)
        wait_for(lambda: _WORKS in log.read_bytes()[said:], _HEALTHY_S, lambda: f"{name} does not work")

    return mend


FAULTS: dict[str, Fault] = {
    "leader killed": _leader_killed,
    "leader paused": _leader_paused,
    "leader cut off": _leader_cut_off,
    "switchover": _switchover,
    "sync replica killed": _replica_killed,
    "API process killed": _one_killed("api-1", "api-2"),
    "worker killed": _worker_killed,
    "etcd member killed": _one_killed("etcd-1", "etcd-2", "etcd-3"),
}


def possible() -> list[str]:
    """The faults that can be done on this machine."""
    return [kind for kind in FAULTS if kind != "leader cut off" or network.missing() is None]


def planned(count: int, chance: random.Random) -> list[str]:
    """So many faults, each kind as often as any other, in a random order."""
    rounds: list[str] = []
    while len(rounds) < count:
        rounds += chance.sample(possible(), len(possible()))
    return rounds[:count]


def wait_whole(cluster: Cluster) -> None:
    """All nodes follow one leader, and every process runs and answers. Raises TimeoutError or RuntimeError."""
    cluster.wait_healthy(_HEALTHY_S)
    cluster.require_running()
    urls = cluster.state.api_urls
    wait_for(lambda: all(_is_ready(url) for url in urls), _HEALTHY_S, lambda: f"{urls} do not answer")


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
