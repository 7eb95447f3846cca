"""A fake of Anthropic's Messages API: text, forced tool calls, `output_config` formats, and a prefix cache.

The cache follows the vendor's rule: a prefix is tools, system and messages up to a `cache_control`; the first request
that carries it writes it, later ones read the longest prefix that was written before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from .server import Answer, Ask, FakeServer, Trouble, as_text, tokens

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class FakeMessages(FakeServer):
    """`cache_minimum` is the least number of tokens that a prefix must have to be cached."""

    def __init__(self, answer: Answer = None, *, cache_minimum: int = 0) -> None:
        super().__init__(answer)
        self.cache_minimum = cache_minimum
        self._cached: set[str] = set()

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Ask | None:
        if path.partition("?")[0] != "/v1/messages":
            return None
        schema = body.get("output_config", {}).get("format", {}).get("schema")
        if body.get("tool_choice", {}).get("type") in ("any", "tool"):
            schema = body["tools"][-1]["input_schema"]
        prompt = "\n".join(block.get("text", "") for block in _blocks(body["messages"][-1]["content"]))
        system = "\n".join(block["text"] for block in _blocks(body.get("system", [])))
        return Ask(path, headers, body, body["model"], system, prompt, schema)

    def reply(self, ask: Ask, said: str | dict[str, Any], trouble: Trouble) -> dict[str, Any]:
        body, text = ask.body, as_text(said, trouble)
        by_tool = "tool_choice" in body and isinstance(said, dict)
        stop = "tool_use" if by_tool else "end_turn"
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        if by_tool:
            given = {} if trouble.cut else said
            content = [{"type": "tool_use", "id": "toolu_1", "name": body["tools"][-1]["name"], "input": given}]
        if trouble.refused:
            stop, content = "refusal", []
        return {
            "id": f"msg_{len(self.requests)}",
            "type": "message",
            "role": "assistant",
            "model": ask.model,
            "content": content,
            "stop_reason": "max_tokens" if trouble.cut else stop,
            "stop_sequence": None,
            "usage": self._usage(body) | {"output_tokens": tokens(text)},
        }

    def error(self, status: int) -> dict[str, Any]:
        kind = _ERRORS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": kind.replace("_", " ")}}

    def _usage(self, body: dict[str, Any]) -> dict[str, int]:
        parts: list[dict[str, Any]] = [*body.get("tools", []), *_blocks(body.get("system", []))]
        for message in body["messages"]:
            parts += [{"role": message["role"], **block} for block in _blocks(message["content"])]
        prefix, prefixes, marked = body["model"], list[str](), list[str]()
        for part in parts:
            prefix += json.dumps({key: value for key, value in part.items() if key != "cache_control"}, sort_keys=True)
            prefixes.append(prefix)
            if "cache_control" in part and tokens(prefix) >= self.cache_minimum:
                marked.append(prefix)
        total, most = tokens(prefix), max(map(tokens, marked), default=0)
        with self._lock:
            known = [tokens(text) for text in prefixes if tokens(text) <= most and text in self._cached]
            self._cached.update(marked)
        read = max(known, default=0)
        written = max(0, most - read)
        return {
            "input_tokens": total - read - written,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
        }


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast("list[dict[str, Any]]", content)
