"""Natural sentences: which way they go, and what personas tell of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carryover.core.errors import Invalid
from carryover.evals.persona_natural import Row, msc, prefeval, run
from carryover.evals.persona_population import Ears
from carryover.persona.book import Codebook

TOPICS = {
    "boats": ("I love rowing on quiet lakes.", "I can't stand motor boats.", "I prefer wooden canoes over rafts."),
    "bread": ("I enjoy dark rye bread.", "I never eat white toast.", "I avoid cakes with raisins."),
    "birds": ("I like to feed garden birds.", "I dislike caged parrots.", "I refuse to visit bird markets."),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prefeval").mkdir()
    for topic, texts in TOPICS.items():
        rows = [{"topic": topic, "preference": text} for text in texts]
        (tmp_path / "prefeval" / f"{topic}.json").write_text(json.dumps(rows))
    (tmp_path / "msc_personas").mkdir()
    talks = [{"Speaker 1": ["My brother sails.", "I own two hats."], "Speaker 2": ["My brother sails."]}]
    (tmp_path / "msc_personas" / "train.json").write_text(json.dumps(talks))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "polarity"),
    [
        ("I strongly dislike ferries.", "avoid"),
        ("I prefer to avoid ferries.", "avoid"),
        ("I prefer trains over ferries, which I avoid.", "like"),
        ("I don't like ferries.", "avoid"),
        ("I would like a seat by the window.", "like"),
        ("I have a strong preference for trains.", "like"),
        ("Boats like these are old.", None),
    ],
)
def test_the_first_word_that_says_so_decides(text: str, polarity: str | None) -> None:
    assert Row("x", text).polarity == polarity


def test_what_is_not_there_is_refused_or_left_out(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="prefeval"):
        prefeval(tmp_path)
    assert msc(tmp_path, 0) == []


def test_each_sentence_about_oneself_counts_once(folder: Path) -> None:
    assert sorted(msc(folder, 0)) == ["I own two hats.", "My brother sails."]


def test_everything_is_measured_of_a_folder(folder: Path, shipped: Codebook, noticed: Ears) -> None:
    found = run(folder, 0, shipped, noticed, users=4)
    assert found.rows == 9
    assert found.judged == 9
    assert found.noticed.mean > 0.5
    assert found.polarity.mean == 1
    assert set(found.topics) == {(way, many) for way in ("ours", "plain", "own phrases") for many in (3, 6)}
    assert found.topics["own phrases", 3].mean > 0
    assert found.topics["plain", 3].mean == 0  # there are too few users for its codebook
    assert found.people == 2
    assert found.people_answering == 0
