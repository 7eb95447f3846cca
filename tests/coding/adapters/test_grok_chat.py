"""What the model sees: read where nothing else tells of it."""

import json
from pathlib import Path

import pytest

from grok_folders import CHAT, FORK, OLD, SESSION, completed, event, part_of, read_of, told, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "%2Fwork%2Fapp" / SESSION


def test_a_history_is_read_where_it_is_alone(folder: Path):
    path = write(folder, "chat_history.jsonl", *CHAT)
    steps = part_of(path).steps
    assert told(steps) == [
        ("note", "Run the tests."),
        ("prompt", "fix it"),
        ("thinking", "hm"),
        ("text", "Reading."),
        ("call", "read_file: a.py"),
        ("result", "x = 1"),
        ("prompt", "and b.py"),
        ("interrupt", "mid_turn_abort"),
        ("prompt", "go on"),
        ("text", "Done."),
    ]
    write(folder, "events.jsonl", event("turn_ended", 1, outcome="cancelled"))
    assert "interrupt" not in [step.kind for step in part_of(path).steps], "events tell of it"
    write(folder, "updates.jsonl", completed(1))
    assert part_of(path).steps == []


def test_items_of_both_versions_say_the_same(tmp_path: Path):
    old = part_of(write(tmp_path / "a" / SESSION, "chat_history.jsonl", *OLD)).steps
    new = part_of(write(tmp_path / "b" / SESSION, "chat_history.jsonl", *CHAT[:1], *CHAT[2:6])).steps
    assert [step.uid for step in old] == [step.uid for step in new]
    mixed = write(tmp_path / "c" / SESSION, "chat_history.jsonl", *OLD, *CHAT[6:])
    assert [step.kind for step in part_of(mixed).steps][-4:] == ["prompt", "interrupt", "prompt", "text"]


def test_a_history_written_anew_keeps_its_identities(folder: Path):
    path = write(folder, "chat_history.jsonl", *CHAT)
    was = {step.uid for step in part_of(path).steps}
    write(folder, "chat_history.jsonl", {"type": "system", "content": "new"}, *CHAT[2:], *CHAT[2:3])
    now = [step.uid for step in part_of(path).steps]
    assert len(set(now) - was) == 1, "only what was said once more is new"


def test_what_a_fork_was_given_is_its_parents(tmp_path: Path):
    parent = part_of(write(tmp_path / SESSION, "chat_history.jsonl", *OLD)).steps
    known = {"info": {"id": FORK, "cwd": "/work"}, "parent_session_id": SESSION, "inherited_prefix_len": len(OLD)}
    write(tmp_path / FORK, "summary.json", known)
    child = part_of(write(tmp_path / FORK, "chat_history.jsonl", *OLD, *OLD[1:2])).steps
    assert [step.uid for step in child[:-1]] == [step.uid for step in parent]
    assert child[-1].uid not in {step.uid for step in parent}


def test_a_torn_line_is_counted_and_the_next_one_is_read(folder: Path):
    path = write(folder, "chat_history.jsonl", *OLD[:2])
    with path.open("ab") as file:
        file.write(b'{"role":"assistant","content":"par\n' + json.dumps(CHAT[-1]).encode() + b"\n")
    reading = read_of(path)
    assert reading.malformed == 1
    assert told(reading.parts[SESSION].steps) == [("prompt", "fix it"), ("text", "Done.")]
