"""Views of one log as several processes show them: the same for everybody, and gone with the log."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from carryover.core.scope import EVERY_TENANT
from carryover.core.strategy import FORMATS, MODES
from carryover.store.coding_tables import metadata
from carryover.store.store import Store
from carryover.store.strategy_tables import agent_run_events, strategies, summaries, views
from carryover.store.tables import bodies, turns
from commands import ENTRY
from fakes.messages_stream import FakeMessagesStream
from serving import serving_process
from waiting import until

TRIM = {"mode": "trim", "max_user_turns": 20, "keep_last_turns": 10}
SUMMARIZE = {**TRIM, "mode": "summarize", "summarizer_model": "rules", "summary_max_tokens": 300}
COMPACT = {"mode": "compact", "compact_trigger_turns": 6, "compact_keep": 2, "clear_at_least_tokens": 1}
MARKS = {"mode": "trim", "max_user_turns": 12, "keep_last_turns": 6}
INJECT = {"memory_injection": True, "injection_max_tokens": 1_000}


@dataclass(frozen=True)
class Stand:
    """Two server processes on one database, with a worker process; `readable` is one that seals nothing."""

    url: str
    readable: bool
    home: Path
    servers: tuple[httpx.Client, httpx.Client]

    def post(self, path: str, body: Any, server: int = 0, **headers: str) -> httpx.Response:
        return self.servers[server % 2].post(path, json=body, headers=headers)

    def both(self, session: str, **asked: Any) -> httpx.Response:
        """The view as both show it, asked for at once; they show the same bytes."""
        with ThreadPoolExecutor(2) as pool:
            path = f"/api/v1/conversations/{session}/view"
            one, other = pool.map(lambda server: self.post(path, asked, server), (0, 1))
        assert one.status_code == 200, one.text
        assert (one.content, one.headers["etag"]) == (other.content, other.headers["etag"])
        return one

    def settle(self, session: str, **asked: Any) -> dict[str, Any]:
        """The view, once the worker has made the summary that it waits for."""
        path = f"/api/v1/conversations/{session}/view"
        for server in (0, 1):
            until(lambda server=server: self.post(path, asked, server).json()["pending"] is None, 60)
        return self.both(session, **asked).json()

    def counted(self, name: str, **labels: str) -> float:
        """What both processes together have counted."""
        return sum(_counted(server.get("/metrics").text, name, labels) for server in self.servers)

    def rows(self, *tables: sa.Table) -> dict[str, list[Any]]:
        with Store.open(self.url) as store, store.read(EVERY_TENANT) as tx:
            return {table.name: sorted(tx.conn.execute(sa.select(table)).all(), key=str) for table in tables}


def _counted(text: str, name: str, labels: dict[str, str]) -> float:
    samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeMessagesStream]:
    with FakeMessagesStream("Hello.") as opened:
        yield opened


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stand(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fake: FakeMessagesStream
) -> Iterator[Stand]:
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as stack:
        url = f"sqlite:///{home / 'carryover.db'}"
        if request.param == "postgresql":
            databases = request.getfixturevalue("databases")
            name = databases.lend()
            stack.callback(databases.take_back, name)
            url = request.getfixturevalue("postgres").url(name)
        readable = request.param == "postgresql"
        model = {"llm": "anthropic:claude-haiku-5-5", "llm_api_key": "k", "llm_base_url": fake.url}
        given = {"database_url": url, "encryption": str(not readable), **model}
        opened = [stack.enter_context(serving_process(home, "--no-worker", **given))[1] for _ in (0, 1)]
        settings = {"HOME": str(home), "DATABASE_URL": url, "EMBEDDER": "none", "ENCRYPTION": str(not readable)}
        given = {**os.environ, **{f"CARRYOVER_{key}": value for key, value in settings.items()}}
        worker = stack.enter_context(subprocess.Popen([ENTRY, "worker"], env=given, stderr=subprocess.DEVNULL))
        stack.callback(worker.kill)
        one, other = (stack.enter_context(httpx.Client(base_url=address, timeout=60)) for address in opened)
        yield Stand(url, readable, home, (one, other))


def turn(n: int) -> list[dict[str, Any]]:
    """A turn of the user's: a question, a call with its output, and an answer."""
    return [
        {"role": "user", "content": f"We decided that berth {n} is {n + 3} metres deep. Is it in the table?"},
        {"role": "assistant", "kind": "tool_call", "name": "look", "call_id": f"c{n}", "content": '{"table":"berths"}'},
        {"role": "tool", "kind": "tool_result", "call_id": f"c{n}", "content": f"berth {n} " * 80},
        {"role": "assistant", "content": f"Berth {n} is in the table now."},
    ]


