"""Moving into another database: everything, byte for byte, in either direction, even when it is broken off."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from carryover.core.errors import Conflict, Invalid, StoreUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Append, Draft
from carryover.core.step import About
from carryover.core.strategy import Strategy, Summary
from carryover.log import append
from carryover.log.append import Limits
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import (
    archive,
    check,
    chunks,
    cursors,
    events,
    keys,
    marks,
    migrate,
    move,
    origins,
    sessions,
    strategies,
    summaries,
    vectors,
    views,
)
from carryover.store.cursors import Cursor, Stamp
from carryover.store.dialect import Bounds
from carryover.store.store import Store, Tx
from clustered import clustered, put
from servers.postgres import Server

LONG = 40
OF_LONG = {"agent_id": "planner", "session_id": "long"}  # which no worker indexes: these chunks are all that it has
TENANTS = ("acme", "o'neil & söns", "zenith")
# What a log may hold and a database may stumble over.
HOSTILE = (
    "plain", "NUL \x00 and \ud83d\ude00 emoji", "quotes ' \" \\ and %s %(x)s :name ?", "\u2028 line\r\n\ttab",
    "\x7f\x01", "𝕊𝕢𝕝 Ünïcode żółć 漢字", "x" * 70_000, "'; DROP TABLE turns; --", '{"json": [1, 2.50, 1e400]}',
)  # fmt: skip
MOVE = """
import sys
from carryover.store import move
from carryover.store.store import Store
move._ROWS = 7
with Store.open(sys.argv[1], upgrade=False) as source, Store.open(sys.argv[2]) as target:
    def advance(rows):
        print(rows, flush=True)
        sys.stdin.readline()
    move.carry(move.begin(source, target), advance)
