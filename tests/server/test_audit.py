"""Every privileged act over HTTP is in the audit log, with who did it and in which request; nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from carryover.client.aclient import AsyncClient
from carryover.client.client import Client
from carryover.core.audit import AuditFilter, AuditLine
from carryover.core.errors import Forbidden, Invalid
from carryover.core.scope import Scope
from carryover.runtime import Carryover
from carryover.store import audit
from policy import POLICY, TURN
from serving import Running, open_memory, serving
from walled import CANARY, fill

SERVERS = ("/metrics",)  # of the whole server, and of nobody's data


@pytest.fixture
def admin(running: Running) -> Iterator[httpx.Client]:
    with running.http(running.key("admin")) as http:
        yield http


def lines(running: Running, **want: Any) -> list[AuditLine]:
    with running.memory.engine.store.read(Scope()) as tx:
        return audit.listed(tx, AuditFilter(**want))[0]


def test_every_route_for_admins_leaves_a_line(tmp_path: Path) -> None:
    (tmp_path / "desk" / ".git").mkdir(parents=True)
    desk = str(tmp_path / "desk")
    with open_memory(tmp_path / "home", coding={"repos": [desk]}) as memory, serving(memory) as running:
        own = fill(memory).own
        about = f"/patterns/{own['pattern']}"
        text, again = ({"lesson": f"Read a file {word} you edit it."} for word in ("before", "well before"))
        held = {"reason": "a case", "session_id": "s"}
        # In this order each of them can be done: method, route, what is asked for, body, action.
        acts: list[tuple[str, str, str, Any, str]] = [
            ("GET", "/audit", "/audit", None, "audit.read"),
            ("GET", "/extractors", "/extractors", None, "extractor.list"),
            (
                "POST",
                "/extractors/{name}/{decision}",
                f"/extractors/{own['extractor']}/refuse",
                None,
                "extractor.refuse",
            ),
            ("GET", "/profile/overview", "/profile/overview", None, "profile.overview"),
            ("POST", "/profile/refit", "/profile/refit", {"wait": False}, "profile.refit"),
            ("PUT", "/api/v1/agents/{agent_id}/memory", "/api/v1/agents/a/memory", {"mode": "trim"}, "strategy.set"),
            ("PATCH", "/patterns/{id}", about, text, "pattern.edit"),
            ("POST", "/patterns/{id}/reject", f"{about}/reject", None, "pattern.reject"),
            ("PATCH", "/patterns/{id}", about, again, "pattern.edit"),
            ("POST", "/patterns/{id}/approve", f"{about}/approve", None, "pattern.approve"),
            ("POST", "/patterns/{id}/distribute", f"{about}/distribute", {"repos": [desk]}, "pattern.distribute"),
            ("POST", "/patterns/{id}/withdraw", f"{about}/withdraw", None, "pattern.withdraw"),
            ("POST", "/holds", "/holds", held, "hold.place"),
            ("GET", "/holds", "/holds", None, "hold.list"),
            ("DELETE", "/holds/{id}", f"/holds/{own['hold']}", None, "hold.release"),
        ]
        assert {(method, route) for method, route, *_ in acts} == {
            (method, path) for method, path, right, _ in POLICY if right == "admin" and path not in SERVERS
        }
        with running.http(running.key("admin")) as http:
            for n, (method, _, asked, body, action) in enumerate(acts):
                got = http.request(method, asked, json=body, headers={"X-Request-Id": f"request-{n}"})
                assert got.status_code < 300, f"{asked}: {got.text}"
                told = [line for line in lines(running) if line.request_id == f"request-{n}"]
                assert {(line.action, line.via, line.outcome) for line in told} == {(action, "http", "done")}, asked
                assert all(line.who.startswith("key co_") for line in told)
        assert CANARY not in str(lines(running))


def test_an_erasure_leaves_a_line_though_it_needs_no_admin(running: Running) -> None:
    with running.http(running.key("write")) as http:
        assert http.post("/sessions/s/turns", json=TURN).status_code == 201
        got = http.delete("/memory/default/s", headers={"X-Request-Id": "mine"})
        assert got.status_code == 200
    (line,) = lines(running, action="erase")
    assert (line.subject, line.request_id) == (got.json()["receipt"]["id"], "mine")
    assert line.detail == "1 sessions, 1 turns, 1 keys"


def test_a_profile_of_somebody_else_is_and_one_s_own_is_not(running: Running, admin: httpx.Client) -> None:
    edit = {"texts": ["I read on a small screen"]}
    with running.http(running.key("write", user="ana")) as own:
        assert own.patch("/profile", json=edit).status_code == 200
        assert own.get("/profile").status_code == 200
    assert lines(running, subject="user ana") == []
    for method, body in (("GET", None), ("PATCH", {"texts": ["I read aloud"]})):
        assert admin.request(method, "/profile?user_id=ana", json=body).status_code == 200
    assert admin.post("/profile/link", json={"user_id": "ana"}).status_code == 200
    assert admin.delete("/profile?user_id=ana").status_code == 200
    found = lines(running, subject="user ana")
    assert [line.action for line in found] == ["profile.erase", "profile.link", "profile.edit", "profile.read"]
    assert "aloud" not in str(found)


def test_what_needs_no_more_than_a_right_is_not(running: Running, admin: httpx.Client) -> None:
    before = len(lines(running))
    assert admin.post("/sessions/s/turns", json={"role": "user", "content": "hello"}).status_code == 201
    for path in ("/memory/default/s", "/sessions/n/context", "/usage", "/persona?user_id=u"):
        assert admin.get(path).status_code == 200
    assert len(lines(running)) == before


def test_each_tenant_reads_its_own_and_narrowed_keys_none(running: Running, admin: httpx.Client) -> None:
    assert admin.get("/extractors").status_code == 200
    with running.http(running.key("admin", tenant="other")) as other:
        assert {line["action"] for line in other.get("/audit").json()["lines"]} == {"key.create"}
    for narrow in ({"agent": "a"}, {"user": "u"}):
        with running.http(running.key("admin", **narrow)) as narrowed:
            assert narrowed.get("/audit").status_code == 403


def test_verbs_are_the_same_in_process_and_over_http(running: Running) -> None:
    running.memory.extractors()
    with Client(running.url) as client:
        client.extractors()
        for memory in (running.memory, client):
            found, cursor = memory.audit(AuditFilter(action="extractor.list"), limit=1)
            assert [(line.action, line.via, line.who) for line in found] == [("extractor.list", "http", "local")]
            older, end = memory.audit(AuditFilter(action="extractor.list"), cursor=cursor)
            assert ([line.via for line in older], end) == (["embedded"], None)
            assert memory.audit(AuditFilter(since=found[0].at + 1, action="extractor.list"))[0] == []
            with pytest.raises(Invalid):
                memory.audit(limit=0)
            with pytest.raises(Invalid):
                memory.audit(cursor="nonsense")

    async def asked() -> list[AuditLine]:
        async with AsyncClient(running.url) as other:
            return (await other.audit(AuditFilter(action="extractor.list")))[0]

    assert asyncio.run(asked())[1:] == older


def test_a_scope_without_the_right_reads_nothing(running: Running) -> None:
    for scope in (Scope(rights=frozenset(("write",))), Scope(agent="a"), Scope(user="u")):
        memory: Carryover = running.memory.seen_by(scope)
        with pytest.raises(Forbidden):
            memory.audit()