def say(stand: Stand, session: str, *more: dict[str, Any], server: int = 0, **about: Any) -> None:
    got = stand.post(f"/sessions/{session}/turns", {"turns": list(more), **about}, server)
    assert got.status_code == 201, got.text


def test_all_processes_show_a_growing_log_alike_and_count_each_cut_once(stand: Stand) -> None:
    say(stand, "grows", *turn(1))
    set_ = stand.servers[0].patch("/api/v1/conversations/grows/memory", json=TRIM)
    assert (set_.status_code, set_.json()["stored"]) == (200, TRIM)
    before = stand.counted("memory_trigger_total")
    shares: list[float] = []
    cuts: list[int] = []
    for n in range(2, 61):
        say(stand, "grows", *turn(n), server=n)
        view = stand.both("grows", provider=FORMATS[n % 4]).json()
        shares.append(view["prefix_tokens_shared"] / view["prefix_tokens_before"])
        cuts.append(view["cut_seq"])
    # From more than 20 turns back to 10, and so every 11 turns: in between, all of the view before is its beginning.
    moved = [n for n, share in enumerate(shares, 2) if share < 1]
    assert moved == [21, 32, 43, 54]
    assert [shares[n - 2] for n in moved] == [0.0] * 4
    assert sum(shares) / len(shares) == 55 / 59
    assert sorted(set(cuts)) == [1, 45, 89, 133, 177]
    assert cuts == sorted(cuts)
    assert stand.counted("memory_trigger_total") - before == 4
    assert stand.counted("memory_trigger_total", strategy="trim", trigger="turns") >= 4


def test_what_a_client_has_is_not_sent_again_by_either_process(stand: Stand) -> None:
    say(stand, "known", *(entry for n in range(30) for entry in turn(n)))
    for format in FORMATS:
        asked = {"provider": format, "memory_strategy": TRIM}
        tag = stand.both("known", **asked).headers["etag"]
        for server in (0, 1):
            again = stand.post("/api/v1/conversations/known/view", asked, server, **{"If-None-Match": tag})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    say(stand, "known", {"role": "user", "content": "And now?"})
    for server in (0, 1):
        got = stand.post("/api/v1/conversations/known/view", asked, server, **{"If-None-Match": tag})
        assert (got.status_code, got.json()["version"]) == (200, 121)


def test_the_worker_makes_the_summary_that_both_processes_show(stand: Stand) -> None:
    say(stand, "told", *(entry for n in range(30) for entry in turn(n)))
    assert stand.servers[1].patch("/api/v1/conversations/told/memory", json=SUMMARIZE).status_code == 200
    first = stand.both("told", dry_run=True).json()
    assert first["strategy"]["source"] == "conversation"
    pending = first["pending"]
    assert pending == first["cut_seq"] - 1 > 0
    assert stand.rows(summaries)["summaries"] == [], "a dry run asks for nothing"
    made = stand.settle("told")
    (inserted,) = [operation for operation in made["operations"] if operation["op"] == "insert"]
    assert inserted["reason"].startswith("summary:")
    assert made["operations"][1] == {"op": "omit", "range": [1, pending], "reason": "summarized"}
    introduced, summary = made["items"][:2]
    assert (introduced["content"], summary["about"]) == ("[summary] prior context", inserted["reason"])
    assert "berth" in summary["content"]
    assert made["cut_seq"] == first["cut_seq"]
    assert len([row for row in stand.rows(summaries)["summaries"] if row.session == "told"]) == 1


