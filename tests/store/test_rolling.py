"""Upgrades of a database in use: programs of the version before go on, those that are too old are kept out."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from carryover.core.errors import StoreUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Append, Draft
from carryover.log import append, read
from carryover.log.append import Limits
from carryover.store import check, migrate
from carryover.store.postgres_connection import PATIENCE_S
from carryover.store.store import Store, Tx
from servers.postgres import Server

NEXT, AFTER = "0091", "0092"
ADDS = "op.add_column('sessions', sa.Column('mood', sa.Text(), nullable=True))"
SCRIPT = '''"""{description}"""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None
compatible = "{compatible}"


def upgrade():
    {does}
'''
Programs = Callable[..., None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Turns this process into a program of a later version, with migrations of its own, or back into ours."""
    ours, head = migrate._SCRIPTS, migrate.HEAD

    def become(revision: str | None = None, compatible: str | None = None, does: str = ADDS) -> None:
        folder = tmp_path / f"migrations-{revision}"
        if revision is None:
            folder, revision = ours, head
        elif not folder.exists():
            before = migrate._SCRIPTS
            shutil.copytree(before, folder)
            script = SCRIPT.format(
                description="A mood for each session.",
                revision=revision, before=migrate.HEAD, compatible=compatible or revision, does=does,
            )  # fmt: skip
            (folder / "versions" / f"{revision}_later.py").write_text(script)
        monkeypatch.setattr(migrate, "_SCRIPTS", folder)
        monkeypatch.setattr(migrate, "HEAD", revision)

    return become


