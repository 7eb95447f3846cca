"""The files that coding agents read before they begin, in a repository and of a user; and which repository that is.

Who reads what is as their makers document it: Claude Code reads `CLAUDE.md`, Codex and most others `AGENTS.md`, Gemini
CLI `GEMINI.md`. Grok reads `AGENTS.md` and, for compatibility, `CLAUDE.md`; `GROK.md` is for those who point it there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from carryover.coding.repos import folder_name, remote_name
from carryover.core.errors import Invalid

EVERYWHERE = "*"  # the repository of what a user is told in all of them
USUAL = ("CLAUDE.md", "AGENTS.md", "GROK.md")


@dataclass(frozen=True, slots=True)
class Readers:
    """For whom a file is, and who else reads it."""

    audience: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.audience, *self.others)

    def with_(self, more: Readers) -> Readers:
        """Those of both."""
        audience = tuple(dict.fromkeys((*self.audience, *more.audience)))
        return Readers(
            audience, tuple(one for one in dict.fromkeys((*self.others, *more.others)) if one not in audience)
        )


@dataclass(frozen=True, slots=True)
class Target:
    """A file that agents read. Where it must lie is `inside`; `head` begins it where it is new.

    `names` are all those by which sessions may know the repository: some logs tell the remote, some only the folder.
    """

    path: Path
    repo: str
    readers: Readers
    inside: Path | None = None
    head: str = ""
    names: tuple[str, ...] = ()


FILES: Mapping[str, Readers] = {
    "CLAUDE.md": Readers(("claude-code",), ("grok",)),
    "AGENTS.md": Readers(("codex", "grok", "opencode", "copilot-cli", "cursor")),
    "GROK.md": Readers(("grok",)),
    "GEMINI.md": Readers(("gemini-cli",)),
}
# Of a user: the variable that moves the agent's folder, the folder, the file in it, and for whom it is.
_HOMES: tuple[tuple[str, str, str, Readers], ...] = (
    ("CLAUDE_CONFIG_DIR", ".claude", "CLAUDE.md", Readers(("claude-code",))),
    ("CODEX_HOME", ".codex", "AGENTS.md", Readers(("codex",))),
    ("GROK_HOME", ".grok", "AGENTS.md", Readers(("grok",))),
    ("GROK_HOME", ".grok", "GROK.md", Readers(("grok",))),
    ("", ".gemini", "GEMINI.md", Readers(("gemini-cli",))),
)
_SKILLS: Mapping[str, Readers] = {
    ".claude": Readers(("claude-code",)),
    ".agents": Readers(("codex",)),
    ".grok": Readers(("grok",)),
}
_SKILL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
# No blank here reaches over the end of a line: from each of many empty lines it would reach to the last.
_REMOTE = re.compile(r'^[ \t]*\[remote "([^"\n]*)"\][ \t\r]*$(.*?)(?=^[ \t]*\[|\Z)', re.MULTILINE | re.DOTALL)
_URL = re.compile(r"^[ \t]*url[ \t]*=[ \t]*(\S+)[ \t\r]*$", re.MULTILINE)


def of_repo(folder: Path, files: Sequence[str] = (), skill: str | None = None) -> list[Target]:
    """These files of a repository (default: the usual ones, or with `skill` none), and the skill of that name.

    Raises Invalid for a folder that is not there, and for names that cannot be.
    """
    folder = Path(os.path.abspath(folder.expanduser()))
    if not folder.is_dir():
        raise Invalid(f"{folder} is no folder; name the folder of a repository", field="repo")
    repo = repo_key(folder)
    names = tuple(dict.fromkeys((repo, folder_name(str(folder)), folder_name(os.path.realpath(folder)))))
    found = [Target(folder / name, repo, FILES[name], folder, names=names) for name in _named(files, skill)]
    for base, readers in _skills(skill):
        path = folder / base / "skills" / str(skill) / "SKILL.md"
        found.append(Target(path, repo, readers, folder, _skill_head(str(skill)), names))
    return found


def of_user(
    environment: Mapping[str, str], home: Path, files: Sequence[str] = (), skill: str | None = None
) -> list[Target]:
    """The same for a user, in all repositories: only where the agent's own folder is there."""
    found: list[Target] = []
    names = _named(files, skill)
    for variable, base, name, readers in _HOMES:
        folder = Path(environment.get(variable) or home / base).expanduser()
        if name in names and folder.is_dir():
            found.append(Target(folder / name, EVERYWHERE, readers, names=(EVERYWHERE,)))
    for base, readers in _skills(skill):
        if (home / base).is_dir():
            path = home / base / "skills" / str(skill) / "SKILL.md"
            found.append(Target(path, EVERYWHERE, readers, None, _skill_head(str(skill)), (EVERYWHERE,)))
    return found


