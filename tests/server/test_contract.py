"""Every route of the log and of memory, walked through once: status, shape, headers."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx
import pytest

SESSION = {
    "agent_id", "session_id", "user_id", "version", "created_at", "updated_at", "turn_count", "token_count", "status",
    "metadata", "expires_at",
}  # fmt: skip
TURN = {"seq", "id", "role", "kind", "content", "created_at", "received_at", "tokens"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def post(http: httpx.Client, path: str, body: Any, **headers: str) -> httpx.Response:
    return http.post(path, json=body, headers=headers)


def seed(http: httpx.Client, session: str = "s", turns: int = 3, **more: Any) -> None:
    batch = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"turn {n + 1}"} for n in range(turns)]
    assert post(http, f"/sessions/{session}/turns", {"turns": batch, **more}).status_code == 201


def test_one_turn_is_appended(http: httpx.Client) -> None:
    got = post(http, "/sessions/s/turns", {"role": "user", "content": "hello", "metadata": {"a": 1}})
    assert got.status_code == 201
    assert got.headers["etag"] == '"1"'
    body = got.json()
    place = body.pop("turns")[0]
    assert body == {"session_id": "s", "agent_id": "default", "version": 1}
    assert (place["seq"], place["id"][:2]) == (1, "t_")


def test_a_batch_is_appended_with_all_that_may_stand_beside_it(http: httpx.Client) -> None:
    body = {
        "agent_id": "a",
        "user_id": "u",
        "expected_version": 0,
        "metadata": {"channel": "web"},
        "turns": [
            {"role": "user", "content": "hi", "created_at": "2026-01-02T03:04:05.678Z"},
            {
                "role": "assistant",
                "content": [{"type": "x", "n": 1.50}],
                "kind": "tool_call",
                "name": "f",
                "call_id": "c",
            },
        ],
    }
    assert post(http, "/sessions/s/turns", body).json()["version"] == 2
    shown = http.get("/memory/a/s").json()
    assert (shown["user_id"], shown["metadata"]) == ("u", {"channel": "web"})
    first, second = shown["turns"]
    assert first["created_at"] == "2026-01-02T03:04:05.678Z"
    assert (second["kind"], second["name"], second["call_id"]) == ("tool_call", "f", "c")


def test_the_turns_of_a_session_come_in_order_and_page(http: httpx.Client) -> None:
    seed(http, turns=5)
    got = http.get("/sessions/s/turns", params={"limit": 2})
    assert got.headers["etag"] == '"5"'
    page = got.json()
    assert set(page) >= SESSION | {"turns", "next_cursor"}
    seen = [turn["seq"] for turn in page["turns"]]
    while page["next_cursor"]:
        page = http.get("/sessions/s/turns", params={"limit": 2, "cursor": page["next_cursor"]}).json()
        seen += [turn["seq"] for turn in page["turns"]]
    assert seen == [1, 2, 3, 4, 5]
    assert [t["seq"] for t in http.get("/sessions/s/turns", params={"after": 3}).json()["turns"]] == [4, 5]


def test_close_hold_and_time_to_live(http: httpx.Client) -> None:
    seed(http)
    held = post(http, "/sessions/s/hold", {"seconds": 600})
    assert (held.status_code, held.json()["status"]) == (200, "active")
    closed = http.post("/sessions/s/close")
    assert (closed.status_code, closed.json()["status"]) == (200, "closed")
    assert http.get("/health").json()["queue"]["due"] >= 1
    limited = http.put("/memory/default/s/ttl", json={"seconds": 3600})
    assert TIME.fullmatch(limited.json()["expires_at"])
    assert http.put("/memory/default/s/ttl", json={"seconds": None}).json()["expires_at"] is None


def test_the_agent_may_be_named_in_query_or_body(http: httpx.Client) -> None:
    assert http.post("/sessions/s/turns?agent_id=a", json={"role": "user", "content": "x"}).json()["agent_id"] == "a"
    assert http.post("/sessions/s/close", json={"agent_id": "a"}).status_code == 200
    assert http.post("/sessions/s/close?agent_id=a").status_code == 200
    assert http.post("/sessions/s/close").status_code == 404
    got = http.post("/sessions/s/turns?agent_id=a", json={"role": "user", "content": "x", "agent_id": "b"})
    assert (got.status_code, got.json()["field"]) == (422, "agent_id")


def test_append_of_one_message_answers_the_session(http: httpx.Client) -> None:
    got = post(http, "/memory/a/s/append", {"role": "user", "content": "hello"})
    assert got.status_code == 201
    assert set(got.json()) >= SESSION
    assert "turns" not in got.json()
    assert (got.json()["turn_count"], got.json()["version"]) == (1, 1)


def test_sessions_of_an_agent_newest_first_and_paged(http: httpx.Client) -> None:
    for n in range(5):
        seed(http, f"s{n}", 1, agent_id="a", user_id=f"u{n % 2}")
    found: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = http.get("/memory/a/sessions", params=params).json()
        assert all(set(session) >= SESSION for session in page["sessions"])
        found += [session["session_id"] for session in page["sessions"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == ["s4", "s3", "s2", "s1", "s0"]
    of_user = http.get("/memory/a/sessions", params={"user_id": "u1"}).json()["sessions"]
    assert [session["session_id"] for session in of_user] == ["s3", "s1"]


def test_a_session_with_all_its_turns(http: httpx.Client) -> None:
    seed(http)
    got = http.get("/memory/default/s").json()
    assert set(got) >= SESSION | {"turns"}
    assert all(set(turn) >= TURN for turn in got["turns"])
    assert [turn["seq"] for turn in got["turns"]] == [1, 2, 3]
    assert TIME.fullmatch(got["created_at"])
    assert got["status"] == "active"


def test_a_long_session_comes_whole(http: httpx.Client) -> None:
    seed(http, turns=2500)
    got = http.get("/memory/default/s")
    assert "content-length" not in got.headers
    assert [turn["seq"] for turn in got.json()["turns"]] == list(range(1, 2501))


def test_window(http: httpx.Client) -> None:
    seed(http, turns=15)
    got = http.get("/memory/default/s/window")
    assert {"agent_id", "session_id", "version", "turns"} <= set(got.json())
    assert [turn["seq"] for turn in got.json()["turns"]] == list(range(6, 16))
    assert [t["seq"] for t in http.get("/memory/default/s/window?last_n=2").json()["turns"]] == [14, 15]
    for wrong in ("0", "1001", "x", "-1", "9" * 30):
        assert http.get(f"/memory/default/s/window?last_n={wrong}").status_code == 422


def test_delete_answers_a_receipt_and_leaves_nothing(http: httpx.Client) -> None:
    seed(http)
    got = http.delete("/memory/default/s")
    assert (got.status_code, got.json()["message"]) == (200, "deleted")
    assert got.json()["receipt"]["counts"]["turns"] == 3
    assert http.get("/memory/default/s").status_code == 404
    assert http.delete("/memory/default/s").status_code == 404


def test_the_activity_stream_and_its_filter(http: httpx.Client) -> None:
    seed(http)
    http.post("/sessions/s/close")
    events = http.get("/stream/default").json()["events"]
    assert [event["action"] for event in events] == ["close", "append", "open"]
    assert set(events[0]) == {"id", "at", "action", "agent_id", "session_id", "user_id", "detail"}
    page = http.get("/stream/default?limit=2").json()
    rest = http.get("/stream/default", params={"cursor": page["next_cursor"]}).json()
    assert [event["action"] for event in rest["events"]] == ["open"]
    assert rest["next_cursor"] is None
    only = http.get("/stream/default/filter?action=append&limit=20&session_id=s").json()["events"]
    assert [event["action"] for event in only] == ["append"]
    assert http.get("/stream/default/filter?until=2020-01-01T00:00:00.000Z").json()["events"] == []
    assert len(http.get("/stream/default/filter?since=2020-01-01").json()["events"]) == 3
    assert http.get("/stream/default/filter?action=dance").status_code == 422


def test_health_and_index(http: httpx.Client) -> None:
    seed(http)
    health = http.get("/health").json()
    assert set(health) >= {"status", "store", "cache", "queue", "version"}
    assert health["status"] == "ok"
    assert set(health["queue"]) >= {"due", "running", "dead"}
    assert health["store"]["appends"] >= 1
    index = http.get("/").json()
    assert (index["service"], index["version"]) == ("carryover", health["version"])
    assert http.get(index["links"]["openapi"]).json()["openapi"].startswith("3.")
    page = http.get(index["links"]["docs"])
    assert "/sessions/{id}/turns" in page.text
    assert "http://" not in page.text.replace("http://127.0.0.1", "")
    assert ("POST", "/sessions/{id}/turns") in {(route["method"], route["path"]) for route in index["routes"]}


def test_expected_version_in_body_and_if_match(http: httpx.Client) -> None:
    turn = {"role": "user", "content": "x"}
    assert post(http, "/sessions/s/turns", {**turn, "expected_version": 0}).status_code == 201
    got = post(http, "/sessions/s/turns", {**turn, "expected_version": 0})
    assert (got.status_code, got.json()["current_version"]) == (409, 1)
    assert got.headers["content-type"] == "application/problem+json"
    assert got.json()["type"] == "/problems/version-conflict"
    assert post(http, "/sessions/s/turns", turn, **{"If-Match": '"1"'}).status_code == 201
    assert post(http, "/memory/default/s/append", turn, **{"If-Match": '"1"'}).status_code == 409
    assert http.get("/memory/default/s").json()["version"] == 2
    for garbage in ("*", 'W/"2"', "2", '"x"', '""', '"1", "2"', '"' + "9" * 40 + '"'):
        assert post(http, "/sessions/s/turns", turn, **{"If-Match": garbage}).status_code == 400, garbage
    both = post(http, "/sessions/s/turns", {**turn, "expected_version": 1}, **{"If-Match": '"2"'})
    assert both.status_code == 422


@pytest.mark.parametrize("path", ["/memory/default/s", "/memory/default/s/window", "/sessions/s/turns"])
def test_reads_answer_their_version_as_etag_and_are_never_stale(http: httpx.Client, path: str) -> None:
    seed(http)
    tag = http.get(path).headers["etag"]
    assert tag == '"3"'
    http.post("/sessions/s/close").raise_for_status()  # which is no new version
    got = http.get(path, headers={"If-None-Match": tag})
    assert (got.status_code, got.headers["etag"], got.json()["status"]) == (200, tag, "closed")


def test_a_repeated_idempotency_key_saves_nothing_and_answers_the_same(http: httpx.Client) -> None:
    turn = {"role": "user", "content": "x", "idempotency_key": "k"}
    first = post(http, "/sessions/s/turns", turn)
    again = post(http, "/sessions/s/turns", turn)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert post(http, "/memory/default/s/append", turn).status_code == 200
    assert http.get("/memory/default/s").json()["turn_count"] == 1
    other = post(http, "/sessions/s/turns", {**turn, "content": "y"})
    assert (other.status_code, other.json()["field"]) == (422, "idempotency_key")


def test_context_in_json_and_markdown(http: httpx.Client) -> None:
    said = "Let's use PostgreSQL for the ledger."
    post(http, "/sessions/s1/turns", {"role": "user", "content": said, "user_id": "u"})
    http.post("/sessions/s1/consolidate", json={"wait": True})
    got = http.get("/sessions/s2/context", params={"max_tokens": 300, "user_id": "u"})
    body = got.json()
    assert set(body) >= {"session_id", "markdown", "tokens", "stable_tokens", "through", "snapshots", "findings"}
    assert body["session_id"] == "s2"
    assert body["tokens"] <= 300
    assert "PostgreSQL" in body["markdown"]
    assert body["through"] == {"s1": 1}
    again = http.get("/sessions/s2/context", params={"max_tokens": 300, "user_id": "u"})
    assert (again.content, again.headers["etag"]) == (got.content, got.headers["etag"])
    plain = http.get(
        "/sessions/s2/context", params={"max_tokens": 300, "user_id": "u"}, headers={"Accept": "text/markdown"}
    )
    assert plain.headers["content-type"].startswith("text/markdown")
    assert plain.text == body["markdown"]
    known = {"If-None-Match": got.headers["etag"]}
    assert http.get("/sessions/s2/context?max_tokens=300&user_id=u", headers=known).status_code == 304
    for scope in ("session", "agent", "user"):
        assert http.get("/sessions/s2/context", params={"scope": scope, "user_id": "u"}).status_code == 200
    assert http.get("/sessions/s2/context?query=ledger&user_id=u").status_code == 200
    for wrong in ("scope=planet", "max_tokens=x", "max_tokens=0"):
        assert http.get(f"/sessions/s2/context?{wrong}").status_code == 422


def test_consolidate_snapshots_diff_and_finding(http: httpx.Client) -> None:
    post(http, "/sessions/s/turns", {"role": "user", "content": "We decided to use PostgreSQL for the ledger."})
    made = http.post("/sessions/s/consolidate", json={"wait": True})
    assert made.status_code == 200
    snapshot = made.json()
    assert set(snapshot) >= {"version", "through", "created_at", "by", "summary", "decisions", "facts", "tasks"}
    assert (snapshot["version"], snapshot["through"], snapshot["by"]) == (1, 1, "rules")
    finding = snapshot["decisions"][0]
    assert set(finding) >= {"id", "kind", "text", "status", "learned_at", "sources", "by"}
    assert finding["sources"][0]["quote"] in "We decided to use PostgreSQL for the ledger."
    later = http.post("/sessions/s/consolidate", json={"wait": False})
    assert (later.status_code, set(later.json())) == (202, {"job"})
    post(http, "/sessions/s/turns", {"role": "user", "content": "We decided to use Redis for the cache."})
    assert http.post("/sessions/s/consolidate").json()["version"] == 2
    listed = http.get("/sessions/s/snapshots").json()["snapshots"]
    assert [item["version"] for item in listed] == [2, 1]
    one = http.get("/sessions/s/snapshots/1")
    assert one.json() == snapshot
    diff = http.get("/sessions/s/snapshots/1/diff/2").json()
    assert (diff["a"], diff["b"]) == (1, 2)
    assert "added" in {change["change"] for change in diff["changes"]}
    detail = http.get(f"/findings/{finding['id']}").json()
    assert set(detail) >= {"finding", "supersedes", "superseded_by", "why"}
    (cited,) = detail["cited"]
    assert (cited["source"], cited["seq"], cited["role"]) == (finding["sources"][0], 1, "user")
    assert TIME.fullmatch(cited["said_at"])
    assert [one["id"] for one in detail["chain"]] == [finding["id"]]
    assert (detail["ended"], detail["verdict"]) == (None, None)
    for missing in (
        "/sessions/s/snapshots/9",
        "/sessions/x/snapshots",
        "/sessions/s/snapshots/1/diff/9",
        "/findings/f",
    ):
        assert http.get(missing).status_code == 404, missing
    assert http.get("/sessions/s/snapshots/x").status_code == 422
    assert http.post("/sessions/x/consolidate").status_code == 404


def test_what_was_derived_from_a_turn(http: httpx.Client) -> None:
    post(http, "/sessions/s/turns", {"role": "user", "content": "We decided to use PostgreSQL.", "agent_id": "a"})
    path = "/sessions/s/turns/1/derived"
    assert http.get(path).status_code == 404
    before = http.get(path, params={"agent_id": "a"}).json()
    assert (before["covered"], before["findings"], before["text"]) == (None, [], "We decided to use PostgreSQL.")
    assert http.post("/sessions/s/consolidate", json={"agent_id": "a"}).status_code == 200
    trace = http.get(path, params={"agent_id": "a"}).json()
    assert set(trace) == {
        "session_id", "agent_id", "seq", "turn_id", "role", "kind", "name", "said_at", "text", "covered", "findings",
        "closed", "indexed", "chunks", "in_reach",
    }  # fmt: skip
    assert TIME.fullmatch(trace["said_at"])
    assert (trace["covered"]["version"], trace["covered"]["by"]) == (1, "rules")
    assert trace["covered"]["usage"]["turns_covered"] == 1
    (derived,) = trace["findings"]
    assert (derived["finding"]["kind"], derived["snapshot"], derived["verdict"]) == ("decision", 1, None)
    assert trace["in_reach"] == ["session", "agent", "user"]
    for seq in ("0", "-1", "2", "9" * 18, "9" * 40):
        assert http.get(f"/sessions/s/turns/{seq}/derived?agent_id=a").status_code == 404, seq
    for seq in ("x", "1.5", "", "9" * 5000):
        assert http.get(f"/sessions/s/turns/{seq}/derived?agent_id=a").status_code in (404, 422), seq


def test_search(http: httpx.Client) -> None:
    post(http, "/sessions/s/turns", {"role": "user", "content": "The walrus sleeps at noon.", "user_id": "u"})
    end = time.monotonic() + 10
    while not (got := http.post("/memory/search", json={"query": "walrus", "k": 3})).json()["results"]:
        assert got.status_code == 200
        assert time.monotonic() < end
        time.sleep(0.05)
    assert got.json()["mode"] == "text"
    hit = got.json()["results"][0]
    assert set(hit) == {"id", "kind", "text", "score", "agent_id", "session_id", "created_at", "sources", "voice"}
    assert hit["sources"][0]["session_id"] == "s"
    narrowed = {"query": "walrus", "agent_id": "default", "session_id": "s", "user_id": "u", "kinds": ["turn"],
                "since": "2020-01-01T00:00:00.000Z", "until": None, "as_of": None}  # fmt: skip
    assert len(http.post("/memory/search", json=narrowed).json()["results"]) == 1
    assert http.post("/memory/search", json={**narrowed, "session_id": "t"}).json()["results"] == []
    for wrong in ({}, {"query": "x", "k": 0}, {"query": "x", "kinds": ["poem"]}, {"query": "x", "since": "now"},
                  {"query": "x", "limit": 1}, {"query": 1}):  # fmt: skip
        assert http.post("/memory/search", json=wrong).status_code == 422, wrong


def test_usage(http: httpx.Client) -> None:
    seed(http)
    http.post("/sessions/s/consolidate", json={"wait": True})
    for group in ("tenant", "agent", "job"):
        report = http.get("/usage", params={"group": group, "since": "2020-01-01T00:00:00.000Z"}).json()
        assert set(report) >= {"since", "until", "totals", "today", "reserved", "cap", "waiting"}
        total = report["totals"][0]
        assert total["jobs"] >= 1
        assert total["usage"]["turns_covered"] == 3
        assert total["usage"]["money"] == "0"
    assert http.get("/usage?group=planet").status_code == 422
    assert http.get("/usage?since=yesterday").json()["field"] == "since"
