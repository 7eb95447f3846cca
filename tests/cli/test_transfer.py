"""Export and import: what went out comes in, byte for byte, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.cli import archive
from carryover.core.session import Append, Draft, Json, Turn
from carryover.runtime import Carryover
from carryover.settings import load
from commands import Commands

ODD = (
    '"plain"',
    '"line\\nbreak, \\u2028 and \u2028, \\u0000 and 😀"',
    '[{"type":"text","text":"5 \\u00b0C"},{"type":"odd","x":1.50,"y":1e400,"a":1,"a":2}]',
    '[\n  {"type": "text",\r\n   "text": "pretty"}\n]',
    "[]",
    '""',
    '"{\\"session\\": 1}"',
)
HALF = '"half a pair: \\ud800"'


def kept(memory: Carryover, session: str, agent: str = "default") -> list[tuple[Any, ...]]:
    """All that a turn is, but its id, its key and when this log received it."""
    _, turns = memory.turns(session, agent=agent, limit=1000)
    return [(t.seq, t.role, t.body, t.kind, t.tokens, t.created_at, t.name, t.call_id, t.metadata) for t in turns]


def opened(home: Path) -> Carryover:
    return Carryover.open(load(home=home, embedder="none").settings, work=False)


def odd_session(home: Path) -> None:
    drafts = [Draft("user", Json(body), created_at=1_772_438_400_000 + n) for n, body in enumerate(ODD)]
    drafts.append(Draft("assistant", "call", "tool_call", "ls", "c1", 0, Json('{"a" : 1}'), "key-1"))
    drafts.append(Draft("tool", "result", "tool_result", "ls", "c1", -1, Json('{\n"b": [1]}')))
    with opened(home) as memory:
        memory.append(Append("odd", tuple(drafts), user_id="mara", metadata={"repo": "tidewater"}))
        memory.append(Append("plain", (Draft("user", Json(HALF)),)))
        memory.close_session("plain")
        memory.set_ttl("plain", 86_400)


def test_a_round_trip_loses_nothing(
    carryover: Commands, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_session(home)
    file = tmp_path / "export.jsonl"
    carryover("export", str(file))
    assert "exported 2 sessions with 10 turns" in carryover.err
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path / "other"))
    assert carryover.json("import", str(file)) == {"sessions": 2, "turns": 10, "new_turns": 10}
    with opened(home) as first, opened(tmp_path / "other") as second:
        for session in ("odd", "plain"):
            assert kept(first, session) == kept(second, session)
        assert [turn.body for turn in second.turns("odd")[1]][: len(ODD)] == list(ODD)
        assert (second.session("odd").user_id, second.session("odd").metadata) == ("mara", {"repo": "tidewater"})
        assert (second.session("plain").status, second.session("plain").ttl_s) == ("closed", 86_400)
    again = tmp_path / "again.jsonl"
    carryover("export", str(again))
    assert ids(again) == ids(file)


def ids(file: Path) -> list[str]:
    turns = [json.loads(line) for line in file.read_bytes().splitlines()[1:]]
    return [(turn.get("idempotency_key") or turn["id"]) for turn in turns if "seq" in turn]


def test_importing_twice_or_where_it_came_from_changes_nothing(
    carryover: Commands, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_session(home)
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    carryover("export", str(first))
    assert carryover.json("import", str(first))["new_turns"] == 0
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path / "other"))
    assert carryover.json("import", str(first))["new_turns"] == 10
    assert carryover.json("import", str(first))["new_turns"] == 0
    carryover("log", "odd", "and later")
    carryover("export", str(second), "--session", "odd")
    monkeypatch.setenv("CARRYOVER_HOME", str(home))
    assert carryover.json("import", str(second))["new_turns"] == 1
    assert [t["content"] for t in carryover.json("window", "odd", "-n", "1")["turns"]] == ["and later"]


def test_a_server_takes_and_gives_the_same_bytes(
    carryover: Commands, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    odd_session(home)
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    carryover("export", str(here), "--session", "odd")
    monkeypatch.setenv("CARRYOVER_URL", address)
    assert carryover.json("import", str(here))["new_turns"] == 9
    carryover("export", str(there), "--session", "odd")
    monkeypatch.delenv("CARRYOVER_URL")
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path / "back"))
    carryover("import", str(there))
    with opened(home) as first, opened(tmp_path / "back") as second:
        assert kept(first, "odd") == kept(second, "odd")


def test_standard_output_is_the_export_alone(carryover: Commands, home: Path) -> None:
    odd_session(home)
    lines = carryover("export", "--session", "plain").splitlines()
    assert json.loads(lines[0])["format"] == "carryover-export"
    assert json.loads(lines[1])["session"]["session_id"] == "plain"
    assert f'"content":{HALF}' in lines[2]
    assert len(lines) == 3
    assert "exported 1 session" in carryover.err


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: [*lines[:-1], lines[-1][:-20]], "line 13"),  # torn in the last line
        (lambda lines: lines[:-1], "ends here with 8 of its 9 turns"),
        (lambda lines: [*lines[:4], b"nonsense\n", *lines[4:]], "line 5"),
        (lambda lines: [lines[0], *lines[4:]], "without a session"),
        (lambda lines: [lines[0].replace(b'"version": 1', b'"version": 2'), *lines[1:]], "version 2"),
        (lambda lines: [*lines[:3], b'{"session":{}}\n', *lines[3:]], "line 4"),
    ],
)
def test_a_damaged_export_imports_no_half_session(
    carryover: Commands, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Any, said: str
) -> None:
    odd_session(home)
    file = tmp_path / "export.jsonl"
    carryover("export", str(file), "--session", "plain", "--session", "odd")
    lines = file.read_bytes().splitlines(keepends=True)
    # The archive's lines end at line feeds only.
    lines = [line + b"\n" for line in file.read_bytes().split(b"\n")[:-1]]
    file.write_bytes(b"".join(damage(lines)))
    monkeypatch.setenv("CARRYOVER_HOME", str(tmp_path / "other"))
    carryover("import", str(file), code=1)
    assert said in carryover.err
    assert "Traceback" not in carryover.err
    with opened(tmp_path / "other") as memory:
        assert [s.session_id for s in memory.sessions()[0]] in ([], ["plain"])


def test_an_export_appears_whole_or_not_at_all(carryover: Commands, home: Path, tmp_path: Path) -> None:
    odd_session(home)
    file = tmp_path / "export.jsonl"
    carryover("export", str(file), "--session", "nowhere", code=1)
    assert list(tmp_path.glob("export*")) == []
    carryover("export", str(tmp_path / "no" / "folder" / "x"), code=1)
    assert carryover.err.strip().splitlines()[-1].startswith("carryover: ")


def test_messages_as_json_lines(carryover: Commands, tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    rows: list[dict[str, Any]] = [
        {"session_id": "a", "role": "user", "content": "one", "user_id": "mara", "timestamp": 1_772_438_400},
        {"session_id": "b", "role": "human", "content": "elsewhere", "agent_id": "planner"},
        {"session_id": "a", "role": "assistant", "content": None, "tool_calls": [{"id": "c1"}], "model": "m1"},
        {"session_id": "a", "role": "tool", "content": "done", "tool_call_id": "c1"},
        {"role": "developer", "content": "no session named"},
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    assert carryover.json("import", str(file)) == {"sessions": 3, "turns": 5, "new_turns": 5}
    assert carryover.json("import", str(file))["new_turns"] == 0
    turns = carryover.json("window", "a")["turns"]
    assert [(t["role"], t["kind"]) for t in turns] == [
        ("user", "message"), ("assistant", "tool_call"), ("tool", "tool_result"),
    ]  # fmt: skip
    assert turns[0]["created_at"] == "2026-03-02T08:00:00.000Z"
    assert (turns[1]["content"], turns[1]["metadata"]) == ([{"id": "c1"}], {"model": "m1"})
    assert turns[2]["call_id"] == "c1"
    assert carryover.json("window", "b", "--agent", "planner")["turns"][0]["role"] == "user"
    assert carryover.json("window", "chat")["turns"][0]["role"] == "system"
    with file.open("a") as grown:
        grown.write('\n{"session_id":"a","role":"user","content":"more"}')
    assert carryover.json("import", str(file))["new_turns"] == 1


def test_messages_as_a_json_list(carryover: Commands, tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text(
        json.dumps([{"role": "user", "content": "one"}, {"role": "assistant", "content": ["two"]}], indent=2)
    )
    carryover("import", str(file), "--session", "s1", "--user", "mara")
    assert [t["content"] for t in carryover.json("window", "s1")["turns"]] == ["one", ["two"]]
    assert carryover.json("sessions")["sessions"][0]["user_id"] == "mara"
    for broken in ('[{"role": "user"', '[{"role": "user"}]', '[{"role": "king", "content": "x"}]', "[3]", "{}", ""):
        file.write_text(broken)
        carryover("import", str(file), code=1 if broken else 0)
    carryover("import", str(tmp_path / "absent"), code=1)


def test_one_bad_message_and_nothing_is_imported(carryover: Commands, tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_text('{"session_id":"a","role":"user","content":"one"}\n{"session_id":"a","role":"user","cont')
    carryover("import", str(file), code=1)
    assert "line 2" in carryover.err
    assert carryover.json("sessions")["sessions"] == []


def test_import_from_standard_input(carryover: Commands) -> None:
    line = b'{"role":"user","content":"piped"}\n'
    carryover("import", "-", "--session", "s1", stdin=line)
    assert carryover.json("window", "s1")["turns"][0]["content"] == "piped"
    carryover("import", "-", stdin=line, code=1)
    assert "--session" in carryover.err


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
bodies = st.builds(
    lambda value, indent, escaped: Json(json.dumps(value, indent=indent, ensure_ascii=escaped)),
    st.text() | st.lists(json_values, max_size=3),
    st.none() | st.just(1),
    st.booleans(),
)

objects = st.builds(lambda value: Json(json.dumps(value)), st.dictionaries(st.text(), json_values))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(bodies, st.none() | st.builds(lambda v: Json(json.dumps(v)), st.dictionaries(st.text(), json_values)))
    )
)
def test_any_content_survives_the_format(contents: list[tuple[Json, Json | None]]) -> None:
    turns = [
        Turn(n, f"t_{n}", "user", body, "message", 0, 0, n, metadata=metadata)
        for n, (body, metadata) in enumerate(contents, 1)
    ]
    lines = [archive._line(archive._turn(turn)) for turn in turns]
    head = archive._line(json.dumps({"session": {
        "session_id": "s", "agent_id": "a", "user_id": None, "version": len(turns), "metadata": {}, "status": "idle",
    }}))  # fmt: skip
    stored = (head + b"".join(lines)).split(b"\n")
    (session,) = archive.read(line + b"\n" for line in stored[:-1])
    assert [(d.content, d.metadata) for d in session.drafts] == contents
    assert session.ids == tuple(turn.id for turn in turns)
