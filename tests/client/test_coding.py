"""Coding sessions and their patterns, embedded and over HTTP: same verbs, same answers, same errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carryover.client.aclient import AsyncClient
from carryover.client.client import Client
from carryover.core.digest import Digest, FileUse, Signal, ToolUse
from carryover.core.errors import CarryoverError, Conflict, Invalid, NotFound
from carryover.core.scope import Scope
from carryover.core.session import Source
from carryover.core.step import Spend
from carryover.runtime import Carryover
from carryover.store import digests
from serving import Running, open_memory, serving
from talk import begun

Memory = Carryover | Client
SESSIONS = tuple(
    Digest(
        flavor, f"{flavor}-{n}", flavor, 1, "h", repo="github.com/acme/shop", started_at=n, ended_at=9 + n,
        goal=f"{flavor} {n}", tools={"edit": ToolUse(4, 1, 0)}, files=(FileUse("a.go", 1, 2),),
        tokens=Spend("", input=5, cost=7), unknown=("cost",),
        signals=(Signal("edit_unread", "edit", "unread", 2, 9, sources=(Source(f"{flavor}-{n}", 3, 4, "not read"),)),),
    )
    for flavor in ("claude-code", "codex") for n in range(3)
)  # fmt: skip


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with open_memory(tmp_path) as embedded:
        with embedded.engine.store.write(Scope()) as tx:
            begun(tx, [(one.agent_id, one.session_id) for one in SESSIONS])
            for one in SESSIONS:
                digests.put(tx, one)
        with serving(embedded) as server:
            yield server


def test_digests_are_listed_page_by_page_and_read(memory: Memory) -> None:
    first, cursor = memory.coding.digests(limit=4)
    rest, end = memory.coding.digests(limit=4, cursor=cursor)
    assert sorted(SESSIONS, key=lambda one: one.session_id) == sorted([*first, *rest], key=lambda one: one.session_id)
    assert [one.ended_at for one in (*first, *rest)] == [11, 11, 10, 10, 9, 9]
    assert end is None
    assert [one.session_id for one in memory.coding.digests(flavor="codex", since=10, until=11)[0]] == ["codex-1"]
    assert memory.coding.digests(repo="github.com/acme/desk") == ([], None)
    assert memory.coding.digest("codex-1") == memory.coding.digest("codex-1", agent="codex") == SESSIONS[4]


def test_what_recurs_is_detected_shown_and_decided_about(memory: Memory) -> None:
    assert memory.coding.patterns() == []
    (found,) = memory.coding.detect()
    assert (found.signal, found.state, found.version, found.cross_flavor) == ("edit_unread", "candidate", 1, True)
    assert (found.total.sessions, found.total.of, found.flavors["codex"].sessions) == (6, 6, 3)
    assert memory.coding.pattern(found.id) == found
    assert memory.coding.detect(min_frequency=7) == []
    (narrower,) = memory.coding.detect(flavor="codex", since=10, min_frequency=1)
    assert (narrower.id, narrower.total.sessions, narrower.cross_flavor) == (found.id, 2, False)
    edited = memory.coding.edit(found.id, lesson="Read first.", by="mara", reason="shorter")
    assert (edited.version, edited.lesson, edited.by, edited.reason) == (2, "Read first.", "mara", "shorter")
    decided = memory.coding.decide(found.id, "approve")
    assert (decided.version, decided.state, decided.by, decided.lesson) == (3, "approved", "api", "Read first.")
    assert [one.version for one in memory.coding.versions(found.id)] == [3, 2, 1]
    assert memory.coding.patterns(state="candidate") == []
    assert memory.coding.patterns(state="approved") == [decided]
    assert [one.state for one in memory.coding.detect()] == ["approved"]


@pytest.mark.parametrize(
    ("kind", "field", "act"),
    [
        (NotFound, None, lambda c: c.digest("nobody")),
        (NotFound, None, lambda c: c.digest("codex-1", agent="grok")),
        (Invalid, "limit", lambda c: c.digests(limit=0)),
        (Invalid, "cursor", lambda c: c.digests(cursor="nonsense")),
        (Invalid, "flavor", lambda c: c.digests(flavor="praise")),
        (Invalid, "outcome", lambda c: c.digests(outcome="praise")),
        (Invalid, "min_frequency", lambda c: c.detect(min_frequency=0)),
        (Invalid, "flavor", lambda c: c.detect(flavor="praise")),
        (Invalid, "state", lambda c: c.patterns(state="praise")),
        (NotFound, None, lambda c: c.pattern("p_0")),
        (NotFound, None, lambda c: c.versions("p_0")),
        (NotFound, None, lambda c: c.decide("p_0", "approve")),
        (NotFound, None, lambda c: c.edit("p_0", lesson="x")),
        (Invalid, "lesson", lambda c: c.edit(c.detect()[0].id)),
        (Invalid, "by", lambda c: c.decide(c.detect()[0].id, "reject", by=" ")),
        (Conflict, None, lambda c: [c.decide(c.detect()[0].id, "reject") for _ in range(2)]),
    ],
)
def test_errors_are_the_same(memory: Memory, kind: type[CarryoverError], field: str | None, act: Any) -> None:
    with pytest.raises(CarryoverError) as refusal:
        act(memory.coding)
    assert type(refusal.value) is kind
    assert refusal.value.facts.get("field") == field


def test_an_async_program_does_the_same(running: Running) -> None:
    async def act() -> None:
        async with AsyncClient(running.url) as client:
            (found,) = await client.coding.detect()
            assert await client.coding.pattern(found.id) == found
            assert await client.coding.patterns() == [found]
            assert await client.coding.digest("codex-1") == SESSIONS[4]
            assert len((await client.coding.digests())[0]) == 6
            edited = await client.coding.edit(found.id, lesson="Read first.")
            assert (await client.coding.decide(found.id, "reject")).version == 3
            assert [one.version for one in await client.coding.versions(found.id)] == [3, 2, 1]
            assert edited.state == "candidate"

    asyncio.run(act())
