"""A provider that says what a test's function makes of a request, over any of three APIs, streamed or not.

The function gets the request's body and gives what the model said: a text, and calls as (id, name, arguments). The
server counts its tokens, and reads its cache, as the real ones do: by the longest prefix it saw before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .server import Ask, FakeServer, Trouble, tokens

Call = tuple[str, str, dict[str, Any]]
Script = Callable[[dict[str, Any]], tuple[str, list[Call]]]


class Scripted(FakeServer):
    """`url` is Anthropic's base URL; `openai_url` is OpenAI's."""

    def __init__(self, script: Script) -> None:
        super().__init__(lambda ask: {"said": script(ask.body)})
        self._prefixes: set[str] = set()

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [ask.body for ask in self.requests]

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Ask | None:
        return Ask(path.partition("?")[0], headers, body, body.get("model", ""))

    def reply(self, ask: Ask, said: Any, trouble: Trouble) -> dict[str, Any]:
        text, calls = said["said"]
        make = {"/v1/messages": _message, "/v1/responses": _response, "/v1/chat/completions": _completion}[ask.path]
        return make(f"{len(self.requests)}", ask.model, text, calls, self._used(ask.body))

    def stream(self, ask: Ask, said: Any, trouble: Trouble) -> Iterator[bytes]:
        whole = self.reply(ask, said, trouble)
        events = {"/v1/messages": _messages, "/v1/responses": _responses, "/v1/chat/completions": _chunks}[ask.path]
        for event in events(whole):
            name = f"event: {event['type']}\n" if "type" in event else ""
            yield f"{name}data: {json.dumps(event)}\n\n".encode()
        if ask.path == "/v1/chat/completions":
            yield b"data: [DONE]\n\n"

    def _used(self, body: dict[str, Any]) -> tuple[int, int]:
        """All tokens of the request, and how many of them were read from the cache."""
        parts = [*_listed(body.get("system", body.get("instructions")))]
        parts += body.get("messages", body.get("input", []))
        prefix, prefixes = body.get("model", ""), list[str]()
        for part in parts:
            prefix += json.dumps(_unmarked(part), sort_keys=True)
            prefixes.append(prefix)
        known = [tokens(text) for text in prefixes if text in self._prefixes]
        self._prefixes.update(prefixes)
        return tokens(prefix), max(known, default=0)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _unmarked(value: Any) -> Any:
    """Without cache breakpoints, and a text alike whether as a string or as one block."""
    if isinstance(value, dict):
        content = value.get("content")
        if isinstance(content, str):
            value = {**value, "content": [{"type": "text", "text": content}]}
        return {name: _unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return [_unmarked(inner) for inner in value] if isinstance(value, list) else value


def _message(n: str, model: str, text: str, calls: list[Call], used: tuple[int, int]) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    content += [{"type": "tool_use", "id": id, "name": name, "input": given} for id, name, given in calls]
    return {
        "id": f"msg_{n}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 0,
            "cache_read_input_tokens": used[1],
            "cache_creation_input_tokens": used[0] - used[1],
            "output_tokens": tokens(text),
        },
    }


def _response(n: str, model: str, text: str, calls: list[Call], used: tuple[int, int]) -> dict[str, Any]:
    output: list[dict[str, Any]] = [
        {"type": "reasoning", "id": f"rs_{n}", "summary": [], "encrypted_content": f"sealed {n}"}
    ]
    if text:
        part = {"type": "output_text", "text": text, "annotations": []}
        output.append(
            {"type": "message", "id": f"msg_{n}", "role": "assistant", "status": "completed", "content": [part]}
        )
    output += [
        {
            "type": "function_call",
            "id": f"fc_{id}",
            "call_id": id,
            "name": name,
            "arguments": json.dumps(given),
            "status": "completed",
        }
        for id, name, given in calls
    ]
    return {
        "id": f"resp_{n}",
        "object": "response",
        "created_at": 1,
        "model": model,
        "status": "completed",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": used[0],
            "input_tokens_details": {"cached_tokens": used[1]},
            "output_tokens": tokens(text),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": used[0] + tokens(text),
        },
    }


def _completion(n: str, model: str, text: str, calls: list[Call], used: tuple[int, int]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for id, name, given in calls
        ]
    return {
        "id": f"chatcmpl-{n}",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {
            "prompt_tokens": used[0],
            "prompt_tokens_details": {"cached_tokens": used[1]},
            "completion_tokens": tokens(text),
            "total_tokens": used[0] + tokens(text),
        },
    }


def _messages(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": whole | {"content": [], "stop_reason": None}}
    for n, block in enumerate(whole["content"]):
        if block["type"] == "text":
            empty: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": letter} for letter in block["text"]]
        else:
            empty, given = block | {"input": {}}, json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in (given[:3], given[3:])]
        yield {"type": "content_block_start", "index": n, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": n, "delta": delta}
        yield {"type": "content_block_stop", "index": n}
    usage = {"output_tokens": whole["usage"]["output_tokens"]}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
        "usage": usage,
    }
    yield {"type": "message_stop"}


def _responses(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    events: list[dict[str, Any]] = [{"type": "response.created", "response": whole | {"output": [], "usage": None}}]
    for n, item in enumerate(whole["output"]):
        begun = item | {"content": []} if "content" in item else item
        events.append({"type": "response.output_item.added", "output_index": n, "item": begun})
        for part in item.get("content", ()):
            where = {"item_id": item["id"], "output_index": n, "content_index": 0}
            events.append({"type": "response.content_part.added", **where, "part": part | {"text": ""}})
            deltas = ({"delta": letter, "logprobs": []} for letter in part["text"])
            events += [{"type": "response.output_text.delta", **where, **delta} for delta in deltas]
        events.append({"type": "response.output_item.done", "output_index": n, "item": item})
    events.append({"type": "response.completed", "response": whole})
    for number, event in enumerate(events):
        yield event | {"sequence_number": number}


def _chunks(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    choice = whole["choices"][0]
    said = choice["message"]
    common = {"id": whole["id"], "object": "chat.completion.chunk", "created": 1, "model": whole["model"]}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": letter} for letter in said["content"] or ""]
    deltas += [{"tool_calls": [{"index": n, **call}]} for n, call in enumerate(said.get("tool_calls", ()))]
    for delta in deltas:
        yield common | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield common | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield common | {"choices": [], "usage": whole["usage"]}
