"""A node that is cut off is out of the others' reach, and within the host's."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from servers import network

PORT = 8000
LISTEN = f"""
import socket
with socket.create_server(("0.0.0.0", {PORT})) as server:
    print("listening", flush=True)
    while True:
        server.accept()[0].close()
"""
CONNECT = f"import socket, sys; socket.create_connection((sys.argv[1], {PORT}), timeout=1).close()"

pytestmark = pytest.mark.skipif(network.missing() is not None, reason=network.missing() or "")


@pytest.fixture
def machines() -> Iterator[list[network.Machine]]:
    made = network.make(2)
    listening = [
        subprocess.Popen(
            [*network.inside(machine.namespace), sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, text=True
        )
        for machine in made
    ]
    for process in listening:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
    yield made
    for process in listening:
        process.kill()
        process.communicate()
    network.remove([machine.namespace for machine in made])


def reaches(one: network.Machine, address: str) -> bool:
    asked = [*network.inside(one.namespace), sys.executable, "-c", CONNECT, address]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0


def host_reaches(one: network.Machine) -> bool:
    with socket.create_connection((one.client, PORT), timeout=1):
        return True


def test_a_cut_separates_nodes_and_leaves_clients(machines: list[network.Machine]) -> None:
    first, second = machines
    assert reaches(first, second.peer)
    assert reaches(second, first.peer)
    network.cut(first.namespace)
    assert not reaches(first, second.peer)
    assert not reaches(second, first.peer)
    assert host_reaches(first)
    assert host_reaches(second)
    network.heal(first.namespace)
    assert reaches(first, second.peer)


def test_the_clients_way_is_no_way_round(machines: list[network.Machine]) -> None:
    first, second = machines
    assert not reaches(first, second.client)


def test_nothing_is_left_when_it_is_removed(machines: list[network.Machine]) -> None:
    names = [machine.namespace for machine in machines]
    assert all(network.exists(name) for name in names)
    network.remove(names)
    assert not any(network.exists(name) for name in names)
    links = subprocess.run(["ip", "link"], check=True, capture_output=True, text=True).stdout
    assert names[0].partition("-")[0] not in links
