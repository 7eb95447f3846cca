"""The response items of a Codex rollout: what goes to the model and what comes from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from carryover.coding.adapters.base import first_text, table
from carryover.coding.adapters.codex_output import outcome_of
from carryover.coding.adapters.codex_patch import edits_of, patch_in
from carryover.coding.adapters.codex_prompt import note, text_of, user_said
from carryover.coding.adapters.codex_record import Record
from carryover.coding.adapters.messages import arguments
from carryover.coding.tools import call_text, canonical
from carryover.core.step import StepStatus, Tool, shortened

Item = Mapping[str, Any]


def read_item(record: Record, item: Item) -> bool:
    """The item became steps; False for one of a type that is not known."""
    read = _READ.get(_type(item))
    if read is not None:
        read(record, item)
    return read is not None


def thought(record: Record, source: str, text: str) -> None:
    """One thought, once: the screen was told of it as well."""
    if text.strip() and not record.told("thinking", source, text):
        record.add("thinking", text.strip())


def said(record: Record, source: str, text: str) -> None:
    """What the agent said, once."""
    if text.strip() and not record.told("text", source, text):
        record.add("text", text.strip())


def compacted(record: Record, source: str, text: str = "", **detail: Any) -> None:
    """The context was compacted: one step, though up to three records say so."""
    if not record.told("compaction", source):
        record.add("compaction", text or "context compacted", detail=detail or None)


def searched(record: Record, source: str, item: Item) -> None:
    """A search that the model's provider made: the call and its result in one, told twice."""
    action = table(item.get("action"))
    about = first_text(item.get("query"), action.get("query"), action.get("url"), action.get("pattern"))
    if not record.told("call", source, f"web {about}"):
        given = {name: value for name, value in action.items() if value not in (None, "", [])} or {"query": about}
        _done(record, "web_search", "web", item, given)


def _type(item: Item) -> str:
    return first_text(item.get("type")) or ("message" if "role" in item else "")


def _message(record: Record, item: Item) -> None:
    role, content = item.get("role"), item.get("content", item.get("message"))
    if role == "user":
        user_said(record, text_of(content), "item")
        return
    if role != "assistant":
        note(record, "\n".join(text_of(content)), "context", role=role)
        return
    spoken: list[str] = []
    for part in content if isinstance(content, list) else [content]:  # pyright: ignore[reportUnknownVariableType]
        if table(part).get("type") == "reasoning":
            thought(record, "item", first_text(table(part).get("text")))
        else:
            spoken += text_of([part])
    said(record, "item", "\n".join(spoken))


def _reasoning(record: Record, item: Item) -> None:
    for text in text_of(item.get("summary")) or text_of(item.get("content")):
        thought(record, "item", text)


def _call(record: Record, item: Item) -> None:
    name = first_text(item.get("name"), table(item.get("function")).get("name")) or "unknown"
    space = first_text(item.get("namespace"))
    if space.startswith("mcp"):
        name = f"{space.rstrip('_')}__{name}"
    given = item.get("arguments", item.get("input", table(item.get("function")).get("arguments")))
    input = arguments(given)
    tool = canonical(name)
    patch = _patch(input)
    if patch and (edits := edits_of(patch)):
        tool, input = "edit", edits
    called(record, item, name, tool, input)


def called(record: Record, item: Item, name: str, tool: Tool, input: Item) -> str:
    """A call; its id, made up where the record has none."""
    whole = json.dumps(input, ensure_ascii=False, default=str)
    call_id = first_text(item.get("call_id"), item.get("id")) or record.identity("call id", name, whole)[:16]
    input = shortened(input)
    text, size = call_text(name, tool, input), len(whole.encode("utf-8", "replace"))
    record.calls(call_id, name, tool)
    record.add("call", text, call_id=call_id, tool=tool, name=name, input=input or None, size=size)
    return call_id


def _patch(input: Item) -> str | None:
    """The patch that a call makes, whether it is its input or a part of its command."""
    for name in ("input", "patch", "command", "cmd", "script"):
        value = input.get(name)
        words: list[Any] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
        for word in words:
            if isinstance(word, str) and (patch := patch_in(word)) is not None:
                return patch
    return None


def _output(record: Record, item: Item) -> None:
    name = first_text(item.get("name"))
    call_id = first_text(item.get("call_id"), item.get("tool_call_id")) or record.waiting(name)
    called, tool = record.answered(call_id) if call_id else (None, None)
    call_id = call_id or record.identity("call id", name)[:16]
    text, status, code = outcome_of(item.get("output", item.get("result", item.get("content"))))
    if item.get("status") in ("failed", "incomplete") and status == "ok":
        status = "error"
    record.add(
        "result",
        text,
        call_id=call_id,
        tool=tool or (canonical(name) if name else None),
        name=called or name or None,
        status=status,
        exit_code=code,
    )


def _found_tools(record: Record, item: Item) -> None:
    tools: list[Any] = item.get("tools") if isinstance(item.get("tools"), list) else []  # pyright: ignore[reportAssignmentType]
    names = ", ".join(filter(None, (first_text(table(tool).get("name")) for tool in tools)))
    _output(record, {**item, "output": names})


def _local_shell(record: Record, item: Item) -> None:
    action = table(item.get("action"))
    called(record, item, "local_shell", "shell", {name: value for name, value in action.items() if value is not None})


def _image(record: Record, item: Item) -> None:
    prompt = first_text(item.get("revised_prompt"))
    if not record.told("call", "item", f"image {prompt}"):
        _done(record, "image_generation", "other", item, {"prompt": prompt})


def _done(record: Record, name: str, tool: Tool, item: Item, input: Item) -> None:
    call_id = called(record, item, name, tool, input)
    record.answered(call_id)
    status: StepStatus = "error" if item.get("status") in ("failed", "incomplete") else "ok"
    results = item.get("results")
    text = json.dumps(results, ensure_ascii=False, default=str) if results else ""
    record.add("result", text, call_id=call_id, tool=tool, name=name, status=status)


def _between_agents(record: Record, item: Item) -> None:
    text = "\n".join(text_of(item.get("content")))
    note(record, text, "agent", sender=item.get("author"), receiver=item.get("recipient"))


def _known(record: Record, item: Item) -> None:
    """Nothing of it is a step; the archive keeps it."""


_READ: dict[str, Callable[[Record, Item], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _call,
    "custom_tool_call": _call,
    "tool_call": _call,
    "tool_search_call": lambda record, item: _call(record, {**item, "name": "tool_search"}),
    "local_shell_call": _local_shell,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "local_shell_call_output": _output,
    "mcp_tool_call_output": _output,
    "function_result": _output,
    "tool_result": _output,
    "tool_search_output": _found_tools,
    "web_search_call": lambda record, item: searched(record, "item", item),
    "image_generation_call": _image,
    "agent_message": _between_agents,
    "compaction": lambda record, item: compacted(record, "item"),
    "compaction_summary": lambda record, item: compacted(record, "item"),
    "context_compaction": lambda record, item: compacted(record, "item"),
    "compaction_trigger": _known,
    "ghost_snapshot": _known,
    "additional_tools": _known,
}
