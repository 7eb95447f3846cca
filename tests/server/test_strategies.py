"""Strategies over HTTP: what is answered, who may set what, what is refused, and who may meet whom."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from carryover.core.strategy import FIELDS
from serving import Running, open_memory, serving

OF_S = "/api/v1/conversations/s/memory"
OF_AGENT = "/api/v1/agents/default/memory"
VIEW = "/api/v1/conversations/s/view"
PROBLEM = "application/problem+json"


def seed(http: httpx.Client, session: str = "s", turns: int = 60, **more: Any) -> None:
    batch = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"turn {n + 1}"} for n in range(turns)]
    got = http.post(f"/sessions/{session}/turns", json={"turns": batch, **more})
    assert got.status_code == 201, got.text


def refused(got: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
    assert (got.status_code, got.headers["content-type"]) == (status, PROBLEM), got.text
    assert got.json().get("field") == field, got.text
    assert len(got.text) < 1_000
    return got.json()


def test_what_is_stored_and_what_is_in_force_is_answered_with_sources(http: httpx.Client) -> None:
    seed(http)
    got = http.get(OF_S)
    assert got.headers["etag"] == '"0"'
    nothing = got.json()
    assert set(nothing) == {"agent_id", "session_id", "stored", "version", "strategy", "sources", "warnings"}
    assert (nothing["stored"], nothing["version"], nothing["strategy"]["source"]) == ({}, 0, "default")
    assert set(nothing["strategy"]) == {*FIELDS, "source"}
    assert set(nothing["sources"]) == set(FIELDS)
    put = http.put(OF_AGENT, json={"mode": "trim", "compact_exclude_tools": ["read"]})
    assert (put.status_code, put.headers["etag"], put.json()["session_id"]) == (200, '"1"', None)
    patched = http.patch(OF_S, json={"max_user_turns": 20})
    assert (patched.status_code, patched.headers["etag"]) == (200, '"1"')
    body = patched.json()
    assert body["stored"] == {"max_user_turns": 20}
    assert (body["strategy"]["mode"], body["strategy"]["source"]) == ("trim", "agent")
    assert (body["strategy"]["max_user_turns"], body["strategy"]["keep_last_turns"]) == (20, 10)
    assert (body["sources"]["max_user_turns"], body["sources"]["keep_last_turns"]) == ("conversation", "default")
    assert http.get(OF_S).json() == patched.json()
    assert http.get(OF_AGENT).json() == put.json()
    none = http.patch(OF_S, json={"mode": "none"}).json()
    assert (none["strategy"]["mode"], none["strategy"]["source"]) == ("none", "conversation")
    cleared = http.patch(OF_S, json={"mode": None, "max_user_turns": None})
    assert (cleared.json()["stored"], cleared.headers["etag"]) == ({}, '"3"')
    assert cleared.json()["strategy"] == http.get(OF_AGENT).json()["strategy"]
    assert http.put(OF_AGENT, json={}).json()["stored"] == {}


def test_the_agent_is_named_in_the_query(http: httpx.Client) -> None:
    seed(http, agent_id="a")
    refused(http.get(OF_S), 404)
    refused(http.patch(OF_S, json={"mode": "trim"}), 404)
    assert http.patch(f"{OF_S}?agent_id=a", json={"mode": "trim"}).json()["agent_id"] == "a"
    assert http.get(f"{OF_S}?agent_id=a").json()["stored"] == {"mode": "trim"}
    refused(http.post(VIEW), 404)
    assert http.post(f"{VIEW}?agent_id=a").status_code == 200
    assert http.post(VIEW, json={"agent_id": "a"}).status_code == 200


def test_versions_are_expected_in_the_header_or_the_body(http: httpx.Client) -> None:
    seed(http)
    for n, path in enumerate((OF_S, OF_AGENT)):
        ask = http.patch if n == 0 else http.put
        tag = ask(path, json={"mode": "trim"}, headers={"If-Match": '"0"'}).headers["etag"]
        assert tag == '"1"'
        stale = refused(ask(path, json={"mode": "none"}, headers={"If-Match": '"0"'}), 409)
        assert (stale["current_version"], stale["type"]) == (1, "/problems/version-conflict")
        assert refused(ask(path, json={"mode": "none", "expected_version": 0}), 409)["current_version"] == 1
        assert ask(path, json={"mode": "compact", "expected_version": 1}).headers["etag"] == '"2"'
        both = ask(path, json={"mode": "none", "expected_version": 1}, headers={"If-Match": '"2"'})
        refused(both, 422, "expected_version")
        for garbage in ("*", "2", 'W/"2"', '"x"', '"' + "9" * 40 + '"'):
            refused(ask(path, json={"mode": "none"}, headers={"If-Match": garbage}), 400, "If-Match")
        for wrong in (-1, 1.5, "1", True, [], 2**60):
            refused(ask(path, json={"mode": "none", "expected_version": wrong}), 422, "expected_version")
        assert http.get(path).json()["stored"] == {"mode": "compact"}


def test_a_view_says_what_was_done_with_each_turn(http: httpx.Client) -> None:
    seed(http, turns=100)
    got = http.post(VIEW, json={"memory_strategy": {"mode": "trim", "max_user_turns": 10}, "provider": "anthropic"})
    assert got.status_code == 200
    view = got.json()
    assert set(view) >= {
        "items", "operations", "tokens_before", "tokens_after", "prefix_tokens_shared", "strategy", "sources",
        "version", "cut_seq", "cleared_seq", "budget", "over_budget", "hash", "etag", "warnings", "format",
    }  # fmt: skip
    assert (view["format"], view["strategy"]["source"], view["sources"]["max_user_turns"]) == (
        "anthropic", "request", "request",
    )  # fmt: skip
    first, last = view["operations"][0], view["operations"][-1]
    assert set(first) == {"op", "range", "reason"}
    assert (first["op"], first["range"][0], last["op"], last["range"][1]) == ("omit", 1, "keep", 100)
    assert view["tokens_after"] < view["tokens_before"]
    assert [item["role"] for item in view["items"][:2]] == ["user", "assistant"]
    assert http.get(OF_S).json()["version"] == 0
    plain = http.post(VIEW)
    assert (len(plain.json()["items"]), plain.json()["strategy"]["source"]) == (100, "default")
    assert http.post(VIEW, json={"memory_strategy": None}).json() == plain.json()


def test_who_has_a_view_already_is_not_sent_it_again(http: httpx.Client) -> None:
    seed(http)
    first = http.post(VIEW, json={})
    assert first.headers["etag"] == f'"{first.json()["etag"]}"'
    known = {"If-None-Match": first.headers["etag"]}
    again = http.post(VIEW, json={}, headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert http.post(VIEW, json={"memory_strategy": {"mode": "trim"}}, headers=known).status_code == 200
    assert http.post(VIEW, json={"provider": "openai"}, headers=known).status_code == 200
    http.patch(OF_S, json={"mode": "trim"})
    changed = http.post(VIEW, json={}, headers=known)
    assert changed.status_code == 200
    seed(http, turns=1)
    assert http.post(VIEW, json={}, headers={"If-None-Match": changed.headers["etag"]}).status_code == 200


WRONG: list[tuple[bytes, int, str | None]] = [
    (b"", 400, None),
    (b"{", 400, None),
    (b"\xef\xbb\xbf{}", 400, None),
    (b'{"mode":"\xff"}', 400, None),
    (b'{"token_keep_pct":NaN}', 400, None),
    (b'{"token_keep_pct":Infinity}', 400, None),
    (b'{"mode":"trim"} {}', 400, None),
    (b"[" * 200_000 + b"]" * 200_000, 400, None),
    (b'{"mode":' * 100_000 + b"1" + b"}" * 100_000, 400, None),
    (b'{"placeholder":"\\ud800"}', 400, None),
    (b"[]", 422, "body"),
    (b"null", 422, "body"),
    (b'"trim"', 422, "body"),
    (b"3", 422, "body"),
    (b'[{"mode":"trim"}]', 422, "body"),
    (b'{"mode":{"mode":null}}', 422, "mode"),
    (b'{"mode":[null]}', 422, "mode"),
    (b'{"compact_exclude_tools":[null]}', 422, "compact_exclude_tools"),
    (b'{"compact_exclude_tools":[[["a"]]]}', 422, "compact_exclude_tools"),
    (b'{"mode":""}', 422, "mode"),
    (b'{"mode":"Trim"}', 422, "mode"),
    (b'{"mode":0}', 422, "mode"),
    (b'{"memory_injection":1}', 422, "memory_injection"),
    (b'{"max_user_turns":1e999}', 422, "max_user_turns"),
    (b'{"max_user_turns":1e3}', 422, "max_user_turns"),
    (b'{"max_user_turns":true}', 422, "max_user_turns"),
    (b'{"max_user_turns":-0}', 422, "max_user_turns"),
    (b'{"max_user_turns":' + b"9" * 400 + b"}", 422, "max_user_turns"),
    (b'{"max_user_turns":' + b"9" * 9000 + b"}", 422, "body"),
    (b'{"token_keep_pct":1e999}', 422, "token_keep_pct"),
    (b'{"token_keep_pct":"0.5"}', 422, "token_keep_pct"),
    (b'{"placeholder":"{what.__class__}"}', 422, "placeholder"),
    (b'{"placeholder":"{name:>99999999}"}', 422, "placeholder"),
    (b'{"placeholder":"\\u0000"}', 422, "placeholder"),
    (b'{"mdoe":"trim"}', 422, "mdoe"),
    (b'{"source":"agent"}', 422, "source"),
    (b'{"agent_id":"a"}', 422, "agent_id"),
    (b'{"stored":{}}', 422, "stored"),
    (b'{"mode":"trim","mdoe":null}', 422, "mdoe"),
    (b'{"max_user_turns":3,"keep_last_turns":4}', 422, "keep_last_turns"),
    (b'{"token_budget":3,"token_soft_budget":4}', 422, "token_soft_budget"),
    (json.dumps({f"field_{n}": None for n in range(60_000)}).encode(), 422, "field_0"),
    (json.dumps({"compact_exclude_tools": ["x" * 100] * 10_000}).encode(), 422, "compact_exclude_tools"),
    (json.dumps({"placeholder": "x" * 1_000_000}).encode(), 422, "placeholder"),
    (json.dumps({"y" * 1_000_000: 1}).encode(), 422, "y" * 64),
]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all that nobody should send."""
    with open_memory(tmp_path_factory.mktemp("hostile")) as memory, serving(memory) as server:
        with server.http() as http:
            seed(http)
        yield server


