"""`carryover eval`, over folders of conversations and over the own log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import Commands

TALK = {
    "conversation": {
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Mara", "text": "We have 14 kayaks and 6 paddle boards at the old mill."},
            {"speaker": "Jonas", "text": "And the soft opening of the boat house is on 1 June."},
        ],
    },
    "qa": [
        {"question": "How many kayaks are there?", "evidence": ["D1:1"], "category": 4, "answer": "14"},
        {"question": "When do they open?", "evidence": ["D1:2"], "category": 2, "answer": "1 June"},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "eval" / "locomo").mkdir(parents=True)
    (tmp_path / "eval" / "locomo" / "conv-1.json").write_text(json.dumps(TALK))
    return tmp_path / "eval"


def test_a_folder_is_measured_reported_and_compared(carryover: Commands, folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    text = carryover("eval", "recall", str(folder), "--json", str(old), "--set", "locomo")
    assert "| text | all | 2 | 100.0 |" in text
    assert "QC" in text
    assert "conversations: 1 of 1" in carryover.err
    assert json.loads(old.read_text())["about"]["folder"] == "eval"
    report = tmp_path / "report"
    text = carryover("eval", "recall", str(folder), "--against", str(old), "--report", str(report), "--limit", "1")
    assert "against the other run" in text
    assert (report / "recall.md").read_text() == text.rstrip("\n") + "\n"
    assert "<!doctype html>" in (report / "recall.html").read_text()


def test_the_own_log_is_the_default(carryover: Commands) -> None:
    carryover("log", "s", "We rent out 14 kayaks to families during the whole summer season.")
    carryover("search", "kayaks")
    printed = json.loads(carryover("eval", "recall", "--json", "-"))
    assert printed["results"][0]["cluster"] == "default/s"
    assert "| text | all | 1 | 100.0 |" in carryover("eval", "recall", "--own", "--mode", "text")


def test_an_empty_log_is_no_failure(carryover: Commands) -> None:
    assert "too little in the log" in carryover("eval", "recall")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("{folder}", "--own"), "leave the folder out"),
        (("{folder}", "--with-model"), "leave the folder out"),
        (("--set", "beam"), "name the folder"),
        (("--cache", "vectors"), "name the folder"),
        (("--with-model",), "CARRYOVER_LLM"),
        (("{folder}", "--set", "beam"), "no conversations"),
        (("{folder}", "--against", "{folder}/locomo/conv-1.json"), "no report of this version"),
    ],
)
def test_what_cannot_be_is_refused(carryover: Commands, folder: Path, args: tuple[str, ...], said: str) -> None:
    carryover("eval", "recall", *(arg.format(folder=folder) for arg in args), code=1)
    assert said in carryover.err


def test_a_bad_file_is_named_before_anything_is_measured(carryover: Commands, folder: Path) -> None:
    (folder / "locomo" / "conv-2.json").write_text("{")
    carryover("eval", "recall", str(folder), code=1)
    assert "conv-2.json" in carryover.err
    assert "conversations:" not in carryover.err


def test_a_server_is_refused(carryover: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOVER_URL", "http://127.0.0.1:1")
    carryover("eval", "recall", code=1)
    assert "run this where the server runs" in carryover.err


def test_strategies_are_replayed_over_folders_and_made_up_talks(
    carryover: Commands, folder: Path, tmp_path: Path
) -> None:
    wanted = '{"mode": "trim", "max_user_turns": 2}'
    results, report = tmp_path / "all.json", tmp_path / "report"
    text = carryover(
        *("eval", "strategies", str(folder), "--made-up", "1", "--strategy", wanted),
        *("--json", str(results), "--report", str(report), "--model", "openai:gpt-5", "--ttl", "0"),
    )
    assert "conversations: 2 of 2" in carryover.err
    assert "- prices: openai:gpt-5" in text
    assert "- cache: never cold" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## locomo", "## made up", "## all together", "## Warnings"
    ]  # fmt: skip
    told = json.loads(results.read_text())
    assert told["strategies"]["trim max_user_turns=2"]["max_user_turns"] == 2
    assert told["figures"]["made up"]["trim"]["of sliding 20"]["mean"] < 0.25
    assert (report / "strategies.md").read_text() == text.rstrip("\n") + "\n"
    assert "<!doctype html>" in (report / "strategies.html").read_text()


def test_strategies_are_replayed_over_the_own_log(carryover: Commands) -> None:
    assert "nothing to compare" in carryover("eval", "strategies")
    for n in range(3):
        carryover("log", "s", f"How many kayaks are there in summer {n}?")
        carryover("log", "s", f"There are {n} of them.", "--role", "assistant")
    text = carryover("eval", "strategies", "--head", "0", "--limit", "1")
    assert "## your log\n\n1 conversation, 3 requests" in text
    assert "| sliding 20 | " in text


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--model", "nobody:nothing"), "no price is known for model 'nobody:nothing'"),
        (("--strategy", "trim"), "is no JSON"),
        (("--strategy", '{"modus": "trim"}'), "modus"),
    ],
)
def test_strategies_that_cannot_be_are_refused(carryover: Commands, arguments: tuple[str, ...], wanted: str) -> None:
    carryover("eval", "strategies", "--made-up", "1", *arguments, code=1)
    assert wanted in carryover.err


def test_personas_are_measured_of_made_up_users(
    carryover: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "minilm")
    out = tmp_path / "report"
    printed = carryover("eval", "persona", "--quick", "--seed", "3", "--json", "--out", str(out))
    told = json.loads(printed)
    assert "measurements: 9 of 9" in carryover.err
    assert set(told["headline"]) == {
        "label_hit", "label_hit_plain", "precision", "recall", "leaks", "block_change_rate", "unseen_after_growth",
        "cost_ratio_uncached", "cost_ratio_cached", "open_ms_p50", "label_hit_noticed", "precision_noticed",
        "recall_noticed", "unseen_after_growth_noticed",
    }  # fmt: skip
    assert told["headline"]["label_hit"] > told["headline"]["label_hit_plain"]
    assert "from seed 3" in told["about"]["users"]
    assert json.loads((out / "persona.json").read_text()) == told
    assert "## Goals" in (out / "persona.md").read_text()
    assert "<!doctype html>" in (out / "persona.html").read_text()


def test_personas_are_measured_where_the_database_is(
    carryover: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carryover("eval", "persona", str(tmp_path), "--quick", "--seed", "-1", code=2)
    monkeypatch.setenv("CARRYOVER_EMBEDDER", "none")
    carryover("eval", "persona", "--quick", code=1)
    assert "unset embedder" in carryover.err
    monkeypatch.setenv("CARRYOVER_URL", "http://127.0.0.1:1")
    carryover("eval", "persona", "--quick", code=1)
    assert "run this where the server runs" in carryover.err
