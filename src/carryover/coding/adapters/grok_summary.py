"""Grok Build's `summary.json`: where and when a session was, what it was called, and whose child it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from carryover.coding.adapters import grok
from carryover.coding.adapters.base import Form, Reading, first_text, session_id, table
from carryover.coding.adapters.messages import moment, remember
from carryover.coding.lines import bare, decoded
from carryover.core.step import Flavor, Supply

flavor: Flavor = grok.flavor
supplies: frozenset[Supply] = grok.supplies
places: tuple[str, ...] = grok.places
form: Form = "document"
files: tuple[str, ...] = ("summary.json",)


def claims(head: bytes, path: Path) -> bool:
    """An object that names its session in `info`."""
    try:
        return _is_summary(table(decoded(bare(head))))
    except ValueError:
        return path.name == files[0] and b'"info"' in head and b'"chat_format_version"' in head


def read(reading: Reading, line: bytes) -> None:
    """What is known of the session is known."""
    said = table(decoded(line))
    info = table(said.get("info"))
    session = first_text(info.get("id")) or grok.session_of(reading)
    about = reading.of(session).about
    about.cwd = first_text(info.get("cwd"), said.get("git_root_dir")) or None
    about.branch = first_text(said.get("head_branch")) or None
    remotes = said.get("git_remotes")
    about.remote = first_text(*remotes) or None if isinstance(remotes, list) else first_text(remotes) or None  # pyright: ignore[reportUnknownArgumentType]
    about.title = first_text(said.get("generated_title"), said.get("session_summary")) or None
    parent = first_text(said.get("parent_session_id"))
    about.parent = session_id(parent) if parent else None
    about.kind = _kind(said, reading.path.parent)
    about.entry = first_text(said.get("agent_name")) or None
    remember(about.models, said.get("current_model_id"))
    for name in ("created_at", "last_active_at"):
        about.saw(moment(said.get(name)))
    reading.saw(str(said.get("chat_format_version", "")), "summary", known=_is_summary(said))


def finish(reading: Reading) -> None:
    """It is read as a whole."""


def _is_summary(said: Mapping[str, Any]) -> bool:
    info = table(said.get("info"))
    return "id" in info and ("cwd" in info or "created_at" in said)


def _kind(said: Mapping[str, Any], folder: Path) -> Literal["main", "subagent", "fork", "headless"]:
    kind = first_text(said.get("session_kind"))
    if kind.startswith("subagent"):
        return "subagent"
    if kind in ("fork", "worktree") or said.get("forked_at") or said.get("parent_session_id"):
        return "fork"
    alone = grok.summary_of(folder, "prompt_context.json").get("is_non_interactive")
    return "headless" if alone is True else "main"
