"""Grok Build's `chat_history.jsonl`: what the model is given next, without times, written anew whenever that changes.

It is read where no updates lie beside it. Items of the first version have a role, later ones a type, in one file both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carryover.coding.adapters import grok
from carryover.coding.adapters.base import Form, Part, Reading, first_text, table
from carryover.coding.adapters.codex_record import nth
from carryover.coding.adapters.grok_update import INJECTED, QUERY
from carryover.coding.adapters.messages import REFUSED, arguments, call, entries, message, plain, remember, result
from carryover.coding.lines import bare, decoded
from carryover.core.step import Flavor, StepKind, StepStatus, Supply

flavor: Flavor = grok.flavor
supplies: frozenset[Supply] = grok.supplies
places: tuple[str, ...] = grok.places
form: Form = "lines"
files: tuple[str, ...] = ("chat_history.jsonl",)

_TYPES = ("system", "user", "assistant", "reasoning", "tool_result", "backend_tool_call")
_MARKS = ("prompt_index", "synthetic_reason", "prior_turn_interrupt", "model_fingerprint")
_OPEN = 256  # names of calls that are remembered until their result comes


def claims(head: bytes, path: Path) -> bool:
    """Items under the name of a history, or with what only such items have."""
    for line in head.split(b"\n", 8)[:8]:
        try:
            item = table(decoded(bare(line)))
        except ValueError:
            continue
        if "message" in item or "timestamp" in item:
            return False
        if item.get("type") == "backend_tool_call" or any(mark in item for mark in _MARKS):
            return True
        if path.name.startswith("chat_history") and (item.get("type") in _TYPES or "role" in item):
            return True
    return False


def read(reading: Reading, line: bytes) -> None:
    """One item became steps, unless updates tell all of it."""
    item = table(decoded(line))
    kind = first_text(item.get("type"), item.get("role"))
    if not kind:
        raise ValueError("no item")
    session = grok.session_of(reading)
    part = reading.of(session)
    kind = "tool_result" if kind == "tool" else kind
    reading.saw("0" if "role" in item and "type" not in item else "1", kind, known=kind in _TYPES)
    state = reading.state
    state["items"] = state.get("items", 0) + 1
    if "alone" not in state:
        state["alone"] = not grok.beside(reading.path, "updates.jsonl")
        state["events"] = grok.beside(reading.path, "events.jsonl")  # which tell of interrupts themselves
    if not state["alone"]:
        return
    remember(part.about.models, item.get("model_id"))
    if kind == "user":
        _user(reading, part, item)
    elif kind == "assistant":
        _assistant(reading, part, item)
    elif kind == "reasoning":
        text = plain(item.get("summary")) or plain(item.get("content"))
        _say(reading, part, "thinking", text)
    elif kind == "tool_result":
        _result(reading, part, item)
    elif kind == "backend_tool_call":
        _backend(reading, part, item)


def finish(reading: Reading) -> None:
    """A history tells nothing by its end."""


def _identity(reading: Reading, *said: str) -> list[str]:
    """An item is known by its session, by what it says, and by how often that was said before it.

    What a fork was given by its parent is the parent's.
    """
    state = reading.state
    inherited = state.get("inherited")
    owner = state["parent"] if isinstance(inherited, int) and state["items"] <= inherited else state["session"]
    return ["grok", owner, str(nth(state.setdefault("counts", {}), owner, *said))]


def _say(reading: Reading, part: Part, kind: StepKind, text: str, **more: Any) -> None:
    if text.strip() or kind == "interrupt":
        part.add(message(reading, kind, _identity(reading, kind, text), text.strip(), **more))


def _user(reading: Reading, part: Part, item: Mapping[str, Any]) -> None:
    text, reason = plain(item.get("content")), first_text(item.get("synthetic_reason"))
    broken = first_text(item.get("prior_turn_interrupt"))
    if broken and not reading.state["events"]:
        _say(reading, part, "interrupt", broken, detail={"category": broken})
    if wrapped := QUERY.match(text):
        text = wrapped[1]
    if not text and item.get("content"):
        text = "[image]"
    if reason == "interjection":
        _say(reading, part, "prompt", text, detail={"via": "queued"})
    elif reason == "compaction_meta":
        _say(reading, part, "compaction", text)
    elif reason or INJECTED.match(text):
        via = "instructions" if reason == "project_instructions" else reason or "context"
        _say(reading, part, "note", text, detail={"via": via})
    else:
        _say(reading, part, "prompt", text)


def _assistant(reading: Reading, part: Part, item: Mapping[str, Any]) -> None:
    model = first_text(item.get("model_id")) or None
    _say(reading, part, "thinking", first_text(item.get("reasoning_content")), model=model)
    _say(reading, part, "text", plain(item.get("content")), model=model)
    calls: dict[str, str] = reading.state.setdefault("calls", {})
    for n, said in enumerate(entries(item.get("tool_calls"))):
        inner = table(said.get("function"))
        name = first_text(said.get("name"), inner.get("name")) or "unknown"
        input = arguments(said.get("arguments", inner.get("arguments")))
        call_id = first_text(said.get("id")) or f"{_call_id(reading)}-{n}"
        if name == "use_tool" and first_text(input.get("tool_name")):
            name, input = f"mcp__{input['tool_name']}", arguments(input.get("tool_input"))
        part.add(call(reading, _identity(reading, "call", call_id), call_id, name, input, model=model))
        calls[call_id] = name
    while len(calls) > _OPEN:
        del calls[next(iter(calls))]


def _result(reading: Reading, part: Part, item: Mapping[str, Any]) -> None:
    call_id, text = first_text(item.get("tool_call_id")) or _call_id(reading), plain(item.get("content"))
    name = reading.state.get("calls", {}).pop(call_id, None)
    # Nothing in the item says how the call ended; only a refusal is known by its words.
    status: StepStatus = "rejected" if REFUSED.search(text[:300]) else "unknown"
    part.add(result(reading, _identity(reading, "result", call_id), call_id, name, text, status))


def _call_id(reading: Reading) -> str:
    return f"call-{reading.state['items']}"


def _backend(reading: Reading, part: Part, item: Mapping[str, Any]) -> None:
    """A search that the provider made: the call and its result in one item."""
    said = table(item.get("kind"))
    name = first_text(said.get("tool_type"), said.get("type")) or "web_search"
    input = {key: value for key, value in table(said.get("action")).items() if key != "sources"}
    call_id = first_text(said.get("id"), item.get("id")) or _call_id(reading)
    part.add(call(reading, _identity(reading, "call", call_id), call_id, name, input))
    ended: StepStatus = "error" if said.get("status") == "failed" else "ok"
    sources = entries(table(said.get("action")).get("sources"))
    text = "\n".join(filter(None, (first_text(source.get("url")) for source in sources)))
    part.add(result(reading, _identity(reading, "result", call_id), call_id, name, text, ended))
