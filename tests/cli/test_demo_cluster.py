"""The demo on a cluster: six scenes, no word lost, and the cluster is whole again."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from commands import ENTRY, Commands
from servers import cluster as clusters
from servers import services


def test_without_a_cluster_it_says_how_to_start_one(carryover: Commands, tmp_path: Path) -> None:
    carryover("demo", "cluster", code=1)
    assert carryover.err == "carryover: there is no cluster in .cluster; run `make cluster`\n"
    carryover("demo", "cluster", "--folder", str(tmp_path / "elsewhere"), code=1)
    assert str(tmp_path / "elsewhere") in carryover.err


@pytest.mark.parametrize("text", ["{", "{}", '{"nodes": [{}], "api_urls": [], "control": []}', "[]"])
def test_a_folder_of_something_else_is_refused(carryover: Commands, tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    carryover("demo", "cluster", "--folder", str(tmp_path), code=1)
    assert "describes no cluster" in carryover.err
    assert "make cluster" in carryover.err


def test_a_cluster_that_has_ended_is_left_alone(carryover: Commands, tmp_path: Path) -> None:
    node = {"name": "node-1", "host": "127.0.0.1", "rest": 9}
    state = {"nodes": [node], "api_urls": ["http://127.0.0.1:9"], "control": ["false"]}
    (tmp_path / "state.json").write_text(json.dumps(state))
    carryover("demo", "cluster", "--folder", str(tmp_path), code=1)
    assert "is not whole (no node answers); run `make cluster`" in carryover.err


@pytest.mark.slow
@pytest.mark.usefixtures("cluster_programs")
def test_six_scenes_and_the_cluster_is_whole_again(home: Path, tmp_path: Path) -> None:
    cluster = clusters.Cluster.start(tmp_path / "cluster")
    try:
        services.serve(cluster)
        before = cluster.wait_leader()
        asked = [ENTRY, "demo", "cluster", "--folder", str(cluster.folder)]
        done = subprocess.run(asked, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.findall(r"^(\d)  ", done.stdout, re.MULTILINE) == list("123456")
        assert "409" in done.stdout
        assert f"{before.name}, which leads, is killed" in done.stdout
        assert re.search(r"lost / doubled or out of order +0 / 0", done.stdout)
        assert "\x1b" not in done.stdout + done.stderr  # no terminal: plain lines
        assert cluster.is_healthy()
        assert cluster.wait_leader() != before
        cluster.require_running()
    finally:
        cluster.stop()
    assert not home.exists()
