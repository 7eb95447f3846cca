"""Every privileged act over HTTP is in the audit log, with who did it and in which request; nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
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
from policy import POLICY
from serving import Running

SERVERS = ("/metrics",)  # of the whole server, and of nobody's data


@pytest.fixture
def admin(running: Running) -> Iterator[httpx.Client]:
    with running.http(running.key("admin")) as http:
        yield http


def lines(running: Running, **want: Any) -> list[AuditLine]:
    with running.memory.engine.store.read(Scope()) as tx:
        return audit.listed(tx, AuditFilter(**want))[0]


def test_every_route_for_admins_leaves_a_line(running: Running, admin: httpx.Client) -> None:
    bodies: dict[tuple[str, str], Any] = {(method, path): body for method, path, _, body in POLICY}
    routes = {row[:2] for row in POLICY if row[2] == "admin" and row[1] not in SERVERS}
    acts = {
        ("GET", "/audit"): ("audit.read", "/audit"),
        ("GET", "/extractors"): ("extractor.list", "/extractors"),
        ("GET", "/profile/overview"): ("profile.overview", "/profile/overview"),
        ("POST", "/profile/refit"): ("profile.refit", "/profile/refit"),
        ("PUT", "/api/v1/agents/{agent_id}/memory"): ("strategy.set", "/api/v1/agents/planner/memory"),
    }
    elsewhere = {path for _, path in routes - acts.keys()}
    assert all(path.startswith(("/patterns/", "/extractors/", "/erasures", "/holds")) for path in elsewhere), elsewhere
    for (method, path), (action, asked) in acts.items():
        id = f"request-{action}"
        got = admin.request(method, asked, json=bodies[method, path], headers={"X-Request-Id": id})
        assert got.status_code < 300, got.text
        (line,) = lines(running, action=action)
        assert (line.via, line.outcome, line.request_id) == ("http", "done", id)
        assert line.who.startswith("key co_")


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
