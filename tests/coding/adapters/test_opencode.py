from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from carryover.coding.adapters import opencode, opencode_files
from carryover.coding.adapters.base import Part
from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs.discover import Place, files_in
from carryover.coding.logs.reading import beginning
from carryover.coding.logs.sweep import sweep
from carryover.core.scope import Scope
from carryover.store import spends, steps
from carryover.store.store import Store
from golden_logs import read_whole

AT = 1_782_000_000_000
TOKENS = {"input": 50, "output": 20, "reasoning": 5, "cache": {"read": 900, "write": 30}}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database as OpenCode has it open, with a session of one question and one answer."""
    with closing(sqlite3.connect(tmp_path / "opencode.db", isolation_level=None)) as connection:
        connection.executescript(
            """
            PRAGMA journal_mode = WAL;
            CREATE TABLE session (id TEXT PRIMARY KEY, parent_id TEXT, directory TEXT, title TEXT, version TEXT,
                time_created INTEGER, time_updated INTEGER);
            CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, time_created INTEGER, time_updated INTEGER,
                data TEXT);
            CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT, session_id TEXT, time_created INTEGER,
                time_updated INTEGER, data TEXT);
            """
        )
        session(connection, "ses_a")
        message(connection, "ses_a", "msg_1", role="user", time={"created": AT})
        part(connection, "ses_a", "msg_1", "prt_1", type="text", text="run the tests")
        answer = {"modelID": "claude-opus-4-7", "tokens": TOKENS, "cost": 0.02}
        message(connection, "ses_a", "msg_2", role="assistant", time={"created": AT + 1000}, **answer)
        yield connection


def session(connection: sqlite3.Connection, id: str, parent: str | None = None) -> None:
    row = (id, parent, "/work/shop", f"title of {id}", "1.3.17", AT, AT + 9000)
    connection.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def message(connection: sqlite3.Connection, session: str, id: str, **data: Any) -> None:
    connection.execute("INSERT INTO message VALUES (?, ?, 1, 1, ?)", (id, session, json.dumps(data)))


def part(connection: sqlite3.Connection, session: str, message: str, id: str, **data: Any) -> None:
    connection.execute("REPLACE INTO part VALUES (?, ?, ?, 1, 1, ?)", (id, message, session, json.dumps(data)))


def tool(id: str = "toolu_1", tool: str = "bash", start: int = AT + 2000, **state: Any) -> dict[str, Any]:
    said = {"input": {"command": "pytest -q"}, "time": {"start": start, "end": start + 500}, **state}
    return {"type": "tool", "callID": id, "tool": tool, "state": said}


def read(folder: Path, session: str = "ses_a") -> Part:
    path = folder / "opencode.db"
    assert adapter_for(beginning(path, 64 << 10), path) is opencode
    return read_whole(opencode, path)[0].parts[session]


def test_what_its_program_has_just_written_is_read(database: sqlite3.Connection, tmp_path: Path) -> None:
    part(database, "ses_a", "msg_2", "prt_2", **tool(status="completed", output="1 failed", metadata={"exit": 1}))
    part(database, "ses_a", "msg_2", "prt_3", type="text", text="One fails.", time={"start": AT + 3000})
    found = read(tmp_path)
    assert [(step.kind, step.text, step.at) for step in found.steps] == [
        ("prompt", "run the tests", AT),
        ("call", "bash: pytest -q", AT + 2000),
        ("result", "1 failed", AT + 2500),
        ("text", "One fails.", AT + 3000),
    ]
    assert (found.steps[2].status, found.steps[2].exit_code) == ("error", 1)
    about = found.about
    assert (about.cwd, about.title, about.versions, about.models) == (
        "/work/shop",
        "title of ses_a",
        ["1.3.17"],
        ["claude-opus-4-7"],
    )


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"status": "completed", "output": "fine", "metadata": {"exit": 0}}, "ok"),
        ({"status": "completed", "output": "fine"}, "ok"),
        ({"status": "completed", "output": "", "metadata": {"exit": 127}}, "error"),
        ({"status": "error", "error": "no such file"}, "error"),
        ({"status": "error", "error": "Tool execution aborted"}, "cancelled"),
        ({"status": "error", "error": "The user rejected permission to use this specific tool call."}, "rejected"),
    ],
)
def test_what_came_of_a_call(database: sqlite3.Connection, tmp_path: Path, state: dict[str, Any], status: str) -> None:
    part(database, "ses_a", "msg_2", "prt_2", **tool(**state))
    assert read(tmp_path).steps[-1].status == status


def test_a_call_of_a_tool_that_is_not_there_failed(database: sqlite3.Connection, tmp_path: Path) -> None:
    state = {"status": "completed", "input": {"tool": "Bash", "error": "unknown"}, "output": "The tool is not there."}
    part(database, "ses_a", "msg_2", "prt_2", **tool(tool="invalid", **state))
    call, result = read(tmp_path).steps[1:]
    assert (call.name, call.tool, result.status) == ("Bash", "shell", "error")


def test_a_part_that_is_edited_in_place_only_adds_what_is_new(database: sqlite3.Connection, tmp_path: Path) -> None:
    part(database, "ses_a", "msg_2", "prt_2", **tool(status="pending", input={}))
    assert [step.kind for step in read(tmp_path).steps] == ["prompt"]
    part(database, "ses_a", "msg_2", "prt_2", **tool(status="running"))
    running = read(tmp_path).steps
    assert [step.kind for step in running] == ["prompt", "call"]
    part(database, "ses_a", "msg_2", "prt_2", **tool(status="completed", output="ok", title="Tests"))
    done = read(tmp_path).steps
    assert [step.uid for step in done[:2]] == [step.uid for step in running]
    assert [step.kind for step in done] == ["prompt", "call", "result"]


def test_usage_is_that_of_each_call_of_a_model_or_of_the_message(database: sqlite3.Connection, tmp_path: Path) -> None:
    (whole,) = read(tmp_path).spends
    assert (whole.input, whole.cache_read, whole.cache_write, whole.output, whole.cost) == (50, 900, 30, 25, 20_000_000)
    for number, cost in ((1, 0.011), (2, 0.009)):
        part(database, "ses_a", "msg_2", f"prt_{number + 3}", type="step-finish", tokens=TOKENS, cost=cost)
    spends = read(tmp_path).spends
    assert sorted(spend.cost or 0 for spend in spends) == [9_000_000, 11_000_000]
    assert len({spend.key for spend in spends}) == 2


def test_a_fork_has_the_same_steps_and_spends_under_other_ids(database: sqlite3.Connection, tmp_path: Path) -> None:
    part(database, "ses_a", "msg_2", "prt_2", **tool(status="completed", output="ok"))
    part(database, "ses_a", "msg_2", "prt_3", type="step-finish", tokens=TOKENS, cost=0.02)
    session(database, "ses_b", parent="ses_a")
    database.execute("INSERT INTO message SELECT 'msg_b' || substr(id, 5), 'ses_b', 2, 2, data FROM message")
    copy = "'prt_b' || substr(id, 5), 'msg_b' || substr(message_id, 5), 'ses_b', 2, 2, data"
    database.execute(f"INSERT INTO part SELECT {copy} FROM part")
    one, other = read(tmp_path), read(tmp_path, "ses_b")
    assert [step.uid for step in one.steps] == [step.uid for step in other.steps]
    assert [spend.key for spend in one.spends] == [spend.key for spend in other.spends]
    assert (other.about.parent, other.about.kind) == ("ses_a", "subagent")


def test_a_cost_that_nobody_knows_is_not_nothing(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("UPDATE message SET data = json_set(data, '$.cost', 0)")
    assert [spend.cost for spend in read(tmp_path).spends] == [None]


def test_broken_rows_and_parts_without_their_message_are_counted(database: sqlite3.Connection, tmp_path: Path) -> None:
    part(database, "ses_a", "msg_0", "prt_0", type="text", text="nobody says this")
    part(database, "ses_a", "msg_9", "prt_9", type="text", text="nor this")
    part(database, "ses_a", "msg_2", "prt_2", type="hologram")
    database.execute("INSERT INTO part VALUES ('prt_3', 'msg_2', 'ses_a', 1, 1, 'not json')")
    reading, _ = read_whole(opencode, tmp_path / "opencode.db")
    assert [step.text for step in reading.parts["ses_a"].steps] == ["nobody says this", "run the tests", "nor this"]
    unknown = {type: count for (_, type, known), count in reading.formats.items() if not known}
    assert (unknown, reading.malformed) == ({"part/hologram": 1, "part/?": 1}, 0)


def written(root: Path) -> dict[str, Path]:
    """The same session as files."""
    said = {
        "session/prj/ses_a": {"id": "ses_a", "directory": "/work/shop", "title": "t", "time": {"created": AT}},
        "message/ses_a/msg_1": {"id": "msg_1", "sessionID": "ses_a", "role": "user", "time": {"created": AT}},
        "part/msg_1/prt_1": {"id": "prt_1", "messageID": "msg_1", "type": "text", "text": "run the tests"},
    }
    for name, record in said.items():
        (root / f"{name}.json").parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.json").write_text(json.dumps(record), "utf-8")
    return {name.partition("/")[0]: root / f"{name}.json" for name in said}


def test_files_and_rows_of_one_session_say_the_same(database: sqlite3.Connection, tmp_path: Path) -> None:
    paths = written(tmp_path / "storage")
    for path in paths.values():
        assert adapter_for(path.read_bytes(), path) is opencode_files
    (step,) = read_whole(opencode_files, paths["part"])[0].parts["ses_a"].steps
    assert (step.kind, step.at, step.uid) == ("prompt", AT, read(tmp_path).steps[0].uid)


def test_a_part_whose_message_is_not_there_falls_back_to_what_it_says_itself(tmp_path: Path) -> None:
    paths = written(tmp_path / "storage")
    paths["message"].unlink()
    (found,) = read_whole(opencode_files, paths["part"])[0].parts.items()
    assert (found[0], [step.kind for step in found[1].steps]) == ("msg_1", ["text"])


def test_other_documents_in_such_folders_are_left_alone(tmp_path: Path) -> None:
    for name, record in {
        "session_diff/ses_a.json": [{"file": "a.py"}],
        "project/prj.json": {"id": "prj", "worktree": "/work/shop", "time": {"created": AT}},
        "part/msg_1/notes.json": {"notes": "mine"},
    }.items():
        assert adapter_for(json.dumps(record).encode(), tmp_path / "storage" / name) is None


def test_a_sweep_logs_each_step_once_however_often_the_database_changes(
    store: Store, database: sqlite3.Connection, tmp_path: Path
) -> None:
    scope = Scope("t")

    def swept() -> int:
        found = sweep(store, scope, list(files_in([Place(tmp_path / "opencode.db", ("*",))])))
        assert (found.failed, found.unrecognised) == ([], [])
        return found.of("opencode").steps

    part(database, "ses_a", "msg_2", "prt_2", **tool(status="running"))
    assert swept() == 2
    assert swept() == 0
    part(database, "ses_a", "msg_2", "prt_2", **tool(status="completed", output="ok"))
    assert swept() == 1, "what has just been written is noticed, although it is not in the file itself yet"
    with store.read(scope) as tx:
        kinds = [step.kind for _, step in steps.of_session(tx, "opencode", "ses_a")]
        spent = spends.of_session(tx, "opencode", "ses_a")
    assert kinds == ["prompt", "call", "result"]
    assert [spend.output for spend in spent] == [25]