def test_views_leave_the_log_as_it_is_byte_for_byte(stand: Stand) -> None:
    say(stand, "whole", *(entry for n in range(25) for entry in turn(n)))

    def exported() -> list[Any]:
        logs = [server.get("/memory/default/whole").content for server in stand.servers]
        return [*logs, *stand.rows(turns, bodies).values()]

    before = exported()
    asked = [(mode, format) for mode in MODES for format in FORMATS]
    limits = {"none": {}, "trim": TRIM, "summarize": SUMMARIZE, "compact": COMPACT}
    with ThreadPoolExecutor(4) as pool:
        for mode, format in asked * 7:
            answers = pool.map(
                lambda server, ask: stand.post("/api/v1/conversations/whole/view", ask, server).status_code,
                (0, 1), [{"provider": format, "memory_strategy": limits[mode]}] * 2,
            )  # fmt: skip
            assert list(answers) == [200, 200]
    assert exported() == before
    assert before[0] == before[1]


def test_what_is_erased_or_expires_is_gone_with_all_that_was_made_of_it(stand: Stand) -> None:
    for name, secret in (("erased", "Mergelstone"), ("expired", "Basaltrock")):
        about = {"user_id": f"user-of-{name}", "agent_id": name}
        say(stand, name, *({"role": "user", "content": f"We decided that the quay is of {secret} {n}. " * 9}
                           for n in range(30)), **about)  # fmt: skip
        path = f"/api/v1/conversations/{name}/memory?agent_id={name}"
        assert stand.servers[0].patch(path, json=SUMMARIZE).status_code == 200
        chatted = stand.post("/api/v1/chat", {"session_id": name, "agent_id": name, "message": "Hello."})
        assert chatted.status_code == 200, chatted.text
        made = stand.settle(name, agent_id=name)
        assert secret in made["items"][1]["content"]
        say(stand, f"beside-{name}", {"role": "user", "content": "What of the quay?"}, **about)
        told = stand.both(f"beside-{name}", agent_id=name, memory_strategy=INJECT).json()
        assert (told["injected"], secret in told["items"][0]["content"]) == ("used", True)
        assert bool(_tables_with(stand, secret)) == stand.readable
        held = stand.rows(strategies, summaries, views, agent_run_events)
        assert {table: any(row.session == name for row in rows) for table, rows in held.items()} == {
            "strategies": True, "summaries": True, "views": True, "agent_run_events": True,
        }  # fmt: skip
        if name == "erased":
            counts = stand.servers[1].delete(f"/memory/{name}/{name}").json()["receipt"]["counts"]
            assert {table: counts[table] for table in held} == {
                table: sum(row.session == name for row in rows) for table, rows in held.items()
            }
        else:
            assert stand.servers[1].put(f"/memory/{name}/{name}/ttl", json={"seconds": 1}).status_code == 200
            until(lambda name=name: stand.servers[0].get(f"/memory/{name}/{name}").status_code == 404)
        left = stand.both(f"beside-{name}", agent_id=name, memory_strategy=INJECT).json()
        assert (left["version"], left["injected"], left["items"][0]["content"]) == (1, "none", "What of the quay?")
        for server in (0, 1):
            asked = stand.post(f"/api/v1/conversations/{name}/view", {"agent_id": name}, server)
            assert asked.status_code == 404
        until(lambda secret=secret: not _tables_with(stand, secret), 30)
        gone = stand.rows(strategies, summaries, views, agent_run_events)
        assert not any(row.session == name for rows in gone.values() for row in rows)


def _tables_with(stand: Stand, text: str) -> list[str]:
    rows = stand.rows(*metadata.tables.values())
    return [table for table, found in rows.items() if text in str([tuple(row) for row in found])]


