"""Files of Grok Build's session folders, written for tests, and what is read of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from carryover.coding.adapters import grok_chat, grok_events, grok_rest, grok_signals, grok_summary, grok_updates
from carryover.coding.adapters.base import Adapter, Part, Reading
from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs.reading import opened, read
from carryover.core.step import Step

SESSION = "019f7000-0000-7000-8000-0000000000a1"
FORK = "019f7000-0000-7000-8000-0000000000a2"
PROMPT = "019f7000-0000-7000-8000-0000000000b1"
ADAPTERS: tuple[Adapter, ...] = (grok_updates, grok_events, grok_chat, grok_summary, grok_signals, grok_rest)
USAGE = {
    "inputTokens": 1_000,
    "cachedReadTokens": 700,
    "cacheCreationTokens": 100,
    "outputTokens": 50,
    "reasoningTokens": 30,
    "totalTokens": 1_050,
    "costUsdTicks": 25_000_000_000,
}
CHAT: list[dict[str, Any]] = [
    {"type": "system", "content": "You are Grok"},
    {
        "type": "user",
        "content": [{"type": "text", "text": "Run the tests."}],
        "synthetic_reason": "project_instructions",
    },
    {"type": "user", "content": [{"type": "text", "text": "<user_query>\nfix it\n</user_query>"}], "prompt_index": 0},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    {
        "type": "assistant",
        "content": "Reading.",
        "tool_calls": [{"id": "c1", "name": "read_file", "arguments": '{"target_file": "a.py"}'}],
        "model_id": "grok-4.6",
    },
    {"type": "tool_result", "tool_call_id": "c1", "content": "x = 1"},
    {"type": "user", "content": "and b.py", "synthetic_reason": "interjection"},
    {"type": "user", "content": "go on", "prompt_index": 1, "prior_turn_interrupt": "mid_turn_abort"},
    {"type": "assistant", "content": "Done.", "tool_calls": [], "model_id": "grok-4.6"},
]
OLD: list[dict[str, Any]] = [
    {"role": "system", "content": "You are Grok"},
    {"role": "user", "content": "fix it"},
    {
        "role": "assistant",
        "content": "Reading.",
        "reasoning_content": "hm",
        "tool_calls": [{"id": "c1", "function": {"name": "read_file", "arguments": '{"target_file": "a.py"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "x = 1"},
]


def update(kind: str, n: int, /, *, session: str = SESSION, prompt: str | None = PROMPT, **said: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"eventId": f"{SESSION}-{n}", "agentTimestampMs": 1_790_000_000_000 + n * 1_000}
    if prompt is not None:
        meta["promptId"] = prompt
    known = {"sessionUpdate": kind} | said
    params = {"sessionId": session, "update": known, "_meta": meta}
    return {"timestamp": 1_790_000_000 + n, "method": "session/update", "params": params}


def chunk(who: str, n: int, text: str, **more: Any) -> dict[str, Any]:
    return update(f"{who}_chunk", n, content={"type": "text", "text": text}, **more)


def called(n: int, id: str, name: str, input: Any = None, **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"toolCallId": id, "title": name, "_meta": {"x.ai/tool": {"name": name}}}
    return update("tool_call", n, **said | ({} if input is None else {"rawInput": input}) | more)


def answered(n: int, id: str, text: str = "", *, status: str = "completed", raw: Any = None) -> dict[str, Any]:
    content = [{"type": "content", "content": {"type": "text", "text": text}}] if text else []
    said: dict[str, Any] = {"toolCallId": id, "status": status, "content": content}
    return update("tool_call_update", n, **said | ({} if raw is None else {"rawOutput": raw}))


def completed(
    n: int, usage: Any = None, *, reason: str = "end_turn", prompt: str = PROMPT, **more: Any
) -> dict[str, Any]:
    return update("turn_completed", n, prompt=None, prompt_id=prompt, stop_reason=reason, usage=usage, **more)


def event(type: str, n: int, **said: Any) -> dict[str, Any]:
    return {"ts": f"2026-09-21T10:00:{n:02d}.000Z", "type": type} | said


def write(folder: Path, name: str, *records: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    end = "\n" if name.endswith(".jsonl") else ""
    path.write_text("\n".join(json.dumps(record) for record in records) + end, "utf-8")
    return path


def part_of(path: Path) -> Part:
    reading = read_of(path)
    (part,) = reading.parts.values()
    return part


def read_of(path: Path) -> Reading:
    adapter = adapter_for(path.read_bytes()[: 64 << 10], path)
    assert adapter in ADAPTERS
    with opened(adapter, path) as file:
        reading, end = read(adapter, path, file)
    assert end == path.stat().st_size
    return reading


def told(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.kind, step.text) for step in steps]
