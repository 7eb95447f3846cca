from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from carryover.coding.adapters import cursor, cursor_store
from carryover.coding.adapters.base import Reading
from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs.reading import beginning
from golden_logs import read_whole

ID = "9d2c7c1a-6f0b-4b8e-8a35-0f3a1b2c3d4e"


def message(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


MESSAGES = [
    message("user", {"type": "text", "text": "<user_query>\nlook\n</user_query>"}),
    message(
        "assistant",
        {"type": "reasoning", "text": "I look."},
        {"type": "tool-call", "toolCallId": "t1", "toolName": "Read", "args": {"path": "/work/shop/a.py"}},
    ),
    message("tool", {"type": "tool-result", "toolCallId": "t1", "toolName": "Read", "result": "x = 1"}),
]


def store(home: Path, *blobs: bytes) -> Path:
    folder = hashlib.md5(b"/work/shop", usedforsecurity=False).hexdigest()
    path = home / ".cursor" / "chats" / folder / ID / "store.db"
    path.parent.mkdir(parents=True)
    meta = {"agentId": ID, "name": "Look", "createdAt": 1_775_522_590_321, "lastUsedModel": "claude-4-sonnet"}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE blobs (id TEXT PRIMARY KEY, data BLOB)")
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO meta VALUES ('0', ?)", (json.dumps(meta).encode().hex(),))
        named = [(hashlib.sha256(blob).hexdigest(), blob) for blob in blobs]
        connection.executemany("INSERT INTO blobs VALUES (?, ?)", named)
    return path


def read(path: Path) -> Reading:
    adapter = adapter_for(beginning(path, 64 << 10), path)
    assert adapter is not None
    return read_whole(adapter, path)[0]


def test_a_store_is_read_in_the_order_in_which_it_was_written(tmp_path: Path) -> None:
    tree = b"\x0a\x20" + bytes(32)
    path = store(tmp_path, *(json.dumps(one).encode() for one in MESSAGES), tree, b"\x12\x03\x01\x02\x03")
    reading = read(path)
    part = reading.parts[ID]
    assert [(step.kind, step.text, step.call_id, step.status) for step in part.steps] == [
        ("prompt", "look", None, None),
        ("thinking", "I look.", None, None),
        ("call", "Read: /work/shop/a.py", "t1", None),
        ("result", "x = 1", "t1", "unknown"),
    ]
    assert (part.about.title, part.about.models, part.about.cwd) == ("Look", ["claude-4-sonnet"], "/work/shop")
    assert part.about.first_at == 1_775_522_590_321
    assert {type: known for _, type, known in reading.formats} == {
        "meta": True,
        "blob/user": True,
        "blob/assistant": True,
        "blob/tool": True,
        "blob/tree": True,
        "blob/protobuf": False,
    }


def test_where_there_is_a_transcript_a_store_only_says_what_that_does_not(tmp_path: Path) -> None:
    path = store(tmp_path, *(json.dumps(one).encode() for one in MESSAGES))
    transcript = tmp_path / ".cursor" / "projects" / "work-shop" / "agent-transcripts" / f"{ID}.jsonl"
    transcript.parent.mkdir(parents=True)
    lines = [{"role": one["role"], "message": {"content": one["content"]}} for one in MESSAGES]
    transcript.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    beside, told = read(path).parts[ID], read(transcript).parts[ID]
    assert (beside.steps, beside.about.title) == ([], "Look")
    assert [step.kind for step in told.steps] == ["prompt", "thinking", "call", "result"]
    assert told.about.cwd == "/work/shop"


def test_the_same_words_twice_are_two_steps(tmp_path: Path) -> None:
    path = tmp_path / f"{ID}.jsonl"
    line = json.dumps({"role": "user", "message": {"content": [{"type": "text", "text": "go on"}]}})
    path.write_text(f"{line}\n{line}\n")
    first, second = read(path).parts[ID].steps
    assert first.uid != second.uid


def test_what_the_program_adds_in_the_users_name_is_no_prompt(tmp_path: Path) -> None:
    texts = [
        "<user_info>\nOS: linux\n</user_info>\n<rules>be brief</rules>",
        "<timestamp>today</timestamp>\n<user_query>\nfix <b>this</b>\n</user_query>",
        "<b>this</b> is what I typed",
    ]
    path = tmp_path / f"{ID}.jsonl"
    lines = [{"role": "user", "message": {"content": [{"type": "text", "text": text}]}} for text in texts]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [(step.kind, step.text) for step in read(path).parts[ID].steps] == [
        ("note", texts[0]),
        ("prompt", "fix <b>this</b>"),
        ("prompt", texts[2]),
    ]


def test_a_first_message_that_is_longer_than_what_is_looked_at_is_its_own(tmp_path: Path) -> None:
    head = b'{"role":"user","message":{"content":[{"type":"text","text":"' + b"x" * (64 << 10)
    assert adapter_for(head[: 64 << 10], tmp_path / "a.jsonl") is cursor


def test_other_databases_are_not_its_own(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE blobs (id TEXT)")
    assert not cursor_store.claims(beginning(path, 64 << 10), path)
    assert adapter_for(beginning(path, 64 << 10), path) is None
