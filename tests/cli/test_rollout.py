"""`patterns distribute`, `withdraw` and `measure`, as a person and as a script use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from carryover.core.pattern import Pattern, Share
from carryover.core.scope import Scope
from carryover.store import patterns
from carryover.store.store import Store
from commands import Commands

SEEN = {"claude-code": Share(7, 31), "codex": Share(5, 20)}
LESSON = "Read a file before you edit it."


@pytest.fixture
def approved(carryover: Commands, home: Path) -> Commands:
    """A store with an approved pattern, and one that nobody has decided about."""
    home.mkdir()
    with Store.open(f"sqlite:///{home / 'carryover.db'}") as store, store.write(Scope()) as tx:
        patterns.put(tx, Pattern("p1", 1, "approved", "edit_before_read", "k", "unread", LESSON, flavors=SEEN))
        patterns.put(tx, Pattern("p2", 1, "candidate", "error", "k2", "other", "Something else.", flavors=SEEN))
    return carryover


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "CLAUDE.md").write_text("# Shop\n")
    return folder


def test_it_shows_asks_and_writes(approved: Commands, repo: Path) -> None:
    shown = approved("patterns", "distribute", "--repo", str(repo), stdin="y\n")
    assert f"+++ {repo}/CLAUDE.md\n" in shown
    assert f"+- {LESSON}\n" in shown
    assert "--- /dev/null\n" in shown
    assert "Write 2 files? [y/N]" in approved.err
    assert f"{repo}/CLAUDE.md: changed, telling 1 pattern\n" in approved.err
    assert "2 files written\n" in approved.err
    assert LESSON in (repo / "AGENTS.md").read_text()
    assert approved("patterns", "distribute", "--repo", str(repo), "--yes") == ""
    assert approved.err == "nothing changes: every file is as it should be\n"
    assert approved.json("patterns", "show", "p1")["state"] == "distributed"


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_written(approved: Commands, repo: Path, answer: str) -> None:
    approved("patterns", "distribute", "--repo", str(repo), stdin=answer, code=1)
    assert (repo / "CLAUDE.md").read_text() == "# Shop\n"
    assert not (repo / "AGENTS.md").exists()
    assert approved.json("patterns", "show", "p1")["state"] == "approved"


def test_a_dry_run_writes_nothing(approved: Commands, repo: Path) -> None:
    told = approved.json("patterns", "distribute", "p1", "--repo", str(repo), "--dry-run")
    assert [(Path(one["path"]).name, one["state"], one["patterns"]) for one in told["files"]] == [
        ("CLAUDE.md", "changed", ["p1"]),
        ("AGENTS.md", "new", ["p1"]),
        ("GROK.md", "unchanged", []),
    ]
    approved("patterns", "distribute", "--repo", str(repo), "--dry-run")
    assert "2 files would be written" in approved.err
    assert (repo / "CLAUDE.md").read_text() == "# Shop\n"


def test_it_is_taken_out_again(approved: Commands, repo: Path) -> None:
    approved("patterns", "distribute", "--repo", str(repo), "--yes")
    approved("patterns", "withdraw", "p1", "--dry-run")
    assert "2 files would be written" in approved.err
    told = approved.json("patterns", "withdraw", "p1", "--yes", "--reason", "it did not help")
    assert {Path(one["path"]).name: one["state"] for one in told["files"]} == {
        "CLAUDE.md": "changed",
        "AGENTS.md": "removed",
    }
    assert sorted(path.name for path in repo.iterdir()) == ["CLAUDE.md"]
    assert (repo / "CLAUDE.md").read_text() == "# Shop\n"
    assert approved.json("patterns", "show", "p1")["reason"] == "it did not help"


def test_it_is_measured(approved: Commands, repo: Path) -> None:
    assert approved("patterns", "measure") == ""
    assert "no pattern is distributed" in approved.err
    approved("patterns", "measure", "p1", code=1)
    assert "told to nobody; distribute it first" in approved.err
    approved("patterns", "distribute", "--repo", str(repo), "--yes", "--effect", "0.3", "--days", "14")
    shown = approved("patterns", "measure")
    assert shown.startswith("p1: underpowered (before and after)\n  0 of 0 sessions before, 0 of 0 after, ")
    assert "more sessions would tell" in shown
    (effect,) = approved.json("patterns", "measure", "p1")["effects"]
    assert effect["verdict"] == "underpowered"
    assert effect["missing"] > 0
    assert (effect["detail"]["registered"]["effect"], effect["detail"]["registered"]["days"]) == (0.3, 14)


def test_what_is_wrong_is_said_with_its_remedy(approved: Commands, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    approved("patterns", "distribute", code=2)
    assert "name a repository with --repo PATH, or use --user" in approved.err
    approved("patterns", "distribute", "p2", "--repo", str(repo), code=1)
    assert "'p2' is candidate; approve it first: `carryover patterns approve p2`" in approved.err
    approved("patterns", "distribute", "--repo", str(repo / "nowhere"), code=1)
    assert "is no folder; name the folder of a repository" in approved.err
    approved("patterns", "distribute", "--repo", str(repo), "--file", "README.md", code=1)
    assert "use CLAUDE.md, AGENTS.md, GROK.md, GEMINI.md" in approved.err
    (repo / "AGENTS.md").mkdir()
    approved("patterns", "distribute", "--repo", str(repo), "--yes", code=1)
    assert "AGENTS.md is a folder; move it away" in approved.err
    assert (repo / "CLAUDE.md").read_text() == "# Shop\n"  # all are looked at before any is written
    monkeypatch.setenv("CARRYOVER_URL", "http://127.0.0.1:9")
    approved("patterns", "distribute", "--repo", str(repo), code=1)
    assert "acts on the database itself" in approved.err


def test_into_ones_own_files(approved: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GROK_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (".claude", ".grok"):
        (tmp_path / name).mkdir()
    told = approved.json("patterns", "distribute", "--user", "--all-flavors", "--yes")
    assert {Path(one["path"]).relative_to(tmp_path).as_posix(): one["state"] for one in told["files"]} == {
        ".claude/CLAUDE.md": "new",
        ".grok/AGENTS.md": "unchanged",
        ".grok/GROK.md": "unchanged",
    }
    assert {one["repo"] for one in told["files"]} == {"*"}


def test_half_of_the_repositories_and_a_small_block(approved: Commands, tmp_path: Path) -> None:
    repos = [tmp_path / name for name in ("a", "b")]
    for folder in repos:
        folder.mkdir()
    where = [part for folder in repos for part in ("--repo", str(folder))]
    told = approved.json("patterns", "distribute", *where, "--file", "CLAUDE.md", "--share", "0.5", "--yes")
    assert sorted(one["state"] for one in told["files"]) == ["new", "unchanged"]
    assert sorted(one["held_back"] for one in told["files"]) == [[], ["p1"]]
    approved("patterns", "distribute", "--repo", str(tmp_path), "--max-tokens", "50", "--dry-run")
    assert "no room for p1; raise --max-lines or --max-tokens" in approved.err
