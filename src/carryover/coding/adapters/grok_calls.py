"""The calls of Grok Build's updates: they come first, get their arguments, and at last their result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carryover.coding.adapters.base import first_text, table
from carryover.coding.adapters.grok_update import Update
from carryover.coding.adapters.messages import REFUSED, arguments, call, plain, result
from carryover.coding.tools import canonical
from carryover.core.step import StepStatus

_MOST = 256  # calls that are remembered, until their result comes and after it
_FINAL = ("completed", "failed", "cancelled")


def called(update: Update) -> None:
    """A call, or more of one: it is a step when its arguments are known, and again when it has come to an end."""
    said = update.said
    call_id = first_text(said.get("toolCallId")) or update.identity
    calls: dict[str, dict[str, Any]] = update.state.setdefault("calls", {})
    known = calls.setdefault(call_id, {"name": "", "told": False, "done": False})
    while len(calls) > _MOST:
        del calls[next(iter(calls))]
    known["name"] = known["name"] or _name(said)
    status = said.get("status")
    if not known["told"] and (said.get("rawInput") is not None or status in _FINAL):
        known["told"] = True
        _call(update, call_id, known, arguments(said.get("rawInput")))
    if status in _FINAL and not known["done"]:
        known["done"] = True
        _result(update, call_id, known, str(status))


def task_completed(update: Update) -> None:
    """A command that was left running has ended."""
    task = table(update.said.get("task_snapshot"))
    text = plain(task.get("output"))
    code = _code(task)
    status: StepStatus = "unknown" if code is None else "ok" if code == 0 else "error"
    call_id = first_text(task.get("tool_call_id"), task.get("task_id")) or None
    detail = {"command": first_text(task.get("command"))}
    update.add("outcome", text, call_id=call_id, tool="shell", status=status, exit_code=code, detail=detail)


def _call(update: Update, call_id: str, known: dict[str, Any], input: Mapping[str, Any]) -> None:
    input = {name: value for name, value in input.items() if name != "variant"}
    inner = first_text(input.get("tool_name"))
    if known["name"] == "use_tool" and inner:
        known["name"], input = f"mcp__{inner}", arguments(input.get("tool_input"))
    model = update.state.get("model")
    identity = ["grok", _scope(update)]
    update.put(call(update.reading, identity, call_id, known["name"], input, update.at, model=model))


def _result(update: Update, call_id: str, known: Mapping[str, Any], status: str) -> None:
    raw = update.said.get("rawOutput")
    output = table(raw)
    code = _code(output)
    text = plain([table(part).get("content", part) for part in _parts(update.said.get("content"))])
    text = text or first_text(output.get("error"), output.get("output_for_prompt"), raw) or _bytes(output.get("output"))
    ended: StepStatus = "ok"
    if status == "cancelled":
        ended = "cancelled"
    elif REFUSED.search(text[:300]) and status == "failed":
        ended = "rejected"
    elif status == "failed" or code or output.get("timed_out") or output.get("signal") or output.get("error"):
        ended = "error"
    identity = ["grok", _scope(update)]
    update.put(result(update.reading, identity, call_id, known["name"], text, ended, update.at, exit_code=code))


def _scope(update: Update) -> str:
    """Within what a call's id is one of a kind: its prompt, which every copy names as well."""
    return first_text(update.meta.get("promptId")) or update.identity


def _name(said: Mapping[str, Any]) -> str:
    """What the tool is called; where the producer does not say it, its kind says more than its title for people."""
    named = first_text(table(table(said.get("_meta")).get("x.ai/tool")).get("name"))
    title, kind = first_text(said.get("title")), first_text(said.get("kind"))
    return named or (title if canonical(title) != "other" else kind or title) or "unknown"


def _code(output: Mapping[str, Any]) -> int | None:
    code = output.get("exit_code", output.get("exitCode"))
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [] if content is None else [content]  # pyright: ignore[reportUnknownVariableType]


def _bytes(output: Any) -> str:
    """The output of a command: its text, or the list of its bytes."""
    if isinstance(output, list):
        try:
            return bytes(output).decode("utf-8", "replace")  # pyright: ignore[reportUnknownArgumentType]
        except (TypeError, ValueError):
            return ""
    return output if isinstance(output, str) else ""
