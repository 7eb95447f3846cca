"""What the demo logs: a conversation that comes with carryover, and real coding sessions where there are some."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from carryover.cli import drafts
from carryover.core.clock import parse_time
from carryover.core.errors import Invalid
from carryover.core.session import Draft, Kind, Role

AGENT, USER, NEXT = "assistant", "mara", "tidewater-6"
CODING_AGENT = "claude-code"
QUESTIONS = (
    "Which database do we use?",
    "What did the insurer say about wind?",
    "When is the soft opening?",
)

_CODING_SIZE = 200_000  # bytes: of the logs that there are, those nearest to this make a lively demo
_CODING_SESSIONS = 2


@dataclass(frozen=True, slots=True)
class Conversation:
    """One session to log."""

    session_id: str
    agent_id: str
    user_id: str | None
    drafts: tuple[Draft, ...]


def conversations() -> list[Conversation]:
    """Five sessions of Mara, who has a booking service built for her kayaks; written for this demo."""
    found = sorted((files(__package__ or "") / "data" / "demo").iterdir(), key=lambda file: file.name)
    return [
        Conversation(
            file.name.removesuffix(".jsonl"),
            AGENT,
            USER,
            tuple(drafts.parse(line, file.name).draft for line in file.read_bytes().splitlines()),
        )
        for file in found
        if file.name.endswith(".jsonl")
    ]


def corpus() -> Path | None:
    """The folder with coding sessions: `corpus` in $CARRYOVER_SHARED, or in a folder `shared` beside the checkout."""
    named = os.environ.get("CARRYOVER_SHARED")
    folder = (Path(named) if named else Path(__file__).resolve().parents[4] / "shared") / "corpus" / "claude"
    return folder if folder.is_dir() else None


def coding_sessions(folder: Path) -> list[Conversation]:
    """Two real Claude Code sessions of medium length, from two folders: what was said, called and answered."""
    logs = sorted(folder.rglob("*.jsonl"), key=lambda log: (abs(log.stat().st_size - _CODING_SIZE), log.name))
    chosen: dict[Path, Conversation] = {}
    for log in logs:
        if log.parent in chosen or len(chosen) == _CODING_SESSIONS:
            continue
        said = tuple(_entries(log))
        if said:
            chosen[log.parent] = Conversation(log.stem, CODING_AGENT, None, said)
    return list(chosen.values())


def _entries(log: Path) -> Iterator[Draft]:
    """The turns of a Claude Code log; lines that are none, or cannot be read, are passed over."""
    for line in log.read_bytes().split(b"\n"):
        try:
            entry: Any = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict):
            continue
        entry = cast("dict[str, Any]", entry)
        message = entry.get("message")
        if entry.get("type") in ("user", "assistant") and isinstance(message, dict) and not entry.get("isSidechain"):
            yield from _turns(entry, cast("dict[str, Any]", message).get("content"))


def _turns(entry: dict[str, Any], content: Any) -> Iterator[Draft]:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    try:
        said = parse_time(entry["timestamp"], "timestamp")
    except (Invalid, KeyError, TypeError):
        said = None
    for part in cast("list[Any]", parts if isinstance(parts, list) else []):
        turn = _turn(entry["type"], cast("dict[str, Any]", part)) if isinstance(part, dict) else None
        if turn is not None:
            role, kind, text, name, call = turn
            yield Draft(role, text, kind, name, call, said)


def _turn(role: Role, part: dict[str, Any]) -> tuple[Role, Kind, Any, str | None, str | None] | None:
    """Role, kind, content, name and call of one part; None for parts that nobody said."""
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str) and part["text"].strip():
        return role, "message", part["text"], None, None
    if kind == "tool_use":
        return "assistant", "tool_call", [part], part.get("name"), part.get("id")
    if kind == "tool_result" and part.get("content"):
        return "tool", "tool_result", part["content"], None, part.get("tool_use_id")
    return None
