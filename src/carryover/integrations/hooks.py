"""Hooks in coding agents: installed, taken out again, and how they stand.

Every change is planned first, as the text of each file before and after. What a file was before is kept beside the
database, so that taking the hooks out gives back the same bytes wherever nobody else changed it since.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from carryover.coding.logs import spool
from carryover.core.errors import Conflict, Invalid
from carryover.integrations import carryover_hook
from carryover.integrations.files import make_private, read, remove, replace, text_of
from carryover.integrations.hook_places import HOOKED, REACHES, Edit, Hooked, Reach, edits, folder_of
from carryover.integrations.hook_settings import SCRIPT

FOLDER, CONTEXTS, _KEPT = "hooks", "contexts", "before"
Standing = Literal["installed", "outdated", "absent", "broken"]


@dataclass(frozen=True, slots=True)
class Change:
    """A file, what it holds, what it shall hold, and what it would be without our hooks; None is no file."""

    path: Path
    before: bytes | None
    after: bytes | None
    plain: bytes | None

    @property
    def diff(self) -> str:
        """The change as a unified diff; empty where there is none."""
        old, new = _lines(self.before), _lines(self.after)
        was, now = ("/dev/null" if side is None else str(self.path) for side in (self.before, self.after))
        found = difflib.unified_diff(old, new, was, now)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in found)


@dataclass(frozen=True, slots=True)
class HookStatus:
    """How the hooks of one agent stand in one settings file; `reason` says what is wrong with it."""

    agent: Hooked
    scope: Reach
    path: str
    standing: Standing
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HooksStatus:
    """How all hooks stand; `script` is compared with this release's, `spooled` logs wait, `prepared` counts notes."""

    hooks: tuple[HookStatus, ...]
    script: Literal["current", "outdated", "absent"]
    spooled: int
    prepared: int


def project_of(folder: Path) -> Path:
    """The repository that the folder is part of, else the folder."""
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)


def installing(agent: Hooked, reach: Reach, project: Path, home: Path) -> list[Change]:
    """What installing would change; nothing where the hooks are there. Raises Invalid for what cannot be edited."""
    changes = [_planned(edit, home, put=True) for edit in _edits(agent, reach, project, home)]
    return [change for change in changes if change.before != change.after]


def uninstalling(agent: Hooked, reach: Reach, project: Path, home: Path) -> list[Change]:
    """What taking the hooks out would change. Raises Invalid for a file that cannot be edited."""
    changes = [_planned(edit, home, put=False) for edit in _edits(agent, reach, project, home)]
    return [change for change in changes if change.before != change.after]


def apply(changes: Sequence[Change], home: Path, *, put: bool) -> None:
    """The files are changed, each at once or not at all, and the hook's script stands in `home`.

    Raises Conflict when a file is not what it was when the change was planned, Invalid when it cannot be written.
    """
    if put:
        write_script(home)
    for change in changes:
        if read(change.path) != change.before:
            raise Conflict(f"{change.path} was changed by somebody else meanwhile; run this again")
        if put:
            _keep(change, home)
        if change.after is None:
            remove(change.path)
        else:
            replace(change.path, change.after)
        if not put:
            _forget(change, home)


def write_script(home: Path) -> None:
    """The script that hooks run is the one of this release."""
    path, wanted = home / FOLDER / SCRIPT, _script()
    if read(path) != wanted:
        make_private(path.parent)
        replace(path, wanted)


def standing(project: Path, home: Path) -> HooksStatus:
    """How the hooks of all agents stand, in the user's settings and in the project's."""
    found = [
        _standing(agent, reach, edit, home)
        for agent in HOOKED
        for reach in REACHES
        if reach == "user" or not _is_users(agent, project)
        for edit in edits(agent, reach, project, home)
        if edit.wanted or read(edit.path)
    ]
    script = read(home / FOLDER / SCRIPT)
    return HooksStatus(
        tuple(found),
        "absent" if script is None else "current" if script == _script() else "outdated",
        len(spool.spooled(home)),
        sum(1 for _ in _prepared(home)),
    )


def _edits(agent: Hooked, reach: Reach, project: Path, home: Path) -> list[Edit]:
    if reach == "project" and _is_users(agent, project):
        folder = folder_of(agent, reach, project)
        raise Invalid(f"{folder} holds your own settings, not a repository's; leave `--scope project` out")
    return edits(agent, reach, project, home)


def _is_users(agent: Hooked, project: Path) -> bool:
    """Whether what would be the project's settings are the user's, as in the home folder."""
    return folder_of(agent, "project", project).resolve() == folder_of(agent, "user", project).resolve()


def _prepared(home: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (home / FOLDER / CONTEXTS).glob("*.md")


def _standing(agent: Hooked, reach: Reach, edit: Edit, home: Path) -> HookStatus:
    try:
        before = text_of(read(edit.path), edit.path)
        there = edit.drop(before) != before
        wanted = there and edit.put(before) == before
    except (ValueError, Invalid) as cause:
        return HookStatus(agent, reach, str(edit.path), "broken", str(cause))
    found: Standing = "absent" if not there else "installed" if wanted else "outdated"
    return HookStatus(agent, reach, str(edit.path), found)


def _planned(edit: Edit, home: Path, *, put: bool) -> Change:
    path = edit.path
    before = read(path)
    base = _before(path, before, home)
    try:
        if base is None:
            # It was changed since, or never by us: ours alone is taken out.
            text = text_of(before, path)
            plain = edit.drop(text)
            left = before if plain == text else None if _is_empty(plain) else plain.encode()
        else:
            left = base.before
        made = edit.put(text_of(left, path)) if put else ""
        after = made.encode() if made else left
    except ValueError as cause:
        remedy = "correct it, or move it away" if before else "move it away"
        raise Invalid(f"{path} cannot be edited ({cause}); {remedy}, then run this again", field=str(path)) from cause
    return Change(path, before, after, left)


def _is_empty(text: str) -> bool:
    return text.strip() in ("", "{}")


# What a file was before: a folder of files named after the path's hash.


@dataclass(frozen=True, slots=True)
class _Base:
    before: bytes | None


def _before(path: Path, now: bytes | None, home: Path) -> _Base | None:
    """What the file was before our hooks came in, where it is now what they left it as."""
    kept = _kept(path, home)
    try:
        said = json.loads(kept.with_suffix(".json").read_bytes())
        if said["after"] != _hash(now) or said["path"] != str(path):
            return None
        return _Base(kept.with_suffix(".bytes").read_bytes() if said["existed"] else None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(change: Change, home: Path) -> None:
    """What the file is without our hooks is kept, under the hash of what it becomes."""
    kept = _kept(change.path, home)
    make_private(kept.parent)
    if change.plain is not None:
        replace(kept.with_suffix(".bytes"), change.plain, 0o600)
    said = {"path": str(change.path), "after": _hash(change.after), "existed": change.plain is not None}
    replace(kept.with_suffix(".json"), json.dumps(said).encode(), 0o600)


def _forget(change: Change, home: Path) -> None:
    for suffix in (".json", ".bytes"):
        with suppress(OSError):
            _kept(change.path, home).with_suffix(suffix).unlink()


def _kept(path: Path, home: Path) -> Path:
    return home / FOLDER / _KEPT / hashlib.sha256(str(path).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _hash(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def _script() -> bytes:
    return Path(carryover_hook.__file__).read_bytes()


def _lines(data: bytes | None) -> list[str]:
    return [] if data is None else data.decode("utf-8", "replace").splitlines(keepends=True)
