"""What a tool of Codex gave back: its text, whether it went well, and the exit code, from every shape it had."""

from __future__ import annotations

import re
from typing import Any

from carryover.coding.adapters.base import table
from carryover.coding.lines import decoded
from carryover.core.step import StepStatus

# exec_command tells of the process first, and after `Output:` what the process wrote; that may say anything.
_HEADER = re.compile(
    r"\A(?:(?:Chunk ID|Wall time|Exit code|Process |Original token count|Total output lines)[^\n]*\n)+"
)
_BODY = re.compile(r"\s*Output:\n?")
_EXIT = re.compile(r"^(?:Process exited with code|Exit code:) (-?\d+)", re.MULTILINE)
_REJECTED = re.compile(
    r"(?i)\A\W*(?:[\w ]{0,40}(?:rejected|denied|declined) by (?:the )?user|user (?:rejected|denied|declined)"
    r"|this action was rejected|[\w ]{0,40}approval (?:was )?denied)"
)
_CANCELLED = re.compile(r"(?i)\A\W*(?:aborted|cancell?ed|interrupted)(?: by (?:the )?user)?\b")
_FAILED = re.compile(
    r"(?i)\A\W*(?:failed |execution error|exec_command failed|write_stdin failed|unsupported (?:custom tool )?call|"
    r"unknown tool|tool call error|apply_patch verification failed|invalid patch|command timed out|"
    r"error\b|err:|sandbox|unable to |<tool_use_error>|could not |collab .*failed|thread .{0,60}not found)"
)


def outcome_of(output: Any) -> tuple[str, StepStatus, int | None]:
    """The text, the status and the exit code of a call's output."""
    text, success = _text(output)
    exit_code: int | None = None
    wrapped = _wrapped(text)
    if wrapped is not None:
        text, success, exit_code = wrapped
    elif (header := _HEADER.match(text)) is not None:
        if (said := _EXIT.search(header[0])) is not None:
            exit_code = int(said[1])
        rest = text[header.end() :]
        running = "Process running" in header[0]
        body = _BODY.match(rest)
        text = rest[body.end() :] if body else rest
        if running and exit_code is None:
            return text, "unknown", None
    if exit_code is not None:
        return text, "ok" if exit_code == 0 else "error", exit_code
    return text, _status(text, success), None


def _status(text: str, success: bool | None) -> StepStatus:
    head = text[:400]
    if _REJECTED.match(head):
        return "rejected"
    if _CANCELLED.match(head) and len(text) < 400:
        return "cancelled"
    if success is not None:
        return "ok" if success else "error"
    return "error" if _FAILED.match(head) else "ok"


def _text(output: Any) -> tuple[str, bool | None]:
    """The output as text, and whether it says of itself that it went well."""
    if isinstance(output, str):
        return output, None
    if isinstance(output, list):
        return "\n".join(filter(None, (_text(part)[0] for part in output))), None  # pyright: ignore[reportUnknownVariableType]
    said = table(output)
    success = said.get("success")
    known = success if isinstance(success, bool) else None
    for name in ("content", "content_items", "text", "output", "body", "result", "stdout"):
        if said.get(name) not in (None, ""):
            text, inner = _text(said[name])
            if name == "stdout" and isinstance(said.get("stderr"), str):
                text += said["stderr"]
            code = said.get("exitCode", said.get("exit_code"))
            if isinstance(code, int) and known is None:
                known = code == 0
            return text, inner if known is None else known
    return ("[image]" if said.get("image_url") else ""), known


def _wrapped(text: str) -> tuple[str, bool | None, int | None] | None:
    """What stands in an output that is JSON around the real one; None where it is not."""
    if text[:1] != "{" or not any(mark in text[-400:] or mark in text[:400] for mark in _MARKS):
        return None
    try:
        said = table(decoded(text.encode("utf-8", "replace")))
    except ValueError:
        return None
    code = table(said.get("metadata")).get("exit_code")
    failed = said.get("isError", said.get("is_error"))
    if "output" not in said and "content" not in said and failed is None:
        return None
    inner, success = _text(said)
    if isinstance(failed, bool):
        success = not failed
    return inner, success, code if isinstance(code, int) and not isinstance(code, bool) else None


_MARKS = ('"metadata"', '"isError"', '"is_error"', '"exit_code"')
