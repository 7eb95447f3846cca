"""Memory over the Model Context Protocol, with its own client: over a real process, and over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from carryover.core.errors import Invalid
from carryover.core.headings import CHANGED
from carryover.core.persona import HEADING
from carryover.core.scope import Scope
from carryover.integrations.mcp_http import address
from carryover.store import keys
from coded import REPO, lesson, worked
from commands import ENTRY
from serving import open_memory, serving
from waiting import until

Body = Callable[[Client], Awaitable[None]]
FIRST = {"session_id": "s1", "role": "user", "content": "Let's use PostgreSQL for the ledger."}


def environment(home: Path, **more: str) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
    return {**bare, "CARRYOVER_HOME": str(home), "CARRYOVER_EMBEDDER": "none", **more}


def by_stdio(home: Path, body: Body, **more: str) -> None:
    async def main() -> None:
        server = StdioServerParameters(command=ENTRY, args=["mcp"], env=environment(home, **more))
        async with Client(server, read_timeout_seconds=30) as client:
            await body(client)

    asyncio.run(main())


@contextmanager
def http_server(home: Path, *args: str, **more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`carryover mcp --http` as it is installed, and its address."""
    with subprocess.Popen(
        [ENTRY, "mcp", "--http", "127.0.0.1:0", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(home, **more),
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            yield process.stderr.readline().removeprefix("MCP at ").strip(), process
        finally:
            process.kill()


@asynccontextmanager
async def http_client(url: str, key: str | None = None) -> AsyncIterator[Client]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), read_timeout_seconds=30) as client,
    ):
        yield client


def by_http(url: str, body: Body, key: str | None = None) -> None:
    async def main() -> None:
        async with http_client(url, key) as client:
            await body(client)

    asyncio.run(main())


@pytest.fixture(params=["stdio", "http", "remote"])
def over(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Body], None]]:
    """Runs a body with a client of an empty memory: in a process, over HTTP, or on a carryover server."""
    if request.param == "stdio":
        yield lambda body: by_stdio(tmp_path / "home", body)
    elif request.param == "http":
        with http_server(tmp_path / "home") as (url, _):
            yield lambda body: by_http(url, body)
    else:
        with open_memory(tmp_path / "home") as memory, serving(memory) as running:
            yield lambda body: by_stdio(tmp_path / "other", body, CARRYOVER_URL=running.url)


def text(result: Any) -> str:
    (content,) = result.content
    return content.text


