"""The demo, end to end: a newcomer's first minute."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.cli import demo_data
from carryover.cli.demo_data import AGENT, NEXT
from carryover.core.text import told_tokens
from commands import Commands, line_of, rest_of, run, started


@pytest.fixture
def scratch(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the demo puts its temporary home, and no folder of coding sessions."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("CARRYOVER_SHARED", str(tmp_path / "nothing-here"))
    yield folder
    assert not home.exists()  # the demo leaves the user's own store alone


def servers(scratch: Path) -> list[str]:
    """Processes that still work in the demo's folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False).stdout
    return [line for line in listed.splitlines() if str(scratch) in line]


def test_the_demo_shows_every_part_and_cleans_up(scratch: Path) -> None:
    done = run("demo")
    assert done.returncode == 0, done.stderr
    page = done.stdout
    assert re.search(r"server started at http://127\.0\.0\.1:\d+", page)
    assert "Logged 5 conversations of Mara, who builds a booking service: 141 turns" in page
    assert "left out" in page  # no coding sessions here, and it says so
    told = "\n".join(line.partition("│ ")[2] for line in page.splitlines() if "│ " in line)
    assert "metric units" in told
    assert "10 April" in told  # an open task
    assert "1 May 2026" in told
    assert "PostgreSQL" in told
    assert "24 April" not in told  # the opening day was moved later on
    assert "SQLite for the database" not in told  # and the database was changed
    assert 0 < told_tokens(told) <= 520
    for question in demo_data.QUESTIONS:
        assert question in page
    assert "PostgreSQL for the database" in page
    assert re.search(r"tidewater-\d, turn \d+ +“", page)
    assert "consolidate  tidewater-5" in page
    assert "$0.00, 0 model calls" in page
    assert "carryover log s1" in page
    assert "logging turns over HTTP: 141 of 141" in done.stderr
    assert "\x1b" not in page + done.stderr  # no terminal: plain lines
    assert len(page.splitlines()) < 75
    assert list(scratch.iterdir()) == []


def test_keep_leaves_a_home_to_look_at(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("demo", "--keep")
    assert done.returncode == 0, done.stderr
    (kept,) = scratch.iterdir()
    assert f"CARRYOVER_HOME={kept} carryover context {NEXT}" in done.stdout
    with monkeypatch.context() as patch:
        patch.setenv("CARRYOVER_HOME", str(kept))
        listed = Commands().json("sessions", "--agent", AGENT)["sessions"]
    assert [session["session_id"] for session in listed] == [f"tidewater-{n}" for n in (5, 4, 3, 2, 1)]
    assert servers(scratch) == []


def test_an_interrupted_demo_stops_its_server_and_cleans_up(scratch: Path) -> None:
    with started("demo") as demo:
        while "server started" not in line_of(demo.stdout):
            assert demo.poll() is None
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 1
        assert "interrupted" in rest_of(demo.stderr)
    assert list(scratch.iterdir()) == []


def test_a_step_that_fails_is_one_clear_line(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A package that shadows one of the server's own: the server cannot start.
    broken = scratch / "broken"
    broken.mkdir()
    (broken / "uvicorn.py").write_text("raise ImportError('planted')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    done = run("demo")
    assert done.returncode == 1
    assert "planted" in done.stderr
    assert done.stderr.rstrip().endswith("run `carryover doctor`")
    assert list(scratch.iterdir()) == [broken]


def test_the_conversation_is_about_as_long_as_it_says() -> None:
    found = demo_data.conversations()
    assert [len(one.drafts) for one in found] == [30, 30, 30, 25, 26]
    times = [draft.created_at or 0 for one in found for draft in one.drafts]
    assert times == sorted(times)
    assert {draft.kind for one in found for draft in one.drafts} == {"message", "tool_call", "tool_result"}
    calls = [d.call_id for one in found for d in one.drafts if d.kind == "tool_call"]
    assert calls == [d.call_id for one in found for d in one.drafts if d.kind == "tool_result"]


def test_real_coding_sessions_are_read(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_SHARED", str(shared))
    folder = demo_data.corpus()
    if folder is None:
        pytest.skip(f"no coding sessions under {shared}")
    found = demo_data.coding_sessions(folder)
    assert len(found) == 2
    for one in found:
        kinds = [draft.kind for draft in one.drafts]
        assert set(kinds) == {"message", "tool_call", "tool_result"}
        assert all(draft.created_at for draft in one.drafts)
    assert os.environ["CARRYOVER_SHARED"] == str(shared)
