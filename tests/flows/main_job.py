"""The whole of carryover's work, verb by verb, in a home of its own: `python main_job.py FOLDER`.

It is started where no other machine can be reached, and ends with an error where anything did not work there.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from commands import ENTRY, Commands, line_of, run, started  # noqa: E402
from fakes.scripted import Scripted  # noqa: E402

TALK = {
    "conversation": {
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Mara", "text": "We have 14 kayaks and 6 paddle boards at the old mill."},
            {"speaker": "Jonas", "text": "And the soft opening of the boat house is on 1 June."},
        ],
    },
    "qa": [{"question": "How many kayaks are there?", "evidence": ["D1:1"], "category": 4, "answer": "14"}],
}
USER = "Let's use PostgreSQL for the ledger. Please always answer in metric units."


def verbs(folder: Path) -> None:
    """The command line on its own store, with the embedding model that comes with it: conversations and memory."""
    carryover = Commands()
    carryover("log", "monday", USER, "--user", "ada")
    finding = carryover.json("consolidate", "monday")["decisions"][0]["id"]
    assert "PostgreSQL" in carryover("context", "tuesday", "--user", "ada")
    assert carryover.json("search", "which database")["results"][0]["text"]
    carryover("window", "monday")
    carryover("sessions")
    carryover("stream")
    carryover("why", finding)
    carryover("trace", "monday", "1")
    carryover("verify")
    carryover("profile", "show", "ada")
    line = carryover.json("profile", "choices")[0]["id"]
    carryover("profile", "edit", "ada", "--pin", line)
    carryover("profile", "why", "ada", line)
    carryover("profile", "link", "ada")
    carryover("profile", "refit")
    carryover("profile", "overview")
    carryover("profile", "erase", "ada", "--yes")
    carryover("strategy", "set", "monday", "--set", "mode=trim")
    carryover("strategy", "show", "monday")
    carryover("strategy", "view", "monday")
    carryover("strategy", "unset", "monday", "--all")
    carryover("strategy", "agent", "default", "--set", "mode=trim")
    carryover("memory", "tiers")
    carryover("memory", "restore", "monday")
    (folder / "eval" / "locomo").mkdir(parents=True)
    (folder / "eval" / "locomo" / "conv-1.json").write_text(json.dumps(TALK), "utf-8")
    carryover("eval", "recall", str(folder / "eval"), "--report", str(folder / "report"))
    carryover("eval", "strategies", "--made-up", "1", "--limit", "1")


def operation(folder: Path) -> None:
    """The command line, for whoever runs it: copies, erasures, holds, keys, jobs; and a worker."""
    os.environ["CARRYOVER_EMBEDDER"] = "none"
    carryover = Commands()
    carryover("log", "monday", USER, "--user", "ada")
    carryover("queue", "list")
    carryover("queue", "dead")
    carryover("queue", "retry", "--all")
    with started("worker") as working:
        assert "runs what is due" in line_of(working.stderr)
        working.terminate()
        assert working.wait(60) == 0
    carryover("doctor")
    carryover("db", "upgrade")
    carryover("db", "history")
    carryover("db", "check")
    carryover("db", "reindex")
    carryover("db", "move", f"sqlite:///{folder / 'home' / 'carryover.db'}", f"sqlite:///{folder / 'moved.db'}")
    carryover("backup", str(folder / "backup"), "--keys", str(folder / "keys"))
    carryover("export", str(folder / "all.carryover"))
    carryover("import", str(folder / "all.carryover"))
    held = carryover.json("hold", "place", "--reason", "a case", "--session", "monday")["id"]
    carryover("hold", "list")
    carryover("hold", "release", held)
    receipt = folder / "receipt.json"
    carryover("forget", "--session", "monday", "--yes", "--receipt", str(receipt))
    carryover("verify-erasure", "--canary", "PostgreSQL for the ledger", "--receipt", str(receipt))
    carryover("extractors")
    carryover("keys", "seal")
    carryover("keys", "rotate-master")
    key = carryover.json("keys", "create", "--label", "own")["id"]
    carryover("keys", "list")
    carryover("keys", "revoke", key)
    carryover("audit", "--verify")
    os.environ["CARRYOVER_HOME"] = str(folder / "elsewhere")
    carryover("restore", str(folder / "backup"), "--keys", str(folder / "keys"))


def coding_sessions(folder: Path) -> None:
    """Logs of coding agents are read, digested, and told of; hooks stand in their settings."""
    carryover = Commands()
    golden = HERE.parent / "coding" / "adapters" / "golden"
    for flavor in ("claude-code", "codex"):
        shutil.copytree(next(iter(sorted((golden / flavor).iterdir()))), folder / "logs" / flavor)
    assert carryover.json("ingest", str(folder / "logs"))["ingested"] > 0
    plant(folder)
    carryover("detect")
    id = carryover.json("patterns", "list")["patterns"][0]["id"]
    carryover("patterns", "show", id)
    carryover("patterns", "edit", id, "--lesson", "Read a file first.")
    carryover("patterns", "reject", id)
    carryover("patterns", "edit", id, "--lesson", "Read a file again first.")
    carryover("patterns", "approve", id)
    (folder / "repo" / ".git").mkdir(parents=True)
    carryover("patterns", "distribute", id, "--repo", str(folder / "repo"), "--yes")
    carryover("patterns", "measure", id)
    carryover("patterns", "withdraw", id, "--yes")
    carryover("report", "--output", str(folder / "coding.html"))
    carryover("hooks", "install", "claude-code", "--yes")
    carryover("hooks", "status")
    carryover("hooks", "uninstall", "claude-code", "--yes")
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    begun = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    said = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": begun},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        asked,
    ]
    told = run("mcp", stdin="".join(f"{json.dumps(one)}\n" for one in said))
    assert '"tools"' in told.stdout, told.stderr


def plant(folder: Path) -> None:
    """Five sessions that edited a file unread, so that something recurs."""
    from carryover.core.scope import Scope
    from carryover.opening import open_store
    from carryover.settings import load
    from carryover.store import digests
    from planted import session, signal
    from talk import begun

    told = [
        session(f"a{n}", signal("edit_before_read", "edit: not read", "Not read yet."), age_days=n) for n in range(5)
    ]
    with open_store(load(home=folder / "home").settings) as store, store.write(Scope()) as tx:
        begun(tx, [(digest.agent_id, digest.session_id) for digest in told])
        for digest in told:
            digests.put(tx, digest)


@contextmanager
def model_of_this_machine() -> Iterator[Scripted]:
    with Scripted(lambda body: ("We chose PostgreSQL.", [])) as provider:
        yield provider


def server_and_sdk(folder: Path) -> None:
    """A server as it is installed, both clients, the pages, and a chat with a model of this machine."""
    import httpx

    from carryover import AsyncClient, Client
    from carryover.core.chat import ChatRequest
    from serving import serving_process

    asked = {"llm": "anthropic:claude-haiku-4-5", "llm_api_key": "k", "idle_s": "1"}
    with (
        model_of_this_machine() as provider,
        serving_process(folder / "server", llm_base_url=provider.url, **asked) as (_, url),
        Client(url) as client,
    ):
        client.log_turn("s", "user", USER, user="ada")
        client.get_context("t", user="ada")
        client.search_memory("which database", k=2)
        assert client.events().events
        assert client.chat.send(ChatRequest("s", "Which database?")).text == "We chose PostgreSQL."

        async def again() -> None:
            async with AsyncClient(url) as other:
                await other.get_context("t")

        asyncio.run(again())
        with httpx.Client(base_url=url) as http:
            for path in ("/profile?user_id=ada", "/health", "/metrics", "/docs", "/openapi.json", "/"):
                got = http.get(path, headers={"Accept": "text/html"})
                assert got.status_code == 200, path
                if got.headers["content-type"].startswith("text/html"):
                    (folder / f"{path.strip('/').partition('?')[0] or 'root'}.html").write_text(got.text, "utf-8")


def frameworks(folder: Path) -> None:
    """Other people's frameworks with our parts in them, as the how-tos show it."""
    import carryover

    with model_of_this_machine() as provider, carryover.open(folder / "frameworks") as memory:
        asyncio.run(openai_agents(memory, provider))
        langgraph(memory)
        asyncio.run(pydantic_ai(memory))


