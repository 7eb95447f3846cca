"""Every reader of what comes from outside bears some hundred inputs that nobody means, and all that ever broke one."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from carryover.coding.adapters import opencode
from fuzz.campaign import Campaign, every_target, named
from fuzz.mutate import Mutator
from fuzz.target import Target, tried

INPUTS = 120
TARGETS = {target.name: target for target in every_target()}
KEY = "-----END RSA PRIVATE KEY-----"
# What broke a reader once: it is refused now, or read.
FOUND: list[tuple[str, bytes]] = [
    ("recognition", b'{"type": ["event_msg"], "payload": {"type": "user_message", "message": "hi"}}\n'),
    ("record/claude", b'{"sessionId": "s", "type": [[]]}\n'),
    *((f"record/{name}", b'{"sessionId":"s","id":"s","type":"user","role":"user","timestamp":' + b"1" * 400 + b"}")
      for name in ("jsonl", "codex", "gemini_log", "copilot")),
    ("wire/problem", b'{"status": 429, "message": "."}'),
    ("wire/problem", b'{"type": "/problems/too-many", "due": {"type": "x"}}'),
    ("wire/problem", b'{"type": "/problems/too-many", "due": -Infinity, "detail": []}'),
    ("wire/turn", b'{"seq":1,"id":"t","role":"user","kind":"message","content":"","created_at":1,"tokens":1}'),
    ("wire/view", b'{"operations": [{"op": "keep", "range": [1], "reason": ""}]}'),
    ("wire/view", b'{"operations": 1}'),
    *(("client/answer", line) for line in (
        b"sessions 200\n{}", b"health 200\n-0", b'choices 200\n""', b"window 200\n<p>", b"health 503\n" + b"[" * 5_000,
        b'health 503\n{"status": "down", "store": 1}', b'window 429\n{"status": 429, "retry_after": [1]}',
        b'window 429\n{"status": 429, "retry_after": NaN}', b"events 200\n\xe5",
    )),
    ("export", b'{"format":"carryover-export","version":1}\n{"session":{"agent_id":"a","session_id":"s","user_id":null,'
               b'"version":1,"metadata":{},"status":"active"}}\n{"seq":1,"id":["t"],"role":"user","content":"x"}\n'),
    ("export", b'{"format":"carryover-export","version":1}\n{"session":{"agent_id":["a"],"session_id":"s","user_id":1,'
               b'"version":0,"metadata":[],"status":"active"}}\n'),
    ("model-answer", b'{"a":' + b"[" * 5_000),
    ("model-answer", b'{"found":[{"kind":"fact","text":"It is due","quote":"The report is due on 3 May.","first":2,'
                     b'"last":2,"salience":' + b"1" * 400 + b"}]}"),
    ("cursor", b"W1tb" * 3_000),
    ("text/secrets", b"PRIVATE KEY " + b"EXAMPLE" * 400),
    ("text/secrets", (KEY + "AKIA" * 4_000 + "\n" + "A" * 64 + "\n" + KEY).encode()),
    ("text/shell-and-output", b"<<EOF\n" * 1_300),
    ("text/shell-and-output", b"\n" * 64_000),
    ("hook/standard-input", b"\n" * 32_000),
    ("file/hooks-toml", b"a = " + b"[" * 3_000),
    ("file/settings", b"redis_url = " + b"[" * 3_000),
    ("file/prices", b"a = " + b"[" * 3_000),
    ("hook/spool", json.dumps({"flavor": "grok", "session": "s", "root": "/no" + "A" * 300}).encode()),
    ("hook/spool", json.dumps({"flavor": "grok", "session": "s", "root": "/\x00"}).encode()),
    ("sealed/link-claims", b'["t", "u", "0", true, "AAAA"]'),
    ("sealed/link-claims", b'["t"]'),
    ("sealed/link-claims", b'["t", "u", 1790000000001, true, "\\u2028"]'),
    ("sealed/codebook", b""),
    ("sealed/codebook", b'carryover codebook 1\n{"cells": [], "labels": [{}]}'),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_inputs_that_nobody_means_are_read_or_refused(target: Target) -> None:
    mutator = Mutator(target.name, target.seeds(), target.words, seed=1)
    for n in range(int(INPUTS * min(target.share, 1)) or 1):
        crash = tried(target, mutator.input(2**20 + n))
        assert crash is None, (n, crash.told)


@pytest.mark.parametrize(("name", "data"), FOUND, ids=[f"{n}-{name}" for n, (name, _) in enumerate(FOUND)])
def test_what_broke_a_reader_once_does_so_no_more(name: str, data: bytes) -> None:
    crash = tried(TARGETS[name], data)
    assert crash is None, crash.told


def test_a_database_with_holes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE session (id TEXT); CREATE TABLE message (id TEXT, session_id TEXT);"
            "CREATE TABLE part (id TEXT, message_id TEXT);"
            "INSERT INTO session VALUES (NULL); INSERT INTO message VALUES (NULL, 's'), ('m', 's');"
            "INSERT INTO part VALUES ('p', NULL), (NULL, 'm'), ('q', 'n');"
        )
    assert [json.loads(row)["table"] for row in opencode.rows(path)] == ["session", "message", "part", "part"]


def test_an_input_is_a_function_of_seed_target_and_number() -> None:
    def made(seed: int, name: str = "a") -> list[bytes]:
        return [Mutator(name, [b'{"a": [1, "x"]}\n'], seed=seed).input(n) for n in range(300)]

    assert made(1) == made(1)
    assert made(1) != made(2)
    assert made(1) != made(1, "b")


def test_a_run_keeps_what_broke_and_goes_on_from_where_it_was(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def run(data: bytes) -> None:
        seen.append(data)
        if len(seen) == 7:
            raise KeyError(data)

    target = Target("some/target", run, lambda: [b"seed"])
    Campaign(tmp_path, 3).run(target, 10)
    again = Campaign(tmp_path, 3)
    again.run(target, 15)
    standing = again.of(target)
    assert (standing.inputs, list(standing.crashes.values())) == (15, [1])
    mutator = Mutator("some/target", [b"seed"], seed=3)
    assert seen == [mutator.input(n) for n in range(15)]
    (kept,) = (tmp_path / "crashes").glob("*.input")
    assert kept.read_bytes() == seen[6]
    assert "--replay" in kept.with_suffix(".txt").read_text()
    assert named("cursor").name == "cursor"
