"""Notes are prepared under the names by which a hook finds them, and say what is known now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from carryover.core.context import Wanted
from carryover.core.scope import Scope
from carryover.integrations import hooks, prepared
from carryover.integrations.carryover_hook import key
from carryover.recall.context import context
from carryover.store.store import Store
from coded import REPO, lesson, worked


def notes(home: Path, agent: str, name: str) -> str:
    path = home / "hooks" / "contexts" / f"{key(agent, name)}.md"
    return path.read_text() if path.exists() else ""


def printed(home: Path, agent: str, cwd: Path) -> str:
    """What the agent is told, by the hook itself."""
    hooks.write_script(home)
    done = subprocess.run(
        [os.path.realpath(sys.executable), "-I", "-S", home / "hooks" / "carryover_hook.py", "SessionStart", agent],
        input=json.dumps({"cwd": str(cwd)}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)["hookSpecificOutput"]["additionalContext"] if done.stdout else ""


def test_what_is_prepared_is_the_context_of_the_next_session(store: Store, scope: Scope, tmp_path: Path) -> None:
    worked(store, scope, "s1", "Add a retry", cwd="/src/shop")
    lesson(store, scope, "p1", "Read before you edit.")
    assert prepared.prepare(store, scope, tmp_path) == 6  # three agents, two names
    wanted = Wanted("next", "codex", repos=(REPO,))
    assert notes(tmp_path, "codex", REPO) == notes(tmp_path, "codex", "/src/shop")
    assert notes(tmp_path, "codex", REPO) == context(store, scope, wanted).markdown
    assert "Add a retry" in notes(tmp_path, "grok", REPO)


def test_nothing_is_written_where_nothing_changed(store: Store, scope: Scope, tmp_path: Path) -> None:
    worked(store, scope, "s1", "Add a retry")
    assert prepared.prepare(store, scope, tmp_path) == 3
    assert prepared.prepare(store, scope, tmp_path) == 0
    worked(store, scope, "s2", "Remove the retry")
    assert prepared.prepare(store, scope, tmp_path) == 3
    assert "Remove the retry" in notes(tmp_path, "claude-code", REPO)


def test_a_hook_prints_what_was_prepared(store: Store, scope: Scope, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    (shop / ".git").mkdir(parents=True)
    (shop / "src").mkdir()
    worked(store, scope, "s1", "Add a retry", cwd=str(shop))
    home = tmp_path / "home"
    prepared.prepare(store, scope, home)
    assert "Add a retry" in printed(home, "claude-code", shop / "src")
    assert printed(home, "claude-code", tmp_path) == ""


def test_names_that_share_a_folder_are_one_repository(store: Store, scope: Scope, tmp_path: Path) -> None:
    """Not every agent writes down the remote."""
    worked(store, scope, "s1", "By its folder", repo="/src/shop", cwd="/src/shop")
    worked(store, scope, "s2", "By its remote", agent="codex", cwd="/src/shop/.worktrees/fix")
    worked(store, scope, "s3", "Elsewhere", repo="/src/other", cwd="/src/other")
    prepared.prepare(store, scope, tmp_path)
    for name in ("/src/shop", REPO):
        told = notes(tmp_path, "claude-code", name)
        assert "By its folder" in told
        assert "By its remote" in told
        assert "Elsewhere" not in told


def test_only_the_named_repositories_are_made_anew(store: Store, scope: Scope, tmp_path: Path) -> None:
    worked(store, scope, "s1", "Add a retry")
    worked(store, scope, "s2", "Other work", repo="/src/other", cwd="/src/other")
    assert prepared.prepare(store, scope, tmp_path, repos=["/src/other"]) == 3
    assert notes(tmp_path, "codex", REPO) == ""
    assert prepared.prepare(store, scope, tmp_path, repos=[REPO]) == 3
    assert notes(tmp_path, "codex", "/src/other")


def test_notes_of_what_is_not_known_any_more_are_removed(store: Store, scope: Scope, tmp_path: Path) -> None:
    worked(store, scope, "s1", "Add a retry")
    prepared.prepare(store, scope, tmp_path)
    assert prepared.prepare(store, Scope("rival"), tmp_path) == 3
    assert notes(tmp_path, "codex", REPO) == ""
    prepared.prepare(store, scope, tmp_path)
    prepared.clear(tmp_path)
    assert notes(tmp_path, "codex", REPO) == ""


def test_a_user_is_told_of_own_sessions_alone(store: Store, scope: Scope, tmp_path: Path) -> None:
    worked(store, scope, "s1", "Ada's work", user="ada")
    worked(store, scope, "s2", "Ben's work", user="ben")
    prepared.prepare(store, scope, tmp_path, user="ada")
    assert "Ada's work" in notes(tmp_path, "codex", REPO)
    assert "Ben's work" not in notes(tmp_path, "codex", REPO)


def test_nothing_is_made_where_no_agent_ever_worked(store: Store, scope: Scope, tmp_path: Path) -> None:
    assert prepared.prepare(store, scope, tmp_path) == 0
    assert list(tmp_path.iterdir()) == [] or not (tmp_path / "hooks").exists()
