"""All adapters, and which of them a file is for."""

from __future__ import annotations

from pathlib import Path

from carryover.coding.adapters import (
    claude,
    codex,
    copilot,
    cursor,
    cursor_store,
    gemini,
    gemini_log,
    grok_chat,
    grok_events,
    grok_rest,
    grok_signals,
    grok_summary,
    grok_updates,
    jsonl,
    opencode,
    opencode_files,
)
from carryover.coding.adapters.base import Adapter

# An adapter is a module: what the protocol names stands at its top level. In the order in which they are asked whose
# a file is: the most specific first, what takes any line with a role and a content last.
# Several of one flavor read the different files that it keeps of a session.
ADAPTERS: tuple[Adapter, ...] = (
    codex,
    grok_updates,
    grok_events,
    grok_chat,
    grok_summary,
    grok_signals,
    claude,
    grok_rest,
    gemini_log,
    gemini,
    copilot,
    opencode,
    opencode_files,
    cursor_store,
    cursor,
    jsonl,
)


def adapter_for(head: bytes, path: Path) -> Adapter | None:
    """The adapter of the file at `path` that begins with `head` (at most 64 KiB): content decides, not its name."""
    return next((adapter for adapter in ADAPTERS if adapter.claims(head, path)), None)
