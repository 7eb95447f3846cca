"""Machines of their own for the nodes: Linux network namespaces, so that a node can be cut off from the others.

Every node has two links: `peer` leads to the other nodes through a bridge that the host itself is not on, `client` to
the host alone. Cutting a node off takes its peer link from the bridge: its packets vanish, as they do when a switch
fails, and the host still reaches it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from dataclasses import dataclass

# Addresses that RFC 2544 sets aside for tests of networks, so that no real network has them.
_PEERS, _CLIENTS = "198.18", "198.19"
RANGE = "198.18.0.0/15"


@dataclass(frozen=True)
class Machine:
    """A node's namespace: where the others reach it, and where the host does."""

    namespace: str
    peer: str
    client: str


def missing() -> str | None:
    """Why there can be no namespaces here, or None."""
    if shutil.which("ip") is None:
        return "network namespaces need `ip`; install iproute2"
    if os.geteuid() != 0:
        return "network namespaces need root; run it as root, or without them"
    return None


def make(count: int) -> list[Machine]:
    """Machines on a bridge of their own. Raises RuntimeError where namespaces cannot be had."""
    if why := missing():
        raise RuntimeError(why)
    net = _bridge()
    try:
        return [_machine(net, number) for number in range(1, count + 1)]
    except BaseException:
        remove([_namespace(net, number) for number in range(1, count + 1)])
        raise


def inside(namespace: str | None) -> list[str]:
    """What stands before a command that runs there."""
    return ["ip", "netns", "exec", namespace] if namespace else []


def cut(namespace: str) -> None:
    """The node and the others do not reach each other; the host reaches it still."""
    net, number = _numbers(namespace)
    _ip(f"link set {_peer_link(net, number)} nomaster")


def heal(namespace: str) -> None:
    net, number = _numbers(namespace)
    _ip(f"link set {_peer_link(net, number)} master {_bridge_name(net)}")


def exists(namespace: str) -> bool:
    return _ip(f"-n {namespace} link show lo", check=False)


def remove(namespaces: list[str]) -> None:
    """Nothing is left of the machines and their bridge; what had gone before is no error."""
    for namespace in namespaces:
        net, number = _numbers(namespace)
        for link in (_peer_link(net, number), _client_link(net, number)):
            _ip(f"link del {link}", check=False)
        _ip(f"netns del {namespace}", check=False)
        _ip(f"link del {_bridge_name(net)}", check=False)


def _bridge() -> int:
    for net in random.sample(range(256), 256):
        if _ip(f"link add {_bridge_name(net)} type bridge", check=False):
            _ip(f"link set {_bridge_name(net)} up")
            return net
    raise RuntimeError("no bridge can be made; see what `ip link add carry0 type bridge` says")


def _machine(net: int, number: int) -> Machine:
    namespace, peer, client = _namespace(net, number), _peer_link(net, number), _client_link(net, number)
    here, there = f"{_CLIENTS}.{net}.{4 * number + 1}", f"{_CLIENTS}.{net}.{4 * number + 2}"
    _ip(f"netns add {namespace}")
    _ip(f"-n {namespace} link set lo up")
    for outside, name, address in ((peer, "peer", f"{_PEERS}.{net}.{number}/24"), (client, "client", f"{there}/30")):
        _ip(f"link add {outside} type veth peer name {name} netns {namespace}")
        _ip(f"-n {namespace} address add {address} dev {name}")
        _ip(f"-n {namespace} link set {name} up")
        _ip(f"link set {outside} up")
    _ip(f"link set {peer} master {_bridge_name(net)}")
    _ip(f"address add {here}/30 dev {client}")
    return Machine(namespace, f"{_PEERS}.{net}.{number}", there)


def _ip(words: str, check: bool = True) -> bool:
    done = subprocess.run(["ip", *words.split()], check=False, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"`ip {words}` failed: {done.stderr.strip()}")
    return done.returncode == 0


def _numbers(namespace: str) -> tuple[int, int]:
    net, number = namespace.removeprefix("carry").split("-")
    return int(net), int(number)


def _namespace(net: int, number: int) -> str:
    return f"carry{net}-{number}"


def _bridge_name(net: int) -> str:
    return f"carry{net}"


def _peer_link(net: int, number: int) -> str:
    return f"carry{net}p{number}"


def _client_link(net: int, number: int) -> str:
    return f"carry{net}c{number}"
