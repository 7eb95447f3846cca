"""What coding agents' logs say was consumed, counted from their bare JSON and by nothing of the product."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Total = tuple[int, int, int, int]  # input that no cache gave or took, read from the cache, written to it, output


def claude(folder: Path) -> Total:
    """Of each call the most that any line of any file says; made-up ids of messages are unique with their request's."""
    most: dict[str, Total] = {}
    for record in (one for path in folder.rglob("*.jsonl") for one in records(path)):
        message = record.get("message")
        if not isinstance(message, dict) or not isinstance(message.get("usage"), dict):
            continue
        id, usage = message.get("id") or record.get("uuid") or json.dumps(record), message["usage"]
        key = id if str(id).startswith("msg_01") else f"{id} {record.get('requestId')}"
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
        told = [usage.get(name) or 0 for name in names]
        most[key] = _four(max(pair) for pair in zip(told, most.get(key, (0, 0, 0, 0)), strict=True))
    return summed(most.values())


def codex(folder: Path) -> Total:
    """What the running totals grew by, file by file; a fork begins with the totals of the thread that it copies.

    The oldest rollouts have no totals: there each call or turn says what it took itself.
    """
    found: list[Total] = []
    totals_of: dict[str, set[Total]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        thread, parent, before, seen = "", "", (0, 0, 0, 0), set[Total]()
        for record in records(path):
            payload = record.get("payload")
            payload = payload if isinstance(payload, dict) else record
            if record.get("type") == "session_meta" and not thread:
                thread, parent = str(payload.get("id")), str(payload.get("forked_from_id"))
            said = payload.get("info" if payload.get("type") == "token_count" else "usage")
            if not isinstance(said, dict):
                continue
            single = "total_token_usage" not in said
            said = said.get("total_token_usage", said)
            cached = said.get("cached_input_tokens") or 0
            taken = said.get("input_tokens") or said.get("prompt") or 0
            now = (taken - cached, cached, 0, said.get("output_tokens") or said.get("completion") or 0)
            if single:
                found.append(now)
                continue
            grown = _four(a - b for a, b in zip(now, before, strict=True))
            if now != before and now not in totals_of.get(parent, ()):
                found.append(now if min(grown) < 0 else grown)
            before = now
            seen.add(now)
        totals_of[thread] = seen
    return summed(found)


def grok(folder: Path) -> Total:
    """Of each prompt what was said of it last."""
    last: dict[str, Total] = {}
    for path in folder.rglob("updates.jsonl"):
        for record in records(path):
            update = record.get("params", {}).get("update", {})
            usage = update.get("usage")
            if update.get("sessionUpdate") == "turn_completed" and isinstance(usage, dict):
                cached = usage.get("cachedReadTokens") or 0
                last[f"{path}/{update.get('prompt_id')}"] = (
                    (usage.get("inputTokens") or 0) - cached, cached, 0, usage.get("outputTokens") or 0
                )  # fmt: skip
    return summed(last.values())


def gemini(folder: Path) -> Total:
    """Of each message of a session what was said of it last; thoughts are written, too, and not in the output."""
    last: dict[str, Total] = {}
    for path in sorted(folder.rglob("*.json*")):
        for record in records(path):
            for message in record.get("messages") or [record]:
                tokens = message.get("tokens")
                if isinstance(tokens, dict):
                    cached, thoughts = tokens.get("cached") or 0, tokens.get("thoughts") or 0
                    last[f"{path.stem}/{message.get('id')}"] = (
                        (tokens.get("input") or 0) - cached, cached, 0, (tokens.get("output") or 0) + thoughts
                    )  # fmt: skip
    return summed(last.values())


def summed(told: Any) -> Total:
    return _four(sum(column) for column in zip((0, 0, 0, 0), *told, strict=True))


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Every object in the file, however it is divided into lines; what is no JSON is passed over."""
    text = path.read_bytes().decode("utf-8-sig", "replace").replace("\0", "")
    decoder = json.JSONDecoder()
    for part in [text] if path.suffix == ".json" else text.split("\n"):
        rest = part.strip()
        while rest:
            try:
                value, end = decoder.raw_decode(rest)
            except (ValueError, RecursionError):
                break
            if isinstance(value, dict):
                yield value
            rest = rest[end:].strip()


def _four(numbers: Any) -> Total:
    a, b, c, d = numbers
    return a, b, c, d
