"""Lines that break: what is safe is sent again, once; what is not is reported; a stream goes on where it broke."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carryover.client.aclient import AsyncClient
from carryover.client.client import Client
from carryover.core.errors import CarryoverError, NotFound, StoreUnavailable, TooMany, Unauthorized
from carryover.core.session import Append, Draft
from serving import open_memory, serving


def whole(line: socket.socket) -> bytes:
    """A request with its body."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += line.recv(1 << 16)
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while len(body) < int(length[1] if length else 0):
        body += line.recv(1 << 16)
    return head + b"\r\n\r\n" + body


@contextmanager
def proxy(port: int, drops: list[str]) -> Iterator[str]:
    """A line to the port that is cut, per connection: `request` before, `answer` after the server has worked."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            with line, socket.create_connection(("127.0.0.1", port)) as behind:
                drop = drops.pop(0) if drops else ""
                request = whole(line)
                if drop == "request":
                    continue
                behind.sendall(request.replace(b"keep-alive", b"close", 1))
                while answer := behind.recv(1 << 16):
                    if drop != "answer":
                        line.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


@contextmanager
def canned(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, one per connection, and the requests that it got."""
    listening = socket.create_server(("127.0.0.1", 0))
    got: list[bytes] = []

    def serve() -> None:
        for answer in answers:
            line, _ = listening.accept()
            with line:
                got.append(whole(line))
                line.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", got
    finally:
        thread.join(5)
        listening.close()


