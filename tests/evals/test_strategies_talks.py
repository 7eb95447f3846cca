"""Conversations to replay: published ones, coding agents' logs, and your own log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carryover.coding.logs.discover import files_in, given_places
from carryover.coding.logs.sweep import sweep
from carryover.core.errors import Invalid
from carryover.core.scope import EVERY_TENANT
from carryover.core.session import Append, Draft
from carryover.evals.strategies_talks import Talk, found, own
from carryover.runtime import Carryover
from carryover.settings import Settings

GOLDEN = Path(__file__).parents[1] / "coding" / "adapters" / "golden"


def locomo(folder: Path, sessions: list[list[tuple[str, str]]], evidence: list[str]) -> Path:
    talk: dict[str, object] = {}
    for n, lines in enumerate(sessions, 1):
        talk[f"session_{n}_date_time"] = f"1:56 pm on {n} May, 2023"
        talk[f"session_{n}"] = [{"speaker": speaker, "text": text} for speaker, text in lines]
    qa = [{"question": "What?", "evidence": evidence, "category": 4, "answer": "that"}]
    (folder / "locomo").mkdir(parents=True)
    (folder / "locomo" / "conv-1.json").write_text(json.dumps({"conversation": talk, "qa": qa}))
    return folder


def test_of_two_people_the_one_who_began_is_answered_by_a_model(tmp_path: Path) -> None:
    first = [("Mara", "We have 14 kayaks."), ("Jonas", "Fine."), ("Jonas", "And boats?"), ("Mara", "Six.")]
    folder = locomo(tmp_path, [first, [("Jonas", "Hello."), ("Mara", "Hello!"), ("Jonas", "So?")]], ["D1:4", "D2:1"])
    (talk,) = found(folder)
    assert (talk.dataset, talk.name) == ("locomo", "conv-1")
    assert [turn.role[0] for turn in talk.turns] == list("uaauaua")
    assert talk.asks == (1, 4, 6)
    assert talk.evidence == (frozenset({4, 5}),)
    assert talk.turns[4].received_at - talk.turns[3].received_at == 24 * 3_600_000
    assert [turn.tokens for turn in talk.turns[:2]] == [5, 2]
    assert list(found(folder, most=1)) == [talk]


def test_sessions_of_coding_agents_are_read_without_what_the_program_says_to_itself() -> None:
    talks = list(found(GOLDEN))
    assert len({talk.name for talk in talks}) == len(talks)
    assert {talk.name.split("/")[0] for talk in talks} >= {"claude-code", "codex", "grok"}
    for talk in talks:
        assert talk.dataset == "coding"
        assert len(talk.asks) >= 2
        assert [turn.seq for turn in talk.turns] == list(range(1, len(talk.turns) + 1))
        assert "system" not in {turn.role for turn in talk.turns}
        times = [turn.received_at for turn in talk.turns]
        assert times == sorted(times)
        assert talk.taken_up is not None
        assert set(talk.taken_up) == set(range(len(talk.asks)))
        assert all(seq <= talk.asks[n] for n, used in talk.taken_up.items() for seqs in used for seq in seqs)


LONG = "line of src/ledger.py\n" * 1_000


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with the log of a session that reads a file."""
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "src/ledger.py"}'}}
    lines = (
        {"role": "user", "content": "Read src/ledger.py please."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": LONG},
        {"role": "assistant", "content": "src/ledger.py has balance_of_accounts in it."},
        {"role": "user", "content": "Go on."},
        {"role": "assistant", "content": "balance_of_accounts is fine, src/other_file.py is not."},
    )
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "logs"


def test_a_result_counts_as_large_as_it_was_and_names_are_found_again(logs: Path) -> None:
    (talk,) = found(logs)
    assert [turn.kind for turn in talk.turns][:3] == ["message", "tool_call", "tool_result"]
    result = talk.turns[2]
    assert len(result.text) < 1_000
    assert result.tokens == pytest.approx(len(LONG) / 4, abs=2)
    assert talk.asks == (1, 3, 5)
    assert talk.taken_up == {0: ((1,),), 1: ((1, 2, 3),), 2: ((4,),)}


def test_a_folder_without_conversations_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"holds neither locomo, beam, longmemeval nor sessions of coding agents"):
        list(found(tmp_path))


def test_the_own_log_is_replayed_and_only_read(tmp_path: Path) -> None:
    settings = Settings.model_validate({"home": tmp_path, "embedder": "none"})
    with Carryover.open(settings, work=False) as memory:
        for name in ("first", "second"):
            for n in range(3):
                said = (Draft("user", f"question {n}"), Draft("assistant", f"answer {n} of {name}"))
                memory.append(Append(name, said))
        memory.append(Append("lone", (Draft("user", "hello"), Draft("assistant", "hello"))))
        store = memory.engine.store
        before = (tmp_path / "carryover.db").stat().st_size
        talks = list(own(store, memory.scope))
        assert [(talk.dataset, talk.name, talk.asks) for talk in talks] == [
            ("your log", "default/second", (1, 3, 5)), ("your log", "default/first", (1, 3, 5))
        ]  # fmt: skip
        assert [len(list(own(store, memory.scope, most))) for most in (1, 2, 9)] == [1, 2, 2]
        assert (tmp_path / "carryover.db").stat().st_size == before
        with store.read(EVERY_TENANT) as tx:
            assert tx.conn.exec_driver_sql("SELECT count(*) FROM turns").scalar() == 14


def test_an_ingested_session_is_replayed_as_its_log_is(tmp_path: Path, logs: Path) -> None:
    settings = Settings.model_validate({"home": tmp_path / "home", "embedder": "none"})
    with Carryover.open(settings, work=False) as memory:
        sweep(memory.engine.store, memory.scope, list(files_in(given_places([logs]))))
        (talk,) = own(memory.engine.store, memory.scope)
    (wanted,) = found(logs)
    assert talk.asks == wanted.asks
    assert talk.taken_up == wanted.taken_up
    assert _shape(talk) == _shape(wanted)


def _shape(talk: Talk) -> list[tuple[object, ...]]:
    return [(turn.role, turn.kind, turn.tokens, turn.body) for turn in talk.turns]
