"""The live stream: prompt, complete across broken lines, filtered, and ended by the server's stop."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from carryover import engine
from carryover.core.scope import Scope
from carryover.jobs.timer import ticking
from carryover.server import live
from carryover.store import keys
from carryover.store.news import UNKNOWN, Change
from commands import ENTRY
from servers.redis import Server
from serving import Running, open_memory, serving
from waiting import until


def events(got: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of the stream, read as a browser would."""
    fields: dict[str, str] = {}
    for line in got.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
            continue
        if "data" in fields:
            data = json.loads(fields["data"])
            assert (fields["id"], fields["event"]) == (str(data["id"]), data["action"])
            yield data
        elif "id" in fields:
            yield {"id": int(fields["id"]), "action": "began"}
        fields = {}


def append(http: httpx.Client, n: int, session: str = "s") -> None:
    assert http.post(f"/sessions/{session}/turns", json={"role": "user", "content": str(n)}).status_code == 201


def test_events_come_as_they_happen(running: Running, http: httpx.Client) -> None:
    append(http, 0)
    with http.stream("GET", "/stream/default/live") as got:
        assert got.headers["content-type"].startswith("text/event-stream")
        stream = events(got)
        assert next(stream)["action"] == "began"
        with running.http() as other:
            for n in range(1, 4):
                append(other, n)
                assert next(stream)["detail"] == {"version": n + 1, "turns": 1}
            other.post("/sessions/s/close")
            assert next(stream)["action"] == "close"


def test_a_broken_line_is_taken_up_without_gap_or_repeat(running: Running, http: httpx.Client) -> None:
    done = threading.Event()

    def write() -> None:
        with running.http() as other:
            for n in range(120):
                append(other, n)
        done.set()

    with http.stream("GET", "/stream/default/live") as got:
        last = next(events(got))["id"]
    writer = threading.Thread(target=write)
    writer.start()
    seen: list[dict[str, Any]] = []
    lines = 0
    while not (done.is_set() and seen and seen[-1]["detail"].get("version") == 120):
        # Every few events the line is cut, in the middle of whatever the server was sending.
        with (
            running.http() as reader,
            reader.stream("GET", "/stream/default/live", headers={"Last-Event-ID": str(last)}) as got,
        ):
            lines += 1
            for n, event in enumerate(events(got)):
                seen.append(event)
                last = event["id"]
                if n == 6 or event["detail"].get("version") == 120:
                    break
    writer.join()
    assert lines > 5
    assert [event["detail"]["version"] for event in seen if event["action"] == "append"] == list(range(1, 121))
    assert [event["action"] for event in seen].count("open") == 1


def test_filters_hold_for_live_too(http: httpx.Client) -> None:
    append(http, 1)
    append(http, 1, "t")
    http.post("/sessions/s/close")
    with http.stream("GET", "/stream/default/live?action=close&after=0") as got:
        assert next(events(got))["action"] == "close"
    with http.stream("GET", "/stream/default/live?session_id=t&after=0") as got:
        stream = events(got)
        assert [next(stream)["session_id"] for _ in range(2)] == ["t", "t"]
    refused = http.get("/stream/default/live", headers={"Last-Event-ID": "yesterday"})
    assert (refused.status_code, refused.json()["field"]) == (422, "Last-Event-ID")


def test_events_of_another_process_are_seen(tmp_path: Path) -> None:
    with (
        open_memory(tmp_path) as memory,
        serving(memory) as running,
        open_memory(tmp_path) as elsewhere,
        running.http() as http,
        http.stream("GET", "/stream/default/live") as got,
    ):
        stream = events(got)
        next(stream)
        elsewhere.log_turn("s", "user", "from elsewhere")
        assert [next(stream)["action"] for _ in range(2)] == ["open", "append"]