def test_what_is_taken_back_is_in_no_view_no_search_and_no_context(stand: Stand) -> None:
    said = ["The password of the harbour gate is Rosinante.", "Never mind.", "The quay is 40 metres long."]
    say(stand, "slip", *({"role": "user", "content": text} for text in said), agent_id="slips")
    assert "Rosinante" in stand.both("slip", agent_id="slips").text
    taken = {"role": "system", "kind": "retraction", "content": [{"type": "retraction", "first": 1, "last": 2}]}
    say(stand, "slip", taken, server=1, agent_id="slips")
    for format in FORMATS:
        view = stand.both("slip", agent_id="slips", provider=format).json()
        assert [item["content"] for item in view["items"]] == ["The quay is 40 metres long."]
        assert [(one["op"], one["range"]) for one in view["operations"]] == [
            ("omit", [1, 2]), ("keep", [3, 3]), ("omit", [4, 4]),
        ]  # fmt: skip
    body = {"agent_id": "slips", "query": "password harbour gate quay", "k": 10}
    until(lambda: "40 metres" in stand.post("/memory/search", body).text, 30)
    for server in (0, 1):
        assert "Rosinante" not in stand.post("/memory/search", body, server).text
        assert "Rosinante" not in stand.servers[server].get("/sessions/slip/context?agent_id=slips").text
    assert "Rosinante" in stand.servers[0].get("/memory/slips/slip").text, "the log keeps it"
    for wrong in ({"first": 1, "last": 9}, {"first": 0, "last": 1}, {"first": 3, "last": 2}, {"first": 1}):
        part = {**taken, "content": [{"type": "retraction", **wrong}]}
        got = stand.post("/sessions/slip/turns", {"turns": [part], "agent_id": "slips"})
        assert got.status_code == 422, got.text


def test_a_server_that_is_killed_leaves_whole_state(stand: Stand) -> None:
    say(stand, "cut-off", *(entry for n in range(25) for entry in turn(n)))
    set_: list[int] = []
    seen: list[str] = []
    with (
        serving_process(stand.home, "--no-worker", database_url=stand.url) as (process, url),
        ThreadPoolExecutor(4) as pool,
    ):
        enough = threading.Event()

        def ask(worker: int) -> None:
            with httpx.Client(base_url=f"{url}/api/v1/conversations/cut-off", timeout=60) as http:
                for n in range(1, 1_000):
                    try:
                        if worker < 2:
                            # Both marks at once; no two settings are alike.
                            fields = {"max_user_turns": 2 * n + worker, "keep_last_turns": n}
                            set_.append(http.patch("/memory", json=fields).json()["version"])
                        else:
                            # No two strategies are alike, so that each writes down how far it was told.
                            fields = {**MARKS, "reserve_tokens": 2 * n + worker}
                            seen.append(http.post("/view", json={"memory_strategy": fields}).json()["hash"])
                    except httpx.HTTPError:
                        return
                    if len(set_) > 15 and len(seen) > 15:
                        enough.set()

        running = [pool.submit(ask, worker) for worker in range(4)]
        assert enough.wait(60)
        os.killpg(process.pid, signal.SIGKILL)
        for one in running:
            one.result(60)
    stored, others = (server.get("/api/v1/conversations/cut-off/memory").json() for server in stand.servers)
    assert stored == others
    # Each setting that was acknowledged is counted, and at most the two that were under way besides.
    assert max(set_) <= stored["version"] <= max(set_) + 2
    assert len(set(set_)) == len(set_)
    assert stored["stored"]["max_user_turns"] - 2 * stored["stored"]["keep_last_turns"] in (0, 1)
    # From more than 12 turns back to 6, at the 13th and at the 20th: told, and written down, both or none.
    rows = {row.strategy: (row.moves, row.cut) for row in stand.rows(views)["views"] if row.session == "cut-off"}
    assert rows.keys() >= set(seen)
    assert set(rows.values()) == {(2, 57)}
    assert len(rows) <= len(seen) + 2
    before = stand.counted("memory_trigger_total")
    again = stand.both("cut-off", memory_strategy={**MARKS, "reserve_tokens": 4}).json()
    assert [(one["op"], one["range"]) for one in again["operations"]] == [("omit", [1, 56]), ("keep", [57, 100])]
    assert again["hash"] in seen
    assert stand.counted("memory_trigger_total") == before, "the one that was killed has told it"
    assert stand.servers[0].get("/memory/default/cut-off").json()["version"] == 100
