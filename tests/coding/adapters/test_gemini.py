from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from carryover.coding.adapters import gemini, gemini_log
from carryover.coding.adapters.catalog import adapter_for
from carryover.core.step import Step
from golden_logs import read_whole

HEADER = {"sessionId": "s-1", "projectHash": "h", "startTime": "2026-05-05T10:00:00.000Z", "kind": "main"}


def said(id: str, type: str, content: Any, second: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "timestamp": f"2026-05-05T10:00:{second:02}.000Z", "type": type, "content": content, **more}


def messages() -> list[dict[str, Any]]:
    tokens = {"input": 100, "output": 5, "cached": 60, "thoughts": 7, "tool": 3, "total": 115}
    called = {"id": "c-1", "name": "read_file", "args": {"file_path": "a.py"}, "status": "success", "result": None}
    return [
        said("m1", "user", [{"text": "hello"}], 1),
        said("m2", "gemini", "Hi.", 2, tokens=tokens, model="gemini-3-pro", toolCalls=[called]),
    ]


def document(path: Path, messages: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({**HEADER, "messages": messages}, indent=2), "utf-8")
    return path


def log(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in (HEADER, *records)), "utf-8")
    return path


def steps(path: Path) -> list[Step]:
    adapter = adapter_for(path.read_bytes(), path)
    assert adapter is not None
    return read_whole(adapter, path)[0].parts["s-1"].steps


def test_content_decides_which_of_the_two_forms_it_is_whatever_the_name(tmp_path: Path) -> None:
    old, new = document(tmp_path / "old.jsonl", messages()), log(tmp_path / "new.json", *messages())
    assert adapter_for(old.read_bytes(), old) is gemini
    assert adapter_for(new.read_bytes(), new) is gemini_log
    compact = json.dumps({**HEADER, "messages": messages()}).encode()
    assert adapter_for(compact, old) is gemini
    assert adapter_for(json.dumps(HEADER).encode() + b"\n", new) is gemini_log
    long = json.dumps({"sessionId": "s", "messages": [said("m1", "gemini", "x" * 99_000, 1)]}).encode()
    assert adapter_for(long[: 64 << 10], old) is gemini


def test_a_session_that_was_moved_to_the_newer_form_has_the_same_steps_and_spends(tmp_path: Path) -> None:
    old = read_whole(gemini, document(tmp_path / "old.json", messages()))[0].parts["s-1"]
    new = read_whole(gemini_log, log(tmp_path / "new.jsonl", *messages()))[0].parts["s-1"]
    assert [step.uid for step in old.steps] == [step.uid for step in new.steps]
    assert [spend.key for spend in old.spends] == [spend.key for spend in new.spends]
    spend = old.spends[0]
    assert (spend.input, spend.cache_read, spend.output, spend.reasoning) == (43, 60, 12, 7)


def test_a_message_that_is_written_again_unchanged_is_the_same_steps(tmp_path: Path) -> None:
    once, twice = log(tmp_path / "a.jsonl", *messages()), log(tmp_path / "b.jsonl", *messages(), messages()[1])
    assert {step.uid for step in steps(once)} == {step.uid for step in steps(twice)}


def test_of_a_message_that_changes_the_later_text_has_the_same_record(tmp_path: Path) -> None:
    told = steps(log(tmp_path / "a.jsonl", said("m1", "gemini", "Hel", 1), said("m1", "gemini", "Hello", 1)))
    assert [(step.text, step.detail) for step in told] == [("Hel", {"record": "m1"}), ("Hello", {"record": "m1"})]
    assert told[0].uid != told[1].uid


def test_a_compressed_context_takes_nothing_back(tmp_path: Path) -> None:
    summary = said("s1", "user", [{"text": "<state_snapshot>hello was said</state_snapshot>"}], 9)
    told = steps(log(tmp_path / "a.jsonl", *messages(), {"$set": {"messages": [summary]}}))
    assert [step.kind for step in told] == ["prompt", "text", "call", "result", "compaction"]


def test_a_call_that_is_under_way_has_no_result_yet(tmp_path: Path) -> None:
    waiting = {"id": "c-1", "name": "read_file", "args": {}, "status": "executing"}
    told = steps(log(tmp_path / "a.jsonl", said("m1", "gemini", "", 1, toolCalls=[waiting])))
    assert [step.kind for step in told] == ["call"]


def test_the_folder_is_believed_only_if_the_projects_hash_agrees(tmp_path: Path) -> None:
    chats = tmp_path / "slug" / "chats"
    chats.mkdir(parents=True)
    (tmp_path / "slug" / ".project_root").write_text("/work/elsewhere")
    part = read_whole(gemini, document(chats / "session-1.json", messages()))[0].parts["s-1"]
    assert part.about.cwd is None
