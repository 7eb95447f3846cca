"""What each provider takes, as strictly as it checks: pairs, turns, ids, types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputItemParam
from pydantic import TypeAdapter

_WIRE_TYPES = {
    "anthropic": TypeAdapter(MessageParam),
    "openai": TypeAdapter(ResponseInputItemParam),
    "openai-chat": TypeAdapter(ChatCompletionMessageParam),
}
_RESPONSES_PAIRS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "shell_call": "shell_call_output",
    "local_shell_call": "local_shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
    "computer_call": "computer_call_output",
    "tool_search_call": "tool_search_output",
    "program": "program_output",
    "mcp_approval_request": "mcp_approval_response",
}
_RESPONSES_OTHERS = {
    *("message", "reasoning", "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"),
    *("mcp_call", "mcp_list_tools", "compaction", "item_reference", "additional_tools", "configuration_update"),
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check(format: str, items: Sequence[dict[str, Any]]) -> None:
    """The items are what the provider takes."""
    {"openai": responses, "openai-chat": completions, "anthropic": messages}[format](items)
    json.dumps(items, allow_nan=False)
    for item in items:
        if not (format == "openai" and item.get("type") == "item_reference"):
            _read_all(_WIRE_TYPES[format].validate_python(item))


def _read_all(value: Any) -> None:
    """Parts are checked when they are read."""
    if isinstance(value, dict):
        for member in value.values():
            _read_all(member)
    elif not isinstance(value, (str, int, float, bool, bytes, type(None))):
        for member in value:
            _read_all(member)


def _is_object(text: Any) -> bool:
    return isinstance(text, str) and isinstance(json.loads(text), dict)


def messages(items: Sequence[dict[str, Any]]) -> None:
    """Anthropic: the user first and then by turns, results first and all of them right after their calls."""
    used: set[str] = set()
    asked: list[str] = []
    marks = 0
    for n, item in enumerate(items):
        assert set(item) == {"role", "content"}, item
        assert item["role"] == ("assistant" if n % 2 else "user"), items
        content = item["content"]
        assert content, "a message says nothing"
        assert not isinstance(content, str) or content.strip()
        blocks = [] if isinstance(content, str) else content
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        results = [block for block in blocks if block["type"] == "tool_result"]
        for block in blocks:
            _block(item["role"], block)
            marks += "cache_control" in block
        ids = [block["tool_use_id"] for block in results]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= set(asked), (ids, asked)
        if n < len(items) - 1 or item["role"] == "assistant":
            assert len(ids) == len(asked), f"calls without results: {asked}, {ids}"
        assert blocks[: len(results)] == results, "results come first"
        assert len(set(calls)) == len(calls)
        assert used.isdisjoint(calls)
        assert not blocks or item["role"] == "user" or blocks[-1]["type"] not in ("thinking", "redacted_thinking")
        used.update(calls)
        asked = calls
    assert marks <= 3


def _block(role: str, block: dict[str, Any]) -> None:
    kind = block["type"]
    if kind == "text":
        assert block["text"].strip()
    elif kind == "tool_use":
        assert role == "assistant"
        assert isinstance(block["input"], dict)
        assert re.fullmatch(r"[A-Za-z0-9_-]+", block["id"])
        assert _NAME.fullmatch(block["name"])
    elif kind == "tool_result":
        assert role == "user"
        said = block.get("content", "")
        assert isinstance(said, str) or all(part["type"] != "text" or part["text"].strip() for part in said)
    elif kind in ("thinking", "redacted_thinking"):
        assert role == "assistant"
        assert kind != "thinking" or isinstance(block["signature"], str)
    elif kind in ("image", "document"):
        assert role == "user"


def responses(items: Sequence[dict[str, Any]]) -> None:
    """OpenAI's Responses: each result after its one call and of its kind; what is open is last; no bare reasoning."""
    kinds = [item.get("type", "message") for item in items]
    calls: dict[str, int] = {}
    answered: set[str] = set()
    for n, (kind, item) in enumerate(zip(kinds, items, strict=True)):
        assert kind in _RESPONSES_OTHERS | _RESPONSES_PAIRS.keys() | set(_RESPONSES_PAIRS.values()), kind
        own = item.get("call_id")
        own = (
            item.get("id") if kind == "mcp_approval_request" or (kind == "local_shell_call_output" and not own) else own
        )
        own = item.get("approval_request_id") if kind == "mcp_approval_response" else own
        if kind in _RESPONSES_PAIRS and own is not None:
            assert own not in calls, f"two calls {own!r}"
            calls[own] = n
            if kind == "function_call":
                assert _is_object(item["arguments"])
                assert _NAME.fullmatch(item["name"])
        elif kind in _RESPONSES_PAIRS.values() and own is not None:
            assert own in calls.keys() - answered, f"nobody asked for {own!r}"
            assert _RESPONSES_PAIRS[kinds[calls[own]]] == kind
            answered.add(own)
        elif kind == "message":
            assert item["role"] in ("user", "assistant", "system", "developer")
            assert "content" in item
        elif kind == "reasoning":
            following = next((k for k in range(n + 1, len(items)) if kinds[k] != "reasoning"), None)
            assert following is not None
            assert kinds[following] not in _RESPONSES_PAIRS.values()
            assert items[following].get("role", "assistant") == "assistant"
    others = ("item_reference", "local_shell_call_output")
    ids = [item["id"] for item in items if item.get("id") and item.get("type") not in others]
    assert len(set(ids)) == len(ids), f"two items of one id: {ids}"
    for own in calls.keys() - answered:
        assert all(item.get("role", "assistant") == "assistant" for item in items[calls[own] :]), f"{own!r} stays open"


def completions(items: Sequence[dict[str, Any]]) -> None:
    """OpenAI's chat: the results of a message's calls right after it, all of them, and nowhere else."""
    used: set[str] = set()
    waiting: list[str] = []
    functions: list[str] = []
    for item in items:
        role = item["role"]
        assert role in ("system", "developer", "user", "assistant", "tool", "function"), role
        if role == "tool":
            assert item["tool_call_id"] in waiting, f"nobody asked for {item!r}"
            waiting.remove(item["tool_call_id"])
            continue
        if role == "function":
            assert functions == [item["name"]]
            functions = []
            continue
        assert not waiting, f"calls without results: {waiting}"
        assert not functions, f"calls without results: {functions}"
        if role != "assistant":
            assert "content" in item
            continue
        assert any(item.get(key) for key in ("content", "refusal", "audio", "tool_calls", "function_call")), item
        assert "tool_calls" not in item or item["tool_calls"]
        for call in item.get("tool_calls", []):
            assert call["type"] == "custom" or _is_object(call["function"]["arguments"])
            assert _NAME.fullmatch(call[call["type"]]["name"])
            waiting.append(call["id"])
        assert len(set(waiting)) == len(waiting)
        assert used.isdisjoint(waiting)
        used.update(waiting)
        functions = [item["function_call"]["name"]] if item.get("function_call") else []


def texts_of(value: Any) -> Iterator[str]:
    """Every string in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from texts_of(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from texts_of(member)
