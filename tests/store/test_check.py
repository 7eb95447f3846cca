"""`db check`: all damage is seen and named, what is derived is repaired, and a healthy database has no fault."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT
from carryover.core.session import Append, Draft, retraction
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.memory import verify
from carryover.recall import index
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import check
from carryover.store.check import Report
from carryover.store.store import Store, Tx
from databases import Databases
from servers.postgres import Server

TEXTS = ("We decided on PostgreSQL for the ledger.", "Always quote prices in DKK.", "Ana owns the migration.")
# What is done to the log, and what is said of it. None of it can be repaired.
TAMPERED = {
    "a body": ("UPDATE bodies SET body = '\"We decided on SQLite.\"' WHERE session = 's1' AND seq = 1", "turn 1"),
    "one bit of a body": ("UPDATE bodies SET body = replace(body, 'DKK', 'DKJ')", "turn 2"),
    "a role": ("UPDATE turns SET role = 'assistant' WHERE session = 's1' AND seq = 2", "turn 2"),
    "a time": ("UPDATE turns SET created_at = created_at + 1 WHERE session = 's1' AND seq = 3", "turn 3"),
    "a name": ("UPDATE turns SET name = '' WHERE session = 's1' AND seq = 3", "turn 3"),
    "a salt": ("UPDATE turns SET salt = NULL WHERE session = 's1' AND seq = 2", "turn 2"),
    "a link": ("UPDATE turns SET chain = NULL WHERE session = 's1' AND seq = 1", "turn 2"),
    "the last link": ("UPDATE turns SET chain = NULL WHERE session = 's1' AND seq = 3", "does not end as it was"),
    "a tombstone": ("UPDATE turns SET kind = 'erased', digest = 'ff' WHERE session = 's1' AND seq = 2", "turn 2"),
}
MOVED = {
    "swapped": ((1, 9), (2, 1), (9, 2)),
    "the last one first": ((3, 9), (2, 3), (1, 2), (9, 1)),
}
# Of what is derived: what is done to it, what is said of it, and whether it can be repaired.
DERIVED = {
    "a quote": ("UPDATE sources SET quote = 'We decided on SQLite'", "do not say", False),
    "a citation": ("UPDATE sources SET last = 99", "cites turns 1 to 99", False),
    "no source": ("DELETE FROM sources", "has no source", False),
    "a snapshot ahead of its log": ("UPDATE snapshots SET through = 99", "covers turn 99, which is not there", False),
    "a snapshot behind its sources": ("UPDATE snapshots SET through = 0", "which snapshot 1 had not read", False),
    "a finding of no snapshot": ("UPDATE findings SET since = 7", "belongs to snapshot 7", False),
    "a source of no finding": (
        "INSERT INTO sources VALUES ('default', 'f_x', 0, 'default', 's1', 1, 1, '', 1)",
        "a source of finding 'f_x'",
        True,
    ),
    "a link of no finding": (
        "INSERT INTO links VALUES ('default', 'f_x', 'default', 's1', 'done', NULL, 1, '')",
        "is closed, and is not there",
        True,
    ),
    "a verdict on no finding": ("UPDATE verdicts SET finding = 'f_' || finding", "a verdict on finding", True),
    "a tier of no finding": (
        "INSERT INTO tiers (tenant, finding, since, agent, session, tier, text, period, at, freed) "
        "VALUES ('default', 'f_x', 1, 'default', 's1', 'full', '', '', 1, 0)",
        "a tier of finding",
        True,
    ),
    "a mark of no turn": (
        "INSERT INTO marks VALUES ('default', {bytes}, 'default', 's1', 99)",
        "is said to be turn 99",
        True,
    ),
    "evidence of no turns": (
        "INSERT INTO evidence VALUES ('default', 'p', 0, 'default', 's1', '', '', 8, 99)",
        "pattern 'p' cites turns 8 to 99",
        True,
    ),
    "what was noticed of no turn": (
        "INSERT INTO noticed VALUES ('default', 'default', 's9', 4, 1)",
        "read for preferences up to turn 4",
        True,
    ),
    "a code of nobody": (
        "INSERT INTO persona_codes VALUES ('default', 'nobody', 1, 1, {bytes})",
        "a code of user 'nobody'",
        True,
    ),
    "a chunk's text": (
        "UPDATE chunks SET text = 'something else' WHERE kind = 'turn'",
        "not indexed as their logs say",
        True,
    ),
    "a chunk's turn": ("UPDATE chunks SET last = 99 WHERE kind = 'turn'", "chunk 1 is of turn 99", True),
    "a chunk's finding": (
        "UPDATE chunks SET ref = 'f_x' WHERE kind = 'decision'",
        "of finding 'f_x', which is not there",
        True,
    ),
    "a chunk that is lost": ("DELETE FROM chunks WHERE kind = 'turn'", "not indexed as their logs say", True),
    "terms": ("UPDATE chunks SET terms = 'elephant' WHERE n = 1", "the text index says something else than 1", True),
    "a watermark": ("UPDATE watermarks SET through = 99", "is indexed beyond its log", True),
    "a version": ("UPDATE sessions SET version = 9 WHERE session = 's1'", "is at version 9", True),
    "a vector": ("INSERT INTO vectors VALUES ('default', 'space', 9999, {bytes}, 1)", "belong to no chunk", True),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def memory(
    request: pytest.FixtureRequest, databases: Databases, postgres: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Carryover]:
    """A database of each engine with a little of everything, unsealed; whatever a test does to it is taken back."""
    home = tmp_path_factory.mktemp("check")
    name = databases.lend() if request.param == "postgresql" else ""
    url = postgres.url(name) if name else f"sqlite:///{home}/carryover.db"
    settings = Settings(home=home, database_url=url, embedder="none", encryption=False)
    with Carryover.open(settings, work=False) as opened:
        fill(opened)
        yield opened
    if name:
        databases.take_back(name)


def fill(memory: Carryover) -> None:
    for session in ("s1", "s2"):
        for text in TEXTS:
            memory.log_turn(session, "user", text, user="mara")
        memory.consolidate(session)
    memory.append(Append("s2", (retraction(3, 3),)))
    work(memory.engine.store)


def work(store: Store) -> None:
    Worker(store, {one.kind: one for one in (index.indexing(), verify.verification())}, lambda _: Cap()).drain()


class TakeBack(Exception):
    """Raised inside of a transaction that is to leave nothing behind."""


def damaged(store: Store, *statements: str, repaired: bool = False) -> Report:
    """What is found after the statements (and a repair), all of which is then taken back."""
    found: list[Report] = []

    def work(tx: Tx) -> None:
        plant(tx, statements)
        if repaired:
            check._repair(tx)
        found.append(check._look(tx, False, None))
        raise TakeBack

    with pytest.raises(TakeBack), store.write(EVERY_TENANT) as tx:
        work(tx)
    return found[0]


def plant(tx: Tx, statements: tuple[str, ...]) -> None:
    allowed, a_few_bytes = {
        "sqlite": ("DROP TRIGGER turns_never_change", "x'00000000'"),
        "postgresql": ("ALTER TABLE turns DISABLE TRIGGER turns_never_change", "'\\x00000000'::bytea"),
    }[tx.dialect.name]
    tx.conn.exec_driver_sql(allowed)
    for statement in statements:
        said = statement.replace("{bytes}", a_few_bytes)
        tx.conn.exec_driver_sql(said, execution_options={"tries_the_trigger": True})


def test_a_healthy_database_has_no_fault(memory: Carryover) -> None:
    told: list[int] = []
    found = check.look(memory.engine.store, advance=told.append)
    assert found.faults == []
    assert (found.log.turns, found.log.linked, found.log.sealed) == (7, 7, 0)
    assert sum(told) == 7
    quick = check.look(memory.engine.store, quick=True)
    assert (quick.faults, quick.log.turns) == ([], 0)


@pytest.mark.parametrize("what", TAMPERED)
def test_a_log_that_was_tampered_with(memory: Carryover, what: str) -> None:
    statement, said = TAMPERED[what]
    report = damaged(memory.engine.store, statement)
    told = [fault for fault in report.faults if fault.check == "log" and said in fault.detail]
    assert told, report.faults
    assert "restore the session from a backup" in told[0].detail
    assert not any(fault.repairable for fault in told)
    # A repair does not touch the log, and so does not hide it.
    assert set(told) <= set(damaged(memory.engine.store, statement, repaired=True).faults)


@pytest.mark.parametrize("what", MOVED)
def test_turns_that_were_moved(memory: Carryover, what: str) -> None:
    moves = [
        f"UPDATE {table} SET seq = {to} WHERE session = 's1' AND seq = {at}"
        for at, to in MOVED[what]
        for table in ("turns", "bodies")
    ]
    report = damaged(memory.engine.store, *moves)
    assert any("turn 1 of session 's1'" in fault.detail for fault in report.faults), report.faults


def cut(seq: int, last: int = 3) -> list[str]:
    """The turn is taken out as if it had never been there."""
    taken = [f"DELETE FROM {table} WHERE session = 's1' AND seq = {seq}" for table in ("turns", "bodies")]
    for later in range(seq + 1, last + 1):
        taken += [
            f"UPDATE {t} SET seq = {later - 1} WHERE session = 's1' AND seq = {later}" for t in ("turns", "bodies")
        ]
    return [*taken, "UPDATE sessions SET version = version - 1 WHERE session = 's1'"]


@pytest.mark.parametrize(("seq", "said"), [(1, "turn 1 of"), (2, "turn 2 of"), (3, "does not end as it was written")])
def test_turns_that_were_taken_out(memory: Carryover, seq: int, said: str) -> None:
    report = damaged(memory.engine.store, *cut(seq))
    assert any(fault.check == "log" and said in fault.detail for fault in report.faults), report.faults


def test_a_turn_that_was_put_in(memory: Carryover) -> None:
    columns = "tenant, agent, session, id, role, kind, created_at, received_at, tokens, digest, salt, chain"
    put = [
        f"INSERT INTO turns ({columns}, seq) SELECT {columns.replace(' id,', chr(39) + 't_x' + chr(39) + ',')}, 4 "
        "FROM turns WHERE session = 's1' AND seq = 3",
        "INSERT INTO bodies SELECT tenant, agent, session, 4, body FROM bodies WHERE session = 's1' AND seq = 3",
        "UPDATE sessions SET version = 4 WHERE session = 's1'",
    ]
    report = damaged(memory.engine.store, *put)
    assert any("turn 4 of session 's1'" in fault.detail for fault in report.faults), report.faults


def test_turns_without_bodies_and_sessions(memory: Carryover) -> None:
    store = memory.engine.store
    for statement, said in (
        ("DELETE FROM bodies WHERE session = 's1' AND seq = 2", "a turn without its body"),
        ("DELETE FROM turns WHERE session = 's1' AND seq = 2", "a body without its turn"),
        ("DELETE FROM sessions WHERE session = 's1'", "a turn without its session"),
    ):
        assert any(said in fault.detail for fault in damaged(store, statement).faults)


@pytest.mark.parametrize("what", DERIVED)
def test_what_is_derived_and_wrong(memory: Carryover, what: str) -> None:
    statement, said, repairable = DERIVED[what]
    report = damaged(memory.engine.store, statement)
    told = [fault for fault in report.faults if said in fault.detail]
    assert told, report.faults
    assert {fault.repairable for fault in told} == {repairable}
    assert "turn" not in {fault.check for fault in report.faults}
    if repairable:
        assert damaged(memory.engine.store, statement, repaired=True).faults == []


def test_a_repair_makes_search_right_again(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=database_url, embedder="none", encryption=False)
    with Carryover.open(settings, work=False) as memory:
        fill(memory)
        store = memory.engine.store
        before = [hit.text for hit in memory.search_memory("PostgreSQL")]
        with store.write(EVERY_TENANT) as tx:
            plant(tx, ("UPDATE chunks SET text = 'nothing of the kind', terms = 'elephant'",))
        assert check.check(store) != []
        check.repair(store)
        work(store)
        assert check.check(store) == []
        assert [hit.text for hit in memory.search_memory("PostgreSQL")] == before
        assert memory.search_memory("elephant") == []


def test_what_an_older_program_wrote_is_counted(memory: Carryover) -> None:
    report = damaged(
        memory.engine.store,
        "UPDATE turns SET chain = NULL, salt = NULL",
        "UPDATE sessions SET chain = NULL",
    )
    assert (report.faults, report.log.turns, report.log.linked) == ([], 7, 0)


def test_sealed_rows_that_do_not_open(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=database_url, embedder="none")
    with Carryover.open(settings, work=False) as memory:
        fill(memory)
        store = memory.engine.store
        report = check.look(store)
        assert (report.faults, report.log.sealed) == ([], 7)
        damages = {
            "turn 2 of session 's1'": "UPDATE bodies SET body = (SELECT body FROM bodies b WHERE b.seq = 1 "
            "AND b.session = 's1') WHERE session = 's1' AND seq = 2",
            "is damaged": "UPDATE bodies SET body = substr(body, 1, 60) WHERE session = 's1' AND seq = 2",
            "rows of sources": "UPDATE sources SET quote = substr(quote, 1, 30)",
            "rows of findings": "UPDATE findings SET text = substr(text, 1, 80)",
        }
        for said, statement in damages.items():
            found = damaged(store, statement)
            assert any(said in fault.detail for fault in found.faults), (said, found.faults)
        with store.read(EVERY_TENANT) as tx:
            key = bytes(
                tx.conn.execute(sa.text("SELECT key FROM sessions WHERE session = 's1' AND tenant <> ''")).scalar_one()
            )
        assert store.sealing is not None
        store.sealing.drop([key])
        report = check.look(store)
        assert report.log.dropped == 3
        assert all("dropped" in fault.detail for fault in report.faults), report.faults


@pytest.mark.parametrize("encryption", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_was_done_there_is_no_fault(database_url: str, tmp_path: Path, seed: int, encryption: bool) -> None:
    """Random histories: appends, retractions, consolidations, indexing, erasures, and all over again."""
    chance = random.Random(seed)
    settings = Settings(home=tmp_path, database_url=database_url, embedder="none", encryption=encryption)
    with Carryover.open(settings, work=False) as memory:
        lengths: dict[str, int] = {}

        def say(session: str) -> None:
            said = [Draft("user", f"{chance.choice(TEXTS)} Number {chance.randint(1, 99)}.") for _ in range(3)]
            lengths[session] = memory.append(Append(session, tuple(said), user_id="mara")).version

        def take_back(session: str) -> None:
            last = chance.randint(1, lengths[session])
            first = chance.randint(1, last)
            lengths[session] = memory.append(Append(session, (retraction(first, last),), user_id="mara")).version

        def erase(session: str) -> None:
            del lengths[session]
            memory.delete_session(session)

        def index_all(_: str) -> None:
            work(memory.engine.store)

        verbs = {
            say: 5,
            take_back: 1,
            erase: 1,
            index_all: 3,
            lambda session: memory.consolidate(session): 3,
            lambda session: memory.close_session(session): 1,
            lambda _: memory.search_memory("PostgreSQL", user="mara"): 1,
        }
        for _ in range(25):
            session = f"s{chance.randint(1, 3)}"
            if session not in lengths:
                say(session)
            chance.choices(list(verbs), list(verbs.values()))[0](session)
        report = check.look(memory.engine.store)
        assert report.faults == []
        assert report.log.turns == report.log.linked == sum(lengths.values())
        check.repair(memory.engine.store)
        work(memory.engine.store)
        assert check.check(memory.engine.store) == []