def answer(status: str, body: bytes, kind: str = "application/problem+json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("drop", ["request", "answer"])
def test_a_turn_is_logged_once_over_a_broken_line(tmp_path: Path, drop: str) -> None:
    with open_memory(tmp_path) as memory, serving(memory) as running:
        with proxy(int(running.url.rpartition(":")[2]), [drop]) as url, Client(url) as client:
            assert client.log_turn("s", "user", "x").seq == 1
        assert memory.session("s").version == 1

        async def again(url: str) -> int:
            async with AsyncClient(url) as client:
                return (await client.log_turn("s", "user", "y")).seq

        with proxy(int(running.url.rpartition(":")[2]), [drop]) as url:
            assert asyncio.run(again(url)) == 2
        assert memory.session("s").version == 2


def test_an_append_without_keys_is_not_sent_twice(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, serving(memory) as running:
        with proxy(int(running.url.rpartition(":")[2]), ["answer"]) as url, Client(url) as client:
            with pytest.raises(StoreUnavailable, match="did not answer"):
                client.append(Append("s", (Draft("user", "x"),)))
            assert memory.session("s").version == 1
            done = client.append(Append("s", (Draft("user", "y", idempotency_key="k"),)))
        assert done.version == 2


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", timeout_s=2) as client:
        with pytest.raises(StoreUnavailable, match=str(port)) as told:
            client.health()
        assert "unknown" not in told.value.facts  # nothing can have been sent
        with pytest.raises(StoreUnavailable, match=str(port)):
            next(client.follow())


def say(url: str) -> None:
    with Client(url) as client:
        client.log_turn("s", "user", "x")


def say_async(url: str) -> None:
    asyncio.run(AsyncClient(url).log_turn("s", "user", "x"))


@pytest.mark.parametrize("say_to", [say, say_async])
def test_a_refusal_of_the_second_try_does_not_speak_for_the_first(say_to: Callable[[str], None]) -> None:
    """The first one broke off before its answer came, so it may have been saved."""
    away = b'{"type":"/problems/store-unavailable","title":"x","status":503,"detail":"nothing was saved"}'
    with canned(b"", answer("503 Service Unavailable", away)) as (url, got):
        with pytest.raises(StoreUnavailable, match="did not answer") as told:
            say_to(url)
        assert told.value.facts["unknown"]
    assert len(got) == 2


def test_503_is_tried_once_more() -> None:
    away = b'{"type":"/problems/store-unavailable","title":"x","status":503,"detail":"retry","retry_after":0.01}'
    fine = b'{"session_id":"s","agent_id":"default","version":1,"turns":[{"seq":1,"id":"t_1"}]}'
    with canned(answer("503 Away", away), answer("201 Created", fine)) as (url, got), Client(url) as client:
        assert client.log_turn("s", "user", "x").id == "t_1"
    assert got[0].partition(b"\r\n\r\n")[2] == got[1].partition(b"\r\n\r\n")[2]
    with canned(answer("503 Away", away), answer("503 Away", away)) as (url, got), Client(url) as client:
        with pytest.raises(StoreUnavailable, match="retry") as refusal:
            client.log_turn("s", "user", "x")
        assert refusal.value.facts == {"retry_after": 0.01}
    assert len(got) == 2


def test_problems_become_their_errors() -> None:
    slow = b'{"type":"/problems/too-many","title":"x","status":429,"detail":"wait","retry_after":7}'
    with canned(answer("429 Slow", slow)) as (url, _), Client(url) as client:
        with pytest.raises(TooMany) as refusal:
            client.health()
        assert refusal.value.facts == {"retry_after": 7}
    for raw in (b"<html>", b"[]", b'{"type":"/problems/any","status":500,"detail":"d"}', b"\xff"):
        with canned(answer("500 Broken", raw)) as (url, _), Client(url) as client:
            with pytest.raises(CarryoverError) as broken:
                client.health()
            assert type(broken.value) is CarryoverError


def test_the_key_is_sent_and_scopes_the_answers(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, serving(memory) as running:
        mine, other = running.key("write"), running.key("write", tenant="other")
        with Client(running.url, mine) as client, Client(running.url, other) as stranger:
            client.log_turn("s", "user", "x")
            with pytest.raises(NotFound):
                stranger.session("s")
            assert stranger.health().queue["due"] == 0
        with Client(running.url, "co_nonsense") as nobody, pytest.raises(Unauthorized):
            nobody.session("s")


def test_follow_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        with serving(memory) as running:
            port = int(running.url.rpartition(":")[2])
            client = Client(running.url)
            stream = client.follow(after=0, poll_s=0.05)
            memory.log_turn("s", "user", "1")
            assert [next(stream).action for _ in range(2)] == ["open", "append"]
        memory.log_turn("s", "user", "2")  # while nobody serves
        with serving(memory, port=port):
            memory.log_turn("s", "user", "3")
            assert [next(stream).detail["version"] for _ in range(2)] == [2, 3]
            client.close()


def test_async_verbs_do_what_theirs_twins_do(tmp_path: Path) -> None:
    async def walk(url: str) -> None:
        async with AsyncClient(url) as client:
            await client.log_turn("s", "user", "We decided to use PostgreSQL.", user="u")
            await client.append(Append("s", (Draft("assistant", "ok"),)))
            session, turns = await client.turns("s")
            assert [turn.seq for turn in turns] == [1, 2]
            assert await client.session("s") == session
            assert (await client.window("s"))[1] == turns
            assert (await client.sessions())[0] == [session]
            assert (await client.hold_session("s")).status == "active"
            assert (await client.set_ttl("s", 60)).ttl_s == 60
            assert (await client.close_session("s")).status == "closed"
            snapshot = await client.consolidate("s")
            assert snapshot is not None
            assert await client.snapshot("s", 1) == snapshot
            assert [s.version for s in await client.snapshots("s")] == [1]
            assert (await client.diff("s", 1, 1)).changes == ()
            assert (await client.finding(snapshot.findings[0].id)).finding.id == snapshot.findings[0].id
            assert "PostgreSQL" in await client.get_context("t", user="u")
            assert (await client.context("t", user="u")).tokens > 0
            assert isinstance(await client.search_memory("PostgreSQL"), list)
            assert (await client.usage()).waiting == 0
            assert (await client.health()).status == "ok"
            page = await client.events()
            seen = [event async for event in _first(client, len(page.events))]
            assert seen == list(page.events)[::-1]
            assert (await client.delete_session("s")).counts["turns"] == 2

    async def _first(client: AsyncClient, n: int):  # type: ignore[no-untyped-def]
        async for event in client.follow(after=0):
            yield event
            n -= 1
            if n == 0:
                return

    with open_memory(tmp_path) as memory, serving(memory) as running:
        began = time.monotonic()
        asyncio.run(walk(running.url))
        assert time.monotonic() > began
