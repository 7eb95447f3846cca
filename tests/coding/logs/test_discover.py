"""Logs are found where they are, and nothing is opened that is none."""

from __future__ import annotations

import os
from pathlib import Path

from carryover.coding.adapters.catalog import ADAPTERS
from carryover.coding.logs.discover import Place, files_in, given_places, known_places


def _made(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")


def _names(root: Path, places: list[Place]) -> list[str]:
    return [os.path.relpath(path, root) for path, _ in files_in(places)]


def test_what_could_be_a_log_is_found_in_one_order(tmp_path: Path) -> None:
    _made(tmp_path, "b/2.jsonl", "b/1.json", "a/x.jsonl.zst", "c.db", "d.txt", "a/deep/er/y.jsonl")
    assert _names(tmp_path, given_places([tmp_path])) == [
        "c.db", "a/x.jsonl.zst", "a/deep/er/y.jsonl", "b/1.json", "b/2.jsonl",
    ]  # fmt: skip
    assert _names(tmp_path, given_places([tmp_path / "b" / "2.jsonl"])) == ["b/2.jsonl"]
    assert _names(tmp_path, given_places([tmp_path / "gone"])) == []


def test_credentials_global_histories_locks_and_code_are_never_looked_at(tmp_path: Path) -> None:
    _made(
        tmp_path, "auth.json", "my-Credentials.json", "history.jsonl", "session_index.jsonl", "s.jsonl.lock",
        "s.jsonl.tmp", ".git/x.jsonl", "node_modules/x.json", "s.jsonl",
    )  # fmt: skip
    assert _names(tmp_path, given_places([tmp_path])) == ["s.jsonl"]


def test_links_to_folders_are_not_followed_and_each_file_comes_once(tmp_path: Path) -> None:
    _made(tmp_path, "real/s.jsonl", "elsewhere/t.jsonl")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "real" / "out").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "real" / "again.jsonl").hardlink_to(tmp_path / "real" / "s.jsonl")
    (tmp_path / "real" / "broken.jsonl").symlink_to(tmp_path / "nothing")
    assert _names(tmp_path, [*given_places([tmp_path / "real"]), *given_places([tmp_path / "real"])]) == [
        "real/again.jsonl"
    ]


def test_each_flavor_is_looked_for_where_it_keeps_its_sessions(tmp_path: Path) -> None:
    home = tmp_path / "codex home"
    _made(home, "sessions/2026/01/02/rollout-1.jsonl", "auth.json", "history.jsonl", "sessions/2026/notes.txt")
    environment = {"CODEX_HOME": str(home), "HOME": str(tmp_path)}
    places = [place for place in known_places(ADAPTERS, environment) if tmp_path in place.path.parents]
    assert _names(home, places) == ["sessions/2026/01/02/rollout-1.jsonl"]


def test_a_database_has_changed_when_its_journal_has(tmp_path: Path) -> None:
    _made(tmp_path, "x.db")
    [(_, before)] = files_in(given_places([tmp_path]))
    (tmp_path / "x.db-wal").write_text("more")
    [(_, after)] = files_in(given_places([tmp_path]))
    assert after != before
    assert after.size == before.size + 4
