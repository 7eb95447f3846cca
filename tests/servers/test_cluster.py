"""A cluster on this machine survives the loss of the node that leads, and loses nothing that it acknowledged."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import cluster as clusters
from servers import network, patroni, postgres, processes


@pytest.fixture
def cluster(cluster_programs: None, tmp_path: Path) -> Iterator[clusters.Cluster]:
    started = clusters.Cluster.start(tmp_path / "cluster")
    yield started
    if started.exists:
        started.stop()


@pytest.mark.slow
def test_another_node_leads_when_the_leader_is_lost(cluster: clusters.Cluster) -> None:
    leader = cluster.wait_leader()
    cluster.sql("CREATE TABLE kept (n integer)", "INSERT INTO kept SELECT generate_series(1, 1000)", node=leader)

    # As another program does it: by what the state says, and nothing else.
    state = json.loads((cluster.folder / "state.json").read_text())
    subprocess.run([*state["control"], "kill", leader.name], check=True)
    assert not any(processes.is_running(process) for process in cluster.of(leader.name))
    new = cluster.wait_leader(leader.name)
    assert cluster.sql("SELECT count(*) FROM kept", node=new) == "1000"
    assert written(state["dsn"], "SELECT pg_is_in_recovery(), current_user") == f"f|{postgres.ROLE}"

    cluster.restart(leader.name)
    cluster.wait_healthy()
    assert cluster.leader() == new
    assert len(cluster.replicas()) == 2
    caught_up = "SELECT count(*) FROM kept"
    assert clusters.wait_for(lambda: cluster.sql(caught_up, node=leader) == "1000", 20, lambda: "rows are missing")

    ran = cluster.state.processes
    cluster.stop()
    assert not any(processes.is_running(process) for process in ran)
    assert not cluster.folder.exists()
    assert not Path(state["data"]).exists()


def written(dsn: str, statement: str) -> str:
    asked = [postgres.binaries() / "psql", "-X", "-q", "-t", "-A", dsn, "-c", statement]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.usefixtures("cluster_programs")
def test_a_start_that_fails_leaves_nothing_and_shows_the_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bin" / "etcd"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'no space left'\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent), prepend=os.pathsep)
    folder = tmp_path / "cluster"
    with pytest.raises(RuntimeError, match=r"(etcd-\d)\b.* ended\n(.*\n)*\1: \S"):
        clusters.Cluster.start(folder)
    assert not folder.exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(RuntimeError, match="not empty"):
        clusters.Cluster.start(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_without_a_cluster_it_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="make cluster"):
        _ = clusters.Cluster(tmp_path).state


@pytest.fixture
def written_down(tmp_path: Path) -> Iterator[clusters.Cluster]:
    """A cluster of one process that is no server, so that what is done to it shows at once."""
    found = clusters.Cluster(tmp_path)
    found.write(clusters.State(str(tmp_path / "data"), "postgresql://", [], ["true"]))
    sleep = ["sh", "-c", f": {tmp_path}; sleep 300; true"]
    log = str(tmp_path / "log")
    found.begin(processes.Process("redis", None, sleep, {"PATH": os.environ["PATH"]}, log, mark=str(tmp_path)))
    yield found
    found.kill("redis")


def test_what_ended_is_begun_again(written_down: clusters.Cluster) -> None:
    (before,) = written_down.of("redis")
    assert written_down.begin_again() == []
    written_down.kill("redis")
    assert written_down.begin_again() == ["redis"]
    (after,) = written_down.of("redis")
    assert processes.is_running(after)
    assert after.pid != before.pid


def test_an_unknown_name_is_refused_with_the_known_ones(written_down: clusters.Cluster) -> None:
    with pytest.raises(RuntimeError, match=r"no 'node-9'; there are redis"):
        written_down.kill("node-9")


def test_without_namespaces_nothing_is_cut_off(tmp_path: Path) -> None:
    found = clusters.Cluster(tmp_path)
    node = patroni.Node("node-1", "127.0.0.1", "127.0.0.1", 5432, 8008)
    found.write(clusters.State(str(tmp_path), "postgresql://", [node], ["true"]))
    with pytest.raises(RuntimeError, match="--namespaces"):
        found.cut("node-1")


@pytest.mark.skipif(network.missing() is None, reason="namespaces can be had here")
def test_namespaces_say_what_they_need(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="network namespaces need"):
        clusters.Cluster.start(tmp_path / "cluster", namespaces=True)
