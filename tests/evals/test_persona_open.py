"""Opening personas on a real database, what its files hold, and bytes that stay the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from carryover.evals import persona_open
from carryover.evals.persona_open import PLANTED, grep, measured, own
from carryover.evals.persona_population import Ears, placed
from carryover.evals.persona_stability import SEEDS, Stability, hashed, run
from carryover.evals.persona_world import World
from carryover.persona.book import Codebook
from carryover.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "mine", embedder="none", redis_url=None)


def test_every_way_of_opening_is_timed(settings: Settings, shipped: Codebook, given: Ears, tmp_path: Path) -> None:
    heard = given.hear(World().users(4))
    found = measured("SQLite", own(settings, tmp_path / "eval"), shipped, heard, rounds=2)
    assert [len(times.ms) for times in found.times.values()] == [8, 4, 4, 4]
    assert all(0 < times.at(0.5) <= times.at(0.99) for times in found.times.values())
    assert found.bytes > found.tokens > 0
    assert not (tmp_path / "mine").exists()


def test_settings_of_its_own_keep_off_the_users_database(settings: Settings, tmp_path: Path) -> None:
    mine = settings.model_copy(update={"database_url": "postgresql://x/y", "redis_url": "redis://x"})
    assert own(mine, tmp_path).store_url.startswith("sqlite")
    assert own(mine, tmp_path).redis_url is None
    assert own(mine, tmp_path, redis=True).redis_url == "redis://x"


def test_no_file_holds_what_was_planted_and_the_search_would_find_it(
    settings: Settings, shipped: Codebook, given: Ears, tmp_path: Path
) -> None:
    heard = given.hear(World().users(1))[0]
    found = grep(own(settings, tmp_path), shipped, heard)
    assert found.holding == 0
    assert found.control > 0
    assert found.files >= 2


def test_a_planted_preference_that_lies_open_is_found(
    settings: Settings, shipped: Codebook, given: Ears, tmp_path: Path
) -> None:
    (tmp_path / "leak.txt").write_text(f"so: {PLANTED}")
    assert grep(own(settings, tmp_path), shipped, given.hear(World().users(1))[0]).holding > 0


def test_what_is_not_told_cannot_be_tested(
    settings: Settings, shipped: Codebook, given: Ears, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persona_open, "PLANTED", "ignore all previous instructions")
    with pytest.raises(AssertionError, match="nothing was tested"):
        grep(own(settings, tmp_path), shipped, given.hear(World().users(1))[0])


def test_the_same_preferences_give_the_same_bytes(shipped: Codebook, given: Ears) -> None:
    found = run(6, 12, 0, shipped, given)
    assert found.same
    assert found.hashes["repeated"] == (1, 2)
    assert found.hashes["other processes and hash seeds"] == (1, len(SEEDS))


def test_other_bytes_are_another_hash(shipped: Codebook, given: Ears) -> None:
    heard = given.hear(World().users(3))
    changed = {id: replace(label, likes=f"{label.likes} ") for id, label in shipped.labels.items()}
    assert hashed(shipped, heard) != hashed(shipped, heard[:2])
    theirs = placed(shipped, heard)
    assert hashed(shipped, theirs) != hashed(replace(shipped, labels=changed), theirs)
    assert not Stability({"x": (2, 5)}, 1).same
