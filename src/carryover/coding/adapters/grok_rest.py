"""What else lies in a session's folder of Grok Build: it is kept with the session, and nothing of it is a step."""

from __future__ import annotations

from pathlib import Path

from carryover.coding.adapters import grok
from carryover.coding.adapters.base import Form, Reading
from carryover.core.step import Flavor, Supply

flavor: Flavor = grok.flavor
supplies: frozenset[Supply] = grok.supplies
places: tuple[str, ...] = grok.places
form: Form = "document"
files: tuple[str, ...] = ("*.json", "rewind_points.jsonl", "feedback.jsonl")

_FOLDERS = ("compaction", "compaction_checkpoints", "subagents")
_NAMES = (
    "announcement_state.json",
    "feedback.jsonl",
    "plan.json",
    "plan_mode_state.json",
    "prompt_context.json",
    "rewind_points.jsonl",
    "tool_state.json",
)
_SESSION = ("updates.jsonl", "chat_history.jsonl", "summary.json")


def claims(head: bytes, path: Path) -> bool:
    """A file that a session's folder is known to have, by its name and by what lies around it."""
    return _folder(path) is not None


def read(reading: Reading, line: bytes) -> None:
    """The file is counted as its session's."""
    folder = _folder(reading.path)
    if folder is None:
        raise ValueError("no file of a session")
    inside = reading.path.parent != folder
    whose = Reading(folder / _SESSION[2])
    reading.of(grok.session_of(whose))
    reading.saw(None, reading.path.parent.name if inside else reading.path.stem)


def finish(reading: Reading) -> None:
    """It is read as a whole."""


def _folder(path: Path) -> Path | None:
    """The folder of the session that the file belongs to."""
    for folder in list(path.parents)[:3]:
        below = path.relative_to(folder).parts
        known = below[0] in _FOLDERS if len(below) > 1 else path.name in _NAMES
        if known and any((folder / name).exists() for name in _SESSION):
            return folder
    return None
