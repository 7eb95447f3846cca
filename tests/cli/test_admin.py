"""`keys`, `db`, `worker`, `serve`, `model` and `eval`: what acts on the machine itself."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from carryover.cli.demo_server import serving
from carryover.runtime import Carryover
from carryover.settings import load
from carryover.store import migrate
from commands import Commands, line_of, rest_of, started


def test_a_key_is_shown_once_listed_and_revoked(carryover: Commands) -> None:
    secret = carryover("keys", "create", "--label", "backend", "--right", "write", "--agent", "planner").strip()
    assert secret.startswith("co_")
    assert secret not in carryover.err
    (key,) = carryover.json("keys", "list")["keys"]
    assert (key["label"], key["rights"], key["agent_id"]) == ("backend", ["read", "write"], "planner")
    assert secret not in carryover("keys", "list")
    assert key["id"] in carryover("keys", "revoke", key["id"])
    assert "revoked" in carryover("keys", "list")
    carryover("keys", "revoke", "co_nothing", code=1)
    assert carryover.json("keys", "create")["key"].startswith("co_")


def test_a_key_opens_a_server_and_its_absence_does_not(tmp_path: Path, carryover: Commands, home: Path) -> None:
    secret = carryover("keys", "create").strip()
    with serving(home, embedder="none") as url:
        bare = Commands()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CARRYOVER_URL", url)
            bare("sessions", code=1)
            assert "key" in bare.err
            patch.setenv("CARRYOVER_API_KEY", secret)
            bare("log", "s1", "hello")
            bare("keys", "list", code=1)
            assert "CARRYOVER_URL" in bare.err
    assert tmp_path.is_dir()


def test_db_upgrade_makes_the_database(carryover: Commands, home: Path) -> None:
    assert migrate.HEAD in carryover("db", "upgrade")
    assert (home / "carryover.db").is_file()
    assert carryover.json("db", "upgrade")["schema"] == migrate.HEAD


def filled(home: Path) -> None:
    with Carryover.open(load(home=home, embedder="none").settings, work=False) as memory:
        for n in range(4):
            memory.log_turn("s1", "user", f"Let's use database number {n}.")
        memory.consolidate("s1")
        memory.search_memory("database")


DAMAGE = {
    "turns are missing": ("DELETE FROM turns WHERE seq = 2", False),
    "body": ("DELETE FROM bodies WHERE seq = 3", False),
    "is at version": ("UPDATE sessions SET version = 9", True),
    "which are not there": ("UPDATE sources SET last = 99", False),
    "has no source": ("DELETE FROM sources", False),
    "covers turn": ("UPDATE snapshots SET through = 50", False),
    "lacks": ("INSERT INTO chunks_text(chunks_text) VALUES ('delete-all')", True),
    "that do not exist": ("INSERT INTO chunks_text(rowid, owner, terms) VALUES (9999, 'x', 'y')", True),
    "disagree": ("UPDATE counters SET value = 77 WHERE name = 'terms'", True),
    "do not match": (
        "INSERT INTO codes VALUES ('default', 'space', 1, 9999, x'00', 'a', 's', NULL, 'turn', 'user', 1)",
        True,
    ),
    "belong to no chunk": ("INSERT INTO vectors VALUES ('default', 'space', 9999, x'00', 1)", True),
}


@pytest.mark.parametrize(("said", "damage"), DAMAGE.items(), ids=[key.replace(" ", "-") for key in DAMAGE])
def test_db_check_finds_damage_and_repairs_what_is_derived(
    carryover: Commands, home: Path, said: str, damage: tuple[str, bool]
) -> None:
    filled(home)
    assert carryover("db", "check") == "the database is sound\n"
    before = carryover("search", "database number 2")
    statement, repairable = damage
    with sqlite3.connect(home / "carryover.db") as conn:
        conn.execute(statement)
    conn.close()
    assert said in carryover("db", "check", code=1)
    if not repairable:
        assert "backup" in carryover.err
        carryover("db", "check", "--repair", code=1)
        return
    assert "--repair" in carryover.err
    assert carryover("db", "check", "--repair") == "repaired; the database is sound\n"
    told = carryover.json("db", "check")
    assert (told["faults"], told["repaired"]) == ([], False)
    assert carryover("search", "database number 2") == before


def test_db_check_of_a_broken_file(carryover: Commands, home: Path) -> None:
    filled(home)
    file = home / "carryover.db"
    for extra in home.glob("carryover.db-*"):
        extra.unlink()
    content = bytearray(file.read_bytes())
    content[8192:40960] = bytes(range(256)) * 128
    file.write_bytes(content)
    carryover("db", "check", code=1)
    assert "backup" in carryover.err


def test_a_worker_runs_what_is_due_and_stops_when_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_IDLE_S", "0.2")
    with started("worker", "--concurrency", "2") as worker:
        assert "runs what is due" in line_of(worker.stderr)
        Commands()("log", "s1", "Let's use PostgreSQL for the ledger.")
        with Carryover.open(load(home=home).settings, work=False) as memory:
            end = time.monotonic() + 60
            while not memory.snapshots("s1") and time.monotonic() < end:
                time.sleep(0.05)
            assert memory.snapshots("s1")[0].through == 1
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert rest_of(worker.stderr).splitlines()[-1] == "carryover worker stopped"


@pytest.mark.usefixtures("home")
def test_serve_says_where_answers_and_stops_when_told() -> None:
    with started("serve", "--port", "0", "--no-worker") as server:
        url = line_of(server.stderr).split()[-1]
        assert httpx.get(f"{url}/health").json()["status"] == "ok"
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        assert rest_of(server.stdout) == ""


@pytest.mark.usefixtures("home")
def test_serve_refuses_an_open_door(carryover: Commands) -> None:
    carryover("serve", "--host", "0.0.0.0", "--port", "0", code=1)
    assert "carryover keys create" in carryover.err


def test_model_pull_without_a_network_is_one_line(carryover: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    carryover("model", "pull", code=1)
    assert carryover.err.splitlines()[-1].startswith("carryover: ")


def test_eval_recall_measures_a_folder(carryover: Commands, tmp_path: Path) -> None:
    empty = tmp_path / "nothing"
    empty.mkdir()
    carryover("eval", "recall", str(empty), code=1)
    assert "locomo" in carryover.err


def test_keys_as_json(carryover: Commands) -> None:
    made = carryover.json("keys", "create", "--user", "mara")
    assert json.dumps(made)
    assert (made["user_id"], made["revoked_at"]) == ("mara", None)
    assert carryover.json("keys", "revoke", made["id"])["revoked_at"] is not None
