"""`log`, `window`, `sessions` and `stream`, embedded and on a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from commands import ENTRY, Commands, line_of, started


def test_what_is_logged_is_shown(either: Commands, request: pytest.FixtureRequest) -> None:
    agent = ("--agent", f"log-{request.node.callspec.id}")
    assert either("log", "s1", "Let's use PostgreSQL.", "--user", "mara", *agent) == (
        "s1: 1 turn logged, 1 turn in all\n"
    )
    appended = either.json("log", "s1", "Agreed.", "--role", "assistant", *agent)
    assert (appended["version"], [turn["seq"] for turn in appended["turns"]]) == (2, [2])
    text = either("window", "s1", *agent)
    assert "[1] user" in text
    assert "  Let's use PostgreSQL." in text
    window = either.json("window", "s1", "-n", "1", *agent)
    assert (window["version"], [turn["content"] for turn in window["turns"]]) == (2, ["Agreed."])
    assert "mara" in either("sessions", *agent)
    listed = either.json("sessions", *agent)["sessions"]
    assert [(s["session_id"], s["user_id"], s["turn_count"]) for s in listed] == [("s1", "mara", 2)]
    lines = either("stream", *agent).splitlines()
    assert [line.split()[2] for line in lines] == ["append", "append", "open"]
    only = either("stream", "--action", "open", "--json", *agent).splitlines()
    assert [json.loads(line)["action"] for line in only] == ["open"]


def test_turns_from_jsonl_keep_every_byte(either: Commands, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    agent = ("--agent", f"jsonl-{request.node.callspec.id}")
    content = '[{"type":"text","text":"5 \\u00b0C"}, {"type":"odd","x":1.50,"a":1e2}]'
    lines = [
        f'{{"role":"user","content":{content},"created_at":"2026-03-02T08:12:00Z"}}',
        "",
        '{"role":"tool","kind":"tool_result","call_id":"c1","name":"ls","content":"a\\nb","metadata":{"exit":0}}',
    ]
    file = tmp_path / "turns.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    either("log", "s1", "--jsonl", str(file), *agent)
    shown = either("window", "s1", "--json", *agent)
    assert f'"content":{content}' in shown
    first, second = json.loads(shown)["turns"]
    assert first["created_at"] == "2026-03-02T08:12:00.000Z"
    assert (second["kind"], second["call_id"], second["name"], second["metadata"]) == (
        "tool_result", "c1", "ls", {"exit": 0},
    )  # fmt: skip


def test_one_bad_line_and_nothing_is_logged(carryover: Commands, tmp_path: Path) -> None:
    file = tmp_path / "turns.jsonl"
    file.write_text('{"role":"user","content":"fine"}\n{"role":"user","conte')
    carryover("log", "s1", "--jsonl", str(file), code=1)
    assert "line 2" in carryover.err
    carryover("window", "s1", code=1)
    file.write_text('{"role":"user","content":"fine","session_id":"other"}\n')
    carryover("log", "s1", "--jsonl", str(file), code=1)
    carryover("log", "s1", "--jsonl", str(tmp_path / "absent"), code=1)
    assert carryover.err.count("\n") == 1


def test_long_turns_are_cut_for_people_only(carryover: Commands) -> None:
    carryover("log", "s1", "-", stdin="word " * 1000)
    assert "--full" in carryover("window", "s1")
    assert len(carryover("window", "s1", "--full")) > 4000
    assert len(carryover.json("window", "s1")["turns"][0]["content"]) == 5000


def test_an_empty_list_says_what_to_do(carryover: Commands) -> None:
    assert carryover("sessions") == ""
    assert "carryover log" in carryover.err


@pytest.mark.parametrize("place", ["embedded", "remote"])
def test_follow_shows_what_happens(
    carryover: Commands, request: pytest.FixtureRequest, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "remote":
        monkeypatch.setenv("CARRYOVER_URL", request.getfixturevalue("address"))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    with started("stream", "--follow", "--json", "--agent", f"follow-{place}") as following:
        assert line_of(following.stderr).startswith("following")
        assert following.stdout is not None
        os.set_blocking(following.stdout.fileno(), False)
        seen = ""
        # It follows from some moment after its note: so events are made until it has seen some.
        while "\n" not in seen:
            carryover("log", "s1", "again", "--agent", f"follow-{place}")
            seen += following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 0
    assert json.loads(seen.splitlines()[0])["action"] in ("open", "append")


def test_two_processes_write_one_database(home: Path) -> None:
    program = f'for n in $(seq 6); do {ENTRY} log shared "$0 $n" || exit 1; done'
    writers = [subprocess.Popen(["sh", "-c", program, name], stdout=subprocess.DEVNULL) for name in ("one", "two")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    window = Commands().json("window", "shared", "-n", "50")
    assert [turn["seq"] for turn in window["turns"]] == list(range(1, 13))
    assert {turn["content"] for turn in window["turns"]} == {f"{w} {n}" for w in ("one", "two") for n in range(1, 7)}
    assert "sound" in Commands()("db", "check")
    assert home.is_dir()
