"""Upgrades with data: from every schema that was ever released, nothing is lost, changed or left unchecked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import old_schemas
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Append, Draft, retraction
from carryover.core.step import Step
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.memory import verify
from carryover.recall import index
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import check, chunks, migrate, rekeying, steps, vectors
from carryover.store.store import Store
from carryover.store.tables import metadata
from clustered import clustered

TEXTS = ("We decided on PostgreSQL for the ledger.", "Always quote prices in DKK.", "日本語も 🙂\u2028.")
BEFORE = migrate.revisions()[:-1]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carryover]:
    """What older programs could have written: nothing of it is sealed."""
    home = tmp_path_factory.mktemp("filled")
    with Carryover.open(Settings(home=home, embedder="none", encryption=False), work=False) as memory:
        store = memory.engine.store
        for n in range(3):
            for text in (
                "We decided on PostgreSQL for the ledger.",
                "Always quote prices in DKK.",
                "日本語も 🙂\u2028.",
            ):
                memory.log_turn(f"s{n}", "user", text, user="mara", idempotency_key=f"{n}/{text[:3]}")
            said = Draft("assistant", [{"type": "text", "text": "Noted."}], name="Ana", metadata={"b": 1.0, "a": "ü"})
            memory.append(Append(f"s{n}", (said,), metadata={"channel": "web"}))
            memory.consolidate(f"s{n}")
        memory.append(Append("s2", (retraction(1, 1),)))
        memory.close_session("s1")
        memory.set_ttl("s1", 3600)
        with store.write(Scope("acme")) as tx:
            steps.append(
                tx, "claude", "c1", [Step("a" * 32, "prompt", "Fix the build"), Step("b" * 32, "text", "Done")]
            )
        Worker(store, {one.kind: one for one in (index.indexing(), verify.verification())}, lambda _: Cap()).drain()
        with store.write(Scope("default")) as tx:
            found = chunks.of_turns(tx, "default", "s0", 1, None)
            rows = clustered(len(found), 8, seed=1)
            vectors.add(tx, "space", [(chunk.n, row) for chunk, row in zip(found, rows, strict=True)])
        assert check.check(store) == []
        yield memory


def everything(store: Store, shape: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of these columns, but for jobs and counters, which go on."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with store.read(EVERY_TENANT) as tx:
        for name in shape.keys() - {"jobs", "counters"}:
            columns = (metadata.tables[name].c[column] for column in shape[name])
            found[name] = sorted(map(tuple, tx.conn.execute(sa.select(*columns))), key=repr)
    return found


@pytest.mark.parametrize("revision", BEFORE)
def test_an_upgrade_of_a_database_with_data(filled: Carryover, empty_url: str, revision: str, tmp_path: Path) -> None:
    shape = old_schemas.make(empty_url, revision, filled.engine.store)
    settings = Settings(home=tmp_path, database_url=empty_url, embedder="none")
    with Carryover.open(settings, work=False) as memory:
        store = memory.engine.store
        assert migrate.look(store.engine, store.dialect).revision == migrate.HEAD
        # Every turn is as it was, byte for byte, and so is all that was derived.
        assert everything(store, shape) == everything(filled.engine.store, shape)
        report = check.look(store)
        assert report.faults == []
        assert (report.log.turns, report.log.linked, report.log.sealed) == (15, 0, 0)
        # It works, and what is new is linked to what is old.
        assert "PostgreSQL" in memory.context("s9", user="mara").markdown
        assert [hit.session_id for hit in memory.search_memory("DKK", user="mara")]
        again = memory.log_turn(
            "s0", "user", "We decided on PostgreSQL for the ledger.", user="mara", idempotency_key="0/We "
        )
        assert again.seq == 1
        memory.log_turn("s0", "user", "And on Redis for the cache.", user="mara")
        memory.log_turn("s0", "user", "Which is a cache.", user="mara")
        memory.consolidate("s0")
        report = check.look(store)
        assert (report.faults, report.log.turns, report.log.linked) == ([], 17, 2)


def test_what_was_upgraded_can_be_sealed(filled: Carryover, empty_url: str, tmp_path: Path) -> None:
    old_schemas.make(empty_url, "0001", filled.engine.store)
    settings = Settings(home=tmp_path, database_url=empty_url, embedder="none")
    with Carryover.open(settings, work=False) as memory:
        store = memory.engine.store
        memory.log_turn("s0", "user", "And on Redis for the cache.", user="mara")
        before = [turn.body for turn in memory.turns("s0")[1]]
        rekeying.seal(store, lambda _: None)
        report = check.look(store)
        # What search stands on is made anew by the next workers.
        assert [fault for fault in report.faults if not fault.repairable] == []
        assert (report.log.turns, report.log.sealed) == (16, 16)
        assert [turn.body for turn in memory.turns("s0")[1]] == before
