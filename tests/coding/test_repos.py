"""A repository has one name, wherever it was checked out."""

from __future__ import annotations

import pytest

from carryover.coding.repos import domain_of, folder_name, remote_name, repo_of
from carryover.core.step import About


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        ("git@github.com:acme/app.git", "github.com/acme/app"),
        ("https://github.com/acme/app.git", "github.com/acme/app"),
        ("https://user:secret@GitHub.com/acme/app/", "github.com/acme/app"),
        ("ssh://git@git.acme.dev:2222/team/app.git", "git.acme.dev/team/app"),
        ("/srv/git/app.git", ""),
        ("../app", ""),
        ("file:///srv/app", ""),
        ("", ""),
    ],
)
def test_remotes(remote: str, name: str) -> None:
    assert remote_name(remote) == name


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/work/app", "/work/app"),
        ("/work/app/", "/work/app"),
        ("/work/app/.claude/worktrees/fix-1/sub", "/work/app"),
        ("/work/app/.worktrees/fix", "/work/app"),
        ("/work/app-worktrees/fix/sub", "/work/app"),
        ("C:\\work\\app", "C:/work/app"),
        ("/", "/"),
    ],
)
def test_folders(folder: str, name: str) -> None:
    assert folder_name(folder) == name


def test_a_remote_says_more_than_a_folder_and_nothing_says_nothing() -> None:
    assert repo_of([About(cwd="/a"), About(cwd="/b", remote="git@h.org:x/y")]) == "h.org/x/y"
    assert repo_of([About(), About(cwd="/b"), About(cwd="/a")]) == "/b"
    assert repo_of([About()]) == ""


def test_a_domain_is_found_by_the_longest_name() -> None:
    domains = {"app": "web", "acme/app": "shop", "github.com/acme/tool": "infra"}
    assert domain_of("github.com/acme/app", domains) == "shop"
    assert domain_of("github.com/other/app", domains) == "web"
    assert domain_of("github.com/acme/tool", domains) == "infra"
    assert domain_of("github.com/acme/myapp", domains) is None
