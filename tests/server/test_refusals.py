"""Credentials that open nothing: each is counted, the log tells of them once a minute, and none stands in it."""

from __future__ import annotations

import pytest

from serving import Running


def test_failed_authentications_are_counted_and_told_in_one_line(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    admin = running.key("admin")
    for n in range(50):
        with running.http(f"co_{n:040}") as http:
            assert http.get("/usage").status_code == 401
    with running.http("cl_made.up") as http:
        assert http.get("/profile").status_code == 401
    with running.http(admin) as http:
        told = http.get("/metrics").text
    assert 'carryover_authentications_failed_total{kind="key"} 50.0' in told
    assert 'carryover_authentications_failed_total{kind="link"} 1.0' in told
    lines = [line for line in caplog.messages if "authentication failed" in line]
    assert len(lines) == 1
    assert "co_0" not in caplog.text


def test_no_more_than_a_bound_of_keys_is_remembered(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carryover.server.deps._MOST", 5)
    secrets = [running.key("read") for _ in range(12)]
    for secret in secrets:
        with running.http(secret) as http:
            assert http.get("/usage").status_code == 200
    with running.http(secrets[0]) as http:
        assert http.get("/health").json()["cache"]["keys"] <= 5
