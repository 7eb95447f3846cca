"""`doctor`: every setting with its origin, and what is broken, each with its remedy."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from carryover.core.scope import Scope
from carryover.providers import minilm
from carryover.runtime import Carryover
from carryover.settings import Settings, load
from carryover.store import queue
from commands import Commands


def state(report: Any, name: str) -> str:
    return next(check["state"] for check in report["checks"] if check["name"] == name)


def test_a_sound_setup(carryover: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARRYOVER_EMBEDDER")
    carryover("log", "s1", "hello")
    report = carryover.json("doctor")
    assert report["ok"]
    assert {setting["name"] for setting in report["settings"]} == set(Settings.model_fields)
    assert state(report, "embedder") == "ok"
    assert state(report, "index") == "note"  # no worker has run
    text = carryover("doctor")
    assert "1 turn behind" in text
    assert "carryover worker" in text
    assert "sqlite 3." in text
    assert "schema 0001" in text


def test_it_changes_nothing(carryover: Commands, home: Path) -> None:
    assert "made at first use" in carryover("doctor")
    assert not home.exists()


def test_origins_and_hidden_keys(carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "carryover.toml").write_text('idle_s = 60\nllm_api_key = "sk-secret-abcd"\n')
    monkeypatch.setenv("CARRYOVER_PORT", "9000")
    rows = {row["name"]: (row["value"], row["origin"]) for row in carryover.json("doctor")["settings"]}
    assert rows["idle_s"] == (60.0, str(home / "carryover.toml"))
    assert rows["port"] == (9000, "environment (CARRYOVER_PORT)")
    assert rows["llm_api_key"] == ("…abcd", str(home / "carryover.toml"))
    assert "secret" not in carryover("doctor")


def test_an_unknown_setting(carryover: Commands, home: Path) -> None:
    home.mkdir()
    (home / "carryover.toml").write_text("idel_s = 60\n")
    report = carryover.json("doctor", code=1)
    assert report["checks"][0]["state"] == "broken"
    assert "'idle_s'" in report["checks"][0]["remedy"]
    assert "BROKEN" in carryover("doctor", code=1)


def test_an_absent_or_damaged_model(carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "minilm")
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    assert state(carryover.json("doctor", code=1), "embedder") == "broken"
    assert "carryover model pull" in carryover("doctor", code=1)
    folder = home / "models" / minilm.MODEL
    folder.mkdir(parents=True)
    for name in minilm.HASHES:
        (folder / name).write_text("not the weights")
    assert "not the expected file" in carryover("doctor", code=1)
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    assert state(carryover.json("doctor"), "embedder") == "note"


def test_a_home_that_cannot_be(carryover: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path / "file" / "home"))
    assert state(carryover.json("doctor", code=1), "home") == "broken"
    for verb in (("sessions",), ("context", "s1"), ("db", "upgrade")):
        carryover(*verb, code=1)
        assert "CARRYOVER_HOME" in carryover.err


def test_a_schema_that_is_newer_or_no_database(carryover: Commands, home: Path) -> None:
    carryover("log", "s1", "hello")
    with sqlite3.connect(home / "carryover.db") as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.close()
    assert state(carryover.json("doctor", code=1), "database") == "broken"
    assert "upgrade carryover" in carryover("doctor", code=1)
    for extra in home.glob("carryover.db*"):
        extra.unlink()
    (home / "carryover.db").write_bytes(b"certainly no database, but long enough to be looked at" * 100)
    assert "no carryover database" in carryover("doctor", code=1) or "not a" in carryover("doctor", code=1)


def test_dead_jobs_with_their_reasons(carryover: Commands, home: Path) -> None:
    with Carryover.open(load(home=home, embedder="none").settings, work=False) as memory:
        memory.log_turn("s1", "user", "hello", agent="planner")
        with memory.engine.store.write(Scope()) as tx:
            queue.arm(tx, [("consolidate", "planner/s1", tx.now)])
            job = queue.claim(tx, ["consolidate"], lease_ms=1000)
            assert job is not None
            queue.fail(tx, job, "ProviderError: the model refused", due=None)
    text = carryover("doctor", code=1)
    assert "ProviderError: the model refused" in text
    assert "carryover doctor --retry" in text
    assert "BROKEN" not in carryover("doctor", "--retry")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LLM", "anthropic:no-such-model", "no price"),
        ("LLM", "anthropic:claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("EMBEDDER", "openai:text-embedding-3-small", "OPENAI_API_KEY"),
        ("HOST", "0.0.0.0", "carryover keys create"),
    ],
)
def test_what_is_missing_is_named(
    carryover: Commands, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    carryover("db", "upgrade")
    monkeypatch.setenv(f"CARRYOVER_{name}", value)
    assert said in carryover("doctor", code=1)


def test_a_server_that_is_there_and_one_that_is_not(
    carryover: Commands, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_URL", address)
    assert state(carryover.json("doctor"), "server") == "ok"
    monkeypatch.setenv("CARRYOVER_URL", "http://127.0.0.1:9")
    assert state(carryover.json("doctor", code=1), "server") == "broken"
