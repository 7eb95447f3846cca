"""xAI's Grok Build: a folder for each session, whose files are read one by one and belong together.

Reading order: here (which session a folder is), `grok_updates` (what happened, only appended to), `grok_events` (how
calls and turns ended), `grok_chat` (what the model sees, rewritten; read where no updates lie beside it),
`grok_summary` (what is known of the session), `grok_signals` (what its maker counted), `grok_rest` (kept, not read).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carryover.coding.adapters.base import Reading, first_text, table
from carryover.coding.adapters.codex_record import UNIQUE
from carryover.coding.lines import decoded
from carryover.core.step import Flavor, StepStatus, Supply

flavor: Flavor = "grok"
supplies: frozenset[Supply] = frozenset({"times", "errors", "tokens", "cost", "tree", "models", "branches"})
places: tuple[str, ...] = ("$GROK_HOME/sessions", "~/.grok/sessions")

_SUMMARY = "summary.json"
_LARGEST = 4 << 20  # bytes of a summary


def session_of(reading: Reading, said: str = "") -> str:
    """The session whose folder the file is in: its summary says, else the folder's name, else the file itself."""
    state = reading.state
    if "session" not in state:
        folder = reading.path.parent
        known = summary_of(folder)
        name = folder.name if UNIQUE.fullmatch(folder.name) else ""
        state["session"] = first_text(table(known.get("info")).get("id"), name, said, folder.name) or "session"
        state["parent"] = first_text(known.get("parent_session_id"))
        state["inherited"] = known.get("inherited_prefix_len") if state["parent"] else None
        state["spawned"] = first_text(known.get("session_kind")).startswith("subagent")
    return state["session"]


def summary_of(folder: Path, name: str = _SUMMARY) -> Mapping[str, Any]:
    """What the folder's summary says, or another small file of it; nothing where there is none that can be read."""
    path = folder / name
    try:
        return table(decoded(path.read_bytes())) if path.stat().st_size <= _LARGEST else {}
    except (OSError, ValueError):
        return {}


def beside(path: Path, name: str) -> bool:
    """Whether the folder has that file as well, and something in it."""
    try:
        return (path.parent / name).stat().st_size > 0
    except OSError:
        return False


# What events say of how a call ended; a `followup` is a person's answer instead of a permission.
OUTCOMES: Mapping[str, StepStatus] = {
    "success": "ok",
    "error": "error",
    "invalid_tool": "error",
    "permission_rejected": "rejected",
    "hook_denied": "rejected",
    "followup": "rejected",
    "permission_cancelled": "cancelled",
    "permission_timed_out": "cancelled",
    "cancelled": "cancelled",
}