@pytest.mark.parametrize(("body", "status", "field"), WRONG, ids=lambda value: str(value)[:30])
def test_what_nobody_should_send_is_refused_and_changes_nothing(
    lasting: Running, body: bytes, status: int, field: str | None
) -> None:
    with lasting.http() as http:
        refused(http.patch(OF_S, content=body), status, field)
        refused(http.put(OF_AGENT, content=body), status, field)
        for path in (OF_S, OF_AGENT):
            assert http.get(path).json()["stored"] == {}
        if status == 422 and field not in ("body", "agent_id"):
            refused(http.post(VIEW, content=b'{"memory_strategy":' + body + b"}"), status, field)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"[]", 422, "body"),
        (b"{", 400, None),
        (b'{"memory_strategy":[]}', 422, "memory_strategy"),
        (b'{"memory_strategy":"trim"}', 422, "memory_strategy"),
        (b'{"memory_strategy":{"placeholder":"\\ud800"}}', 422, "placeholder"),
        (b'{"memory_strategy":{"a\\ud800":1}}', 422, None),
        (b'{"memory_strategy":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", 400, None),
        (b'{"memory_strategy":{"mode":NaN}}', 400, None),
        (b'{"provider":"gemini"}', 422, "provider"),
        (b'{"provider":null}', 422, "provider"),
        (b'{"dry_run":1}', 422, "dry_run"),
        (b'{"dry_run":"yes"}', 422, "dry_run"),
        (b'{"strategy":{}}', 422, "strategy"),
        (b'{"agent_id":"\\ud800"}', 422, "agent_id"),
    ],
)
def test_a_view_that_cannot_be_is_refused(lasting: Running, body: bytes, status: int, field: str | None) -> None:
    with lasting.http() as http:
        got = http.post(VIEW, content=body)
        assert (got.status_code, got.headers["content-type"]) == (status, PROBLEM), got.text
        if field is not None:
            assert got.json()["field"] == field


