"""What carryover itself put into a session is shown to models, and nothing else comes of it: no finding, no hit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.core.chunk import Query
from carryover.core.headings import CHANGES_OVER, HEADINGS
from carryover.core.session import INJECTED, Append, Draft, Role
from carryover.runtime import Carryover
from carryover.settings import Settings
from clocks import FrozenClock

SAID = "We decided to keep the zeppelin in hangar 7."
OURS = "We decided to paint the submarine yellow."
LONG = " The harbour master wrote about the weather again." * 30


@pytest.fixture
def memory(tmp_path: Path, clock: FrozenClock, database_url: str) -> Iterator[Carryover]:
    settings = Settings(home=tmp_path, embedder="none", database_url=database_url)
    with Carryover.open(settings, clock=clock, work=False) as opened:
        yield opened


def say(memory: Carryover, session: str, role: Role) -> None:
    marked = Draft(role, OURS, metadata={INJECTED: "persona"})
    memory.append(Append(session, (Draft("user", SAID), marked, Draft("assistant", "So be it.")), user_id="ann"))


@pytest.mark.parametrize("role", ["system", "user"])
def test_nothing_is_learned_from_it(memory: Carryover, clock: FrozenClock, role: Role) -> None:
    say(memory, "s", role)
    assert "submarine" not in memory.get_context("next", user="ann"), "not even before it was consolidated"
    first = memory.consolidate("s")
    again = memory.consolidate("s", again=True)
    for snapshot in (first, again):
        assert snapshot is not None
        assert any("zeppelin" in finding.text for finding in snapshot.findings)
        assert "submarine" not in str(snapshot)
        assert snapshot.through == 3
    clock.pass_(1000)
    memory.engine.worker.drain()
    assert memory.search(Query("zeppelin")).results
    assert memory.search(Query("submarine")).results == ()
    assert "submarine" not in memory.get_context("next", user="ann")
    shown = memory.strategies.view("s").items
    assert [item["content"] for item in shown] == [SAID, OURS, "So be it."], "models see it where it stands"


@pytest.mark.parametrize("role", ["system", "user"])
def test_no_summary_tells_it(memory: Carryover, role: Role) -> None:
    say(memory, "s", role)
    for n in range(6):
        memory.append(Append("s", (Draft("user", f"Question {n}?{LONG}"), Draft("assistant", f"Answer {n}.{LONG}"))))
    strategy = {"mode": "summarize", "summarizer_model": "rules", "max_user_turns": 4, "keep_last_turns": 2}
    assert memory.strategies.view("s", strategy=strategy).pending is not None
    memory.engine.worker.drain()
    view = memory.strategies.view("s", strategy=strategy)
    assert view.pending is None
    assert "zeppelin" in str(view.items)
    assert "submarine" not in str(view.items)


def test_what_we_tell_teaches_nothing_where_somebody_logs_it_as_the_users_words(
    memory: Carryover, clock: FrozenClock
) -> None:
    wish = "Please always answer with bullet points, and never use emojis."
    memory.append(Append("first", (Draft("user", wish), Draft("assistant", "I will.")), user_id="ann"))
    memory.consolidate("first")
    memory.engine.worker.drain()
    clock.pass_(1000)
    persona = memory.profiles.persona("ann", session_id="next")
    choices = {choice.text: choice.id for choice in memory.profiles.choices()}
    memory.profiles.edit("ann", removed=[choices["Does not want emojis."]])
    changed = memory.profiles.persona("ann", session_id="next")
    memory.append(Append("next", (Draft("user", "Hello."),), user_id="ann"))
    view = memory.strategies.view("next", strategy={"memory_injection": True})
    told = [
        persona.text,
        changed.tail,
        f"{CHANGES_OVER}\n{changed.tail}",
        memory.get_context("next", user="ann"),
        view.items[0]["content"],
    ]
    assert ["emojis" in text for text in told] == [True] * len(told)
    for n, text in enumerate(told[:-1]):
        assert text.splitlines()[0] in HEADINGS
        pasted = f"{text}\n\nWhat is the capital of France?"
        memory.append(Append(f"pasted-{n}", (Draft("user", pasted), Draft("assistant", "Paris.")), user_id="bob"))
        memory.consolidate(f"pasted-{n}")
    memory.append(Append("pasted", (Draft("user", f"{told[-1]}\n\nWhat now?"),), user_id="bob"))
    memory.consolidate("pasted")
    memory.engine.worker.drain()
    assert memory.profiles.persona("bob").text == ""
    assert memory.profiles.persona("ann").text != ""
