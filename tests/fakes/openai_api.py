"""A fake of OpenAI's API: responses, chat completions and embeddings; `url` ends in `/v1`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from .server import Answer, Ask, FakeServer, Trouble, as_text, stamp, tokens


class FakeOpenAI(FakeServer):
    """`dim` is the natural width of its embeddings; texts that share words get vectors that lie close."""

    def __init__(self, answer: Answer = None, *, dim: int = 64) -> None:
        super().__init__(answer)
        self.dim = dim

    @property
    def url(self) -> str:
        return super().url + "/v1"

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Ask | None:
        model = body.get("model", "")
        if path == "/v1/embeddings":
            return Ask(path, headers, body, model)
        if path == "/v1/responses":
            said, shape = body["input"], body.get("text", {}).get("format", {}).get("schema")
        elif path == "/v1/chat/completions":
            said, shape = body["messages"], body.get("response_format", {}).get("json_schema", {}).get("schema")
            if body.get("tool_choice") == "required":
                shape = body["tools"][-1]["function"]["parameters"]
        else:
            return None
        by_role = {item["role"]: _text(item["content"]) for item in said}
        system = by_role.get("system", by_role.get("developer", body.get("instructions") or ""))
        return Ask(path, headers, body, model, system, by_role["user"], shape)

    def reply(self, ask: Ask, said: str | dict[str, Any], trouble: Trouble) -> dict[str, Any]:
        if ask.path == "/v1/embeddings":
            return self._embeddings(ask.body)
        text = as_text(said, trouble)
        used = tokens(ask.system + ask.prompt), tokens(text)
        if ask.path == "/v1/responses":
            return self._response(ask, text, used, trouble)
        by_tool = ask.body.get("tool_choice") == "required" and isinstance(said, dict)
        return self._completion(ask, text, used, trouble, by_tool=by_tool)

    def error(self, status: int) -> dict[str, Any]:
        return {"error": {"message": f"status {status}", "type": "fake_error", "param": None, "code": None}}

    def _response(self, ask: Ask, text: str, used: tuple[int, int], trouble: Trouble) -> dict[str, Any]:
        part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
        if trouble.refused:
            part = {"type": "refusal", "refusal": "I cannot help with that."}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": stamp(),
            "model": ask.model,
            "status": "incomplete" if trouble.cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if trouble.cut else None,
            "output": [item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": used[0],
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": used[1],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": sum(used),
            },
        }

    def _completion(
        self, ask: Ask, text: str, used: tuple[int, int], trouble: Trouble, *, by_tool: bool
    ) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if by_tool:
            called = {"name": ask.body["tools"][-1]["function"]["name"], "arguments": text}
            message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": called}]}
        finish = "content_filter" if trouble.refused else "tool_calls" if by_tool else "stop"
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": stamp(),
            "model": ask.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "length" if trouble.cut else finish}],
            "usage": {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)},
        }

    def _embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        texts: list[str] = [body["input"]] if isinstance(body["input"], str) else body["input"]
        width: int = body.get("dimensions", self.dim)
        used = sum(map(tokens, texts))
        rows = [{"object": "embedding", "index": n, "embedding": _vector(text, width)} for n, text in enumerate(texts)]
        return {
            "object": "list",
            "data": rows[::-1],  # the order is the index's, not the list's
            "model": body["model"],
            "usage": {"prompt_tokens": used, "total_tokens": used},
        }


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _vector(text: str, width: int) -> list[float]:
    """Counts of hashed words, not of unit length; never all zero."""
    row = [0.01] * width
    for word in text.lower().split():
        row[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % width] += 1.0
    return row
