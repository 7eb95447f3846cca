"""The hooks of carryover in an agent's settings: put into its text and taken out again, all else left as it is."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import Any

from carryover.integrations import json_text
from carryover.integrations.json_text import Node

SCRIPT = "carryover_hook.py"  # what makes a hook one of ours: it runs this
BEGIN = "# carryover hooks: begin. `carryover hooks uninstall` removes all lines until the end."
END = "# carryover hooks: end."
_BEGINS, _ENDS = "# carryover hooks: begin", "# carryover hooks: end"


@dataclass(frozen=True, slots=True)
class Hook:
    """A command for an event; where the event has a matcher, only for what it matches."""

    event: str
    command: str
    timeout_s: int
    matcher: str | None = None

    @property
    def group(self) -> dict[str, Any]:
        """The hook as all three agents write it down."""
        handler = {"type": "command", "command": self.command, "timeout": self.timeout_s}
        return {"hooks": [handler]} if self.matcher is None else {"matcher": self.matcher, "hooks": [handler]}


def json_with(text: str, hooks: tuple[Hook, ...]) -> str:
    """The JSON text with these hooks. Raises ValueError for what is no settings file."""
    text = without_hooks(text)
    if not text.strip():
        text = "{}\n"
    for hook in hooks:
        root = _root(text)
        all_hooks = root.child("hooks")
        event = None if all_hooks is None else all_hooks.child(hook.event)
        if all_hooks is None:
            text = json_text.added(text, root, {hook.event: [hook.group]}, "hooks")
        elif event is None:
            text = json_text.added(text, all_hooks, [hook.group], hook.event)
        else:
            text = json_text.added(text, event, hook.group)
    return text


def without_hooks(text: str) -> str:
    """The JSON text without our hooks, and without what held nothing else."""
    if not text.strip():
        return text
    while (found := _ours(_root(text))) is not None:
        text = json_text.cut(text, *found)
    return text


def toml_with(text: str, hooks: tuple[Hook, ...]) -> str:
    """The TOML text with a block of ours at its end. Raises ValueError for what is no TOML, or has no place for it."""
    text = toml_without(text)
    before = _toml(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = [BEGIN]
    for hook in hooks:
        lines.append(f"[[hooks.{hook.event}]]")
        lines += [] if hook.matcher is None else [f"matcher = {json.dumps(hook.matcher)}"]
        lines.append(f"[[hooks.{hook.event}.hooks]]")
        lines += ['type = "command"', f"command = {json.dumps(hook.command)}", f"timeout = {hook.timeout_s}"]
    lines.append(END)
    gap = "" if not text else newline if text.endswith("\n") else 2 * newline
    made = text + gap + newline.join(lines) + newline
    try:
        after = _toml(made)
    except tomllib.TOMLDecodeError as cause:
        raise ValueError("its hooks are written as inline tables, behind which no more can be put") from cause
    if {name: after[name] for name in before if name != "hooks"} != {n: before[n] for n in before if n != "hooks"}:
        raise ValueError("its last table would swallow the hooks")
    return made


def toml_without(text: str) -> str:
    """The TOML text without our block. Raises ValueError for a block without an end, and for what is no TOML."""
    lines = text.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if line.startswith(_BEGINS)), None)
    if first is not None:
        last = next((n for n in range(first, len(lines)) if lines[n].startswith(_ENDS)), None)
        if last is None:
            raise ValueError(f"line {first + 1} begins the hooks of carryover and no line ends them")
        # The blank line in front is ours as well.
        gap = 1 if first and not lines[first - 1].strip() else 0
        lines[first - gap : last + 1] = []
    text = "".join(lines)
    _toml(text)
    return text


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as cause:
        raise ValueError("it is nested too deeply") from cause


def _root(text: str) -> Node:
    root = json_text.parsed(text)
    if not isinstance(root.data, dict):
        raise ValueError("it holds no object")
    hooks = root.child("hooks")
    if hooks is not None and not isinstance(hooks.data, dict):
        raise ValueError('its "hooks" are no object')
    for event in hooks.children if hooks else ():
        if not isinstance(event.data, list):
            raise ValueError(f'its "hooks" for {event.name} are no list')
    return root


def _ours(root: Node) -> tuple[Node, int] | None:
    """Something to cut, as its container and its place there: a hook of ours, or the most that holds nothing else."""
    hooks = root.child("hooks")
    for event in hooks.children if hooks else ():
        for group in event.children:
            handlers = group.child("hooks")
            for at, handler in enumerate(handlers.children if handlers else ()):
                if handlers is not None and hooks is not None and _is_ours(handler):
                    path = [(root, hooks), (hooks, event), (event, group)]
                    return _widest(path, handlers, at)
    return None


def _widest(path: list[tuple[Node, Node]], handlers: Node, at: int) -> tuple[Node, int]:
    """The container and place of the handler, or of what is left empty with it."""
    found, alone = (handlers, at), len(handlers.children) == 1
    for container, child in reversed(path):
        if not alone:
            break
        found = container, next(n for n, one in enumerate(container.children) if one is child)
        alone = len(container.children) == 1
    return found


def _is_ours(handler: Node) -> bool:
    command = handler.child("command")
    return command is not None and SCRIPT in str(command.data)
