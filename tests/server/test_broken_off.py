"""A client that goes away in the middle of a request costs nothing, and its secrets are told nobody."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest


def test_a_body_that_breaks_off_tells_no_secret(
    http: httpx.Client, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    at = urlsplit(str(http.base_url))
    head = (
        "POST /sessions/s/turns HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer co_canary-key\r\n"
        "Content-Type: application/json\r\nContent-Length: 9000\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection((at.hostname or "", at.port or 0)) as client:
            client.sendall(head.encode() + b'{"role": "user", "content": "canary words')
    assert http.get("/health").status_code == 200
    assert http.get("/memory/default/s").status_code == 404
    told = "".join((*capfd.readouterr(), caplog.text))
    assert "canary" not in told


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/sessions/s/turns", b'{"role":"user","content":"x","metadata":{"n":' + b"9" * 5000 + b"}}"),
        ("GET", "/memory/x/sessions?cursor=WzEsIlx1ZDgwMCIsIngiXQ", b""),
        ("GET", "/usage?until=0001-01-02T00:00:00Z", b""),
    ],
)
def test_what_once_broke_the_server_is_refused_or_answered(
    http: httpx.Client, method: str, path: str, body: bytes
) -> None:
    answered = http.request(method, path, content=body, headers={"content-type": "application/json"})
    assert answered.status_code < 500
