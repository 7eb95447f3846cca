"""Processes are found again with all that they started, and strangers are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from servers import processes


def described(folder: Path, script: str) -> processes.Process:
    return processes.Process(
        name="one",
        node="node-1",
        command=["sh", "-c", f": {folder}; {script}"],
        environment={"PATH": os.environ["PATH"]},
        log=str(folder / "log"),
        mark=str(folder),
    )


@pytest.fixture
def family(tmp_path: Path) -> Iterator[processes.Process]:
    """A process with two children, one of which has a session of its own."""
    begun = processes.begin(described(tmp_path, "setsid sleep 300 & sleep 300 & wait"))
    while len(processes.family([begun])) < 3:
        time.sleep(0.01)
    yield begun
    processes.kill([begun])


def test_killing_takes_all_that_it_started(family: processes.Process) -> None:
    ran = processes.family([family])
    processes.kill([family])
    assert not processes.is_running(family)
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in ran)


def test_pausing_stops_all_of_it_and_resuming_lets_it_go_on(family: processes.Process) -> None:
    frozen = processes.pause([family])
    assert frozen == processes.family([family])
    assert {psutil.Process(pid).status() for pid in frozen} == {psutil.STATUS_STOPPED}
    processes.resume([family])
    assert psutil.STATUS_STOPPED not in {psutil.Process(pid).status() for pid in frozen}


def test_a_stranger_with_its_number_is_left_alone(family: processes.Process, tmp_path: Path) -> None:
    asks = [sys.executable, "-c", "print('here', flush=True); input()"]
    with subprocess.Popen(asks, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        stranger.stdout.readline()  # until then it shows no command of its own
        mistaken = processes.Process(**{**vars(family), "pid": stranger.pid})
        assert not processes.is_running(mistaken)
        processes.kill([mistaken])
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_server_that_left_is_found_by_the_pid_that_it_wrote(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with subprocess.Popen(["sh", "-c", f": {data}; read line"], stdin=subprocess.PIPE) as server:
        (data / "postmaster.pid").write_text(f"{server.pid}\n{data}\n")
        starter = processes.Process(**{**vars(described(tmp_path, "true")), "data": str(data)})
        assert processes.family([starter]) == {server.pid}
        (data / "postmaster.pid").write_text("")
        assert processes.family([starter]) == set()
        server.communicate(b"\n")


def test_output_is_added_to_the_log(tmp_path: Path) -> None:
    for word in ("first", "second"):
        begun = processes.begin(described(tmp_path, f"echo {word}"))
        while processes.is_running(begun):
            time.sleep(0.01)
    assert processes.tail(begun) == "one: first\none: second"
    assert processes.tail(begun, 1) == "one: second"


def test_ports_are_none_that_the_system_lends_to_clients() -> None:
    found = processes.ports(20)
    assert len(set(found)) == 20
    lent = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(lent.read_text().split()[0]) if lent.exists() else 32_768
    assert max(found) < lowest


def test_servers_inherit_nothing_that_changes_how_they_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("CARRYOVER_URL", "http://elsewhere")
    assert set(processes.environment(tmp_path)) <= {"PATH", "LANG", "TMPDIR", "HOME"}