"""


@pytest.fixture(params=["sqlite-postgresql", "postgresql-sqlite", "sqlite-sqlite", "postgresql-postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path, postgres: Server) -> Iterator[tuple[str, str]]:
    """A source and a target that do not exist yet."""
    made: list[str] = []

    def fresh(engine: str, role: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path / role}.db"
        made.append(f"move_{uuid4().hex}")
        return postgres.create(made[-1])

    source, target = request.param.split("-")
    yield fresh(source, "source"), fresh(target, "target")
    for name in made:
        postgres.drop(name)


def fill(url: str, home: Path) -> None:
    """Several tenants with turns, findings, keys, jobs, vectors; some of it erased again."""
    for number, tenant in enumerate(TENANTS):
        scope = Scope(tenant)
        settings = Settings(home=home, database_url=url, embedder="none", tenant=tenant, encryption=False)
        with Carryover.open(settings, work=False) as memory:
            store = memory.engine.store
            log = append.open_log(store, Limits())
            for session in ("s1", "s2", "gone"):
                drafts = tuple(
                    Draft(role="user", content=[{"type": "text", "text": f"We decided on {text}"}], name="mara",
                          metadata={"nul": "\x00", "n": 1.10}, idempotency_key=f"{session}/{n}")
                    for n, text in enumerate(HOSTILE)
                )  # fmt: skip
                append.append(log, scope, Append(session, drafts, "planner"), Limits())
            for agent in ("other", "codex"):
                say(log, tenant, "s1", agent)
            memory.consolidate("s1", agent="planner")
            memory.search_memory("decided", agent="planner")
            memory.delete_session("gone", agent="planner")
            turns = tuple(Draft(role="user", content=f"turn {n}") for n in range(LONG))
            append.append(log, scope, Append("long", turns, "planner"), Limits())
            ns = put(store, scope, "space", clustered(30 + number, 8, seed=number), **OF_LONG)
            with store.write(scope) as tx:
                chunks.remove(tx, list(chunks.by_n(tx, ns[3:7]).values()))
                keys.create(tx, label="backend")
                read_log(tx, f"/logs/{tenant}.jsonl")
                condense(tx)


def read_log(tx: Tx, path: str) -> None:
    """The log of a coding session was read, and its bytes are archived."""
    packed = archive.Segment("ab" * 32, 9, bytes(range(256)) * 40)
    archive.put(tx, path, 0, [archive.Piece(0, 0, packed)])
    cursors.put(tx, [Cursor(path, "codex", Stamp(1, 2, 9, 1 << 60), 9, "p", "c", '{"nul": "\\u0000"}')])
    origins.put(tx, [("codex", "s1", path, About(title="NUL \x00 and \U0001f600"))])
    marks.add(tx, [{"uid": bytes(range(16)), "agent": "codex", "session": "s1", "seq": 1}])


def condense(tx: Tx) -> None:
    """A session has a strategy, a summary that is ready and one that is wanted, and its views were told."""
    strategy = Strategy(mode="summarize", summary_prefix="NUL \x00 and \U0001f600")
    strategies.put(tx, "planner", "s1", {"mode": "summarize"})
    made = Summary("", "planner", "s1", 5, strategy.recipe, "\U0001f600 and 漢字", 4, "rules", 0)
    summaries.put(tx, made, version=9, attempts=1)
    summaries.want(tx, sessions.get(tx, "planner", "s1"), strategy, 9)
    views.tell(tx, "planner", "s1", strategy.hash, moves=1, cut=1, cleared=1)


def say(log: append.Log, tenant: str, session: str, agent: str = "planner") -> None:
    request = Append(session, (Draft(role="user", content="Let's use MySQL."),), agent)
    append.append(log, Scope(tenant), request, Limits())


def moved(source: Store, target: Store) -> list[move.Compared]:
    moving = move.begin(source, target)
    told: list[int] = []
    move.carry(moving, told.append)
    assert sum(told) == moving.total
    compared = move.compare(moving, told.append)
    assert move.unlike(moving) == []
    move.end(moving)
    return compared


def test_everything_arrives(urls: tuple[str, str], tmp_path: Path) -> None:
    fill(urls[0], tmp_path)
    with Store.open(urls[0], upgrade=False) as source, Store.open(urls[1]) as target:
        compared = moved(source, target)
        assert [one for one in compared if not one.same] == []
        tables = {one.table for one in compared if one.rows}
        assert {"turns", "bodies", "chunks", "vectors", "codes", "keys", "findings", "removals"} <= tables
        assert {"cursors", "origins", "marks", "pieces", "segments"} <= tables
        assert {"strategies", "summaries", "views"} <= tables
        assert {one.tenant for one in compared} == set(TENANTS)
        assert check.check(target) == []
        for tenant in TENANTS:
            same_search(source, target, tenant)


def same_search(source: Store, target: Store, tenant: str) -> None:
    query = clustered(1, 8, seed=99)[0]
    found: list[object] = []
    for store in (source, target):
        with store.read(Scope(tenant)) as tx:
            nearest = vectors.nearest(tx, "space", query, Bounds(), 5)
            assert nearest is not None
            hits = chunks.by_n(tx, nearest.top)
            found.append(sorted((round(nearest.top[n], 4), hits[n].ref, hits[n].created_at) for n in hits))
    assert found[0] == found[1]


def test_a_move_that_was_killed_goes_on_where_it_was(urls: tuple[str, str], tmp_path: Path) -> None:
    fill(urls[0], tmp_path)
    killed_after = 0
    for steps in (5, 30):  # killed twice
        with subprocess.Popen(
            [sys.executable, "-c", MOVE, *urls], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(steps):
                killed_after += int(process.stdout.readline())
                process.stdin.write("\n")
                process.stdin.flush()
            process.send_signal(signal.SIGKILL)
    assert killed_after > 0
    with Store.open(urls[0], upgrade=False) as source, Store.open(urls[1]) as target:
        with target.read(EVERY_TENANT) as tx:
            assert move.is_under_way(tx)
        assert [fault.check for fault in check.check(target) if fault.check == "move"] == ["move"]
        assert all(one.same for one in moved(source, target))
        assert check.check(target) == []


def test_what_is_made_next_stands_above_what_was_moved(urls: tuple[str, str], tmp_path: Path) -> None:
    fill(urls[0], tmp_path)
    with Store.open(urls[0], upgrade=False) as source, Store.open(urls[1]) as target:
        moved(source, target)
        for tenant in TENANTS:
            with target.read(Scope(tenant)) as tx:
                last = events.last_id(tx, "planner")
            say(append.open_log(target, Limits()), tenant, "s9")
            put(target, Scope(tenant), "space", clustered(1, 8, seed=50), agent_id="planner", session_id="s9")
            with target.read(Scope(tenant)) as tx:
                assert events.last_id(tx, "planner") > last
        assert check.check(target) == []


def test_there_and_back_is_the_same(tmp_path: Path, postgres: Server, postgres_url: str) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    fill(url, tmp_path)
    back = f"sqlite:///{tmp_path}/back.db"
    with Store.open(url) as source, Store.open(postgres_url) as between, Store.open(back) as target:
        moved(source, between)
        moved(between, target)
        moving = move.begin(source, Store.open(f"sqlite:///{tmp_path}/third.db"))
        moving.target.close()
        again = move.Move(source, target, moving.state, moving.rows, dict.fromkeys(moving.shifts, 0), moving.highest)
        different = {one.table for one in move.compare(again, lambda _: None) if not one.same}
        # Numbers of chunks are counted anew where one index holds all tenants'.
        assert different <= {"chunks", "vectors", "codes", "removals"}


def test_a_source_that_changes(urls: tuple[str, str], tmp_path: Path) -> None:
    fill(urls[0], tmp_path)
    with Store.open(urls[0], upgrade=False) as source, Store.open(urls[1]) as target:
        moving = move.begin(source, target)
        move.carry(moving, lambda _: None)
        say(append.open_log(source, Limits()), "acme", "s1")
        with pytest.raises(Conflict, match="has changed while it was moved; stop all that writes"):
            move.compare(moving, lambda _: None)
        with pytest.raises(Conflict, match="or from this one before it changed; stop"):
            move.begin(source, target)


def test_rows_that_differ_are_found(urls: tuple[str, str], tmp_path: Path) -> None:
    fill(urls[0], tmp_path)
    with Store.open(urls[0], upgrade=False) as source, Store.open(urls[1]) as target:
        moving = move.begin(source, target)
        move.carry(moving, lambda _: None)
        with target.write(Scope("acme")) as tx:
            where = "tenant = 'acme' AND agent = 'planner' AND session = 's1' AND seq = 2"
            tx.conn.execute(sa.text(f"UPDATE bodies SET body = body || ' ' WHERE {where}"))
            tx.conn.execute(sa.text("DELETE FROM keys WHERE tenant = 'acme'"))
        wrong = [(one.tenant, one.table) for one in move.compare(moving, lambda _: None) if not one.same]
        assert wrong == [("acme", "bodies"), ("acme", "keys")]
        assert move.unlike(moving) == ["session 's1' of agent 'planner' of tenant 'acme'"]


def test_a_target_that_will_not_do(urls: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(urls[0], tmp_path)
    with Store.open(urls[0], upgrade=False) as source:
        with Store.open(urls[0]) as same, pytest.raises(Invalid, match="are the same database"):
            move.begin(source, same)
        with Store.open(urls[1]) as target:
            with target.write(Scope("else")) as tx:
                keys.create(tx, label="backend")
            with pytest.raises(Conflict, match="holds data already; name an empty database"):
                move.begin(source, target)
            monkeypatch.setattr(migrate, "HEAD", "0001")
            with pytest.raises(StoreUnavailable, match="a move needs 0001"):
                move.begin(source, target)


def test_two_moves_into_one_target(urls: tuple[str, str], tmp_path: Path) -> None:
    fill(urls[0], tmp_path)
    with Store.open(urls[0], upgrade=False) as source, Store.open(urls[1]) as target:
        first, second = move.begin(source, target), move.begin(source, target)

        def interfere(_rows: int) -> None:
            if not done:
                done.append(True)
                move.carry(second, lambda _: None)

        done: list[bool] = []
        with pytest.raises(Conflict, match="another process moves into the target too"):
            move.carry(first, interfere)
        assert all(one.same for one in move.compare(second, lambda _: None))


def test_what_a_target_cannot_hold(tmp_path: Path, postgres_url: str) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    fill(url, tmp_path)
    with Store.open(url) as source, Store.open(postgres_url) as target:
        with source.write(Scope("acme")) as tx:
            tx.conn.execute(sa.text("UPDATE keys SET label = 'a' || char(0) WHERE tenant = 'acme'"))
        with pytest.raises(Invalid, match=r"a row of keys, .* cannot be kept by postgresql .*NUL"):
            move.carry(move.begin(source, target), lambda _: None)
