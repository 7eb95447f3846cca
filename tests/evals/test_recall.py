"""The evaluation itself: it logs, indexes, searches, and reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from carryover.core.chunk import Hit
from carryover.core.errors import NotFound
from carryover.core.ports import Vector
from carryover.core.session import Source
from carryover.evals import recall
from carryover.evals.labelled import locomo
from carryover.evals.recall import MEASURES, Remembering, measured, run


class Letters:
    """An embedder whose vectors count letters: alike words, alike vectors."""

    name, dim = "letters", 26

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        self.embedded += texts
        return [_counted(text) for text in texts]

    def close(self) -> None:
        pass


def _counted(text: str) -> Vector:
    counts = [float(text.lower().count(chr(97 + i))) for i in range(26)]
    length = sum(count * count for count in counts) ** 0.5 or 1.0
    return [count / length for count in counts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = ["Hello!", "The heron nests by the lake.", "Which lake?", "Lake Constance, near the mill."]
    talk = {
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [{"speaker": "Nora", "text": line} for line in lines],
    }
    qa = [{"question": "Where does the heron nest?", "evidence": ["D1:2"], "category": 4},
          {"question": "Which mill?", "evidence": ["D1:4"], "category": 1}]  # fmt: skip
    (tmp_path / "locomo").mkdir()
    (tmp_path / "locomo" / "conv-1.json").write_text(json.dumps({"conversation": talk, "qa": qa}))
    return tmp_path


def test_every_question_is_asked_in_both_modes(folder: Path) -> None:
    report = run(folder, embedder=Letters())
    assert [(r.mode, r.question.category) for r in report.results] == [
        ("hybrid", "c4"), ("text", "c4"), ("hybrid", "c1"), ("text", "c1")
    ]  # fmt: skip
    means = report.of("locomo", "text")
    assert means["n"] == 2
    assert means["R@5"] == means["B500"] == 1.0
    assert report.of("locomo", "text", "c1")["n"] == 1
    table = report.markdown()
    assert "| hybrid | all | 2 | 100.0 |" in table
    assert all(name in table for name in MEASURES)


def test_without_an_embedder_there_is_text_alone(folder: Path) -> None:
    assert {result.mode for result in run(folder, embedder=None).results} == {"text"}


def test_a_folder_without_conversations_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="give a folder"):
        run(tmp_path, embedder=None)


def test_remembered_vectors_are_the_same_and_made_once(tmp_path: Path) -> None:
    first = Letters()
    made = Remembering(first, tmp_path / "new").embed(["abc", "xyz", "abc"])
    second = Letters()
    again = Remembering(second, tmp_path / "new").embed(["xyz", "abc", "more"])
    assert first.embedded == ["abc", "xyz"]
    assert second.embedded == ["more"]
    assert list(again[0]) == pytest.approx(list(made[1]))
    assert list(again[1]) == pytest.approx(list(made[0]))


def test_a_hit_that_cites_many_turns_uses_many_places() -> None:
    def hit(first: int, last: int) -> Hit:
        return Hit("x", "fact", "some text", 1.0, "a", "s", 0, (Source("s", first, last),))

    assert measured([hit(1, 30), hit(31, 31)], frozenset({("s", 31)}))[: len(MEASURES[:3])] == (0.0, 0.0, 0.0)
    assert measured([hit(31, 31)], frozenset({("s", 31)})) == (1.0,) * len(MEASURES)


@pytest.mark.slow
def test_words_alone_find_what_was_said(shared: Path) -> None:
    """The floor under the published conversations: one of them, without a model."""
    conversation = next(iter(locomo(shared / "eval" / "locomo")))
    results = list(recall.answers("locomo", conversation, None))
    assert len(results) == len(conversation.questions)
    found = [result.values[MEASURES.index("R@10")] for result in results]
    assert sum(found) / len(found) >= 0.70
