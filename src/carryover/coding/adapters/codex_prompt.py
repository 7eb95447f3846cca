"""What stands under the user's name in a Codex rollout: what a person typed, and what was put before the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from carryover.coding.adapters.base import first_text, table
from carryover.coding.adapters.codex_record import Record
from carryover.core.step import excerpt

# A part that is nothing but one element was put there by the harness, whatever the element is called.
_ELEMENT = re.compile(r"\A\s*<([a-zA-Z][\w-]*)(?: [^>]*)?>.*</\1>\s*\Z", re.DOTALL)
_INJECTED = (
    "# AGENTS.md instructions",
    "<user_instructions>",
    "<environment_context>",
    "Warning: The maximum number of unified exec processes",
    "Warning: apply_patch was requested via",
)
_IMAGE = re.compile(r"\A\s*</?(?:local_)?image\b[^>]*>\s*\Z")
_ABORTED = re.compile(r"\A\s*<turn_aborted>")
_SHELL = re.compile(
    r"\A\s*<user_shell_command>\s*<command>\s*(.*?)\s*</command>\s*(.*?)\s*</user_shell_command>", re.DOTALL
)
_EXIT = re.compile(r"Exit code: (-?\d+)")
_CWD = re.compile(r"<cwd>\s*([^<]+?)\s*</cwd>|^Current working directory: (.+?)\s*$", re.MULTILINE)
# An editor puts what is open in it before what was typed.
_EDITOR, _REQUEST = "# Context from my IDE setup:", "## My request for Codex:"
IMAGE = "[image]"
_INSTRUCTIONS = ("# AGENTS.md instructions", "<user_instructions>", "<skill", "<skills_instructions>")


def user_said(record: Record, parts: Iterable[str], source: str) -> None:
    """The parts of a user's message: what a person typed is one prompt, the rest is notes."""
    typed: list[str] = []
    for part in parts:
        if _IMAGE.match(part):
            continue
        if (command := _SHELL.match(part)) is not None:
            _shell_command(record, command)
        elif source == "item" and (part.startswith(_INJECTED) or _ELEMENT.match(part)):
            _injected(record, part)
        elif part.strip():
            typed.append(part)
    if typed:
        prompt(record, "\n".join(typed), source)


def prompt(record: Record, text: str, source: str) -> None:
    """What was typed is one prompt, whichever of its records came first."""
    detail: dict[str, Any] = {}
    if text.startswith(_EDITOR) and _REQUEST in text:
        context, _, text = text.partition(_REQUEST)
        detail["editor"] = excerpt(context.removeprefix(_EDITOR).strip())
    text = text.strip()
    if text and not record.told("prompt", source, text):
        record.forget("interrupt", "compaction")
        told: int | None = record.state.get("prompts")  # in the turn that goes on, if one does
        if told:
            detail["via"] = "queued"
        record.state["prompts"] = None if told is None else told + 1
        record.add("prompt", text, detail=detail or None)


def interrupted(record: Record, source: str, reason: str) -> None:
    """The turn was broken off: once, though the harness tells the model as well."""
    if not record.told("interrupt", source):
        record.add("interrupt", reason or "interrupted")


def note(record: Record, text: str, via: str, **detail: Any) -> None:
    """The harness put this before the model, or says it of itself; `via` is its sort."""
    if text.strip() or detail:
        known = {name: value for name, value in detail.items() if value not in (None, "")}
        record.add("note", text.strip(), detail={"via": via, **known})


def text_of(content: Any) -> list[str]:
    """The texts of a message's content, whatever its shape; images are told of where there is nothing else."""
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    found: list[str] = []
    for part in content:  # pyright: ignore[reportUnknownVariableType]
        said: Mapping[str, Any] = table(part)
        text = said.get("text", said.get("refusal")) if said else part  # pyright: ignore[reportUnknownVariableType]
        if isinstance(text, str):
            found.append(text)
    images = any("image" in first_text(table(part).get("type")) for part in content)  # pyright: ignore[reportUnknownVariableType]
    return [IMAGE] if images and not any(map(str.strip, found)) else found


def _injected(record: Record, part: str) -> None:
    if _ABORTED.match(part):
        interrupted(record, "item", "interrupted")
        return
    if part.lstrip().startswith("<environment_context>") and (cwd := _CWD.search(part)) is not None:
        record.part.about.cwd = record.part.about.cwd or cwd[1] or cwd[2]
    note(record, part, "instructions" if part.startswith(_INSTRUCTIONS) else "context")


def _shell_command(record: Record, command: re.Match[str]) -> None:
    said = _EXIT.search(command[2])
    code = int(said[1]) if said else None
    record.forget("interrupt")
    record.add(
        "prompt",
        f"! {command[1]}",
        exit_code=code,
        status=None if code is None else "ok" if code == 0 else "error",
        detail={"via": "shell", "output": excerpt(command[2])},
    )
