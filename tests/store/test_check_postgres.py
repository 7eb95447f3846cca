"""`db check` on PostgreSQL: what only it has is compared with what it follows from, and made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from carryover.core.scope import EVERY_TENANT, Scope
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import check, chunks, postgres_facts, postgres_schema, vectors, wording
from carryover.store.dialect import Bounds
from carryover.store.store import Store
from clustered import clustered
from servers.postgres import Server

NOW = datetime.now(UTC)
DAMAGE = {
    "lacks 1 chunks and holds 0 that do not exist": "DELETE FROM chunks_text WHERE n = 1",
    "lacks 0 chunks and holds 1 that do not exist":
        "INSERT INTO chunks_text VALUES ('acme', 9999, 1, 1, array_to_tsvector(ARRAY['x']))",
    "says something else than 1 of the chunks":
        "UPDATE chunks_text SET words = array_to_tsvector(ARRAY['x']) WHERE n = 1",
    "words stand in more or fewer chunks":
        "UPDATE frequencies SET chunks = chunks + 1 WHERE word = (SELECT min(word) FROM frequencies)",
    "1 words stand in more or fewer chunks": "INSERT INTO frequencies VALUES ('nobody', 'xabc', 3)",
    "the table turns has no row-level security": "ALTER TABLE turns DISABLE ROW LEVEL SECURITY",
    "the table keys has no row-level security": "DROP POLICY tenants ON keys",
    "the table jobs has no row-level security": "ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY",
    f"lacks its partition events_{NOW:%Y%m}": f"DROP TABLE events_{NOW:%Y%m}",
    "vectors and codes do not match": "DELETE FROM codes WHERE n = (SELECT min(n) FROM codes)",
    "disagree with its": "UPDATE counters SET value = 77 WHERE name = 'terms'",
    "belong to no chunk": "INSERT INTO vectors VALUES ('acme', 'space', 9999, '\\x00000000', 1)",
    "is at version 99": "UPDATE sessions SET version = 99",
}  # fmt: skip


@pytest.fixture
def filled(postgres_url: str, tmp_path: Path) -> Iterator[Store]:
    settings = Settings(home=tmp_path, database_url=postgres_url, embedder="none", tenant="acme", encryption=False)
    with Carryover.open(settings, work=False) as memory:
        for text in ("We decided on PostgreSQL.", *(f"Let's use database number {n}." for n in range(9))):
            memory.log_turn("s1", "user", text)
        memory.consolidate("s1")
        memory.search_memory("database")
        with memory.engine.store.write(Scope("acme")) as tx:
            indexed = chunks.of_turns(tx, "default", "s1", 1, None)
            rows = clustered(len(indexed), 8, seed=1)
            vectors.add(tx, "space", [(chunk.n, row) for chunk, row in zip(indexed, rows, strict=True)])
        yield memory.engine.store


def damage(url: str, statement: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("SET app.tenant = '*'")
        conn.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize(("said", "statement"), DAMAGE.items())
def test_damage_is_found_and_repaired(filled: Store, said: str, statement: str) -> None:
    assert check.check(filled) == []
    before = nearest(filled)
    damage(filled.url, statement)
    faults = check.check(filled)
    assert any(said in fault.detail for fault in faults), faults
    assert all(fault.repairable for fault in faults)
    check.repair(filled)
    assert check.check(filled) == []
    assert nearest(filled) == before


def nearest(store: Store) -> object:
    with store.read(Scope("acme")) as tx:
        found = vectors.nearest(tx, "space", clustered(1, 8, seed=3)[0], Bounds(), 5)
        said = wording.of(tx)
        words = {term: tx.dialect.frequency(tx.conn, said, [term])[term] for term in ("database", "postgresql")}
    assert found is not None
    return found.top, words


def test_a_month_that_went_to_the_default_partition_is_no_fault(filled: Store) -> None:
    damage(filled.url, f"DROP TABLE events_{NOW:%Y%m}")
    with filled.write(Scope("acme")) as tx:
        tx.conn.exec_driver_sql(
            "INSERT INTO events VALUES ('acme', 'default', "
            f"{int(NOW.timestamp() * 1_000_000)}, 0, 'append', 's1', NULL, '{json.dumps({})}')"
        )
    with filled.read(EVERY_TENANT) as tx:
        assert postgres_schema.missing(tx.conn, NOW) == []
    assert check.check(filled) == []


def test_a_superuser_is_told_so(postgres: Server, filled: Store) -> None:
    assert check.notes(filled) == []
    url = postgres.url(filled.url.rpartition("/")[2], "postgres")
    with Store.open(url) as opened:
        (note,) = check.notes(opened)
        assert "row-level security does not hold for the role 'postgres'" in note
        assert check.check(opened) == []
        with opened.read(EVERY_TENANT) as tx:
            assert postgres_facts.server(tx.conn).unbound
