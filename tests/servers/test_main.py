"""Servers from the command line, as `make` calls it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers import postgres

ROOT = Path(__file__).parents[2]
Servers = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def servers() -> Iterator[Servers]:
    """`python -m servers`, with a place for temporary files of its own: the developer's servers are not touched."""
    with tempfile.TemporaryDirectory(prefix="carryover-test-") as place:
        Path(place).chmod(0o755)

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            asked = [sys.executable, "-m", "servers", *words]
            environment = {**os.environ, "TMPDIR": place}
            return subprocess.run(asked, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)

        yield run
        run("postgres-down")


def test_the_url_is_all_that_is_printed_and_stays_the_same(servers: Servers) -> None:
    first, second = servers("postgres-url"), servers("postgres-url")
    assert first.returncode == 0, first.stderr
    (url,) = first.stdout.splitlines()
    assert url.startswith("postgresql://carryover@127.0.0.1:")
    assert second.stdout == first.stdout
    extensions = "SELECT extname FROM pg_extension WHERE extname = 'vector'"
    asked = [postgres.binaries() / "psql", "-X", "-q", "-t", "-A", url, "-c", extensions]
    assert subprocess.run(asked, check=True, capture_output=True, text=True).stdout == "vector\n"
    assert servers("postgres-down").returncode == 0
    assert subprocess.run(asked, check=False, capture_output=True).returncode != 0


def test_stopping_what_does_not_run_is_no_error(servers: Servers, tmp_path: Path) -> None:
    assert servers("postgres-down").returncode == 0
    assert servers("cluster", "--folder", str(tmp_path / "none"), "down").returncode == 0


def test_an_error_is_one_line(servers: Servers, tmp_path: Path) -> None:
    done = servers("cluster", "--folder", str(tmp_path), "status")
    assert done.returncode == 1
    assert done.stderr == f"servers: there is no cluster in {tmp_path}; start one with `make cluster`\n"
