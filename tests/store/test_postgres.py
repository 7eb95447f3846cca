"""What only PostgreSQL does: a second wall between tenants, many writers at once, and connections that die."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from carryover.core.errors import CarryoverError, StoreUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Draft
from carryover.log import stream
from carryover.store import counters, events, faults, postgres_schema, queue
from carryover.store.postgres_connection import Connection
from carryover.store.store import Store, Tx
from carryover.store.tables import metadata, turns
from clocks import FrozenClock
from logbook import ACME, Book
from servers import pgbouncer
from servers.postgres import Server, running

ZETA = Scope("zeta")
EVERY_TABLE = [table for table in metadata.sorted_tables if "tenant" in table.c]


@pytest.fixture
def store(postgres_url: str, clock: FrozenClock) -> Iterator[Store]:
    with Store.open(postgres_url, clock=clock) as opened:
        yield opened


@pytest.fixture
def book(store: Store) -> Book:
    return Book(store)


# The second wall


def test_a_statement_without_a_tenant_reads_and_changes_no_other_tenants_rows(book: Book) -> None:
    for scope in (ACME, ZETA):
        book.append("s", "hello", scope=scope)
    with book.store.write(ZETA) as tx:
        for table in EVERY_TABLE:
            assert {row.tenant for row in tx.conn.execute(sa.select(table))} <= {"zeta"}, table.name
        assert tx.conn.execute(sa.text("DELETE FROM jobs")).rowcount == 2
        assert tx.conn.execute(sa.text("UPDATE sessions SET version = 9")).rowcount == 1
    assert [turn.content for turn in book.turns("s")] == ["hello"]
    with book.store.read(ACME) as tx:
        assert queue.counts(tx)["due"] == 1


def test_nobody_writes_into_another_tenant(store: Store) -> None:
    with pytest.raises(CarryoverError, match="row-level security"), store.write(ZETA) as tx:
        tx.conn.execute(sa.text("INSERT INTO counters (tenant, name, value) VALUES ('acme', 'chunks', 5)"))
    with store.read(ACME) as tx:
        assert counters.values(tx, ["chunks"]) == [0]


def test_without_a_tenant_there_are_no_rows(book: Book) -> None:
    book.append("s", "hello")
    with psycopg.connect(book.store.url) as conn:
        for table in EVERY_TABLE:
            found = conn.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()  # type: ignore[arg-type]
            assert found == (0,), table.name


def test_a_tenant_is_only_ever_a_name(book: Book) -> None:
    for hostile in ("x'; DROP TABLE turns; --", "it's", "\\", "$$"):
        with book.store.read(Scope(hostile)) as tx:
            assert tx.conn.execute(sa.select(turns.c.id).where(turns.c.tenant == hostile)).all() == []


def test_all_tenants_are_seen_only_when_asked_for(book: Book) -> None:
    for scope in (ACME, ZETA):
        book.append("s", "hello", scope=scope)
    with book.store.read(EVERY_TENANT) as tx:
        assert set(tx.conn.execute(sa.select(turns.c.tenant)).scalars()) == {"acme", "zeta"}


def test_every_large_table_is_partitioned_by_tenant_and_the_stream_by_time(store: Store) -> None:
    wanted = "SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid) FROM pg_partitioned_table"
    with store.read(EVERY_TENANT) as tx:
        found = {row[0]: row[1] for row in tx.conn.exec_driver_sql(wanted)}
    by_tenant = dict.fromkeys(("bodies", "chunks", "chunks_text", "codes", "turns", "vectors"), "HASH (tenant)")
    assert found == {**by_tenant, "events": "RANGE (id)"}


def test_a_request_reads_one_partition(book: Book) -> None:
    book.append("s", "hello")
    with book.store.read(ACME) as tx:
        plan = "\n".join(
            tx.conn.execute(
                sa.text("EXPLAIN SELECT * FROM turns WHERE tenant = :t AND agent = 'default' AND session = 's'"),
                {"t": "acme"},
            ).scalars()
        )
    assert plan.count("Scan") == 1, plan


# Time


def test_the_stream_has_partitions_for_the_months_to_come_and_drops_those_that_are_over(
    store: Store, clock: FrozenClock
) -> None:
    with store.write(EVERY_TENANT) as tx:
        postgres_schema.extend(tx.conn, datetime(2031, 11, 30, tzinfo=UTC))
        named = postgres_schema.drop_before(tx.conn, datetime(2020, 1, 1, tzinfo=UTC))
    assert named == []
    clock.at = int(datetime(2031, 12, 5, tzinfo=UTC).timestamp() * 1000)
    Book(store).append("s", "in December")
    with store.read(EVERY_TENANT) as tx:
        parts = tx.conn.exec_driver_sql("SELECT DISTINCT tableoid::regclass::text FROM events").scalars().all()
    assert parts == ["events_203112"]
    with store.write(EVERY_TENANT) as tx:
        assert "events_203112" not in postgres_schema.drop_before(tx.conn, datetime(2031, 12, 31, tzinfo=UTC))
        assert "events_203112" in postgres_schema.drop_before(tx.conn, datetime(2032, 1, 1, tzinfo=UTC))
    assert stream.newest(store, ACME, "default").events == ()


def test_events_without_a_partition_of_their_own_are_kept_all_the_same(store: Store, clock: FrozenClock) -> None:
    at = datetime(2040, 5, 5, tzinfo=UTC)
    clock.at = int(at.timestamp() * 1000)
    Book(store).append("s", "far ahead")
    with store.write(EVERY_TENANT) as tx:
        postgres_schema.extend(tx.conn, at)  # which cannot move them, and does not fail
    assert [event.action for event in stream.newest(store, ACME, "default").events] == ["append", "open"]


def test_a_store_goes_by_the_clock_of_its_database(postgres_url: str) -> None:
    with Store.open(postgres_url) as store, store.read(ACME) as tx:
        theirs = tx.conn.exec_driver_sql("SELECT extract(epoch FROM now()) * 1000").scalar_one()
        assert abs(tx.now - float(theirs)) < 1000
        assert abs(store.clock.now() - tx.now) < 1000


# Many writers


def test_processes_that_begin_one_session_at_once_agree_on_its_turns(postgres_url: str, clock: FrozenClock) -> None:
    stores = [Store.open(postgres_url, clock=clock) for _ in range(6)]
    books = [Book(store) for store in stores]
    ready = threading.Barrier(len(books))
    failed: list[BaseException] = []

    def work(book: Book) -> None:
        try:
            for n in range(20):
                ready.wait(30)
                book.append(f"s{n}", "one", "two")
        except BaseException as failure:
            failed.append(failure)
            ready.abort()

    threads = [threading.Thread(target=work, args=(book,)) for book in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for n in range(20):
        assert [turn.seq for turn in books[0].turns(f"s{n}")] == list(range(1, 13))
    for store in stores:
        store.close()


def test_a_reader_of_the_stream_misses_nothing_while_many_append(postgres_url: str) -> None:
    stores = [Store.open(postgres_url) for _ in range(4)]
    over = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        last, ended = 0, False
        while True:
            ended = over.is_set()
            found = stream.after(stores[0], ACME, "default", last)
            seen.extend(event.id for event in found)
            last = seen[-1] if seen else 0
            if ended and not found:
                return

    def work(name: int) -> None:
        book = Book(stores[name])
        for n in range(60):
            book.append(f"s{name}-{n % 5}", "text")

    reader = threading.Thread(target=follow)
    reader.start()
    writers = [threading.Thread(target=work, args=(name,)) for name in (1, 2, 3)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    reader.join()
    with stores[0].read(ACME) as tx:
        all_ids = [event.id for event in events.after(tx, "default", stream.Filter(), id=0, limit=10_000)]
    assert seen == all_ids
    assert len(all_ids) == 3 * 60 + 15
    for store in stores:
        store.close()


def test_two_that_lock_each_other_out_are_run_again(store: Store) -> None:
    met = threading.Barrier(2)
    tries: list[str] = []

    def work(first: str, second: str) -> None:
        def crossing(tx: Tx) -> None:
            tries.append(first)
            counters.bump(tx, first)
            if len(tries) <= 2:
                met.wait(30)
            counters.bump(tx, second)

        store.transact(ACME, crossing)

    threads = [threading.Thread(target=work, args=names) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tries) == 3
    with store.read(ACME) as tx:
        assert counters.values(tx, ["a", "b"]) == [2, 2]


# Connections that die


def test_connections_that_ended_in_the_pool_are_not_noticed(postgres: Server, book: Book) -> None:
    book.append("s", "before")
    name = book.store.url.rpartition("/")[2]
    ended = postgres.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
    assert "t" in ended
    book.append("s", "after")
    assert [turn.content for turn in book.turns("s")] == ["before", "after"]


def test_a_transaction_that_loses_its_connection_is_run_again(postgres: Server, store: Store) -> None:
    lost: list[int] = []

    def work(tx: Tx) -> int:
        pid = tx.conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        if not lost:
            lost.append(pid)
            postgres.sql(f"SELECT pg_terminate_backend({pid}, 5000)")
        return counters.bump(tx, "n")

    assert store.transact(ACME, work) == 1
    assert len(lost) == 1


def test_a_commit_without_an_answer_is_unknown_and_not_repeated(postgres: Server, store: Store) -> None:
    ran: list[int] = []

    def work(tx: Tx) -> None:
        ran.append(tx.conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        counters.bump(tx, "n")
        # The server is gone at the very moment of the commit.
        postgres.sql(f"SELECT pg_terminate_backend({ran[-1]}, 5000)")

    with pytest.raises(StoreUnavailable, match=r"did not say whether.*retry with the same idempotency key") as refusal:
        store.transact(ACME, work)
    assert refusal.value.facts["unknown"] is True
    assert len(ran) == 1


def test_a_failed_statement_that_was_swallowed_does_not_pass_for_a_commit(store: Store) -> None:
    def careless(tx: Tx) -> None:
        counters.bump(tx, "n")
        with suppress(sa.exc.DBAPIError):
            tx.conn.exec_driver_sql("SELECT 1 / 0")

    with pytest.raises(CarryoverError, match="failed before its commit"):
        store.transact(ACME, careless)
    with store.read(ACME) as tx:
        assert counters.values(tx, ["n"]) == [0]


def test_a_server_that_stops_answering_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:

    with running() as server, Store.open(f"{server.create('carryover')}?connect_timeout=2") as store:
        book = Book(store)
        book.append("s", "before")
        monkeypatch.setattr(Connection, "patience_s", 0.5)
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable):
                book.append("s", "meanwhile")
        finally:
            server.signal(signal.SIGCONT)
        monkeypatch.setattr(Connection, "patience_s", 10.0)
        assert [turn.content for turn in book.turns("s")] == ["before"]
        book.append("s", "after")


CTRL_C = """
import sys, time
from carryover.core.scope import Scope
from carryover.store.store import Store
with Store.open(sys.argv[1]) as store:
    try:
        with store.write(Scope("acme")) as tx:
            print(tx.conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one(), flush=True)
            tx.conn.exec_driver_sql("SELECT pg_sleep(60)")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_an_interrupt_cancels_nothing_on_the_server(postgres: Server, store: Store) -> None:
    process = subprocess.Popen([sys.executable, "-c", CTRL_C, store.url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    while postgres.sql(f"SELECT state FROM pg_stat_activity WHERE pid = {pid}") != "active":
        time.sleep(0.01)
    while "pg_sleep" not in postgres.sql(f"SELECT query FROM pg_stat_activity WHERE pid = {pid}"):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "interrupted\n"
    # Its connection is dropped; the statement was told nothing and sleeps on.
    assert "pg_sleep" in postgres.sql(f"SELECT query FROM pg_stat_activity WHERE pid = {pid}")
    postgres.sql(f"SELECT pg_terminate_backend({pid}, 5000)")


# A pooler between


def test_everything_works_behind_a_pooler_that_deals_out_sessions_by_transaction(
    postgres: Server, store: Store, clock: FrozenClock
) -> None:
    def at(port: int) -> str:
        return store.url.replace(f":{postgres.port}/", f":{port}/")

    with pgbouncer.running(postgres) as port, Store.open(at(port), clock=clock) as pooled:
        book = Book(pooled)

        def work(name: int) -> None:
            for n in range(30):
                book.append(f"s{name}", f"{n}")

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in range(4):
            assert [turn.content for turn in book.turns(f"s{name}")] == [str(n) for n in range(30)]
        with pooled.read(ZETA) as tx:
            assert tx.conn.execute(sa.text("SELECT count(*) FROM turns")).scalar_one() == 0


# What is said of errors


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ('FATAL: password authentication failed for user "x"', "password in database_url"),
        ('FATAL: role "x" does not exist', "make the role"),
        ('FATAL: database "x" does not exist', "create the database"),
        ("connection failed: connection to server at 127.0.0.1, port 1 failed: Connection refused", "PostgreSQL runs"),
        ("session is read-only", "name the primary"),
        ("database is locked", "another process is writing"),
        ("disk I/O error", "neither full nor failing"),
        ("sorry, too many clients already", "PgBouncer"),
        ("something new", "retry"),
    ],
)
def test_each_reason_has_its_remedy(reason: str, remedy: str) -> None:
    assert remedy in faults.remedy(reason)


def test_a_long_draft_of_any_text_comes_back(book: Book) -> None:
    said: list[Any] = ["\u0000 and \U0001f600 é", [{"type": "text", "text": "a\u0000b"}], "x" * 1_000_000]
    book.append("s", *(Draft("user", content) for content in said))
    assert [turn.content for turn in book.turns("s")] == said
