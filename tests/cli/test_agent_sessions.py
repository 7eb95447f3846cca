"""Sessions of OpenAI's Agents SDK, brought over from its tables: exactly, once, and with what cannot be read told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from agents import SQLiteSession

from carryover.core.clock import parse_time
from carryover.runtime import Carryover
from carryover.settings import load
from commands import ENTRY, Commands

ITEMS: list[Any] = [
    {"role": "user", "content": "Wo ist mein Päckchen? 📦"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": '{"parcel": "p1"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "on its way"},
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "It is on its way.", "annotations": []}]},
]  # fmt: skip

TABLE = """
CREATE TABLE {sessions} (session_id VARCHAR(255) PRIMARY KEY, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL,
 updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL);
CREATE TABLE {messages} (id {id}, session_id VARCHAR(255) NOT NULL, message_data TEXT NOT NULL,
 created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL);
"""
KNOWN = ("agent_sessions", "agent_messages"), ("sdk_agent_sessions", "sdk_agent_session_messages")


class Tables:
    """The SDK's tables, as SQLAlchemySession makes them, in a database of either engine."""

    def __init__(self, url: str, names: tuple[str, str] = KNOWN[0]) -> None:
        self.engine = sa.create_engine(url)
        self.messages = names[1]
        id = "INTEGER PRIMARY KEY AUTOINCREMENT" if self.engine.dialect.name == "sqlite" else "SERIAL PRIMARY KEY"
        with self.engine.begin() as connection:
            for statement in TABLE.format(sessions=names[0], messages=names[1], id=id).split(";")[:-1]:
                connection.execute(sa.text(statement))

    def add(self, session: str, *data: str, at: str = "2026-05-01 10:00:00") -> None:
        wanted = f"INSERT INTO {self.messages} (session_id, message_data, created_at) VALUES (:s, :d, :at)"
        with self.engine.begin() as connection:
            connection.execute(sa.text(wanted), [{"s": session, "d": one, "at": at} for one in data])

    def rows(self) -> list[Any]:
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(sa.text(f"SELECT * FROM {self.messages} ORDER BY id"))]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.db'}"
    return request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def tables(url: str) -> Iterator[Tables]:
    made = Tables(url)
    yield made
    made.engine.dispose()


def stored(session: str, agent: str = "support") -> list[Any]:
    with Carryover.open(load().settings, work=False) as memory:
        _, turns = memory.turns(session, agent=agent, limit=1000)
    return [(turn.content[0], turn.kind, turn.name, turn.call_id, turn.created_at) for turn in turns]


def bring(carryover: Commands, place: str, *more: str) -> Any:
    return carryover.json("import-sessions", place, "--agent", "support", *more)


def test_what_the_sdk_wrote_itself_comes_over_exactly(either: Commands, tmp_path: Path) -> None:
    file = tmp_path / "sdk.db"

    async def write() -> None:
        for name in ("a", "b"):
            session = SQLiteSession(name, file)
            await session.add_items(ITEMS)
            session.close()

    asyncio.run(write())
    before = file.read_bytes()
    agent = f"support-{time.time_ns()}"
    done = either.json("import-sessions", str(file), "--agent", agent, "--user", "ann")
    assert done == {
        "table": "agent_messages", "sessions": 2, "rows": 10, "new_turns": 10, "renamed": {}, "unreadable": [],
    }  # fmt: skip
    assert file.read_bytes() == before
    assert not list(tmp_path.glob("sdk.db-*"))
    shown = either.json("window", "a", "--agent", agent, "--last", "9")
    assert [turn["content"] for turn in shown["turns"]] == [[item] for item in ITEMS]
    again = either.json("import-sessions", str(file), "--agent", agent, "--user", "ann")
    assert again["new_turns"] == 0


def test_order_and_times_are_the_sdks_and_a_second_import_brings_only_what_is_new(
    carryover: Commands, tables: Tables, url: str
) -> None:
    said = [json.dumps({"role": "user", "content": str(n)}) for n in range(6)]
    tables.add("s", said[0], said[1], at="2026-05-01 10:00:02")
    tables.add("s", said[2], at="2026-05-01 10:00:01.250000")
    tables.add("t", said[3])
    rows = tables.rows()
    assert bring(carryover, url)["new_turns"] == 4
    assert [(turn[0]["content"], turn[4]) for turn in stored("s")] == [
        ("2", parse_time("2026-05-01T10:00:01.250Z")),
        ("0", parse_time("2026-05-01T10:00:02Z")),
        ("1", parse_time("2026-05-01T10:00:02Z")),
    ]
    assert bring(carryover, url)["new_turns"] == 0
    tables.add("s", said[4], said[4])  # the same twice is two items
    tables.add("u", said[5])
    assert bring(carryover, url) == {
        "table": "agent_messages", "sessions": 3, "rows": 7, "new_turns": 3, "renamed": {}, "unreadable": [],
    }  # fmt: skip
    assert [turn[0]["content"] for turn in stored("s")] == ["2", "0", "1", "4", "4"]
    assert tables.rows()[:4] == rows


