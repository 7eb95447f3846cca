"""Sessions end, and what their users said becomes preferences, each with the turn that it was said in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import noticeable
from carryover.core.job import subject_of
from carryover.core.session import Append, Draft
from carryover.persona import noticing
from carryover.runtime import Carryover
from carryover.store import noticed, preferences, profiles, queue
from clocks import FrozenClock
from noticeable import BULLETS, CASUAL, NO_EMOJIS, PYTHON, end, notice, say, talked, told


@pytest.fixture
def memory(tmp_path: Path, database_url: str, clock: FrozenClock) -> Iterator[Carryover]:
    with noticeable.open_memory(tmp_path, database_url, clock=clock) as opened:
        yield opened


def rows(memory: Carryover, user: str = "ada") -> list[tuple[str, str, str, int, str]]:
    with memory.engine.store.read(memory.scope) as tx:
        found = preferences.of_user(tx, memory.engine.vault, user)
    return [(one.facet, one.value, one.quote.session_id, one.quote.seq, one.quote.text) for one in found]


def version(memory: Carryover, user: str = "ada") -> int:
    with memory.engine.store.read(memory.scope) as tx:
        return profiles.get(tx, memory.engine.vault, user).version


def test_what_a_user_said_is_kept_with_the_turn_that_it_was_said_in(memory: Carryover) -> None:
    talked(memory, "s1", "Hello!", BULLETS, NO_EMOJIS)
    assert rows(memory) == [
        ("format", "bullet points", "s1", 3, BULLETS),
        ("avoid", "emojis", "s1", 5, NO_EMOJIS),
    ]
    assert len(told(memory)) == 2


def test_nothing_is_noticed_while_a_session_is_in_conversation(memory: Carryover, clock: FrozenClock) -> None:
    say(memory, "s1", BULLETS)
    assert notice(memory) == 0
    assert not memory.engine.worker.run_one(("consolidate", noticing.KIND), tenant=memory.scope.tenant)
    assert rows(memory) == []


def test_each_turn_is_read_once_however_often_the_session_ends(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS)
    talked(memory, "s1", CASUAL)
    assert [row[3] for row in rows(memory)] == [1, 3]
    memory.consolidate("s1", again=True, force=True)
    notice(memory)
    assert [row[3] for row in rows(memory)] == [1, 3]


def test_only_what_the_user_said_counts(memory: Carryover) -> None:
    drafts = (
        Draft("user", "Hi."),
        Draft("assistant", BULLETS),
        Draft("system", CASUAL),
        Draft("tool", NO_EMOJIS, "tool_result", call_id="c1"),
        Draft("user", PYTHON, metadata={"injected": "context"}),
    )
    memory.append(Append("s1", drafts, "default", "ada"))
    end(memory, "s1")
    assert rows(memory) == []
    assert version(memory) == 0


def test_a_persona_that_is_repeated_to_us_says_nothing_new(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS)
    told_text = noticeable.persona(memory, session="s2").text
    talked(memory, "s2", f"{told_text}\n\nWhat is the weather like?")
    assert len(rows(memory)) == 1


def test_a_session_that_names_no_user_has_no_preferences(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS, user=None)
    with memory.engine.store.read(memory.scope) as tx:
        assert preferences.of_tenant(tx, memory.engine.vault) == []


def test_turns_that_are_taken_back_take_what_was_noticed_with_them(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS, CASUAL)
    back = Draft("system", [{"type": "retraction", "first": 1, "last": 2}], kind="retraction")
    memory.append(Append("s1", (back,), "default", "ada"))
    end(memory, "s1")
    assert [row[1] for row in rows(memory)] == ["casual"]
    assert all("bullet" not in line for line in told(memory))


def test_deleting_a_session_takes_back_what_it_told_of_its_user_at_once(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS)
    talked(memory, "s2", CASUAL)
    assert len(told(memory)) == 2
    receipt = memory.delete_session("s1")
    assert (receipt.counts["preferences"], receipt.counts["noticed"]) == (1, 1)
    assert [line for line in told(memory) if "bullet" in line] == []
    assert len(told(memory)) == 1


def test_what_is_noticed_while_its_user_is_erased_is_forgotten(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS)
    say(memory, "s2", CASUAL)
    assert memory.consolidate("s2") is not None
    derivation = memory.engine.worker.derivations[noticing.KIND]
    with memory.engine.store.write(memory.scope) as tx:
        job = queue.claim(tx, (noticing.KIND,), lease_ms=60_000, subject=subject_of("default", "s2"))
        assert job is not None
        work = derivation.load(tx, job)
        profiles.erase(tx, "ada")
    memory.engine.vault.drop(memory.scope.tenant, "ada")
    made, _ = derivation.think(work)
    with memory.engine.store.write(memory.scope) as tx:
        derivation.save(tx, job, work, made)
        assert noticed.get(tx, "default", "s2").through == 2
    assert rows(memory) == []
    assert version(memory) == 0


def test_two_sessions_of_a_user_that_end_at_once_both_count(memory: Carryover) -> None:
    for session, text in (("s1", BULLETS), ("s2", CASUAL)):
        say(memory, session, text)
        assert memory.consolidate(session) is not None
    derivation = memory.engine.worker.derivations[noticing.KIND]
    loaded = []
    with memory.engine.store.write(memory.scope) as tx:
        for _ in range(2):
            job = queue.claim(tx, (noticing.KIND,), lease_ms=60_000)
            assert job is not None
            loaded.append((job, derivation.load(tx, job)))
    for job, work in loaded:
        made, _ = derivation.think(work)
        with memory.engine.store.write(memory.scope) as tx:
            derivation.save(tx, job, work, made)
    assert len(told(memory)) == 2


def test_sessions_of_before_there_were_personas_are_read_later(memory: Carryover) -> None:
    say(memory, "s1", BULLETS)
    assert memory.consolidate("s1") is not None
    with memory.engine.store.write(memory.scope) as tx:
        queue.cancel(tx, subject_of("default", "s1"))
        overdue = memory.engine.worker.derivations[noticing.KIND].overdue
        assert list(overdue(tx)) == [(memory.scope.tenant, subject_of("default", "s1"))]
        queue.arm(tx, [(noticing.KIND, subject_of("default", "s1"), tx.now)])
    assert notice(memory) == 1
    assert len(rows(memory)) == 1
    with memory.engine.store.read(memory.scope) as tx:
        assert list(overdue(tx)) == []


def test_where_it_is_switched_off_nothing_is_noticed(tmp_path: Path, database_url: str, clock: FrozenClock) -> None:
    with noticeable.open_memory(tmp_path, database_url, clock=clock, persona={"enabled": False}) as memory:
        talked(memory, "s1", BULLETS)
        assert rows(memory) == []
        assert told(memory) == []


def test_a_session_of_many_turns_is_read_in_runs(memory: Carryover, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noticing, "MOST_TURNS", 4)
    talked(memory, "s1", BULLETS, "Well.", "Go on.", CASUAL, "Fine.")
    assert [row[3] for row in rows(memory)] == [1, 7]
