"""Several processes behind one port: nothing starts half, what dies comes back, and all of it stops when told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from carryover.core.errors import CarryoverError, Invalid
from carryover.server import supervisor
from carryover.settings import Settings
from serving import serving_process


def servers_of(parent: int) -> list[int]:
    """The processes that serve for this parent."""
    found = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)], check=False, capture_output=True, text=True
    )
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "spawn_main" in line]


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_two_processes_serve_and_one_that_dies_is_replaced(tmp_path: Path, postgres_url: str) -> None:
    with serving_process(tmp_path, "--workers", "2", "--no-worker", database_url=postgres_url) as (parent, url):
        first, second = servers_of(parent.pid)
        assert httpx.post(f"{url}/sessions/s/turns", json={"role": "user", "content": "hello"}).status_code == 201
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(servers_of(parent.pid)) == 2 and first not in servers_of(parent.pid))
        os.kill(second, signal.SIGKILL)
        eventually(lambda: ready(url))
        assert httpx.get(f"{url}/memory/default/s").json()["version"] == 1
        last = servers_of(parent.pid)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(30) == 0
        assert [pid for pid in last if is_alive(pid)] == []


def test_servers_stop_when_their_parent_is_killed(tmp_path: Path, postgres_url: str) -> None:
    with serving_process(tmp_path, "--workers", "2", "--no-worker", database_url=postgres_url) as (parent, _):
        orphans = servers_of(parent.pid)
        assert len(orphans) == 2
        parent.kill()
        eventually(lambda: not any(map(is_alive, orphans)))


def test_sqlite_is_for_one_process(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="set workers to 1, or database_url to a PostgreSQL database"):
        supervisor.run(Settings(home=tmp_path, workers=2, embedder="none"), work=False, say=pytest.fail)


def test_nothing_is_started_when_something_is_wrong(tmp_path: Path, postgres_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(
            home=tmp_path, workers=2, embedder="none", database_url=postgres_url, port=taken.getsockname()[1]
        )
        with pytest.raises(Invalid, match="choose another port"):
            supervisor.run(settings, work=False, say=pytest.fail)
    assert servers_of(os.getpid()) == []


def test_processes_that_cannot_start_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "MOST_EARLY", 2)
    monkeypatch.setattr(supervisor, "EARLY_S", 60)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    broken = Settings(home=tmp_path, workers=1, embedder="none", database_url=f"sqlite:///{tmp_path}/absent/x.db")
    with (
        socket.create_server(("127.0.0.1", 0)) as bound,
        pytest.raises(CarryoverError, match="end as soon as they are started, the last with exit code 1"),
    ):
        supervisor.Supervisor(broken, bound, work=False).run()
    assert "carryover: the database could not do it" in capfd.readouterr().err