def test_rows_that_cannot_be_read_are_told_each_time_and_the_others_come(
    carryover: Commands, tables: Tables, url: str
) -> None:
    fine, deep = json.dumps(ITEMS[0]), "[" * 300 + "]" * 300
    bad = [
        "{not json",
        '"a text"',
        '{"x": NaN}',
        '{"__enc__": 1, "payload": "x"}',
        f'{{"role": "user", "content": {deep}}}',
    ]
    tables.add("s", fine, *bad, json.dumps(ITEMS[4]))
    tables.add("only bad", bad[0])
    for new in (2, 0):
        done = bring(carryover, url)
        assert (done["sessions"], done["rows"], done["new_turns"]) == (2, 8, new)
        assert [(one["session_id"], one["row"]) for one in done["unreadable"]] == [
            ("s", 2), ("s", 3), ("s", 4), ("s", 5), ("s", 6), ("only bad", 8),
        ]  # fmt: skip
    reasons = [one["reason"] for one in done["unreadable"]]
    for reason, part in zip(
        reasons, ["Expecting property", "no JSON object", "NaN is no JSON", "encrypted", "nested"], strict=False
    ):
        assert part in reason
    assert [turn[0] for turn in stored("s")] == [ITEMS[0], ITEMS[4]]
    carryover("import-sessions", url, "--agent", "support")
    assert "left out row 2 of session 's': Expecting property name" in carryover.err
    assert "session 'only bad' is called 'only-bad-" in carryover.err


def test_ids_that_the_log_does_not_take_are_told_apart(carryover: Commands, tables: Tables, url: str) -> None:
    for name in ("user 1/a", "user 1/b", "sessions", "x" * 200):
        tables.add(name, json.dumps({"role": "user", "content": name}))
    renamed = bring(carryover, url)["renamed"]
    assert sorted(renamed) == ["sessions", "user 1/a", "user 1/b", "x" * 200]
    for old, name in renamed.items():
        assert stored(name)[0][0]["content"] == old
    assert bring(carryover, url)["new_turns"] == 0


@pytest.mark.parametrize("names", [KNOWN[1], ("my_sessions", "my_items")])
def test_other_names_of_the_tables_are_known_or_said(carryover: Commands, url: str, names: tuple[str, str]) -> None:
    made = Tables(url, names)
    made.add("s", json.dumps(ITEMS[0]))
    made.engine.dispose()
    if names == KNOWN[1]:
        assert bring(carryover, url)["table"] == names[1]
    else:
        carryover("import-sessions", url, code=1)
        assert "has no table agent_messages or sdk_agent_session_messages" in carryover.err
        assert bring(carryover, url, "--table", "my_items")["new_turns"] == 1
    assert stored("s")[0][0] == ITEMS[0]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere.db", "there is no file"),
        ("notes.txt", "cannot be read as a database"),
        ("postgresql://ada:secret@127.0.0.1:1/app", "cannot be read"),
        ("nosuch://host/app", "nosuch"),
        ("://", "cannot be read"),
    ],
)
def test_what_is_no_database_is_refused(carryover: Commands, tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    carryover("import-sessions", place, code=1)
    assert said in carryover.err
    assert "secret" not in carryover.err


def test_an_import_that_was_killed_is_finished_by_the_next(carryover: Commands, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    made = Tables(f"sqlite:///{file}")
    for n in range(40):
        made.add(f"s{n:02}", *(json.dumps({"role": "user", "content": f"{n}.{k} " + "x" * 400}) for k in range(300)))
    made.engine.dispose()
    killed = 0
    for most in (1, 9, 20):
        process = subprocess.Popen([ENTRY, "import-sessions", str(file), "--agent", "support"], stderr=subprocess.PIPE)
        database = home / "carryover.db"
        while process.poll() is None and _sessions(database) < most:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert process.stderr is not None
        process.stderr.close()
    assert killed
    there = _sessions(home / "carryover.db")
    assert there >= 1
    done = bring(carryover, str(file))
    assert (done["sessions"], done["rows"]) == (40, 12_000)
    assert done["new_turns"] <= 12_000
    for n in range(40):
        assert [turn[0]["content"].split()[0] for turn in stored(f"s{n:02}")] == [f"{n}.{k}" for k in range(300)]


def _sessions(database: Path) -> int:
    if not database.exists() or not os.path.getsize(database):
        return 0
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