def test_another_tenant_sees_and_sets_nothing(running: Running) -> None:
    with running.http(running.key("admin")) as mine, running.http(running.key("admin", tenant="other")) as theirs:
        seed(mine)
        mine.patch(OF_S, json={"mode": "trim"})
        mine.put(OF_AGENT, json={"max_user_turns": 10})
        refused(theirs.get(OF_S), 404)
        refused(theirs.patch(OF_S, json={"mode": "none"}), 404)
        refused(theirs.post(VIEW), 404)
        assert theirs.get(OF_AGENT).json()["stored"] == {}
        assert theirs.put(OF_AGENT, json={"mode": "compact"}).json()["version"] == 1
        seed(theirs)
        assert theirs.get(OF_S).json()["stored"] == {}
        assert theirs.get(OF_S).json()["strategy"]["mode"] == "compact"
        assert mine.get(OF_S).json()["stored"] == {"mode": "trim"}
        assert mine.get(OF_S).json()["strategy"]["max_user_turns"] == 10


def test_a_key_that_is_narrowed_to_an_agent_sets_that_agents_and_no_other(running: Running) -> None:
    admin = running.http(running.key("admin"))
    own = running.http(running.key("write", agent="default"))
    other = running.http(running.key("admin", agent="another"))
    reader = running.http(running.key("read", agent="default"))
    with admin, own, other, reader:
        seed(admin)
        assert own.put(OF_AGENT, json={"mode": "trim"}).status_code == 200
        assert own.patch(OF_S, json={"mode": "none"}).status_code == 200
        assert reader.get(OF_AGENT).json()["stored"] == {"mode": "trim"}
        assert reader.post(VIEW).status_code == 200
        refused(reader.put(OF_AGENT, json={"mode": "none"}), 403)
        refused(reader.patch(OF_S, json={"mode": "none"}), 403)
        for got in (other.get(OF_AGENT), other.put(OF_AGENT, json={"mode": "none"})):
            assert "narrowed to another agent" in refused(got, 403)["detail"]
        refused(other.patch(OF_S, json={"mode": "compact"}), 404)
        refused(other.get(OF_S), 404)
        refused(other.post(VIEW), 404)
        assert (admin.get(OF_AGENT).json()["stored"], admin.get(OF_S).json()["stored"]) == (
            {"mode": "trim"}, {"mode": "none"},
        )  # fmt: skip


