"""The chat over HTTP: whole answers and streamed ones, refusals before and after the first byte, and hanging up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from carryover.chat.verbs import Chat
from carryover.server import answering
from chatting import HAIKU, in_turn, open_chat, reading, results_in, said_in
from fakes.messages_stream import FakeMessagesStream, Said
from serving import Running, serving

LONG = "An answer of more than one piece, so that it can be left somewhere in its middle."
COMPACT = {"mode": "compact", "compact_trigger_turns": 2, "compact_keep": 1, "clear_at_least_tokens": 1}
Heard = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def fake() -> Iterator[FakeMessagesStream]:
    with FakeMessagesStream("Hello.") as opened:
        yield opened


@pytest.fixture
def running(tmp_path: Path, fake: FakeMessagesStream) -> Iterator[Running]:
    with open_chat(tmp_path, fake) as memory, serving(memory) as server:
        yield server


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    with running.http() as client:
        yield client


def body(message: Any = "Hello.", **more: Any) -> dict[str, Any]:
    return {"session_id": "s", "message": message, **more}


def streamed(http: httpx.Client, asked: dict[str, Any]) -> Heard:
    with http.stream("POST", "/api/v1/chat/stream", json=asked) as got:
        assert got.status_code == 200, got.read()
        assert got.headers["content-type"].startswith("text/event-stream")
        return events_of("".join(got.iter_text()))


def events_of(text: str) -> Heard:
    blocks = [block.split("\n") for block in text.split("\n\n") if block and not block.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_a_whole_answer(http: httpx.Client, fake: FakeMessagesStream) -> None:
    fake.answer = "Forty-two."
    got = http.post("/api/v1/chat", json=body("What is it?", user_id="ann", instructions="Be short."))
    assert got.status_code == 200, got.text
    answer = got.json()
    assert answer["text"] == "Forty-two."
    assert [place["seq"] for place in answer["turns"]] == [1, 2]
    assert answer["strategy"]["source"] == "default"
    assert answer["sources"]["mode"] == "default"
    assert answer["usage"]["model"] == HAIKU
    assert answer["usage"]["cache_write"] > 0
    assert float(answer["usage"]["money"]) > 0
    assert fake.requests[0].system == "Be short."
    turns = http.get("/sessions/s/turns").json()["turns"]
    assert [turn["content"] for turn in turns] == ["What is it?", "Forty-two."]


def test_parts_of_a_message_are_kept_byte_for_byte(http: httpx.Client, fake: FakeMessagesStream) -> None:
    raw = b'{"session_id": "s", "message": [{"type": "text", "text": "2.50 \\u00e9\\ud800",  "n": 1.0}]}'
    got = http.post("/api/v1/chat", content=raw)
    assert got.status_code == 200, got.text
    turns = http.get("/sessions/s/turns").text
    assert '[{"type": "text", "text": "2.50 \\u00e9\\ud800",  "n": 1.0}]' in turns
    assert fake.requests


def test_a_streamed_chat_shows_placeholders_to_the_model_and_keeps_the_originals(
    http: httpx.Client, fake: FakeMessagesStream
) -> None:
    report = "The quick brown fox jumps over the lazy dog. " * 200
    assert http.post("/sessions/s/turns", json={"role": "user", "content": report}).status_code == 201
    told: Heard = []
    for n in range(4):
        fake.answer = in_turn(reading(f"call_{n}", 1, 1), "Read.")
        told += streamed(http, body("Read it.", memory_strategy=COMPACT))
    names = [name for name, _ in told]
    assert names[0] == "run"
    assert names[-1] == "done"
    assert {"text", "tool_call", "tool_output", "memory_compaction"} <= set(names)
    outputs = {data["call_id"]: data["output"] for name, data in told if name == "tool_output"}
    assert all("lazy dog" in output for output in outputs.values())
    shown = results_in(fake.requests[-1])
    assert shown["call_0"] == "⟦removed: tool output for read_turns (call_id=call_0); reason=context_compaction⟧"
    assert shown["call_3"] == outputs["call_3"]
    compaction = next(data for name, data in told if name == "memory_compaction")
    assert (compaction["trigger"], compaction["tools"]) == ("turns", ["read_turns"])
    runs = http.get("/api/v1/conversations/s/runs").json()["runs"]
    assert [run["status"] for run in runs] == ["finished"] * 4
    kept: dict[str, str] = {}
    for run in runs:
        detail = http.get(f"/api/v1/conversations/s/runs/{run['run_id']}").json()
        assert detail["run"] == run
        for event in detail["events"]:
            if event["type"] == "tool_output":
                kept[event["payload"]["call_id"]] = event["payload"]["output"]
    assert kept == outputs
    assert told[-1][1]["text"] == "Read."
    assert told[-1][1]["strategy"]["source"] == "request"


def test_runs_are_paged(http: httpx.Client) -> None:
    for _ in range(3):
        assert http.post("/api/v1/chat", json=body()).status_code == 200
    first = http.get("/api/v1/conversations/s/runs?limit=2").json()
    second = http.get("/api/v1/conversations/s/runs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert (len(first["runs"]), len(second["runs"]), second["next_cursor"]) == (2, 1, None)
    assert http.get("/api/v1/conversations/s/runs/run_1").status_code == 404
    assert http.get("/api/v1/conversations/nowhere/runs").status_code == 404


def test_what_is_refused_has_a_status_of_its_own(http: httpx.Client, running: Running) -> None:
    refused = [
        (body(memory_strategy={"mode": "forget"}), 422, "mode"),
        (body(memory_strategy=[]), 422, "memory_strategy"),
        (body(tools=["rm_rf"]), 422, "tools"),
        (body(max_tokens=0), 422, "max_tokens"),
        (body(model="x"), 422, "model"),
        (body(7), 422, "turns[0].content"),
        ({"message": "Hi."}, 422, "session_id"),
    ]
    for asked, status, field in refused:
        for path in ("/api/v1/chat", "/api/v1/chat/stream"):
            got = http.post(path, json=asked)
            assert (got.status_code, got.json()["field"]) == (status, field), got.text
            assert got.headers["content-type"] == "application/problem+json"
    assert http.get("/sessions/s/turns").status_code == 404, "nothing was logged"
    with running.http(running.key("read")) as reader:
        assert reader.post("/api/v1/chat", json=body()).status_code == 403


def test_a_provider_that_fails(http: httpx.Client, fake: FakeMessagesStream) -> None:
    fake.fail_next(529, retry_after=9)
    got = http.post("/api/v1/chat", json=body())
    assert (got.status_code, got.headers["retry-after"]) == (503, "9")
    fake.fail_next(401)
    assert http.post("/api/v1/chat", json=body()).status_code == 502
    fake.answer = Said(LONG, after=2, error="overloaded_error")
    *_, (name, problem) = streamed(http, body())
    assert name == "error"
    assert (problem["status"], problem["title"]) == (503, "Provider unavailable")
    assert problem["detail"].endswith("; try again")


def test_one_answer_at_a_time(http: httpx.Client, fake: FakeMessagesStream) -> None:
    hold = threading.Event()
    fake.answer = Said(LONG, after=1, hold=hold)
    with http.stream("POST", "/api/v1/chat/stream", json=body("First.")) as got:
        lines = got.iter_lines()
        while next(lines) != "event: text":
            pass
        second = http.post("/api/v1/chat", json=body("Second."))
        assert second.status_code == 409
        assert "is being answered by run" in second.json()["detail"]
        hold.set()
        assert any(line == "event: done" for line in lines)
    fake.answer = "Now."
    assert http.post("/api/v1/chat", json=body("Second.")).json()["text"] == "Now."


def ended(running: Running, status: str) -> None:
    """Returns once the newest run has this status."""
    end = time.monotonic() + 10
    while Chat(running.memory).runs("s")[0][0].status != status:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_hanging_up_on_a_stream_ends_the_answer(running: Running, http: httpx.Client, fake: FakeMessagesStream) -> None:
    fake.answer = Said(LONG, after=2, hold=threading.Event())
    with http.stream("POST", "/api/v1/chat/stream", json=body()) as got:
        said = ""
        for line in got.iter_lines():
            if line.startswith("data: ") and "text" in (data := json.loads(line[6:])):
                said += data["text"]
                break
    assert fake.gone.wait(10), "the provider still streams"
    ended(running, "failed")
    (run,) = Chat(running.memory).runs("s")[0]
    assert run.reason == "cancelled"
    log = said_in(running.memory)
    assert log[0] == ("user", "message", "Hello.")
    assert log[1][2].startswith(said)


def test_hanging_up_on_a_whole_answer_ends_it(running: Running, fake: FakeMessagesStream) -> None:
    fake.answer = Said(LONG, after=2, hold=threading.Event())
    with running.http() as http, pytest.raises(httpx.ReadTimeout):
        http.post("/api/v1/chat", json=body(), timeout=1.0)
    assert fake.gone.wait(10), "the provider still streams"
    ended(running, "failed")


def test_a_silence_is_filled(http: httpx.Client, fake: FakeMessagesStream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "BEAT_S", 0.05)
    hold = threading.Event()
    fake.answer = Said(LONG, after=1, hold=hold)
    with http.stream("POST", "/api/v1/chat/stream", json=body()) as got:
        lines = got.iter_lines()
        while next(lines) != ": alive":
            pass
        hold.set()
        assert any(line == "event: done" for line in lines)


def test_too_many_at_once_are_sent_away(
    tmp_path: Path, fake: FakeMessagesStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "CHATS", 1)
    hold = threading.Event()
    fake.answer = Said(LONG, after=1, hold=hold)
    with (
        open_chat(tmp_path, fake) as memory,
        serving(memory) as running,
        running.http() as http,
        http.stream("POST", "/api/v1/chat/stream", json=body()) as got,
    ):
        lines = got.iter_lines()
        assert next(lines) == "event: run"
        refused = http.post("/api/v1/chat", json={**body(), "session_id": "other"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert http.get("/sessions/other/turns").status_code == 404
        hold.set()
        assert any(line == "event: done" for line in lines)


def test_answers_hold_up_no_other_request(running: Running, http: httpx.Client, fake: FakeMessagesStream) -> None:
    hold = threading.Event()
    fake.answer = Said(LONG, after=1, hold=hold)
    statuses: list[int] = []

    def ask(n: int) -> None:
        with running.http() as own:
            statuses.append(own.post("/api/v1/chat", json={**body(), "session_id": f"s{n}"}).status_code)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(answering.CHATS)]
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + 20
        while fake.streams < answering.CHATS:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert http.get("/memory/default/sessions").status_code == 200
    finally:
        hold.set()
        for thread in threads:
            thread.join()
    assert statuses == [200] * answering.CHATS
