"""`doctor`: every setting with its origin, and what is broken, each with its remedy."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from carryover.core import clock
from carryover.core.scope import Scope
from carryover.core.strategy import NONE
from carryover.engine import Engine
from carryover.providers import minilm
from carryover.runtime import Carryover
from carryover.settings import Settings, load
from carryover.store import migrate, queue, sessions, spaces, summaries
from carryover.store.move import begin
from carryover.store.store import Store
from commands import Commands
from lettered import first
from servers import redis
from servers.postgres import Server


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
    assert f"schema {migrate.HEAD}" in text


def test_summaries_that_were_given_up_are_told(carryover: Commands) -> None:
    carryover("log", "s1", "hello")
    assert state(carryover.json("doctor"), "summaries") == "ok"
    with Carryover.open(load().settings, work=False) as memory, memory.engine.store.write(memory.scope) as tx:
        summaries.want(tx, sessions.get(tx, "default", "s1"), NONE, 1)
        summaries.fail(tx, "default", "s1", NONE.recipe, 1, version=1, attempts=3)
    (check,) = (one for one in carryover.json("doctor")["checks"] if one["name"] == "summaries")
    assert (check["state"], check["said"]) == ("note", "1 failed")
    assert "carryover stream --action summarize" in check["remedy"]


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


def test_a_damaged_model_beside_a_sound_one(carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(minilm.PACKAGE)
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "minilm")
    folder = home / "models" / minilm.MODEL
    folder.mkdir(parents=True)
    for name in minilm.HASHES:
        (folder / name).write_text("not the weights")
    check = check_of(carryover.json("doctor"), "embedder")
    assert check["state"] == "note"
    assert "is not the expected file" in check["said"]
    assert check["remedy"] == "run `carryover model pull`"


def test_how_a_change_of_the_model_stands(carryover: Commands, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARRYOVER_EMBEDDER")
    settings = load(home=home).settings
    with Carryover(Engine.open(settings, embedder=first()), Scope()) as memory:
        for n in range(40):
            memory.log_turn("s1", "user", f"turn {n} of the greenhouse")
        memory.engine.worker.drain()
        report = carryover.json("doctor")
        assert check_of(report, "embedding")["state"] == "note"
        assert "search answers by words: vectors are of letters@1, whose model" in check_of(report, "embedding")["said"]
        with memory.engine.store.write(Scope()) as tx:
            spaces.want(tx, minilm.MiniLM.name, tx.now)
    check = check_of(carryover.json("doctor"), "embedding")
    assert check["state"] == "note"
    assert check["said"] == f"re-embedding for {minilm.MiniLM.name}: 0 of 40 chunks, search answers by words"
    assert "carryover worker" in check["remedy"]
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    assert check_of(carryover.json("doctor"), "embedding")["said"] == "none are wanted"


def test_a_damaged_index_and_the_verb_that_has_it_rebuilt(carryover: Commands, home: Path) -> None:
    for n in range(3):
        carryover("log", f"s{n}", "the greenhouse")
    carryover("search", "greenhouse")
    with sqlite3.connect(home / "carryover.db") as conn:
        conn.execute("INSERT INTO chunks_text(chunks_text) VALUES ('delete-all')")
    conn.close()
    assert carryover.json("search", "greenhouse")["results"] == []
    check = check_of(carryover.json("doctor", code=1), "index")
    assert check["said"] == "damaged: the text index lacks 3 chunks"
    assert "carryover db reindex" in check["remedy"]
    said = carryover("db", "reindex")
    assert said == "3 sessions of 1 tenant will be compared with the log by the next worker\n"
    assert carryover.json("db", "reindex") == {"tenants": 1, "sessions": 3}
    with Carryover.open(load(home=home, embedder="none").settings, work=False) as memory:
        assert memory.health().notes == ("the index is being compared with the log and rebuilt",)
        memory.engine.worker.drain()
        assert memory.health().notes == ()
    assert len(carryover.json("search", "greenhouse")["results"]) == 3
    assert state(carryover.json("doctor"), "index") == "ok"


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
    assert "carryover queue retry --all" in text
    carryover("queue", "retry", "--all")
    assert "BROKEN" not in carryover("doctor")


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


@pytest.fixture
def on_postgres(carryover: Commands, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The command on a fresh PostgreSQL database."""
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres_url)
    return carryover


def check_of(report: Any, name: str) -> Any:
    return next(check for check in report["checks"] if check["name"] == name)


