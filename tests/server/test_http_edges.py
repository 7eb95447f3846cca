"""The HTTP below the routes: requests that could be read in two ways, heads without end, and pages of other sites."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from serving import Running

APPEND = json.dumps({"session_id": "smuggled", "turns": [{"role": "user", "content": "x"}]})
PAGE = {"Origin": "https://evil.example"}


def said(running: Running, raw: str) -> str:
    """All that the server answers to these bytes."""
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as connection:
        connection.sendall(raw.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        pieces: list[bytes] = []
        try:
            while piece := connection.recv(65536):
                pieces.append(piece)
        except ConnectionResetError:  # it hung up on what it did not want to read
            pass
    return b"".join(pieces).decode("latin-1")


def inner() -> str:
    return f"POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(APPEND)}\r\n\r\n{APPEND}"


@pytest.mark.parametrize(
    "head",
    [
        f"Content-Length: {len(inner())}\r\nTransfer-Encoding: chunked",
        f"Transfer-Encoding: chunked\r\nContent-Length: {len(inner())}",
        "Content-Length: 2\r\nContent-Length: 0",
        "Content-Length: +2",
        "Content-Length: -1",
        "Content-Length: 2, 2",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        " Content-Length: 2",
        "Content-Length : 2",
    ],
)
def test_a_request_whose_end_is_in_doubt_hides_no_other(running: Running, http: httpx.Client, head: str) -> None:
    """Where a proxy in front reads one request, the server does not find a second one in it."""
    answered = said(running, f"POST /log HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n0\r\n\r\n{inner()}")
    assert answered.count("HTTP/1.1 ") <= 1, answered
    assert " 20" not in answered.split("\r\n")[0], answered
    assert http.get("/memory/default/smuggled").status_code == 404


def test_a_head_without_end_is_cut_off(running: Running) -> None:
    answered = said(running, "GET /health HTTP/1.1\r\nHost: localhost\r\n" + f"X-Long: {'x' * 1_000_000}\r\n\r\n")
    assert "200 OK" not in answered.split("\r\n")[0]
    assert httpx.get(f"{running.url}/health").status_code == 200


def test_header_lines_cannot_be_put_into_an_answer(http: httpx.Client) -> None:
    for path in ("/memory/default/a%0d%0aSet-Cookie:%20x=1", "/stream/a%0d%0aX-Evil:%201"):
        got = http.get(path)
        assert not {"set-cookie", "x-evil"} & set(got.headers)


def test_no_page_of_another_site_may_read_an_answer(http: httpx.Client) -> None:
    """No answer carries a header that would let a browser share it, and none sets a cookie."""
    asked = {**PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for answer in (http.get("/health", headers=PAGE), http.options("/log", headers=asked), http.get("/profile")):
        shared = [name for name in answer.headers if name.startswith("access-control-")]
        assert shared == []
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/profile", "/docs", "/"])
def test_no_page_of_ours_may_stand_in_a_frame_of_another(http: httpx.Client, path: str) -> None:
    answer = http.get(path, headers={"Accept": "text/html"})
    if answer.headers["content-type"].startswith("text/html"):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_answer_tells_nothing_of_what_serves_it(http: httpx.Client) -> None:
    assert {"server", "x-powered-by"} & set(http.get("/health").headers) == set()
