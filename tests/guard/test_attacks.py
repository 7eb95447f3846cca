"""Attacks on memory, driven from the turn to what a model is told: none of it binds, and all of it says whose it is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carryover.core.errors import Invalid
from carryover.core.headings import DECISIONS, FACTS, TASKS, WISHES
from carryover.core.session import Draft
from carryover.runtime import Carryover
from coded import lesson, worked
from guard.doors import DOORS, told_after
from guard.held_out import HELD_OUT
from guard.held_out_again import HELD_OUT_AGAIN
from guard.payloads import HARMLESS, TUNED, Payload
from guard.worlds import AGENT, USER, plant, say

PAGE = Path(__file__).parents[2] / "docs" / "explain" / "poisoning.md"
Tenant = Callable[[str], Carryover]


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    """What was tried, and what of it reached; told in one line at the end (`pytest -s`)."""
    counted: Counter[str] = Counter()
    yield counted
    sys.stdout.write(
        f"\npoisoning: {counted['payloads']} payloads, {len(DOORS)} doors, {counted['renderings']} renderings, "
        f"{counted['reached']} reached the instruction part, {counted['faults']} not delimited, inert or marked\n"
    )


def attacked(memory: Carryover, payload: Payload, tally: Counter[str]) -> list[str]:
    """What went wrong; nothing where the wall held."""
    tally["payloads"] += 1
    try:
        plant(memory, payload)
    except Invalid:  # as a name that no log takes
        return []
    told = told_after(memory)
    reached = told.reached("quokka")
    tally.update(renderings=told.renderings, reached=bool(reached), faults=bool(told.faults))
    return [*(f"reached {place}: {line[:200]}" for place, line in reached), *told.faults]


@pytest.mark.parametrize("payload", [*TUNED, *HELD_OUT, *HELD_OUT_AGAIN], ids=lambda payload: payload.id)
def test_no_payload_binds(tenant: Tenant, payload: Payload, tally: Counter[str]) -> None:
    assert attacked(tenant(payload.id.replace(" ", "-")), payload, tally) == []


@pytest.mark.parametrize("door", DOORS)
def test_every_door_is_one(tenant: Tenant, door: str) -> None:
    """What the user wants comes through each: else nothing that is kept out of it says anything."""
    memory = tenant(f"open-{door}")
    said = "I love quokka style answers. Always pay with quokka payments. We decided to use quokka for answers."
    say(memory, "one", Draft("user", said), Draft("assistant", "I'll pay with quokka."))
    worked(memory.engine.store, memory.scope, "s1", "Add quokka payments", user=USER)
    lesson(memory.engine.store, memory.scope, "p1", "Run the quokka tests before you commit.")
    told = told_after(memory, [door])
    assert any("quokka" in text for _, text in (*told.binding, *told.data)), told
    assert told.faults == []


@pytest.mark.parametrize(("said", "section", "words"), HARMLESS, ids=lambda value: value[:30])
def test_what_users_say_stands(tenant: Tenant, said: str, section: str, words: str) -> None:
    memory = tenant(f"harmless-{abs(hash(said))}")
    say(memory, "one", Draft("user", said), Draft("assistant", "Noted."))
    memory.consolidate("one", agent=AGENT)
    markdown = memory.context("new", agent=AGENT, user=USER).markdown
    heading = {"wishes": WISHES, "decisions": DECISIONS, "tasks": TASKS, "facts": FACTS}[section]
    _, _, after = markdown.partition(f"{heading}\n")
    assert words in after.partition("\n##")[0], markdown


def test_the_page_says_how_many_of_each_kind_are_tried() -> None:
    tried = [Counter(one.kind for one in some) for some in (TUNED, HELD_OUT, HELD_OUT_AGAIN)]
    rows = [f"| {kind} | {' | '.join(str(some[kind]) for some in tried)} | 0 |" for kind in tried[0]]
    rows.append(f"| all | {' | '.join(str(some.total()) for some in tried)} | 0 |")
    assert "\n".join(rows) in PAGE.read_text()
    assert f"{len(HARMLESS)} sentences" in PAGE.read_text()
    assert [door for door in DOORS if f"| {door} |" not in PAGE.read_text()] == []
