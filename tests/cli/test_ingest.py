"""`carryover ingest` and `report` as a person and as a script use them."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carryover.core.scope import Scope
from carryover.opening import open_store
from carryover.settings import Settings
from carryover.store import sessions
from coding import claude_logs as logs
from commands import Commands, line_of, run, started
from waiting import until

MODE = '{"type":"mode","sessionId":"s1"}\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a log in it."""
    logs.write(tmp_path / "logs" / "s1.jsonl", logs.session())
    return tmp_path / "logs"


def turns_of(home: Path, session: str) -> int:
    with open_store(Settings(home=home)) as store, store.read(Scope()) as tx:
        found = sessions.find(tx, [("claude-code", session)], lock=False)
        return sum(head.version for head in found.values())


def test_it_says_what_it_did_and_again_that_nothing_is_new(carryover: Commands, place: Path) -> None:
    said = carryover("ingest", str(place))
    assert said.splitlines()[0] == "discovered 1  ingested 1  skipped_unchanged 0  analyzed 1"
    assert said.splitlines()[1].startswith("retention: freed 0  final_usage ")
    assert "claude-code" in said
    assert "alarm" not in carryover.err
    again = carryover("ingest", str(place))
    assert again.splitlines()[0] == "discovered 1  ingested 0  skipped_unchanged 1  analyzed 0"


def test_data_is_on_standard_output_and_everything_else_is_not(carryover: Commands, place: Path) -> None:
    logs.write(place / "odd.jsonl", ['{"no": "log"}\n'])
    done = run("ingest", str(place), "--json")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert "logs: 2 of 2" in done.stderr
    assert "alarm: 1 file of no known format left alone" in done.stderr
    assert "alarm:" not in done.stdout


def test_without_paths_it_goes_by_the_settings_and_by_the_usual_places(
    carryover: Commands, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(f'[coding]\nsources = ["{place}"]\nuser = "mara"\n', "utf-8")
    assert carryover.json("ingest", "--config", str(config))["ingested"] == 1
    [session] = carryover.json("sessions", "--agent", "claude-code", "--user", "mara")["sessions"]
    assert session["session_id"] == "s1"
    monkeypatch.delenv("CARRYOVER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "GROK_HOME", "COPILOT_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert carryover.json("ingest")["discovered"] == 0
    assert "no coding agent keeps sessions where it usually would" in carryover.err
    logs.write(tmp_path / "person/.claude/projects/-work-app/s2.jsonl", logs.session("s2"))
    assert carryover.json("ingest")["flavors"]["claude-code"]["sessions"] == 1


def test_a_dry_run_reads_nothing_into_the_store(carryover: Commands, place: Path, home: Path) -> None:
    said = carryover.json("ingest", str(place), "--dry-run")
    assert (said["discovered"], said["ingested"], said["analyzed"]) == (1, 1, 0)
    assert turns_of(home, "s1") == 0
    assert carryover.json("ingest", str(place))["ingested"] == 1


def test_what_is_not_there_is_named(carryover: Commands, tmp_path: Path) -> None:
    carryover("ingest", str(tmp_path / "nowhere"), code=2)
    assert "does not exist" in carryover.err
    carryover("ingest", "--config", str(tmp_path / "nowhere.toml"), code=2)
    assert "does not exist" in carryover.err


def test_a_wrong_setting_is_named(carryover: Commands, place: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    for text, said in (("[coding]\nraw_soft_cap = 1\n", "raw_soft_cap"), ("[coding\n", "mine.toml")):
        config.write_text(text, "utf-8")
        carryover("ingest", str(place), "--config", str(config), code=1)
        assert said in carryover.err
        assert "Traceback" not in carryover.err


def test_logs_are_read_where_they_lie_and_not_by_a_server(
    carryover: Commands, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_URL", "http://127.0.0.1:9")
    carryover("ingest", str(place), code=1)
    assert "CARRYOVER_URL" in carryover.err


def test_a_home_that_cannot_be_written_is_named(carryover: Commands, place: Path, home: Path) -> None:
    home.write_text("a file", "utf-8")
    carryover("ingest", str(place), code=1)
    assert str(home) in carryover.err


def test_another_writer_is_waited_for(carryover: Commands, place: Path, home: Path) -> None:
    carryover("ingest", str(place))
    with (place / "s1.jsonl").open("a", encoding="utf-8") as file:
        file.write(logs.prompt(90, "and one thing more"))
    other = sqlite3.connect(home / "carryover.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    free = threading.Timer(1.5, lambda: other.execute("COMMIT"))
    free.start()
    assert carryover.json("ingest", str(place))["ingested"] == 1
    free.join()
    other.close()
    assert turns_of(home, "s1") == 25


def test_types_that_nothing_reads_and_files_that_cannot_be_are_alarms(carryover: Commands, place: Path) -> None:
    logs.write(place / "s1.jsonl", [*logs.session(), '{"type":"brand-new","sessionId":"s1","version":"9.9"}\n'])
    said = carryover.json("ingest", str(place))
    assert any("'brand-new'" in alarm and "upgrade carryover" in alarm for alarm in said["alarms"])
    assert "alarm: claude-code" in carryover.err
    assert carryover.json("ingest", str(place))["alarms"] == []  # it was told


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_an_alarm_and_tried_again(carryover: Commands, place: Path) -> None:
    (place / "s1.jsonl").chmod(0)
    said = carryover.json("ingest", str(place))
    assert [one["path"] for one in said["failed"]] == [str(place / "s1.jsonl")]
    (place / "s1.jsonl").chmod(0o600)
    assert carryover.json("ingest", str(place))["ingested"] == 1


@contextmanager
def watching(place: Path) -> Generator[subprocess.Popen[str]]:
    """`ingest --watch`, once it has read what was there."""
    with started("ingest", str(place), "--watch") as process:
        assert line_of(process.stdout).startswith("discovered 1  ingested 1 ")
        yield process


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C to send")
def test_it_watches_until_it_is_told_to_stop(home: Path, place: Path) -> None:
    with watching(place) as process:
        with (place / "s1.jsonl").open("a", encoding="utf-8") as file:
            file.write(logs.prompt(90, "and one thing more"))
        until(lambda: turns_of(home, "s1") == 25)
        logs.write(place / "deeper" / "s2.jsonl", logs.session("s2", base="b"))
        until(lambda: turns_of(home, "s2") == 24)
        children = [
            child
            for found in Path(f"/proc/{process.pid}/task").glob("*/children")
            for child in found.read_text("utf-8").split()
        ]
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0, told
        assert "Traceback" not in told
        assert "Interrupt" not in told
        assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_a_report_is_a_page_of_its_own(carryover: Commands, place: Path, tmp_path: Path) -> None:
    carryover("ingest", str(place))
    said = carryover("report", "-o", "deep/report.html")
    assert said == "wrote deep/report.html: 1 session\n"
    assert (tmp_path / "deep/report.html").read_text("utf-8").startswith("<!doctype html>")
