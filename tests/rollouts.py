"""Records of Codex rollouts, written for tests, and what is read of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from carryover.coding.adapters import codex
from carryover.coding.adapters.base import Part, Reading
from carryover.core.step import Spend, Step

THREAD = "019f0000-0000-7000-8000-0000000000a1"
CHILD = "019f0000-0000-7000-8000-0000000000a2"
TURN = "019f0000-0000-7000-8000-0000000000b1"
OTHER = "019f0000-0000-7000-8000-0000000000b2"


def line(type: str, payload: dict[str, Any], second: int = 0) -> bytes:
    record = {"timestamp": f"2026-08-01T10:00:{second:02d}.000Z", "type": type, "payload": payload}
    return json.dumps(record).encode() + b"\n"


def item(payload: dict[str, Any], second: int = 0) -> bytes:
    return line("response_item", payload, second)


def event(payload: dict[str, Any], second: int = 0) -> bytes:
    return line("event_msg", payload, second)


def meta(id: str = THREAD, second: int = 0, **more: Any) -> bytes:
    known = {"id": id, "cwd": "/work/app", "cli_version": "0.150.0", "source": "cli", "originator": "codex-tui"}
    return line("session_meta", known | more, second)


def turn(id: str, second: int = 0, model: str = "gpt-5.2-codex") -> bytes:
    return line("turn_context", {"turn_id": id, "cwd": "/work/app", "model": model}, second)


def message(role: str, *texts: str, second: int = 0) -> bytes:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text} for text in texts]
    return item({"type": "message", "role": role, "content": content}, second)


def typed(text: str, second: int = 0) -> bytes:
    return event({"type": "user_message", "message": text}, second)


def call(id: str, name: str, arguments: Any, second: int = 0) -> bytes:
    given = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return item({"type": "function_call", "name": name, "arguments": given, "call_id": id}, second)


def output(id: str, said: Any, second: int = 0) -> bytes:
    return item({"type": "function_call_output", "call_id": id, "output": said}, second)


def tokens(total: tuple[int, int, int], last: tuple[int, int, int] | None = None, second: int = 0) -> bytes:
    names = ("input_tokens", "cached_input_tokens", "output_tokens")
    info: dict[str, Any] = {"total_token_usage": dict(zip(names, total, strict=True)), "model_context_window": 272_000}
    if last is not None:
        info["last_token_usage"] = dict(zip(names, last, strict=True))
    return event({"type": "token_count", "info": info}, second)


def part_of(*lines: bytes, name: str = "log.jsonl") -> Part:
    reading = read_of(*lines, name=name)
    assert len(reading.parts) == 1, list(reading.parts)
    return next(iter(reading.parts.values()))


def read_of(*lines: bytes, name: str = "log.jsonl") -> Reading:
    reading = Reading(Path(name))
    for one in b"".join(lines).splitlines(keepends=True):
        reading.length = len(one)
        codex.read(reading, one.rstrip(b"\n"))
        reading.start += reading.length
    codex.finish(reading)
    return reading


def steps_of(*lines: bytes) -> list[Step]:
    return part_of(meta(), *lines).steps


def said(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.kind, step.text) for step in steps]


def total(spends: list[Spend]) -> tuple[int, int, int]:
    most: dict[str, Spend] = {spend.key: spend for spend in spends}
    return (
        sum(spend.input for spend in most.values()),
        sum(spend.cache_read for spend in most.values()),
        sum(spend.output for spend in most.values()),
    )


def forked(second: int) -> bytes:
    """What a thread and its copy both have, written at another time."""
    return b"".join(
        (
            turn(TURN, second),
            message("user", "fix it", second=second),
            typed("fix it", second),
            call("c1", "exec_command", {"cmd": "make"}, second),
            output("c1", "Exit code: 0\nOutput:\nok", second),
            tokens((100, 0, 5), (100, 0, 5), second),
            message("assistant", "done", second=second),
            tokens((180, 0, 9), (80, 0, 4), second),
        )
    )
