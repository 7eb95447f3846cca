"""The verb `hooks`: it shows what it changes, asks, and says how hooks stand; and from one session to the next."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from coding import claude_logs as logs
from commands import Commands, run
from settings_files import OWN


@pytest.fixture
def user(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with settings of Claude Code; where `~` leads."""
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GROK_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "user"
    (folder / ".claude").mkdir(parents=True)
    (folder / ".claude" / "settings.json").write_text(OWN)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


def settings(user: Path) -> Path:
    return user / ".claude" / "settings.json"


def test_a_dry_run_shows_the_change_and_makes_none(carryover: Commands, user: Path, home: Path) -> None:
    shown = carryover("hooks", "install", "claude-code", "--dry-run")
    assert shown.startswith(f"--- {settings(user)}\n+++ {settings(user)}\n")
    assert "carryover_hook.py SessionStart claude-code" in shown
    (change,) = carryover.json("hooks", "install", "claude-code", "--dry-run")["changes"]
    assert change == {"path": str(settings(user)), "diff": shown}
    assert settings(user).read_text() == OWN
    assert not home.exists()


def test_where_nobody_can_be_asked_nothing_is_changed(carryover: Commands, user: Path) -> None:
    carryover("hooks", "install", "claude-code", code=1)
    assert carryover.err == "carryover: nobody can be asked here and nothing was changed; add --yes\n"
    assert settings(user).read_text() == OWN


def test_install_status_and_uninstall(carryover: Commands, user: Path, home: Path) -> None:
    carryover("hooks", "install", "claude-code", "--yes")
    assert "`/hooks` in Claude Code lists them" in carryover.err
    assert carryover("hooks", "install", "claude-code", "--yes") == ""
    assert carryover.err == "the hooks are in claude-code's settings already; nothing to change\n"
    found = carryover.json("hooks", "status")
    assert [one for one in found["hooks"] if one["standing"] != "absent"] == [
        {"agent": "claude-code", "scope": "user", "path": str(settings(user)), "standing": "installed", "reason": ""}
    ]
    assert (found["script"], found["spooled"], found["prepared"]) == ("current", 0, 0)
    (home / "hooks" / "carryover_hook.py").write_text("# older")
    table = carryover("hooks", "status")
    assert "installed" in table
    assert "the script that hooks run is outdated; run `carryover hooks install AGENT` again" in carryover.err
    carryover("hooks", "install", "claude-code")
    assert carryover.json("hooks", "status")["script"] == "current"
    carryover("hooks", "uninstall", "claude-code", "--yes")
    assert settings(user).read_text() == OWN
    carryover("hooks", "uninstall", "claude-code")
    assert carryover.err == "there are no hooks in claude-code's settings; nothing to change\n"


def test_hooks_of_a_repository_stand_in_it(carryover: Commands, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / "shop" / ".git").mkdir(parents=True)
    (user / "shop" / "src").mkdir()
    monkeypatch.chdir(user / "shop" / "src")
    carryover("hooks", "install", "grok", "--scope", "project", "--yes")
    assert (user / "shop" / ".grok" / "rules" / "carryover.md").exists()
    standing = {(one["agent"], one["scope"]): one["standing"] for one in carryover.json("hooks", "status")["hooks"]}
    assert (standing["grok", "project"], standing["grok", "user"]) == ("installed", "absent")


def test_in_the_home_folder_there_are_no_settings_of_a_project(carryover: Commands, user: Path) -> None:
    carryover("hooks", "install", "claude-code", "--scope", "project", "--yes", code=1)
    assert "leave `--scope project` out" in carryover.err
    assert {one["scope"] for one in carryover.json("hooks", "status")["hooks"]} == {"user"}


def test_broken_settings_are_told_with_a_remedy(carryover: Commands, user: Path) -> None:
    settings(user).write_text("{")
    carryover("hooks", "install", "claude-code", "--yes", code=1)
    assert "correct it, or move it away, then run this again" in carryover.err
    assert "broken" in carryover("hooks", "status")


def test_an_agent_that_is_not_known_is_wrong_usage(carryover: Commands, user: Path) -> None:
    carryover("hooks", "install", "emacs", code=2)


def fired(user: Path, event: str, **said: object) -> str:
    """What Claude Code does at an event: it runs the commands of its settings, in a shell."""
    hooks = json.loads(settings(user).read_text())["hooks"][event]
    (command,) = [hook["command"] for group in hooks for hook in group["hooks"] if "carryover" in hook["command"]]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
    done = subprocess.run(
        ["sh", "-c", command], input=json.dumps({"hook_event_name": event, **said}), capture_output=True, text=True,
        env=bare, timeout=30, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return json.loads(done.stdout)["hookSpecificOutput"]["additionalContext"] if done.stdout else ""


def test_what_a_session_did_is_what_the_next_one_starts_with(user: Path, home: Path) -> None:
    shop = user / "shop"
    (shop / ".git").mkdir(parents=True)
    assert run("hooks", "install", "claude-code", "--yes").returncode == 0
    assert fired(user, "SessionStart", session_id="s1", cwd=str(shop), source="startup") == ""
    # Not where Claude Code keeps its logs: only the hook knows of it.
    lines = [line.replace("/work/app", str(shop)) for line in logs.session()]
    log = logs.write(user / "elsewhere" / "s1.jsonl", lines)
    for event in ("Stop", "Stop", "SessionEnd"):
        assert fired(user, event, session_id="s1", transcript_path=str(log), cwd=str(shop)) == ""
    assert json.loads(run("hooks", "status", "--json").stdout)["spooled"] == 1
    done = run("ingest", str(user / ".claude"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["analyzed"] == 1
    found = json.loads(run("hooks", "status", "--json").stdout)
    assert found["spooled"] == 0
    assert found["prepared"] > 0
    told = fired(user, "SessionStart", session_id="s2", cwd=str(shop / "src"), source="startup")
    assert "## Last sessions in this repository" in told
    assert "claude-code: " in told
    assert run("forget", "--agent", "claude-code", "--yes").returncode == 0
    assert fired(user, "SessionStart", session_id="s3", cwd=str(shop), source="startup") == ""
