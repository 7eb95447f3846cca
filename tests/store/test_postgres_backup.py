"""Backups of PostgreSQL as the how-to has them, with a real server: back to a moment, and from a dump."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from carryover.core.scope import Scope
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import check
from carryover.store.store import Store
from logbook import Book
from servers import postgres as servers
from servers.postgres import Server
from waiting import until


@pytest.fixture
def archive() -> Iterator[Path]:
    """A folder that the server can write to: it may run as another user."""
    with TemporaryDirectory(prefix="carryover-wal-") as made:
        folder = Path(made)
        folder.chmod(0o777)
        yield folder


def said(store: Store) -> list[object]:
    return [turn.content for turn in Book(store, scope=Scope("acme")).turns("s")]


def test_back_to_a_moment_between_two_appends(archive: Path) -> None:
    kept = archive / "wal"
    kept.mkdir()
    kept.chmod(0o777)
    with servers.running(
        wal_level="replica",
        archive_mode="on",
        archive_command=f"test ! -f {kept}/%f && cp %p {kept}/%f",
        fsync="off",
    ) as server:
        url = server.create("carryover")
        with Store.open(url) as store:
            book = Book(store, scope=Scope("acme"))
            book.append("s", "before the base backup")
            base = archive / "restored" / "data"
            base.parent.mkdir()
            base.parent.chmod(0o777)
            take_base_backup(server, base)
            book.append("s", "after it")
            moment = server.sql("SELECT pg_sleep(0.01); SELECT clock_timestamp()").strip()
            book.append("s", "a mistake")
            full = server.sql("SELECT pg_walfile_name(pg_switch_wal())")
            until(lambda: server.sql("SELECT last_archived_wal FROM pg_stat_archiver") >= full)
    (base / "recovery.signal").touch()
    with servers.running(
        base.parent,
        restore_command=f"cp {kept}/%f %p",
        recovery_target_time=moment,
        recovery_target_action="promote",
        fsync="off",
    ) as back:
        until(lambda: back.sql("SELECT pg_is_in_recovery()") == "f")
        with Store.open(back.url("carryover")) as store:
            assert said(store) == ["before the base backup", "after it"]
            assert [fault for fault in check.check(store) if fault.check != "index"] == []
            Book(store, scope=Scope("acme")).append("s", "and on it goes")
            assert len(said(store)) == 3
            assert [fault for fault in check.check(store) if not fault.repairable] == []


def take_base_backup(server: Server, folder: Path) -> None:
    command = [servers.binaries() / "pg_basebackup", "-d", server.url("postgres", "postgres"), "-D", folder]
    subprocess.run([*command, "-X", "none", "-c", "fast"], check=True, capture_output=True, **servers._as())


def test_a_dump_without_the_keyring(postgres: Server, postgres_url: str, tmp_path: Path) -> None:
    database = postgres_url.rpartition("/")[2]
    settings = Settings(home=tmp_path, database_url=postgres_url, embedder="none", tenant="acme")
    with Carryover.open(settings, work=False) as memory:
        memory.log_turn("s1", "user", "We decided on PostgreSQL for the ledger.", user="mara")
        memory.log_turn("s2", "user", "Nobody needs to know this.", user="mara")
        memory.consolidate("s1")
        memory.search_memory("ledger")
        binary, dump = servers.binaries() / "pg_dump", tmp_path / "data.sql"
        # By a role that row-level security does not hold for: any other sees no rows.
        asked = ["--exclude-schema=carryover_keys", f"--file={dump}", postgres.url(database, "postgres")]
        subprocess.run([binary, *asked], check=True, capture_output=True)
        assert "data_keys" not in dump.read_text()
        memory.delete_session("s2")
    restored = f"{database}_restored"
    try:
        url = postgres.create(restored)
        fed = [servers.binaries() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump]
        subprocess.run([*fed, postgres.url(restored, "postgres")], check=True, capture_output=True)
        there = settings.model_copy(update={"database_url": url, "keyring_url": postgres_url})
        with Carryover.open(there, work=False) as memory:
            assert [turn.content for turn in memory.turns("s1")[1]] == ["We decided on PostgreSQL for the ledger."]
            # What was erased since does not come back with the keyring of today.
            assert memory.turns("s2")[1] == []
            report = check.look(memory.engine.store)
            assert (report.faults, report.log.turns, report.log.dropped) == ([], 2, 1)
    finally:
        postgres.drop(restored)