async def ok(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text(result)
    return result.structured_content if result.structured_content is not None else text(result)


async def refused(client: Client, tool: str, **arguments: Any) -> tuple[str, dict[str, Any] | None]:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return text(result), result.structured_content


def test_what_was_logged_is_found_and_told(over: Callable[[Body], None]) -> None:
    async def body(client: Client) -> None:
        assert await ok(client, "get_context", session_id="s2") == ""
        assert await ok(client, "log_turn", **FIRST, idempotency_key="k1") == {
            "session_id": "s1", "agent": "default", "seq": 1,
        }  # fmt: skip
        assert (await ok(client, "log_turn", **FIRST, idempotency_key="k1"))["seq"] == 1
        assert (await ok(client, "log_turn", session_id="s1", role="assistant", content="Noted."))["seq"] == 2
        (hit,) = (await ok(client, "search_memory", query="which database for the ledger?", k=1))["results"]
        assert hit["text"] == FIRST["content"]
        assert hit["sources"] == [{"session_id": "s1", "first": 1, "last": 1, "quote": FIRST["content"]}]
        assert "PostgreSQL" in await ok(client, "get_context", session_id="s2")
        assert await ok(client, "get_context", session_id="s2", agent="other") == ""

    over(body)


def test_a_persona_stays_the_same_for_a_session(tmp_path: Path) -> None:
    with open_memory(tmp_path / "home") as memory, serving(memory) as running:
        ids = {choice.text: choice.id for choice in memory.profiles.choices()}
        pin = partial(memory.profiles.edit, "ann")
        pin(pins=[ids["Does not want emojis."]])

        async def body(client: Client) -> None:
            assert await ok(client, "get_persona", user="nobody") == ""
            told = await ok(client, "get_persona", user="ann", session_id="s1")
            assert told == f"{HEADING}\n- Does not want emojis."
            pin(pins=[])
            later = await ok(client, "get_persona", user="ann", session_id="s1")
            assert later.startswith(f"{told}\n\n{CHANGED}")
            assert await ok(client, "get_persona", user="ann") == ""
            assert "user_id" in (await refused(client, "get_persona", user="a\nb"))[0]

        by_stdio(tmp_path / "other", body, CARRYOVER_URL=running.url)


def test_the_tools_say_what_they_are_for(over: Callable[[Body], None]) -> None:
    async def body(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["get_context", "get_persona", "search_memory", "log_turn", "why"]
        for tool in tools.values():
            assert tool.description
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is (tool.name != "log_turn")
            for name, schema in tool.input_schema["properties"].items():
                assert schema["description"], name
        assert tools["log_turn"].input_schema["required"] == ["session_id", "role", "content"]
        assert tools["why"].output_schema is not None
        assert client.instructions is not None
        assert "get_context" in client.instructions

    over(body)


def test_what_cannot_be_says_what_to_do(over: Callable[[Body], None]) -> None:
    async def body(client: Client) -> None:
        said, problem = await refused(client, "get_context", session_id="s1", max_tokens=3)
        assert said == "max_tokens is 3; use at least 32"
        assert problem is not None
        assert problem["type"] == "/problems/invalid"
        assert problem["field"] == "max_tokens"
        said, problem = await refused(client, "why", id="nobody")
        assert said == "finding 'nobody' does not exist here; take an id from a search or a snapshot"
        assert problem is not None
        assert problem["type"] == "/problems/not-found"
        said, _ = await refused(client, "log_turn", session_id="a b", role="user", content="x")
        assert "use 1 to 128 of" in said
        said, _ = await refused(client, "log_turn", session_id="s1", role="nobody", content="x")
        assert "'user', 'assistant', 'system' or 'tool'" in said
        assert "session_id" in (await refused(client, "get_context"))[0]
        assert "valid integer" in (await refused(client, "search_memory", query="x", k="many"))[0]
        assert "k" in (await refused(client, "search_memory", query="x", k=0))[0]
        assert "Unknown tool" in (await refused(client, "forget_everything"))[0]
        # After all of it the memory still answers.
        assert await ok(client, "get_context", session_id="never-seen") == ""

    over(body)


def test_calls_at_the_same_time_all_count(over: Callable[[Body], None]) -> None:
    async def body(client: Client) -> None:
        calls = [ok(client, "log_turn", **{**FIRST, "content": f"Turn {n}"}) for n in range(20)]
        calls += [ok(client, "get_context", session_id="s2") for _ in range(10)]
        answers = await asyncio.gather(*calls)
        assert sorted(answer["seq"] for answer in answers[:20]) == list(range(1, 21))

    over(body)


def test_a_call_that_is_given_up_disturbs_no_other(over: Callable[[Body], None]) -> None:
    async def body(client: Client) -> None:
        for n in range(5):
            with anyio.move_on_after(0.001):
                await client.call_tool("log_turn", {**FIRST, "content": f"Turn {n}", "idempotency_key": f"k{n}"})
        for n in range(5):  # given up, not undone: whoever asks again hears that it is there, or logs it now
            await ok(client, "log_turn", **{**FIRST, "content": f"Turn {n}", "idempotency_key": f"k{n}"})
        results = (await ok(client, "search_memory", query="Turn", k=20))["results"]
        assert sorted(hit["text"] for hit in results) == [f"Turn {n}" for n in range(5)]

    over(body)


def test_a_finding_is_explained(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        memory.log_turn("s1", "user", "We decided to use PostgreSQL for the ledger.")
        snapshot = memory.consolidate("s1")
        assert snapshot is not None
        finding = snapshot.findings[0]

    async def body(client: Client) -> None:
        found = await ok(client, "why", id=finding.id)
        assert found["finding"]["text"] == finding.text
        assert found["cited"][0]["seq"] == 1
        assert found["superseded_by"] is None

    by_stdio(tmp_path, body)


def test_a_coding_agent_names_its_repository(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        worked(memory.engine.store, memory.scope, "s1", "Add a retry")
        lesson(memory.engine.store, memory.scope, "p1", "Read before you edit.")

    async def body(client: Client) -> None:
        told = await ok(client, "get_context", session_id="new", agent="codex", repo=REPO)
        assert "Add a retry" in told
        assert "- Read before you edit." in told
        assert await ok(client, "get_context", session_id="new", agent="codex", repo="/elsewhere") == ""

    by_stdio(tmp_path, body)
    with open_memory(tmp_path) as memory, serving(memory) as running:
        by_stdio(tmp_path / "other", body, CARRYOVER_URL=running.url)


# The output, the end, and the keys


def said(process: subprocess.Popen[str], message: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline()) if "id" in message else {}


def test_the_output_carries_the_protocol_alone_and_ends_with_the_input(tmp_path: Path) -> None:
    with subprocess.Popen(
        [ENTRY, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(tmp_path, CARRYOVER_LOG_LEVEL="debug"),
    ) as process:  # fmt: skip
        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        assert (
            said(process, {"id": 1, "method": "initialize", "params": client})["result"]["serverInfo"]["name"]
            == "carryover"
        )
        said(process, {"method": "notifications/initialized"})
        assert process.stdin is not None
        process.stdin.write("no JSON at all\n")
        call = {"name": "log_turn", "arguments": FIRST}
        answer = said(process, {"id": 2, "method": "tools/call", "params": call})
        lines = [answer] if answer.get("id") == 2 else [answer, json.loads(process.stdout.readline())]  # type: ignore[union-attr]
        assert lines[-1]["result"]["structuredContent"]["seq"] == 1
        rest, _ = process.communicate(timeout=30)
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())
        assert process.returncode == 0


def test_a_server_that_dies_is_an_error_and_what_it_logged_stays(tmp_path: Path) -> None:
    async def main(url: str, process: subprocess.Popen[str]) -> None:
        async with http_client(url) as client:
            await ok(client, "log_turn", **FIRST)
            process.kill()
            process.wait(30)
            await client.call_tool("log_turn", FIRST)

    failed = False
    with http_server(tmp_path) as (url, process):
        try:
            asyncio.run(main(url, process))
        except* (httpx2.HTTPError, MCPError):
            failed = True
    assert failed
    with open_memory(tmp_path) as memory:
        assert memory.session("s1").turn_count == 1


def test_a_server_that_is_told_to_stop_stops(tmp_path: Path) -> None:
    with http_server(tmp_path) as (url, process):
        assert httpx.get(url.removesuffix("/mcp")).status_code == 404
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM)


def key_for(home: Path, **more: Any) -> str:
    with open_memory(home) as memory, memory.engine.store.write(Scope("default")) as tx:
        return keys.create(tx, label="test", **more)[1]


def test_once_there_is_a_key_every_request_needs_one_and_sees_what_it_may(tmp_path: Path) -> None:
    admin, reader = key_for(tmp_path), key_for(tmp_path, rights=("read",), agent="planner")
    with http_server(tmp_path) as (url, _):
        for headers in ({}, {"Authorization": "Bearer co_nobody"}, {"Authorization": "Basic x"}):
            answer = httpx.post(url, json={}, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "Authorization: Bearer <key>" in answer.json()["error"]

        async def as_admin(client: Client) -> None:
            await ok(client, "log_turn", **FIRST)

        async def as_reader(client: Client) -> None:
            said, problem = await refused(client, "log_turn", **{**FIRST, "agent": "planner"})
            assert said == "this key may not write; use one with the right 'write'"
            assert problem is not None
            assert problem["type"] == "/problems/forbidden"
            assert (await refused(client, "get_context", session_id="s1"))[0].startswith("session 's1' does not exist")
            assert (await ok(client, "search_memory", query="ledger"))["results"] == []

        by_http(url, as_admin, admin)
        by_http(url, as_reader, reader)


def test_where_an_issuer_of_tokens_is_named_nobody_comes_in_without_a_key(tmp_path: Path) -> None:
    with http_server(tmp_path, CARRYOVER_OIDC='{"issuer": "https://login.example.org", "audience": "x"}') as (url, _):
        assert httpx.post(url, json={}).status_code == 401


def test_a_key_has_its_rate_here_too_and_ends_in_its_time(tmp_path: Path) -> None:
    secret = key_for(tmp_path, rate="2/hour")
    ending = key_for(tmp_path, expires_at=int(time.time() * 1000) + 1500)
    with http_server(tmp_path) as (url, _):
        asked = [httpx.post(url, json={}, headers={"Authorization": f"Bearer {secret}"}) for _ in range(3)]
        assert [one.status_code == 429 for one in asked] == [False, False, True]
        assert 3500 < int(asked[2].headers["retry-after"]) <= 3600
        until(lambda: httpx.post(url, json={}, headers={"Authorization": f"Bearer {ending}"}).status_code == 401)


@pytest.mark.parametrize("hostile", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_a_page_of_another_site_does_not_reach_it(tmp_path: Path, hostile: dict[str, str]) -> None:
    with http_server(tmp_path) as (url, _):
        assert httpx.post(url, json={}, headers=hostile).status_code in (403, 421)


def refusal(home: Path, *args: str, **more: str) -> str:
    done = subprocess.run(
        [ENTRY, "mcp", *args], env=environment(home, **more), capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_it_listens_to_strangers_only_behind_keys(tmp_path: Path) -> None:
    assert "make one with `carryover keys create`" in refusal(tmp_path, "--http", "0.0.0.0:0")
    with open_memory(tmp_path / "server") as memory, serving(memory) as running:
        assert "would act with your key" in refusal(tmp_path, "--http", "0.0.0.0:0", CARRYOVER_URL=running.url)


def test_an_address_that_cannot_be_is_told(tmp_path: Path) -> None:
    assert "write HOST:PORT, as in 127.0.0.1:8421" in refusal(tmp_path, "--http", "8421")
    with http_server(tmp_path) as (url, _):
        taken = url.removeprefix("http://").removesuffix("/mcp")
        assert f"{taken} cannot be served" in refusal(tmp_path, "--http", taken)


def test_addresses_are_read() -> None:
    assert address("127.0.0.1:8421") == ("127.0.0.1", 8421)
    assert address("[::1]:0") == ("::1", 0)
    for wrong in ("", ":8421", "localhost", "localhost:x", "localhost:99999"):
        with pytest.raises(Invalid):
            address(wrong)


def test_without_the_library_it_says_how_to_get_it(tmp_path: Path) -> None:
    lines = ("import sys", "sys.modules['mcp'] = None", "from carryover.cli.main import main")
    program = "\n".join((*lines, "sys.argv = ['carryover', 'mcp']", "main()"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'carryover-memory[mcp]'" in done.stderr
