"""Small logs in the manner of Claude Code, written by the tests themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

START = 1_770_000_000


def at(second: int) -> str:
    minute, second = divmod(second, 60)
    return f"2026-02-02T02:{40 + minute:02}:{second:02}.000Z"


def record(n: int, type: str, message: Any, *, session: str = "s1", **more: Any) -> str:
    """The n-th record of a session, a second after the one before it."""
    said = {
        "parentUuid": None if n == 0 else f"{more.get('base', '')}u{n - 1}",
        "isSidechain": False,
        "userType": "external",
        "cwd": "/work/app",
        "sessionId": session,
        "version": "2.1.42",
        "gitBranch": "main",
        "type": type,
        "uuid": f"{more.pop('base', '')}u{n}",
        "timestamp": at(n),
        "message": message,
        **more,
    }
    return json.dumps(said) + "\n"


def prompt(n: int, text: str, **more: Any) -> str:
    return record(n, "user", {"role": "user", "content": text}, **more)


def answer(n: int, *content: dict[str, Any], out: int = 10, **more: Any) -> str:
    message = {
        "id": f"msg_{more.get('base', '')}{n}",
        "role": "assistant",
        "model": "claude-opus-4-7",
        "content": list(content),
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 900,
            "output_tokens": out,
        },
    }
    return record(n, "assistant", message, requestId=f"req_{more.get('base', '')}{n}", **more)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def call(id: str, command: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "Bash", "input": {"command": command}}


def result(n: int, id: str, output: str, *, error: bool = False, **more: Any) -> str:
    block = {"type": "tool_result", "tool_use_id": id, "content": output, "is_error": error}
    return record(n, "user", {"role": "user", "content": [block]}, **more)


def session(id: str = "s1", *, rounds: int = 3, base: str = "") -> list[str]:
    """A session in which a test fails, is mended, and passes; each round asks for it once more."""
    lines: list[str] = []
    for n in range(rounds):
        k = 8 * n
        more: dict[str, Any] = {"session": id, "base": base}
        lines += [
            prompt(k, f"make the tests of part {n} pass", **more),
            answer(k + 1, text("I run them first."), **more),
            answer(k + 2, call(f"{base}c{k}", "pytest -q"), **more),
            result(k + 3, f"{base}c{k}", f"Exit code 1\nE   assert {n} == 1\n1 failed", error=True, **more),
            answer(k + 4, call(f"{base}d{k}", "sed -i s/0/1/ app.py"), **more),
            result(k + 5, f"{base}d{k}", "", **more),
            answer(k + 6, call(f"{base}e{k}", "pytest -q"), out=20, **more),
            result(k + 7, f"{base}e{k}", "1 passed", **more),
        ]
    return lines


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), "utf-8")
    return path
