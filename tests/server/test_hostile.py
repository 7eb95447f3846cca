"""What nobody should send: it is refused with a problem document, or kept byte for byte; never a 500."""

from __future__ import annotations

import base64
import itertools
import socket
from collections.abc import Iterator

import httpx
import pytest

from serving import Running, open_memory, serving

PROBLEM = "application/problem+json"


def refused(got: httpx.Response, status: int) -> dict[str, object]:
    assert got.status_code == status, got.text
    assert got.headers["content-type"] == PROBLEM
    problem = got.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= set(problem)
    return problem


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests of this file; each test that saves something has a session of its own."""
    with open_memory(tmp_path_factory.mktemp("hostile")) as memory, serving(memory) as server:
        yield server


@pytest.fixture
def s() -> str:
    return f"s-{next(_numbers)}"


_numbers = itertools.count()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"not json", 400),
        (b"\xef\xbb\xbf{}", 400),
        (b'{"role":"user","content":"\xff"}', 400),
        (b'{"role":"user","content":"x","name":"\xff"}', 400),
        (b'{"role":"user","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"role":"user","content":"x","metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", 400),
        (b'{"role":"user","content":NaN}', 400),
        (b'{"role":"user","content":"x"} trailing', 400),
        (b"[]", 422),
        (b"null", 422),
        (b"{}", 422),
        (b'{"role":"user"}', 422),
        (b'{"content":"x"}', 422),
        (b'{"role":"user","content":null}', 422),
        (b'{"role":"user","content":1e999}', 422),
        (b'{"role":"user","content":{"a":1}}', 422),
        (b'{"role":"king","content":"x"}', 422),
        (b'{"role":"user","content":"x","metadata":[1]}', 422),
        (b'{"role":"user","content":"x","metadata":"x"}', 422),
        (b'{"role":"user","content":"x","surprise":1}', 422),
        (b'{"turns":[]}', 422),
        (b'{"turns":[{"role":"user","content":"x","surprise":1}]}', 422),
        (b'{"turns":[{"role":"user","content":"x"}],"role":"user"}', 422),
        (b'{"turns":[{"role":"user","content":"x"}],"name":"n"}', 422),
        (b'{"role":"user","content":"x","expected_version":' + b"9" * 400 + b"}", 422),
        (b'{"role":"user","content":"x","expected_version":-1}', 422),
        (b'{"role":"user","content":"x","expected_version":1.5}', 422),
        (b'{"role":"user","content":"x","expected_version":true}', 422),
        (b'{"role":"user","content":"x","created_at":"yesterday"}', 422),
        (b'{"role":"user","content":"x","created_at":12}', 422),
        (b'{"role":"user","content":"x","name":"\\u0000"}', 422),
        (b'{"role":"user","content":"x","name":"\\ud800"}', 422),
        (b'{"role":"user","content":"x","idempotency_key":"' + b"k" * 600 + b'"}', 422),
        (b'{"role":"user","content":"x","agent_id":"a/b"}', 422),
        (b'{"role":"user","content":"x","user_id":"' + b"u" * 129 + b'"}', 422),
        (b'{"role":"user","content":"x","agent_id":""}', 422),
    ],
)
def test_a_body_that_cannot_be_is_refused_and_saves_nothing(http: httpx.Client, body: bytes, status: int) -> None:
    for path in ("/sessions/s/turns", "/memory/default/s/append"):
        refused(http.post(path, content=body), status)
    assert http.get("/memory/default/s").status_code == 404


def test_the_path_to_what_is_wrong_is_named(http: httpx.Client) -> None:
    body = {"turns": [{"role": "user", "content": "x"}, {"role": "user", "content": "x", "kid": 1}]}
    assert refused(http.post("/sessions/s/turns", json=body), 422)["field"] == "turns[1].kid"
    body = {"turns": [{"role": "user", "content": "x"}, {"role": "user"}]}
    assert refused(http.post("/sessions/s/turns", json=body), 422)["field"] == "turns[1].content"
    got = http.post("/sessions/s/turns", content=b'{"turns":[{"role":"user","content":"x","metadata":7}]}')
    assert refused(got, 422)["field"] == "turns[0].metadata"
    assert refused(http.get("/sessions/s/turns?limit=0"), 422)["field"] == "limit"


@pytest.mark.parametrize(
    "content",
    [
        rb'"half \ud83d and whole \ud83d\ude00 and \\ud83d and \uDfFf"',
        rb'"nul \u0000 here"',
        rb'[{"type":"new","n":1.50,"big":123456789012345678901234567890,"e":1E+2,"a":1,"a":2},  {"z":[ ]}]',
        '"héllo \u2028 😀"'.encode(),
        rb'"\u0068\/"',
        rb'""',
        rb"[]",
    ],
)
def test_content_is_kept_byte_for_byte(http: httpx.Client, s: str, content: bytes) -> None:
    metadata = rb'{"x":  1.0, "s":"\udc00", "big": 99999999999999999999999}'
    body = b'{"role":"user","content":%s,"metadata":%s}' % (content, metadata)
    assert http.post(f"/sessions/{s}/turns", content=body).status_code == 201
    assert http.post(f"/sessions/{s}/turns", content=b'{"turns":[%s]}' % body).status_code == 201
    newest = http.get(f"/memory/default/{s}/window?last_n=1").content
    assert b'"content":%s,' % content in newest
    assert b'"metadata":%s' % metadata in newest
    whole = http.get(f"/memory/default/{s}").content
    assert whole.count(b'"content":%s,' % content) == 2
    assert http.get("/sessions/t/context").status_code == 200
    assert http.post(f"/sessions/{s}/consolidate").status_code == 200


def test_ten_megabytes_are_accepted_and_a_hundred_are_not(http: httpx.Client) -> None:
    assert http.post("/sessions/big/turns", json={"role": "user", "content": "x" * 10_000_000}).status_code == 201
    too_long = {"role": "user", "content": "x" * 17_000_000}
    assert refused(http.post("/sessions/big/turns", json=too_long), 413)["limit"] == 16 << 20
    body = b'{"role":"user","content":"' + b"x" * 100_000_000 + b'"}'
    refused(http.post("/sessions/big/turns", content=body), 413)
    assert http.get("/memory/default/big").json()["turn_count"] == 1
    assert http.delete("/memory/default/big").status_code == 200


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(http: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"role":"user","content":"'
        for _ in range(40):
            yield b"x" * 1_000_000
        yield b'"}'

    for path in ("/sessions/s/turns", "/memory/search", "/sessions/s/hold"):
        refused(http.post(path, content=endless()), 413)


def test_a_request_that_breaks_off_saves_nothing(running: Running, http: httpx.Client) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(b"POST /sessions/s/turns HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n" + b'{"role"')
    assert http.get("/memory/default/s").status_code == 404
    with socket.create_connection((host, int(port))) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n")
        assert b"400" in line.recv(1000)


@pytest.mark.parametrize(
    "path",
    [
        "/sessions/a%2Fb/turns", "/sessions//turns", "/memory/default/%00/window", "/memory/default/a b/window",
        "/memory/default/%ED%A0%80", "/memory/%F0%9F%98%80/s", "/memory/default/" + "x" * 3000, "/sessions/%22/x",
        "/sessions/..%2f..%2fetc/turns", "/findings/%00", "/findings/" + "f" * 500, "/nowhere", "/memory/", "/health/",
    ],
)  # fmt: skip
def test_odd_paths_are_not_found(http: httpx.Client, path: str) -> None:
    got = http.get(path)
    assert got.status_code in (404, 422), got.text
    refused(got, got.status_code)


def test_reserved_and_illegal_ids_are_refused_on_append(http: httpx.Client) -> None:
    for session in ("sessions", "a b", "%00", "x" * 129, "%C3%A9"):
        refused(http.post(f"/sessions/{session}/turns", json={"role": "user", "content": "x"}), 422)
    refused(http.post("/memory/a%20b/s/append", json={"role": "user", "content": "x"}), 422)


def test_odd_queries_are_no_500(http: httpx.Client) -> None:
    http.post("/sessions/odd/turns", json={"role": "user", "content": "x"})
    huge = "9" * 40
    for path in (
        f"/sessions/odd/turns?after={huge}", f"/sessions/odd/turns?limit={huge}", "/sessions/odd/turns?cursor=%00",
        "/sessions/odd/turns?cursor=WzFd%FF", "/memory/default/sessions?cursor=WzEsMl0", f"/stream/d?limit={huge}",
        f"/stream/default/live?after={huge}", "/stream/default/filter?since=%00", f"/sessions/odd/snapshots/{huge}",
        "/usage?since=99999-01-01", f"/sessions/odd/snapshots/{huge}/diff/1", "/sessions/odd/turns?cursor=WzEuNV0",
        "/sessions/odd/turns?cursor=WzFlOTldXQ",
    ):  # fmt: skip
        got = http.get(path)
        assert 400 <= got.status_code < 500, (path, got.text)
        refused(got, got.status_code)
    for path in ("/stream/default/filter?session_id=%FF", "/sessions/odd/context?query=%FF%00&user_id=%FF"):
        assert http.get(path).status_code < 500, path
    too_big = base64.urlsafe_b64encode(b"[10000000000000000000000]").decode().rstrip("=")
    refused(http.get(f"/stream/default?cursor={too_big}"), 422)
    refused(http.get(f"/sessions/odd/turns?cursor={too_big}"), 422)


def test_other_bodies_are_strict_too(http: httpx.Client) -> None:
    http.post("/sessions/other/turns", json={"role": "user", "content": "x"})
    for path, body in (
        ("/sessions/other/hold", {"seconds": 0}), ("/sessions/other/hold", {"seconds": 10**30}),
        ("/sessions/other/hold", {"minutes": 1}), ("/sessions/other/close", {"now": True}),
        ("/sessions/other/consolidate", {"wait": "yes"}), ("/sessions/other/consolidate", {"timeout_s": -1}),
        ("/memory/search", {"query": "x", "k": 10**30}), ("/memory/search", {"query": "x", "kinds": "turn"}),
    ):  # fmt: skip
        refused(http.post(path, json=body), 422)
    refused(http.put("/memory/default/other/ttl", json={}), 422)
    refused(http.put("/memory/default/other/ttl", json={"seconds": -5}), 422)
    refused(http.post("/memory/search", content=b'{"query":"\\ud800"}'), 422)
    refused(http.post("/memory/search", content=b"\xff"), 400)
    refused(http.post("/memory/search", content=b"{" * 100_000), 400)
    assert http.post("/memory/search", json={"query": "\x00 ' \" ( ) * NEAR AND OR"}).status_code == 200
    assert http.post("/memory/search", json={"query": "x" * 200_000}).status_code < 500


def test_unknown_routes_and_methods_are_problems(http: httpx.Client) -> None:
    refused(http.get("/nowhere"), 404)
    got = http.patch("/memory/default/s")
    refused(got, 405)
    assert "GET" in got.headers["allow"]
    refused(http.request("DELETE", "/sessions/s/turns"), 405)
