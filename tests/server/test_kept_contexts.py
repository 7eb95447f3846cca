"""A context that is served again without a query is the one that a query would give."""

from __future__ import annotations

import httpx


def test_a_kept_context_changes_with_whatever_is_written(http: httpx.Client) -> None:
    def context() -> httpx.Response:
        return http.get("/sessions/next/context")

    def say(text: str) -> None:
        http.post("/sessions/s1/turns", json={"role": "user", "content": text}).raise_for_status()

    def consolidate() -> None:
        http.post("/sessions/s1/consolidate", json={"wait": True}, timeout=30).raise_for_status()

    say("Let's use PostgreSQL for the ledger.")
    consolidate()
    first = context()
    assert "PostgreSQL" in first.text
    assert context().content == first.content
    say("The deadline is 12 March 2027.")
    consolidate()
    second = context()
    assert "12 March 2027" in second.text
    assert second.headers["etag"] != first.headers["etag"]
    http.delete("/memory/default/s1").raise_for_status()
    assert context().json()["markdown"] == ""