@contextmanager
def other_process(environment: dict[str, str]) -> Iterator[str]:
    """The URL of a server in a process of its own, as it is installed."""
    with subprocess.Popen(
        [ENTRY, "serve", "--port", "0", "--no-worker"], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            yield next(line.split()[-1] for line in process.stderr if "listens on" in line)
        finally:
            process.terminate()
            process.communicate()


def test_news_of_another_process_do_not_wait_for_the_poll(
    tmp_path: Path, redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers here look by themselves once a minute; an answer that takes half of it is given up."""
    monkeypatch.setattr(live, "POLL_S", 60)
    monkeypatch.setattr(live, "PROMPT_POLL_S", 60)
    settings = {"home": str(tmp_path), "redis_url": redis_server.url, "embedder": "none"}
    environment = {**os.environ, **{f"CARRYOVER_{name.upper()}": value for name, value in settings.items()}}
    with (
        open_memory(tmp_path, redis_url=SecretStr(redis_server.url)) as memory,
        serving(memory) as running,
        other_process(environment) as url,
        httpx.Client(base_url=url) as there,
        running.http() as here,
    ):
        until(lambda: memory.engine.news.prompt)
        with here.stream("GET", "/stream/default/live") as got:
            stream = events(got)
            next(stream)
            for n in range(1, 21):
                append(there, n)
                if n == 1:
                    assert next(stream)["action"] == "open"
                assert next(stream)["detail"] == {"version": n, "turns": 1}


def test_a_worker_of_another_process_is_woken(
    tmp_path: Path, redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks by itself once a minute; what waits for it gives up after a third of that."""
    monkeypatch.setattr(engine, "ticking", partial(ticking, tick_s=60))
    redis_url = SecretStr(redis_server.url)
    with open_memory(tmp_path, redis_url=redis_url) as one, open_memory(tmp_path, redis_url=redis_url) as two:
        two.engine.start_working()
        until(lambda: two.engine.news.prompt)
        for n in range(5):
            one.log_turn(f"s{n}", "user", "Let's use PostgreSQL for the ledger.")
            one.close_session(f"s{n}")
            until(lambda session=f"s{n}": one.snapshots(session))


def test_readers_of_other_streams_sleep_on() -> None:
    woken: dict[str, int] = {}

    async def listen() -> None:
        bell = live.Bell()
        bell.hang(asyncio.get_running_loop())
        with bell.heard("acme", "ada") as ada, bell.heard("acme", "bob") as bob, bell.heard("other", "ada") as other:
            events = {"ada": ada, "bob": bob, "other": other}
            for change in (Change(frozenset({("acme", "ada")})), Change(due=frozenset({"consolidate"})), UNKNOWN):
                await asyncio.to_thread(bell.ring, change)
                await asyncio.sleep(0)
                for name, event in events.items():
                    woken[name] = woken.get(name, 0) + event.is_set()
                    event.clear()
        bell.ring(UNKNOWN)

    asyncio.run(listen())
    assert woken == {"ada": 2, "bob": 1, "other": 1}


def test_a_silent_line_beats(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT_S", 0.2)
    with http.stream("GET", "/stream/default/live") as got:
        assert next(line for line in got.iter_lines() if line.startswith(":")) == ": alive"


def test_a_stop_ends_the_stream_cleanly(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, serving(memory) as running, running.http() as http:
        stack = http.stream("GET", "/stream/default/live")
        got = stack.__enter__()
        next(events(got))
        running.server.should_exit = True
        began = time.monotonic()
        with pytest.raises(httpx.StreamConsumed):
            for _ in got.iter_lines():
                pass
        assert time.monotonic() - began < 10
        stack.__exit__(None, None, None)


def test_a_revoked_key_loses_its_line(running: Running) -> None:
    with running.http(running.key("read")) as http, http.stream("GET", "/stream/default/live") as got:
        lines = got.iter_lines()
        next(lines)
        with running.memory.engine.store.write(Scope()) as tx:
            keys.revoke(tx, keys.listed(tx)[0].id)
        for _ in lines:  # ends
            pass


def test_a_reader_that_does_not_read_blocks_nobody(running: Running, http: httpx.Client) -> None:
    append(http, 0)
    with http.stream("GET", "/stream/default/live?after=0"), running.http() as other:
        for n in range(50):
            append(other, n)
        assert other.get("/memory/default/s").json()["turn_count"] == 51
