"""Which repository a session worked in, by a name that is the same wherever it was checked out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from carryover.core.step import About

# Where tools put further checkouts of one repository; what stands before it is the repository.
_WORKTREE = re.compile(r"(?:/(?:\.claude/|\.git/|\.)?worktrees|-worktrees)/[^/]+(?:/.*)?\Z")
_REMOTE = re.compile(r"\A(?:[a-z+]+://)?(?:[^@/\s]+@)?(?P<host>[^:/\s]+)(?::\d+/|[:/])(?P<path>\S+?)(?:\.git)?/?\Z")


def repo_of(abouts: Sequence[About]) -> str:
    """The repository, or "" where nothing tells: the remote as `host/owner/name`, else the folder worked in."""
    for about in abouts:
        if about.remote and (found := remote_name(about.remote)):
            return found
    folders = [about.cwd for about in abouts if about.cwd]
    return folder_name(folders[0]) if folders else ""


def remote_name(remote: str) -> str:
    """`git@github.com:acme/app.git` as `github.com/acme/app`; "" for what is no remote of another machine."""
    match = _REMOTE.match(remote.strip())
    if match is None or remote.startswith((".", "/", "file:")):
        return ""
    return f"{match['host'].lower()}/{match['path'].strip('/')}"


def folder_name(folder: str) -> str:
    """The folder without what only says which checkout of a repository it is."""
    plain = folder.replace("\\", "/").rstrip("/") or "/"
    return _WORKTREE.sub("", plain) or plain


def domain_of(repo: str, domains: Mapping[str, str]) -> str | None:
    """What the repository belongs to by the settings: by its whole name, or by the end of it that is named longest."""
    fitting = [name for name in domains if repo == name or repo.endswith(f"/{name.strip('/')}")]
    return domains[max(fitting, key=len)] if fitting else None