def test_a_sound_postgresql(on_postgres: Commands, postgres_url: str) -> None:
    on_postgres("log", "s1", "hello")
    report = on_postgres.json("doctor")
    assert report["ok"]
    database = postgres_url.rpartition("/")[2]
    assert check_of(report, "server")["said"].startswith("postgresql 1")
    assert check_of(report, "server")["said"].endswith(f"database {database}, role carryover")
    assert check_of(report, "security")["said"] == "row-level security keeps tenants apart"
    assert check_of(report, "replication")["said"] == "none: commits are on this server's disk alone"
    assert "`carryover serve` opens 32 at most" in check_of(report, "connections")["said"]
    assert f"schema {migrate.HEAD}; 1 session, 1 turn" in check_of(report, "database")["said"]
    assert {check["name"] for check in report["checks"]}.isdisjoint({"role", "clock", "move", "redis"})


def test_what_is_wrong_with_a_postgresql(
    on_postgres: Commands, postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgres_url.rpartition("/")[2]
    postgres.sql("ALTER TABLE turns DISABLE ROW LEVEL SECURITY", database=database)
    postgres.sql("DROP EXTENSION vector", database=database)
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres.url(database, "postgres"))
    monkeypatch.setenv("CARRYOVER_VECTOR_INDEX", "pgvector")
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "minilm")
    monkeypatch.setenv("CARRYOVER_DATABASE_POOL", "500")
    report = on_postgres.json("doctor", code=1)
    assert check_of(report, "role")["state"] == "note"
    assert "does not hold for 'postgres'" in check_of(report, "role")["said"]
    assert check_of(report, "security")["said"] == "no row-level security on turns"
    assert "CREATE EXTENSION vector" in check_of(report, "vectors")["remedy"]
    assert check_of(report, "connections")["state"] == "note"


def test_sqlite_vec_is_for_sqlite(on_postgres: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_VECTOR_INDEX", "sqlite-vec")
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "minilm")
    check = check_of(on_postgres.json("doctor", code=1), "vectors")
    assert check["state"] == "broken"
    assert "needs SQLite" in check["said"]
    assert 'set vector_index to "memory"' in check["remedy"]


def test_a_postgresql_without_a_schema(
    carryover: Commands, postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgres_url.rpartition("/")[2] + "_empty"
    monkeypatch.setenv("CARRYOVER_DATABASE_URL", postgres.create(name))
    try:
        report = carryover.json("doctor", code=1)
        assert check_of(report, "server")["state"] == "ok"
        assert check_of(report, "database")["remedy"] == "run `carryover db upgrade`"
    finally:
        postgres.drop(name)


def test_a_clock_that_differs(on_postgres: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    class Behind:
        @staticmethod
        def time_ns() -> int:
            return real() - 7_000_000_000

    real = clock.time.time_ns
    monkeypatch.setattr(clock, "time", Behind)
    report = on_postgres.json("doctor")
    assert check_of(report, "clock")["state"] == "note"
    assert "the database's clock is +7.0 s from this machine's" in check_of(report, "clock")["said"]


def test_a_standby_that_commits_wait_for_in_vain(on_postgres: Commands, postgres: Server) -> None:
    on_postgres("db", "upgrade")
    postgres.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
    try:
        report = on_postgres.json("doctor", code=1)
        assert "commits wait for a standby (nobody)" in check_of(report, "replication")["said"]
        postgres.sql("SET synchronous_commit = local", "ALTER ROLE carryover SET synchronous_commit = local")
        assert check_of(on_postgres.json("doctor"), "replication")["state"] == "ok"
    finally:
        postgres.sql(
            "SET synchronous_commit = local",
            "ALTER ROLE carryover RESET synchronous_commit",
            "ALTER SYSTEM RESET synchronous_standby_names",
            "SELECT pg_reload_conf()",
        )


def test_redis_that_is_there_and_redis_that_is_not(
    carryover: Commands, redis_server: redis.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_REDIS_URL", redis_server.url)
    assert check_of(carryover.json("doctor"), "redis")["state"] == "ok"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("CARRYOVER_REDIS_URL", f"redis://:pa55@127.0.0.1:{port}/0")
    found = check_of(carryover.json("doctor"), "redis")
    assert found["state"] == "note"
    assert "carryover works without it, somewhat slower" in found["said"]
    assert "pa55" not in carryover("doctor")
    monkeypatch.setenv("CARRYOVER_REDIS_URL", "http://somewhere")
    assert check_of(carryover.json("doctor", code=1), "redis")["remedy"] == "write it as redis://host:6379/0"


def test_a_move_that_has_not_ended(carryover: Commands, home: Path) -> None:
    carryover("db", "upgrade")
    url = f"sqlite:///{home / 'carryover.db'}"
    with Store.open(f"sqlite:///{home / 'other.db'}") as source, Store.open(url) as target:
        begin(source, target)
    assert check_of(carryover.json("doctor", code=1), "move")["remedy"] == "run it again, as before"
    carryover("db", "check", code=1)
    assert "cannot be repaired" in carryover.err