def allowed(repos: Sequence[str], named: Sequence[Path]) -> list[Path]:
    """Those of the repositories that the settings name, or all of these. Raises Invalid for any other."""
    known = {os.path.realpath(folder.expanduser()): folder for folder in named}
    if not known:
        raise Invalid(
            "the settings name no repository that may be written to; name some in `coding.repos`", field="repos"
        )
    real = {os.path.realpath(os.path.expanduser(repo)): repo for repo in repos}
    unknown = next((repo for folder, repo in real.items() if folder not in known), None)
    if unknown is not None:
        raise Invalid(
            f"repository {unknown!r} is none of those that may be written to; name it in `coding.repos`", field="repos"
        )
    return [Path(folder) for folder in real or known]


def require_allowed(paths: Sequence[Path], named: Sequence[Path]) -> None:
    """Raises Invalid for a file outside of the repositories that the settings name."""
    known = [os.path.realpath(folder.expanduser()) for folder in named]
    for path in paths:
        if not any(path.is_relative_to(folder) for folder in known):
            raise Invalid(
                f"{path} lies in no repository that may be written to; name it in `coding.repos`, or use "
                "`carryover patterns withdraw` where the file is",
                field="repos",
            )


def is_in(repo: str, names: Sequence[str]) -> bool:
    """Whether a session that knows its repository by this name worked in the one with these names, or below it."""
    if repo in names or EVERYWHERE in names:
        return True
    return any(os.path.isabs(name) and repo.startswith(f"{name.rstrip('/')}/") for name in names)


def repo_key(folder: Path) -> str:
    """The repository of a checkout, by the name that its sessions have: its remote, else its main folder."""
    for place in (folder, *folder.parents):
        git = place / ".git"
        if git.exists():
            common = _common(git)
            remote = _remote(common / "config")
            return remote or folder_name(str(common.parent if common.name == ".git" else place))
    return folder_name(str(folder))


def _common(git: Path) -> Path:
    """The folder that all checkouts of the repository share."""
    try:
        if git.is_file():
            said = git.read_text("utf-8", "replace").removeprefix("gitdir:").strip()
            git = Path(os.path.normpath(git.parent / said))
        shared = git / "commondir"
        return Path(os.path.normpath(git / shared.read_text("utf-8").strip())) if shared.is_file() else git
    except OSError:
        return git


def _remote(config: Path) -> str:
    """The remote `origin`, else the first one, as sessions name it; "" where there is none."""
    try:
        text = config.read_text("utf-8", "replace")
    except OSError:
        return ""
    remotes = {name: url[1] for name, said in _REMOTE.findall(text) if (url := _URL.search(said))}
    named = remotes.get("origin") or next(iter(remotes.values()), "")
    return remote_name(named)


def _named(files: Sequence[str], skill: str | None) -> Sequence[str]:
    unknown = next((name for name in files if name not in FILES), None)
    if unknown is not None:
        raise Invalid(f"file {unknown!r} is none that agents read; use {', '.join(FILES)}", field="file")
    return files or (() if skill else USUAL)


def _skills(skill: str | None) -> Sequence[tuple[str, Readers]]:
    if skill is None:
        return ()
    if len(skill) > 64 or not _SKILL.fullmatch(skill):
        raise Invalid(f"skill {skill[:80]!r} is no name; use small letters, digits and single hyphens", field="skill")
    return tuple(_SKILLS.items())


def _skill_head(skill: str) -> str:
    return (
        f"---\nname: {skill}\ndescription: What earlier sessions taught, as short rules. Read it before changing code, "
        "running tests, or trying again what has just failed.\n---\n\n"
    )
