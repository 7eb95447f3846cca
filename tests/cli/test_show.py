"""What is shown: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from carryover.cli import show
from commands import ENTRY, Commands, run


@pytest.mark.usefixtures("home")
def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines(tmp_path: Path) -> None:
    Commands()("log", "s1", "hello")
    command = [ENTRY, "export", str(tmp_path / "out.jsonl")]
    ours, theirs = os.openpty()
    try:
        assert subprocess.run(command, stderr=theirs, env={**os.environ, "TERM": "xterm"}, check=False).returncode == 0
        drawn = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "\x1b[" in drawn
    assert "1/1" in drawn
    plain = run(*command[1:])
    assert plain.stderr == "export: 1 of 1\nexported 1 session with 1 turn\n"


def test_progress_is_told_four_times_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    with show.progress("reading", 1000) as advance:
        for _ in range(100):
            advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"reading: {n} of 1,000" for n in ("250", "500", "750", "1,000")]


def test_a_table_lines_up(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("session", "turns", "state"), [("a", 1, "idle"), ("a-long-one", 1200, "active")])
    assert capsys.readouterr().out == ("session     turns  state\na               1  idle\na-long-one   1200  active\n")
