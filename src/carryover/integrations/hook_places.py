"""Where each coding agent reads its hooks, and what is put there: the only file that knows one agent from another."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from carryover.integrations.hook_settings import SCRIPT, Hook, json_with, toml_with, toml_without, without_hooks

Hooked = Literal["claude-code", "codex", "grok"]
HOOKED: tuple[Hooked, ...] = get_args(Hooked)
Reach = Literal["user", "project"]
REACHES: tuple[Reach, ...] = get_args(Reach)

# A session that is resumed was told when it began; one that was compacted has forgotten it.
_STARTS = "startup|clear|compact"
_TIMEOUT_S = 3  # far beyond what the hook takes, and the most that Codex grants when a session ends
_RULE_BEGINS = "<!-- carryover hooks: begin -->"
_RULE_ENDS = "<!-- carryover hooks: end -->"
_HOMES: dict[Hooked, tuple[str, str]] = {
    "claude-code": ("CLAUDE_CONFIG_DIR", ".claude"),
    "codex": ("CODEX_HOME", ".codex"),
    "grok": ("GROK_HOME", ".grok"),
}
NOTES: dict[Hooked, str] = {
    "claude-code": "sessions that begin from now on have them; `/hooks` in Claude Code lists them",
    "codex": "Codex runs a new hook only once you trust it, with `/hooks`; a project has to be trusted too",
    "grok": "Grok takes nothing from a hook when a session starts, so a rule asks it to run the same command itself; "
    "project hooks need `/hooks-trust`",
}


@dataclass(frozen=True, slots=True)
class Edit:
    """A settings file, how its text gets our hooks, and how it loses them. Both raise ValueError for broken text.

    Where hooks are not `wanted` in it, because they stand in another one, putting them in is taking them out.
    """

    path: Path
    put: Callable[[str], str]
    drop: Callable[[str], str]
    wanted: bool = True


def home_of(agent: Hooked, environment: Mapping[str, str] | None = None) -> Path:
    """The folder in which the agent keeps a user's settings."""
    environment = os.environ if environment is None else environment
    variable, name = _HOMES[agent]
    given = environment.get(variable, "")
    return Path(given).expanduser() if given else Path.home() / name


def folder_of(agent: Hooked, reach: Reach, project: Path) -> Path:
    """The folder of the user's settings, or of those that stand in a repository."""
    return home_of(agent) if reach == "user" else project / _HOMES[agent][1]


def edits(agent: Hooked, reach: Reach, project: Path, home: Path) -> list[Edit]:
    """What has to be edited so that the agent has our hooks; `home` is where the script stands."""
    folder = folder_of(agent, reach, project)

    def hook(event: str, matcher: str | None = None) -> Hook:
        return Hook(event, command(f"{event} {agent}", reach, home), _TIMEOUT_S, matcher)

    starting, ending = hook("SessionStart", _STARTS), (hook("Stop"), hook("SessionEnd"))
    if agent == "claude-code":
        return [_json(folder / "settings.json", (starting, *ending))]
    if agent == "codex":
        # It reads both files, and warns of hooks in both.
        in_list, in_config = _json(folder / "hooks.json", (starting, *ending)), _toml(folder, (starting, *ending))
        listed = in_list.path.exists()
        return [_if(listed, in_list), _if(not listed, in_config)]
    rule = _rule(command(f"notes {agent}", reach, home))
    return [
        _json(folder / "hooks" / "carryover.json", ending),
        Edit(folder / "rules" / "carryover.md", lambda text: _without_rule(text) + rule, _without_rule),
    ]


def command(arguments: str, reach: Reach, home: Path) -> str:
    """What the agent's shell runs. It ends with 0 also where nothing of carryover is there any more."""
    if reach == "project":  # the file is shared: others have their home elsewhere, or no carryover
        run = f'python3 -I -S "${{CARRYOVER_HOME:-$HOME/.carryover}}/hooks/{SCRIPT}"'
    else:
        # The interpreter itself, which is there longer than an environment made with it.
        run = f"{shlex.quote(interpreter())} -I -S {shlex.quote(str(home / 'hooks' / SCRIPT))}"
    return f"{run} {arguments} 2>/dev/null || true"


def interpreter() -> str:
    """The Python that hooks of the user's settings run."""
    return os.path.realpath(sys.executable)


def _if(wanted: bool, edit: Edit) -> Edit:
    return edit if wanted else Edit(edit.path, edit.drop, edit.drop, wanted=False)


def _json(path: Path, hooks: tuple[Hook, ...]) -> Edit:
    return Edit(path, lambda text: json_with(text, hooks), without_hooks)


def _toml(folder: Path, hooks: tuple[Hook, ...]) -> Edit:
    return Edit(folder / "config.toml", lambda text: toml_with(text, hooks), toml_without)


def _rule(notes: str) -> str:
    return (
        f"{_RULE_BEGINS}\n"
        "Before your first step in a repository, run this once; it prints what earlier sessions there left to know,\n"
        f"or nothing:\n\n    {notes}\n{_RULE_ENDS}\n"
    )


def _without_rule(text: str) -> str:
    before, begins, rest = text.partition(f"{_RULE_BEGINS}\n")
    if not begins:
        return text
    _, ends, after = rest.partition(f"{_RULE_ENDS}\n")
    if not ends:
        raise ValueError("the rule of carryover begins and does not end")
    return before + after
