"""`keys` and `audit` on the command line: what is made, listed and ended, and the log of it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from carryover.core.clock import DAY_MS, parse_time
from commands import Commands


def test_a_key_ends_by_itself_after_a_span_or_at_a_time(carryover: Commands) -> None:
    carryover("keys", "create", "--label", "spanned", "--expires", "90d", "--rate", "100/minute", "--user", "ana")
    carryover("keys", "create", "--label", "dated", "--expires", "2099-01-31")
    carryover("keys", "create", "--label", "endless")
    spanned, dated, endless = carryover.json("keys", "list")["keys"]
    left = parse_time(spanned["expires_at"]) - time.time() * 1000
    assert 89.9 * DAY_MS < left <= 90 * DAY_MS
    assert (spanned["rate"], spanned["user_id"]) == ("100/minute", "ana")
    assert (dated["expires_at"], endless["expires_at"]) == ("2099-01-31T00:00:00.000Z", None)
    head, *lines = carryover("keys", "list").splitlines()
    assert head.split() == [
        "id",
        "label",
        "right",
        "agent",
        "user",
        "created",
        "(UTC)",
        "last",
        "used",
        "expires",
        "rate",
        "state",
    ]
    assert "100/minute" in lines[0]
    assert "2099-01-31 00:00" in lines[1]
    assert [line.split()[-1] for line in lines] == ["valid"] * 3


def test_a_key_that_expired_is_listed_as_such(carryover: Commands, home: Path) -> None:
    carryover("keys", "create", "--expires", "1h")
    with sqlite3.connect(home / "carryover.db") as conn:
        conn.execute("UPDATE keys SET expires_at = 1")
    conn.close()
    assert carryover("keys", "list").split()[-1] == "expired"


@pytest.mark.parametrize("expires", ["0d", "-1d", "90", "d", "1y", "tomorrow", "9999999d", "2099-13-01"])
def test_an_end_that_is_none_is_wrong_usage(carryover: Commands, expires: str) -> None:
    carryover("keys", "create", f"--expires={expires}", code=2)
    assert "a span like 90d" in carryover.err


def test_an_end_in_the_past_is_refused(carryover: Commands) -> None:
    carryover("keys", "create", "--expires", "2020-01-01", code=1)
    assert "would have expired" in carryover.err
    assert carryover("keys", "list") == ""


def test_the_audit_log_tells_who_did_what(either: Commands, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    either("strategy", "agent", "planner", "--set", "mode=trim")
    (line,) = either.json("audit", "--action", "strategy.set")["lines"][:1]
    assert (line["subject"], line["outcome"], line["who"]) == ("agent planner", "done", "local")
    assert line["via"] in ("cli", "http")
    assert (line["request_id"] is None) == (line["via"] == "cli")
    shown = either("audit", "--subject", "agent planner", "-n", "1")
    assert "strategy.set" in shown
    assert either.json("audit", "--who", "nobody")["lines"] == []
    monkeypatch.delenv("CARRYOVER_URL", raising=False)


def test_keys_are_in_it_and_a_line_that_is_taken_out_shows(carryover: Commands, home: Path) -> None:
    secret = carryover("keys", "create", "--right", "read", "--expires", "2099-01-31").strip()
    carryover("keys", "revoke", secret[:12])
    carryover("keys", "rotate-master")
    lines = carryover.json("audit")["lines"]
    assert [(line["n"], line["action"], line["via"]) for line in lines] == [
        (3, "key.rotate-master", "cli"), (2, "key.revoke", "cli"), (1, "key.create", "cli"),
    ]  # fmt: skip
    assert lines[2]["detail"] == "right read, until 2099-01-31T00:00:00.000Z"
    assert secret not in str(lines)
    said = carryover("audit", "--verify")
    head = said.split()[-1]
    assert said.startswith("4 lines, none changed or missing; head 4:")
    assert carryover.json("audit", "--verify", "--head", head)["faults"] == []
    with sqlite3.connect(home / "carryover.db") as conn:
        conn.execute("DROP TRIGGER audit_never_deletes")
        conn.execute("DELETE FROM audit WHERE n = 2")
    conn.close()
    assert carryover("audit", "--verify", code=1) == "line 2 is missing\n"
    assert (
        carryover.json("audit", "--verify", "--head", "9:00", code=1)["faults"][-1]
        == "no line here has the head '9:00'"
    )


def test_exports_are_in_it(carryover: Commands, tmp_path: Path) -> None:
    carryover("log", "s1", "hello")
    carryover("export", str(tmp_path / "all.jsonl"))
    (line,) = carryover.json("audit", "--action", "export")["lines"]
    assert (line["subject"], line["detail"]) == ("agent default", "1 session, 1 turn")
