"""Patterns told, measured and withdrawn through the API, embedded and over HTTP: only where the settings allow it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.client.aclient import AsyncClient
from carryover.client.client import Client
from carryover.core.errors import Conflict, Invalid, NotFound
from carryover.core.pattern import Pattern, Rollout, Share
from carryover.core.scope import Scope
from carryover.runtime import Carryover
from carryover.settings import Coding
from carryover.store import patterns
from serving import Running, open_memory, serving

Memory = Carryover | Client
LESSON = "Read a file before you edit it."
PATTERN = Pattern("p1", 1, "approved", "edit_before_read", "k", "t", LESSON, flavors={"claude-code": Share(7, 31)})


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


@pytest.fixture
def running(tmp_path: Path, shop: Path) -> Iterator[Running]:
    coding = Coding.model_validate({"repos": [shop]})
    with open_memory(tmp_path / "home", coding=coding) as memory, serving(memory) as server:
        with memory.engine.store.write(Scope()) as tx:
            patterns.put(tx, PATTERN)
        yield server


def test_there_and_back(memory: Memory, shop: Path) -> None:
    (dry, *_) = memory.coding.distribute("p1", Rollout(files=("CLAUDE.md",), dry_run=True))
    assert (dry.state, dry.patterns) == ("new", ("p1",))
    assert f"+- {LESSON}" in dry.diff
    assert list(shop.iterdir()) == []
    told = memory.coding.distribute("p1", Rollout(repos=(str(shop),)), by="mara", reason="for all")
    assert [(Path(one.path).name, one.state) for one in told] == [
        ("CLAUDE.md", "new"),
        ("AGENTS.md", "unchanged"),
        ("GROK.md", "unchanged"),
    ]
    assert LESSON in (shop / "CLAUDE.md").read_text()
    pattern = memory.coding.pattern("p1")
    assert (pattern.state, pattern.by, pattern.reason) == ("distributed", "mara", "for all")
    (effect,) = memory.coding.measure()
    assert (effect.pattern, effect.verdict, effect.design) == ("p1", "underpowered", "before and after")
    assert memory.coding.measure("p1")[0].missing == effect.missing
    assert memory.coding.withdraw("p1", dry_run=True)[0].state == "removed"
    assert memory.coding.withdraw("p1", by="mara")[0].state == "removed"
    assert list(shop.iterdir()) == []
    assert memory.coding.pattern("p1").state == "withdrawn"
    with pytest.raises(Conflict, match="told to nobody"):
        memory.coding.measure("p1")


def test_elsewhere_nothing_is_written(memory: Memory, tmp_path: Path, shop: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for repo in (other, tmp_path, shop / "..", shop / "sub"):
        with pytest.raises(Invalid, match=r"none of those that may be written to; name it in `coding\.repos`"):
            memory.coding.distribute("p1", Rollout(repos=(str(repo),)))
    (shop / "CLAUDE.md").symlink_to(other / "CLAUDE.md")
    (other / "CLAUDE.md").write_text("not yours\n")
    with pytest.raises(Invalid, match="leads out of"):
        memory.coding.distribute("p1")
    assert (other / "CLAUDE.md").read_text() == "not yours\n"
    for wrong in (Rollout(share=0), Rollout(effect=1), Rollout(days=0), Rollout(lines=2), Rollout(files=("x",))):
        with pytest.raises(Invalid):
            memory.coding.distribute("p1", wrong)
    with pytest.raises(NotFound):
        memory.coding.distribute("nobody")


def test_where_the_settings_name_nothing_nothing_is_written(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        with memory.engine.store.write(Scope()) as tx:
            patterns.put(tx, PATTERN)
        with pytest.raises(Invalid, match=r"name no repository that may be written to; name some in `coding\.repos`"):
            memory.coding.distribute("p1")


def test_async_programs_have_the_same(running: Running, shop: Path) -> None:
    async def run() -> None:
        async with AsyncClient(running.url) as client:
            assert (await client.coding.distribute("p1"))[0].state == "new"
            assert (await client.coding.measure())[0].verdict == "underpowered"
            assert (await client.coding.withdraw("p1"))[0].state == "removed"

    asyncio.run(run())
    assert list(shop.iterdir()) == []


def test_over_http_a_wrong_repository_is_422(running: Running, tmp_path: Path) -> None:
    with running.http() as http:
        answer = http.post("/patterns/p1/distribute", json={"repos": [str(tmp_path)]})
        assert (answer.status_code, answer.json()["field"]) == (422, "repos")
        assert http.post("/patterns/p1/distribute", json={"repositories": []}).status_code in (400, 422)
        assert http.post("/patterns/p1/distribute", json={"share": "half"}).status_code in (400, 422)
