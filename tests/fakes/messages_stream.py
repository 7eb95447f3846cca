"""A fake of Anthropic's Messages API that streams, for conversations: text, thinking, calls of tools, and trouble.

An answer is a text, or `Said`, or a function of the request that gives one of them. `fake.gone` is set once a client
left a stream before its end.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .messages_api import FakeMessages
from .server import Ask, BrokenOff, Trouble, tokens

_PIECE = 12  # characters of one delta


@dataclass(frozen=True)
class Call:
    """A call of a tool in an answer."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True)
class Said:
    """An answer; `after` deltas of text it can go wrong: by an `error` event, a `broken` line or a wait for `hold`."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    stop: str | None = None
    after: int | None = None
    error: str | None = None
    broken: bool = False
    hold: threading.Event | None = None


@dataclass
class _Stream:
    """The events of one answer."""

    said: Said
    usage: dict[str, int]
    model: str
    number: int
    deltas: int = 0
    blocks: int = field(default=0)

    def events(self) -> Iterator[bytes]:
        said = self.said
        message = {
            "id": f"msg_{self.number}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**self.usage, "output_tokens": 1},
        }
        yield _event("message_start", message=message)
        yield _event("ping")
        if said.thinking:
            yield from self._thought(said.thinking)
        if said.text:
            yield from self._text(said.text)
        for n, call in enumerate(said.calls):
            yield from self._call(call, f"toolu_{self.number}_{n}")
        stop = said.stop or ("tool_use" if said.calls else "end_turn")
        spent = tokens(said.text + said.thinking + "".join(json.dumps(dict(call.arguments)) for call in said.calls))
        yield _event(
            "message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": max(1, spent)}
        )
        yield _event("message_stop")

    def _text(self, text: str) -> Iterator[bytes]:
        yield from self._block({"type": "text", "text": ""}, [{"type": "text_delta", "text": t} for t in _cut(text)])

    def _thought(self, text: str) -> Iterator[bytes]:
        deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": piece} for piece in _cut(text)]
        deltas.append({"type": "signature_delta", "signature": f"signed-{self.number}"})
        yield from self._block({"type": "thinking", "thinking": "", "signature": ""}, deltas)

    def _call(self, call: Call, id: str) -> Iterator[bytes]:
        pieces = _cut(json.dumps(dict(call.arguments)))
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        block = {"type": "tool_use", "id": call.id or id, "name": call.name, "input": {}}
        yield from self._block(block, deltas)

    def _block(self, block: dict[str, Any], deltas: list[dict[str, Any]]) -> Iterator[bytes]:
        index, self.blocks = self.blocks, self.blocks + 1
        yield _event("content_block_start", index=index, content_block=block)
        for delta in deltas:
            if delta["type"] == "text_delta":
                yield from self._trouble()
                self.deltas += 1
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)

    def _trouble(self) -> Iterator[bytes]:
        said = self.said
        if self.deltas != said.after:
            return
        if said.hold is not None:
            while not said.hold.wait(0.02):
                yield _event("ping")
        if said.error is not None:
            yield _event("error", error={"type": said.error, "message": said.error.replace("_", " ")})
        if said.broken or said.error is not None:
            raise BrokenOff


class FakeMessagesStream(FakeMessages):
    """As FakeMessages, and streams what it is asked to stream."""

    def __init__(self, answer: Any = None, *, cache_minimum: int = 0) -> None:
        super().__init__(answer, cache_minimum=cache_minimum)
        self.gone = threading.Event()
        self.streams = 0

    def stream(self, ask: Ask, said: Any, trouble: Trouble) -> Iterator[bytes]:
        answer = said if isinstance(said, Said) else Said(str(said))
        if trouble.refused:
            answer = Said(stop="refusal")
        if trouble.cut:
            answer = Said(answer.text[: len(answer.text) // 2], stop="max_tokens")
        self.streams += 1
        made = _Stream(answer, self._usage(ask.body), ask.model, self.streams)
        try:
            yield from made.events()
        except GeneratorExit:
            self.gone.set()
            raise

    def _usage(self, body: dict[str, Any]) -> dict[str, int]:
        """A top-level `cache_control` stands for one on the last block."""
        if "cache_control" in body:
            messages = [*body["messages"]]
            content = messages[-1]["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else [*content]
            blocks[-1] = {**blocks[-1], "cache_control": body["cache_control"]}
            body = {**body, "messages": [*messages[:-1], {**messages[-1], "content": blocks}]}
        return super()._usage(body)


def _cut(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]


def _event(type: str, **members: Any) -> bytes:
    return f"event: {type}\ndata: {json.dumps({'type': type, **members})}\n\n".encode()