def test_a_key_that_is_narrowed_to_a_user_sets_that_users_conversations_only(running: Running) -> None:
    admin = running.http(running.key("admin"))
    ana = running.http(running.key("admin", user="ana"))
    with admin, ana:
        seed(admin, "s", user_id="ana")
        seed(admin, "t", user_id="bo")
        assert ana.patch(OF_S, json={"mode": "trim"}).status_code == 200
        assert ana.get(OF_S).json()["strategy"]["mode"] == "trim"
        assert ana.post(VIEW).status_code == 200
        for got in (
            ana.get("/api/v1/conversations/t/memory"),
            ana.patch("/api/v1/conversations/t/memory", json={"mode": "trim"}),
            ana.post("/api/v1/conversations/t/view"),
        ):
            refused(got, 404)
        for got in (ana.get(OF_AGENT), ana.put(OF_AGENT, json={"mode": "none"})):
            assert "narrowed to one user" in refused(got, 403)["detail"]
        assert admin.get("/api/v1/conversations/t/memory").json()["version"] == 0
        assert admin.get(OF_AGENT).json()["version"] == 0


def test_patches_at_once_lose_nothing_of_each_other(running: Running) -> None:
    fields = {
        "mode": "trim", "max_user_turns": 30, "reserve_tokens": 5, "token_keep_pct": 0.5, "memory_injection": True,
        "summary_prefix": "so far", "cache_ttl_s": 60, "compact_exclude_tools": ["a"],
    }  # fmt: skip
    with running.http() as http:
        seed(http)
    start = threading.Barrier(len(fields))
    statuses: list[int] = []

    def patch(name: str) -> None:
        with running.http() as http:
            start.wait()
            statuses.append(http.patch(OF_S, json={name: fields[name]}).status_code)

    threads = [threading.Thread(target=patch, args=(name,)) for name in fields]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == [200] * len(fields)
    with running.http() as http:
        found = http.get(OF_S).json()
    assert (found["stored"], found["version"]) == (fields, len(fields))


def test_what_is_set_goes_with_the_session(http: httpx.Client) -> None:
    seed(http)
    http.patch(OF_S, json={"mode": "trim"})
    assert http.delete("/memory/default/s").json()["receipt"]["counts"]["strategies"] == 1
    refused(http.get(OF_S), 404)
    refused(http.post(VIEW), 404)
    seed(http)
    assert (http.get(OF_S).json()["stored"], http.get(OF_S).json()["version"]) == ({}, 0)
