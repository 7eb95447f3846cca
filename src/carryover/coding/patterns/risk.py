"""Which sessions could have shown a signal: a share is out of those, and of no others.

A session that never edits cannot edit a file unread, and one whose log does not tell errors cannot show any.
"""

from __future__ import annotations

from typing import Literal

from carryover.core.digest import Digest

# What a session must have done, and with what: a tool, a command; ("calls", "") is any call at all. "told" is a log
# that tells of errors, and so of what a user or the harness broke off.
Risk = tuple[
    Literal["calls", "failing", "command", "tests", "red", "prompts", "told", "agents", "context", "always"], str
]

_EDITS, _LOOKS = "edit write", "read search shell"
_CALLS: Risk = ("calls", "")
_OF_KINDS: dict[str, Risk] = {
    "error_streak": ("failing", ""),
    "same_call_failed": ("failing", ""),
    "runaway_loop": ("failing", ""),
    "edit_before_read": ("failing", _EDITS),
    "edit_mismatch": ("failing", _EDITS),
    "wrong_path": ("failing", _LOOKS),
    "reread": ("calls", "read shell"),
    "edit_revert": ("calls", _EDITS),
    "edit_churn": ("calls", _EDITS),
    "untested_edits": ("calls", _EDITS),
    "clean_run": ("calls", _EDITS),
    "rejection": ("failing", ""),
    "interrupt": ("told", ""),
    "steering": ("prompts", "1"),
    "rewind": ("prompts", "1"),
    "correction": ("prompts", "2"),
    "approval": ("prompts", "2"),
    "repeated_prompt": ("prompts", "2"),
    "ended_red": ("tests", ""),
    "test_fixed": ("red", ""),
    "shipped": ("calls", "shell mcp"),
    "subagent_failed": ("agents", ""),
    "compaction": ("told", ""),
    "mid_task_compaction": ("told", ""),
    "context_pressure": ("context", ""),
    "api_trouble": ("always", ""),
    "left_open": ("always", ""),
}


def of(kind: str, key: str) -> Risk:
    """What a session must have done to show a signal of this kind with this key."""
    if key.startswith("tests: "):
        return "tests", ""
    if kind == "error":
        tool, _, head = key.partition(":")[0].partition(" ")
        return ("command", head) if tool == "shell" and head else ("failing", tool)
    return _OF_KINDS.get(kind, _CALLS)


def holds(risk: Risk, one: Digest) -> bool:
    """Whether the session could have shown it."""
    what, which = risk
    if what in ("calls", "failing"):
        names = which.split() or one.tools.keys()
        used = [one.tools[name] for name in names if name in one.tools and one.tools[name].calls]
        return any(what == "calls" or use.errors is not None for use in used)
    if what == "command":
        return which in one.commands and holds(("failing", "shell"), one)
    if what == "prompts":
        return one.prompts >= int(which)
    return {
        "tests": one.tests.runs > 0,
        "red": bool(one.tests.failed),
        "told": one.interrupts is not None,
        "agents": bool(one.subagents),
        "context": one.peak_tokens is not None,
        "always": one.steps > 0,
    }[what]
