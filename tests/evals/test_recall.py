"""The evaluation itself: it logs, consolidates, indexes, asks, and reports."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from carryover.core.errors import Invalid, NotFound
from carryover.evals import recall
from carryover.evals.recall import Plan, Remembering, embedder_for, put_together, run
from carryover.evals.report import MEASURES
from carryover.settings import Settings
from lettered import Letters

LINES = (
    "Hello!",
    "The heron nests by the lake.",
    "Which lake?",
    "Lake Constance, near the mill.",
    "We decided to count 14 nests in June.",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    talk = {
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [{"speaker": "Nora", "text": line} for line in LINES],
    }
    qa = [{"question": "Where does the heron nest?", "evidence": ["D1:2"], "category": 4, "answer": "by the lake"},
          {"question": "Which mill?", "evidence": ["D1:4"], "category": 1, "answer": "Lake Constance"}]  # fmt: skip
    (tmp_path / "eval" / "locomo").mkdir(parents=True)
    for name in ("conv-1", "conv-2"):
        (tmp_path / "eval" / "locomo" / f"{name}.json").write_text(json.dumps({"conversation": talk, "qa": qa}))
    return tmp_path / "eval"


def nothing() -> Settings:
    return Settings.model_validate({"embedder": "none"})


def test_every_question_is_asked_in_both_modes(folder: Path) -> None:
    report = run(folder, embedder=Letters())
    asked = [(r.cluster, r.mode, r.category) for r in report.results]
    assert asked[:4] == [
        ("conv-1", "hybrid", "c4"), ("conv-1", "hybrid", "c1"), ("conv-1", "text", "c4"), ("conv-1", "text", "c1")
    ]  # fmt: skip
    assert len(asked) == 8
    means = report.of("locomo", "text")
    assert means["n"] == 4
    assert means["R@5"] == means["B500"] == 1.0
    assert report.of("locomo", "text", "c1")["n"] == 2
    table = report.markdown()
    assert "| hybrid | all | 4 | 100.0 |" in table
    assert all(name in table for name in MEASURES)
    assert report.kept == ()


def test_with_memory_sessions_are_consolidated_and_contexts_asked_for(folder: Path) -> None:
    report = run(folder, embedder=None, plan=Plan(memory=True, timed=2))
    means = report.of("locomo", "text")
    assert means["QC"] == means["answer"] == 1.0
    assert 0 < means["context tokens"] <= 500
    assert [kept.cluster for kept in report.kept] == ["conv-1", "conv-2"]
    assert report.kept[0].statements > 0
    assert report.kept[0].survived["numbers"] == (1, 1)
    assert report.kept[0].unsupported == ()
    assert report.kept[0].contexts == 3
    assert len(report.times["search, locomo, text"]) == 4
    assert "context with a question, locomo, text" in report.times


def test_the_plan_says_which_sets_modes_and_how_many(folder: Path) -> None:
    report = run(folder, embedder=Letters(), plan=Plan(modes=("text",), limit=1))
    assert [result.mode for result in report.results] == ["text", "text"]
    assert len({result.question for result in report.results}) == 1  # the same one of both
    with pytest.raises(NotFound, match="a folder that holds beam"):
        run(folder, embedder=None, plan=Plan(sets=("beam",)))


def test_without_an_embedder_there_is_text_alone(folder: Path) -> None:
    assert {result.mode for result in run(folder, embedder=None).results} == {"text"}


def test_a_folder_without_conversations_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="give a folder"):
        run(tmp_path, embedder=None)


def test_several_processes_measure_the_same(folder: Path) -> None:
    for name in ("conv-3", "conv-4"):
        (folder / "locomo" / f"{name}.json").write_bytes((folder / "locomo" / "conv-1.json").read_bytes())
    plan = Plan(memory=True)
    alone, together = (
        put_together(recall.parts(folder, plan, partial(embedder_for, nothing(), None), jobs)) for jobs in (1, 2)
    )
    assert sorted(map(repr, alone.results)) == sorted(map(repr, together.results))
    assert len(together.kept) == 4


def test_a_bad_file_stops_the_run(folder: Path) -> None:
    (folder / "locomo" / "conv-3.json").write_text("{")
    with pytest.raises(Invalid, match=r"conv-3\.json"):
        list(recall.parts(folder, Plan(), partial(embedder_for, nothing(), None), 1))


def test_remembered_vectors_are_the_same_and_made_once(tmp_path: Path) -> None:
    first, second = Letters(), Letters()
    made = Remembering(first, tmp_path / "new").embed(["abc", "xyz", "abc"])
    again = Remembering(second, tmp_path / "new").embed(["xyz", "abc", "more"])
    assert first.embedded == ["abc", "xyz"]
    assert second.embedded == ["more"]
    assert list(again[0]) == pytest.approx(list(made[1]))
    assert list(again[1]) == pytest.approx(list(made[0]))


def test_vectors_are_remembered_by_space_and_only_where_there_is_a_folder(tmp_path: Path) -> None:
    Remembering(Letters("a@1"), tmp_path).embed(["abc"])
    other = Letters("b@1")
    Remembering(other, tmp_path).embed(["abc"])
    assert other.embedded == ["abc"]
    assert embedder_for(nothing(), tmp_path) is None
    assert isinstance(embedder_for(Settings.model_validate({"home": tmp_path}), tmp_path), Remembering)