async def openai_agents(memory: Any, provider: Scripted) -> None:
    from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
    from openai import AsyncOpenAI

    from carryover.integrations.openai_agents import CarryoverSession

    set_tracing_disabled(True)  # the how-to says why
    async with AsyncOpenAI(base_url=provider.openai_url, api_key="k", max_retries=0) as client:
        agent = Agent(name="Ada", model=OpenAIResponsesModel("gpt-5", client))
        session = CarryoverSession("sdk", memory=memory, agent="support")
        assert (await Runner.run(agent, "Which database?", session=session)).final_output == "We chose PostgreSQL."


def langgraph(memory: Any) -> None:
    from langchain_core.messages import AIMessage, HumanMessage
    from langgraph.graph import START, StateGraph
    from langgraph.graph.message import add_messages

    from carryover.integrations.langgraph import log_messages

    graph = StateGraph(TypedDict("State", {"messages": Annotated[list[Any], add_messages]}))
    graph.add_node("answer", lambda _: {"messages": [AIMessage("We chose PostgreSQL.")]})
    graph.add_edge(START, "answer")
    said = graph.compile().invoke({"messages": [HumanMessage("Which database?")]})
    log_messages(memory, "graph", said["messages"])


async def pydantic_ai(memory: Any) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    from carryover.integrations.pydantic_ai import log_run

    result = await Agent(TestModel()).run("Which database?")
    log_run(memory, "pydantic", result)


def demo(folder: Path) -> None:
    """What a newcomer sees first: a server, a worker, the embedding model."""
    own = {**os.environ, "CARRYOVER_SHARED": str(folder / "nothing-here")}
    done = subprocess.run([ENTRY, "demo"], env=own, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr


PARTS = {one.__name__: one for one in (demo, verbs, operation, coding_sessions, server_and_sdk, frameworks)}

if __name__ == "__main__":
    root = Path(sys.argv[1])
    os.chdir(root)
    for name in sys.argv[2:] or PARTS:
        part = root / name
        part.mkdir()
        os.environ |= {"HOME": str(part), "CARRYOVER_HOME": str(part / "home")}
        PARTS[name](part)
        sys.stdout.write(f"{name} is done\n")
