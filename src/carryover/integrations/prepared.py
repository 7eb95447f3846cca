"""Notes for sessions that have not begun yet: a file per agent and place, which a hook only has to print.

They are made anew after a sweep. A hook finds them by the folder that it runs in, by the main checkout of a worktree,
or by the repository's remote; so one context is written under each of these names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carryover.coding.repos import folder_name
from carryover.core.context import Wanted
from carryover.core.digest import Digest
from carryover.core.errors import Invalid
from carryover.core.scope import Scope
from carryover.integrations import hooks
from carryover.integrations.carryover_hook import key
from carryover.integrations.files import make_private, replace
from carryover.integrations.hook_places import HOOKED
from carryover.recall import context as contexts
from carryover.store import digests
from carryover.store.store import Store

NEXT = "hook:next"  # the session that is about to begin
MOST_TOKENS = 500
_LATEST = 500  # sessions; of repositories that none of them worked in no notes are kept
_MOST_NAMES = 64


@dataclass(slots=True)
class _Place:
    """A repository: the names that its digests have for it, and the folders in which it was worked on."""

    repos: set[str] = field(default_factory=set[str])
    folders: set[str] = field(default_factory=set[str])

    @property
    def names(self) -> list[str]:
        return sorted(self.repos | self.folders)[:_MOST_NAMES]


def prepare(
    store: Store,
    scope: Scope,
    home: Path,
    *,
    user: str | None = None,
    repos: Iterable[str] | None = None,
    max_tokens: int = MOST_TOKENS,
) -> int:
    """The notes for the repositories last worked in say what is known now; those of others are gone.

    With `repos` only theirs are made anew. Answers how many files changed. Raises Invalid where `home` cannot be
    written.
    """
    with store.read(scope) as tx:
        places = _places(digests.listed(tx, limit=_LATEST))
    only = None if repos is None else set(repos)
    chosen = [place for place in places if only is None or place.repos & only]
    wanted: dict[str, bytes] = {}
    for place in chosen:
        for agent in HOOKED:
            asked = Wanted(NEXT, agent, user, max_tokens=max_tokens, repos=tuple(sorted(place.repos)))
            told = contexts.context(store, scope, asked).markdown.encode()
            wanted |= {f"{key(agent, name)}.md": told for name in place.names}
    return _write(home / hooks.FOLDER / hooks.CONTEXTS, wanted, everything=only is None)


def clear(home: Path) -> None:
    """No notes are left, as after something was erased: the next `prepare` makes those that may be."""
    _write(home / hooks.FOLDER / hooks.CONTEXTS, {}, everything=True)


def _places(found: Sequence[Digest]) -> list[_Place]:
    """The repositories of these digests. Those that share a folder are one: not every agent knows the remote."""
    places: dict[str, _Place] = {}
    for digest in found:
        if not digest.repo:
            continue
        names = [f"repo {digest.repo}", *([f"folder {folder_name(digest.cwd)}"] if digest.cwd else [])]
        place = _Place({digest.repo}, {folder_name(digest.cwd)} if digest.cwd else set())
        for other in {id(places[name]): places[name] for name in names if name in places}.values():
            place.repos |= other.repos
            place.folders |= other.folders
        for name in (*(f"repo {repo}" for repo in place.repos), *(f"folder {folder}" for folder in place.folders)):
            places[name] = place
    return list({id(place): place for place in places.values()}.values())


def _write(folder: Path, wanted: dict[str, bytes], *, everything: bool) -> int:
    """The folder holds these files, none that would be empty, and with `everything` no others."""
    changed = 0
    if wanted:
        make_private(folder)
    try:
        there = {file.name: file for file in folder.glob("*.md")} if folder.is_dir() else {}
        for name, text in wanted.items():
            old = there.pop(name, None)
            if text and (old is None or old.read_bytes() != text):
                replace(folder / name, text)
                changed += 1
            elif old is not None and not text:
                old.unlink(missing_ok=True)
                changed += 1
        for old in there.values() if everything else ():
            old.unlink(missing_ok=True)
            changed += 1
    except OSError as cause:
        raise Invalid(f"notes for hooks cannot be written to {folder} ({cause.strerror}); make it writable") from cause
    return changed