class Writers:
    """Threads that append through one store until they are told to stop, and what became of it."""

    def __init__(self, store: Store) -> None:
        self.failures: list[BaseException] = []
        self.saved: dict[str, int] = {}
        self._log = append.open_log(store, Limits())
        self._stop = threading.Event()
        self._going = threading.Barrier(4)
        self._threads = [threading.Thread(target=self._write, args=(f"s{n}",)) for n in range(3)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        self._going.wait(30)  # each of them has appended
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _write(self, session: str) -> None:
        self.saved[session] = 0
        while not self._stop.is_set():
            try:
                say(self._log, session, f"turn {self.saved[session]}")
                self.saved[session] += 1
            except BaseException as failure:
                self.failures.append(failure)
                return
            if self.saved[session] == 1:
                self._going.wait(30)


def say(log: append.Log, session: str, text: str) -> None:
    request = Append(session_id=session, agent_id="planner", drafts=(Draft(role="user", content=text),))
    append.append(log, Scope("acme"), request, Limits())


def length(store: Store, session: str) -> int:
    return read.session(store, Scope("acme"), "planner", session).version


def test_an_upgrade_beside_writers_of_the_version_before(database_url: str, program: Programs) -> None:
    with Store.open(database_url) as old, Writers(old) as writers:
        ours = migrate.HEAD
        program(NEXT, compatible=ours)
        with Store.open(database_url) as new:
            assert migrate.look(new.engine, new.dialect) == migrate.Schema(NEXT, ours)
            say(append.open_log(new, Limits()), "new", "hello from the next version")
            before = dict(writers.saved)
            while all(writers.saved[name] == count for name, count in before.items()) and not writers.failures:
                pass  # the old program goes on
    assert writers.failures == []
    with Store.open(database_url) as new:
        assert {name: length(new, name) for name in writers.saved} == writers.saved
        assert check.check(new) == []


def test_a_program_of_the_version_before_opens_the_newer_schema(
    database_url: str, program: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    program(NEXT, compatible=migrate.HEAD)
    Store.open(database_url).close()
    program()
    for upgrade in (True, False):
        caplog.clear()
        with caplog.at_level(logging.WARNING), Store.open(database_url, upgrade=upgrade) as old:
            say(append.open_log(old, Limits()), "s1", "still here")
            assert migrate.look(old.engine, old.dialect).revision == NEXT
        assert f"the schema is at {NEXT} and this program is made for {migrate.HEAD}" in caplog.text


@pytest.mark.parametrize("upgrade", [True, False])
def test_a_program_that_is_too_old_is_refused(database_url: str, program: Programs, upgrade: bool) -> None:
    ours = migrate.HEAD
    program(NEXT, compatible=ours)
    Store.open(database_url).close()
    program(AFTER, compatible=NEXT, does="op.drop_column('sessions', 'mood')")
    Store.open(database_url).close()
    program()
    with pytest.raises(StoreUnavailable, match=rf"schema is at {AFTER}.*below {NEXT} may not.*; upgrade carryover"):
        Store.open(database_url, upgrade=upgrade)


def test_a_later_migration_does_not_let_in_whom_an_earlier_one_shut_out(database_url: str, program: Programs) -> None:
    ours = migrate.HEAD
    program(NEXT, compatible=NEXT)
    program(AFTER, compatible=ours, does="pass")
    Store.open(database_url).close()
    program()
    with pytest.raises(StoreUnavailable, match="upgrade carryover"):
        Store.open(database_url)


def test_every_migration_says_what_it_is_and_who_may_go_on() -> None:
    known = migrate.history()
    assert [revision.id for revision in known] == migrate.revisions()
    for revision in known:
        assert revision.description.endswith(".")
        assert "0001" <= revision.compatible <= revision.id


def test_a_table_in_use_is_waited_for(
    postgres_url: str, program: Programs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(postgres_url).close()
    program(NEXT)
    with psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT set_config('app.tenant', '*', true), count(*) FROM sessions")

        def once(_s: float) -> None:
            holder.commit()  # after the first attempt came to nothing

        monkeypatch.setattr("carryover.store.migrate.time.sleep", once)
        with caplog.at_level(logging.WARNING), Store.open(postgres_url) as store:
            assert migrate.look(store.engine, store.dialect).revision == NEXT
    assert "a table is in use, so the schema cannot be changed yet; trying again" in caplog.text


def test_a_table_in_use_for_too_long(postgres_url: str, program: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(postgres_url).close()
    ours = migrate.HEAD
    program(NEXT)
    monkeypatch.setattr(migrate, "PATIENCE_S", 0.0)
    with psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT set_config('app.tenant', '*', true), count(*) FROM sessions")
        with pytest.raises(StoreUnavailable, match=rf"stays at {ours}.*; end what holds it"):
            Store.open(postgres_url)
    program()
    with Store.open(postgres_url) as store:
        assert migrate.look(store.engine, store.dialect).revision == ours


def test_a_role_that_may_not_change_the_schema(postgres: Server, postgres_url: str, program: Programs) -> None:
    Store.open(postgres_url).close()
    database = postgres_url.rpartition("/")[2]
    postgres.sql(
        "DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app",
        database=database,
    )
    url = postgres.url(database, "app")
    with Store.open(url) as store:
        say(append.open_log(store, Limits()), "s1", "an application's role can do its work")
    program(NEXT)
    with pytest.raises(
        StoreUnavailable, match=r"may not change it \(must be owner of .*; run `carryover db upgrade` as"
    ):
        Store.open(url)
    empty = f"{database}_none"
    postgres.create(empty)
    try:
        with pytest.raises(StoreUnavailable, match=r"at nothing.*permission denied.*; run `carryover db upgrade` as"):
            Store.open(postgres.url(empty, "app"))
    finally:
        postgres.drop(empty)


def test_a_connection_that_took_its_time_is_impatient_again(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        with store.read(EVERY_TENANT) as tx:
            tx.dialect.unhurried(tx.conn)
            took = driver(tx)
            assert took.patience_s is None
        with store.read(EVERY_TENANT) as tx:
            assert driver(tx) is took
            assert took.patience_s == PATIENCE_S


def driver(tx: Tx) -> Any:
    return tx.conn.connection.driver_connection


def older(store: Store, session: str, seq: int, said: str) -> None:
    """What a program of revision 0006 writes for an append: it knows no chains and no keys of sessions."""
    key = {"tenant": "acme", "agent": "planner", "session": session}
    turn = {
        "id": f"t_{session}_{seq}",
        "role": "user",
        "kind": "message",
        "created_at": 1,
        "received_at": 1,
        "tokens": 2,
    }
    head = {"version": seq, "tokens": 2 * seq, "created_at": 1, "updated_at": 1, "active_until": 1, "metadata": "{}"}
    with store.write(Scope("acme")) as tx:
        for name, row in (
            ("turns", {**key, "seq": seq, **turn, "digest": ""}),
            ("bodies", {**key, "seq": seq, "body": json.dumps(said)}),
        ):
            names = ", ".join(row)
            values = ", ".join(f":{column}" for column in row)
            tx.conn.execute(sa.text(f"INSERT INTO {name} ({names}) VALUES ({values})"), row)
        names, values = ", ".join(key | head), ", ".join(f":{column}" for column in key | head)
        kept = ", ".join(f"{name} = excluded.{name}" for name in head if name != "created_at")
        there = f"ON CONFLICT (tenant, agent, session) DO UPDATE SET {kept}"
        tx.conn.execute(sa.text(f"INSERT INTO sessions ({names}) VALUES ({values}) {there}"), key | head)


def test_old_and_new_programs_write_to_one_session_in_turn(store: Store) -> None:
    log = append.open_log(store, Limits())
    for seq in range(1, 13):
        if seq % 4 in (1, 2):
            older(store, "old", seq, f"turn {seq}")
        else:
            say(log, "old", f"turn {seq}")
    for seq in range(1, 9):
        if seq % 4 in (1, 2):
            say(log, "new", f"turn {seq}")
        else:
            older(store, "new", seq, f"turn {seq}")
    report = check.look(store)
    assert [fault for fault in report.faults if fault.check != "index"] == []
    assert (report.log.turns, report.log.linked) == (20, 10)
    for session, count in (("old", 12), ("new", 8)):
        said = [turn.content for turn in read.every(store, Scope("acme"), "planner", session, count)]
        assert said == [f"turn {seq}" for seq in range(1, count + 1)]
    # What is linked is held by its chain all the same, whatever stands between.
    allowed = {
        "sqlite": "DROP TRIGGER turns_never_change",
        "postgresql": "ALTER TABLE turns DISABLE TRIGGER turns_never_change",
    }[store.dialect.name]
    with store.write(EVERY_TENANT) as tx:
        tx.conn.exec_driver_sql(allowed)
        change = "UPDATE turns SET role = 'assistant' WHERE tenant = 'acme' AND seq = 3"
        tx.conn.exec_driver_sql(change, execution_options={"tries_the_trigger": True})
    found = [fault.detail for fault in check.check(store) if fault.check == "log"]
    assert len(found) == 1
    assert "turn 3 of session 'old'" in found[0]
