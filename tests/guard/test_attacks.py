"""Attacks on memory, driven from the turn to what a model is told: none of it binds, and all of it says whose it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from carryover.core.errors import Invalid
from carryover.core.headings import DECISIONS, FACTS, TASKS, WISHES
from carryover.core.session import Draft
from carryover.runtime import Carryover
from guard.held_out import HELD_OUT
from guard.payloads import HARMLESS, TUNED, Payload
from guard.worlds import AGENT, USER, plant, say, told_after

PAGE = Path(__file__).parents[2] / "docs" / "explain" / "poisoning.md"
Tenant = Callable[[str], Carryover]


def attacked(memory: Carryover, payload: Payload) -> list[str]:
    """What went wrong; nothing where the wall held."""
    try:
        plant(memory, payload)
    except Invalid:  # as a name that no log takes
        return []
    told = told_after(memory, "quokka payments answers")
    return [*(f"reached {place}: {line[:200]}" for place, line in told.reached("quokka")), *told.faults]


@pytest.mark.parametrize("payload", [*TUNED, *HELD_OUT], ids=lambda payload: payload.id)
def test_no_payload_binds(tenant: Tenant, payload: Payload) -> None:
    assert attacked(tenant(payload.id.replace(" ", "-")), payload) == []


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
    first, later = Counter(one.kind for one in TUNED), Counter(one.kind for one in HELD_OUT)
    rows = [f"| {kind} | {first[kind]} | {later[kind]} | 0 |" for kind in first]
    rows.append(f"| all | {len(TUNED)} | {len(HELD_OUT)} | 0 |")
    assert "\n".join(rows) in PAGE.read_text()
    assert f"{len(HARMLESS)} sentences" in PAGE.read_text()
