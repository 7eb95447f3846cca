"""The schema: brought up to date once, by whoever comes first, and never taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from carryover.core.errors import Invalid, NotFound, StoreUnavailable
from carryover.core.scope import Scope
from carryover.store import migrate
from carryover.store.store import Store
from carryover.store.tables import metadata

OPEN = "import sys; from carryover.store.store import Store; Store.open(sys.argv[1]).close()"


def test_head_is_the_newest_script() -> None:
    assert migrate.revisions()[-1] == migrate.HEAD


def test_the_migrated_schema_is_the_one_that_the_tables_describe(store: Store) -> None:
    with store.engine.connect() as conn:
        differences = compare_metadata(MigrationContext.configure(conn), metadata)
        # What a dialect adds for its text index is its own; a table of ours would be in the metadata.
        # So are its partitions, which have a table's indexes each.
        ours = [one for one in differences if not one[0].startswith("remove_") or _of(one[1]) in metadata.tables]
    assert ours == []


def _of(thing: Any) -> str:
    return thing.name if isinstance(thing, sa.Table) else thing.table.name


def test_opening_again_changes_nothing(store: Store) -> None:
    with store.engine.connect() as conn:
        before = sorted(sa.inspect(conn).get_table_names())
    with Store.open(store.url) as again, again.engine.connect() as conn:
        assert migrate.current(conn) == migrate.HEAD
        assert sorted(sa.inspect(conn).get_table_names()) == before
    migrate.upgrade(store.engine, store.dialect)


def test_processes_that_open_a_fresh_database_at_once_all_succeed(empty_url: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, empty_url], stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    with Store.open(empty_url, upgrade=False) as opened, opened.engine.connect() as conn:
        assert migrate.current(conn) == migrate.HEAD


@pytest.mark.parametrize("upgrade", [True, False])
def test_a_schema_newer_than_the_program_is_left_alone(database_url: str, upgrade: bool) -> None:
    with Store.open(database_url) as store, store.engine.begin() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnavailable, match=r"schema is at 9999.*upgrade carryover"):
        Store.open(database_url, upgrade=upgrade)


def test_a_fresh_database_is_not_current(empty_url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"schema is at nothing.*run `carryover db upgrade`"):
        Store.open(empty_url, upgrade=False)


def test_an_upgrade_that_fails_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(conn: sa.Connection) -> None:
        conn.execute(sa.text("CREATE TABLE half (a INTEGER)"))
        raise RuntimeError("the power went out")

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_run", broken)
        with pytest.raises(RuntimeError):
            Store.open(empty_url)
    with Store.open(empty_url) as store, store.engine.connect() as conn:
        assert "half" not in sa.inspect(conn).get_table_names()


@pytest.mark.parametrize("url", ["mysql://db/x", "carryover.db", "", "postgresql+nothing"])
def test_an_unknown_engine_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(Invalid, match="begin it with one of: ") as refusal:
        Store.open(url)
    assert refusal.value.facts["field"] == "database_url"


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(Invalid) as refusal:
        Store.open("mysql://ana:secret@db/x")
    assert "secret" not in refusal.value.message


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="check that the folder exists and can be written"):
        Store.open(f"sqlite:///{tmp_path}/nowhere/carryover.db")


def test_no_transaction_is_open_after_a_read_or_write(store: Store, database_url: str) -> None:
    for fault in (KeyError, NotFound):
        with pytest.raises(fault), store.write(Scope("acme")):
            raise fault
    with store.read(Scope("acme")):
        pass
    assert store.engine.pool.checkedout() <= 1  # type: ignore[attr-defined]  # the writer stays
    with Store.open(database_url) as other, other.write(Scope("acme")):
        pass  # which waits in vain where a transaction is open
