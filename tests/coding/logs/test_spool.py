"""What hooks handed in is read once a sweep came to it, also when that sweep never ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carryover.coding.logs import spool


def hand_in(home: Path, name: str, **said: object) -> Path:
    """A file as a hook writes it."""
    path = home / spool.FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"event": "Stop", "flavor": "claude-code", "session": name, "cwd": "/x", "at": 7, **said})
    )
    return path


def log(home: Path, name: str) -> Path:
    path = home / f"{name}.jsonl"
    path.write_text("{}\n")
    return path


def test_a_home_without_a_spool_has_nothing_to_read(tmp_path: Path) -> None:
    assert spool.take(tmp_path) == spool.spooled(tmp_path) == []


def test_what_was_taken_is_gone_once_it_is_removed(tmp_path: Path) -> None:
    one, two = log(tmp_path, "one"), log(tmp_path, "two")
    for name, path in (("a", two), ("b", one), ("c", one)):
        hand_in(tmp_path, name, log=str(path))
    assert spool.spooled(tmp_path) == [one, two]
    taken = spool.take(tmp_path)
    assert [(each.flavor, each.session, each.cwd, each.at) for each in taken] == [
        ("claude-code", name, "/x", 7) for name in "abc"
    ]
    assert spool.logs(taken) == spool.spooled(tmp_path) == [one, two]
    spool.remove(taken)
    assert spool.take(tmp_path) == spool.spooled(tmp_path) == []
    assert list((tmp_path / spool.FOLDER).iterdir()) == []


def test_a_session_that_goes_on_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = log(tmp_path, "one")
    hand_in(tmp_path, "a", log=str(path))
    taken = spool.take(tmp_path)
    hand_in(tmp_path, "a", log=str(path), at=8)
    spool.remove(taken)
    assert [each.at for each in spool.take(tmp_path)] == [8]


def test_what_a_sweep_took_and_did_not_read_is_taken_by_the_next(tmp_path: Path) -> None:
    hand_in(tmp_path, "a", log=str(log(tmp_path, "one")))
    spool.take(tmp_path)  # and it was killed
    hand_in(tmp_path, "b", log=str(log(tmp_path, "two")))
    taken = spool.take(tmp_path)
    assert [each.session for each in taken] == ["a", "b"]
    spool.remove(taken)
    spool.remove(taken)  # as two sweeps at a time may do
    assert spool.take(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"flavor": "nobody"}', '{"flavor": 3}', "[" * 10_000, '{"flavor": "codex"' + " " * 70_000],
)
def test_what_no_hook_wrote_is_dropped(tmp_path: Path, text: str) -> None:
    hand_in(tmp_path, "a").write_text(text)
    hand_in(tmp_path, "b", log=3, session=None, cwd=[], at="soon")
    (taken,) = spool.take(tmp_path)
    assert (taken.session, taken.log, taken.cwd, taken.at) == ("", None, "", 0)
    spool.remove([taken])
    assert list((tmp_path / spool.FOLDER).iterdir()) == []


@pytest.mark.parametrize("named", ["relative.jsonl", "/nowhere/at/all.jsonl", "/", "", "/dev/null"])
def test_only_files_that_are_there_are_logs(tmp_path: Path, named: str) -> None:
    hand_in(tmp_path, "a", log=named)
    assert spool.logs(spool.take(tmp_path)) == []


def test_files_of_others_in_the_spool_stay(tmp_path: Path) -> None:
    hand_in(tmp_path, "a")
    other = tmp_path / spool.FOLDER / "README"
    other.write_text("mine")
    spool.remove(spool.take(tmp_path))
    assert list((tmp_path / spool.FOLDER).iterdir()) == [other]


def test_grok_keeps_a_log_in_a_folder_that_is_called_like_its_session(tmp_path: Path) -> None:
    path = tmp_path / "grok" / "sessions" / "%2Fshop" / "0199-ab" / "updates.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    hand_in(tmp_path, "a", flavor="grok", session="0199-ab", root=str(tmp_path / "grok"))
    hand_in(tmp_path, "b", flavor="grok", session="*", root=str(tmp_path / "grok"))
    assert [each.log for each in spool.take(tmp_path)] == [path, None]
