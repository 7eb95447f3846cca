"""Whether a database is sound: what the log promises, and whether what is derived from it still agrees.

Every check looks at all tenants of the database. The log is the truth: `repair` rebuilds what follows from it and
touches no turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from carryover.core.chunk import Chunk
from carryover.core.job import subject_of
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import archive, counters, damage, derived, migrate, move, postgres_facts, queue, vectors
from carryover.store import chunks as chunk_store
from carryover.store.derived import name_of, same
from carryover.store.store import Store, Tx
from carryover.store.tables import bodies, chunks, sessions, turns, watermarks
from carryover.store.tables import codes as code_rows
from carryover.store.tables import counters as counter_rows
from carryover.store.tables import vectors as vector_rows

_SHOWN = 20  # faults of one kind that are told one by one
_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that should not be; `repairable` when it can be made again from the log."""

    check: str
    detail: str
    repairable: bool


@dataclass(frozen=True, slots=True)
class State:
    """How a tenant's data stands: sizes, and how far what is derived lags behind the log."""

    engine: str
    schema: str | None
    sessions: int
    turns: int
    chunks: int
    unindexed_turns: int
    unembedded_chunks: int


def check(store: Store) -> list[Fault]:
    """Everything that is wrong in the database, as of one moment; an empty list is a sound one."""
    with store.read(EVERY_TENANT) as tx:
        tx.dialect.unhurried(tx.conn)
        if tx.dialect.name == "postgresql":
            postgres_facts.whole_tables(tx.conn)
        return [fault for look in _CHECKS for fault in look(tx)]


def notes(store: Store) -> list[str]:
    """What is no fault of the data, and should be known all the same."""
    if store.dialect.name != "postgresql":
        return []
    with store.read(EVERY_TENANT) as tx:
        here = postgres_facts.server(tx.conn)
    if not here.unbound:
        return []
    return [
        f"row-level security does not hold for the role {here.role!r}, a superuser or one that bypasses it; "
        "use an ordinary role in database_url"
    ]


def repair(store: Store) -> None:
    """What is derived agrees with the log again: heads, text index, counts, vectors; nothing of the log changed.

    Sessions whose index lags are indexed by the next worker.
    """
    store.transact(EVERY_TENANT, _repair)


def _repair(tx: Tx) -> None:
    tx.dialect.unhurried(tx.conn)
    if tx.dialect.name == "postgresql":
        postgres_facts.secure(tx.conn)
        postgres_facts.extend(tx.conn)
    _clear_text_index(tx)  # from here on nobody else writes
    _repair_heads(tx)
    derived.clear(tx)
    tenants = _tenants(tx)
    _repair_chunks(tx)
    doubtful = damage.doubtful(tx)
    for tenant in sorted({*tenants, *doubtful}):
        mine = tx.within(Scope(tenant))
        _repair_counts(mine)
        damage.index_anew(mine, doubtful.get(tenant, []))
        _arm_lagging(mine)


def state(tx: Tx, space: str | None) -> State:
    """How the transaction's tenant stands; `space` names the vectors that count (None: none are wanted)."""
    mine = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sessions.c.version), 0))
    counted = tx.conn.execute(mine.where(sessions.c.tenant == tx.tenant)).one()
    reached = sa.select(sa.func.coalesce(sa.func.sum(watermarks.c.through), 0)).where(watermarks.c.tenant == tx.tenant)
    size = chunk_store.corpus(tx).chunks
    embedded = sa.select(sa.func.count()).where(vector_rows.c.tenant == tx.tenant, vector_rows.c.space == space)
    return State(
        engine=f"{tx.dialect.name} {tx.conn.execute(sa.text(_VERSION[tx.dialect.name])).scalar_one()}",
        schema=migrate.current(tx.conn),
        sessions=counted[0],
        turns=counted[1],
        chunks=size,
        unindexed_turns=max(0, counted[1] - tx.conn.execute(reached).scalar_one()),
        unembedded_chunks=0 if space is None else max(0, size - tx.conn.execute(embedded).scalar_one()),
    )


_VERSION = {
    "sqlite": "SELECT sqlite_version()",
    "postgresql": "SELECT split_part(current_setting('server_version'), ' ', 1)",
}


def _pages(tx: Tx) -> list[Fault]:
    """The file itself, by the engine's own check."""
    if tx.dialect.name != "sqlite":
        return []
    said = tx.conn.exec_driver_sql(f"PRAGMA integrity_check({_SHOWN})").scalars().all()
    return [Fault("file", f"{line}; restore the file from a backup", False) for line in said if line != "ok"]


def _logs(tx: Tx) -> list[Fault]:
    """Sequence numbers are dense from 1, and the version is their number."""
    log = _counted()
    wanted = (
        sa.select(sessions.c.tenant, sessions.c.agent, sessions.c.session, sessions.c.version, log.c.n, log.c.top)
        .join_from(sessions, log, same(sessions, log), isouter=True)
        .where(sa.or_(sessions.c.version != sa.func.coalesce(log.c.n, 0), log.c.n != log.c.top))
    )
    return [
        Fault(
            "log",
            f"{name_of(row)} is at version {row.version} and has {row.n or 0} turns up to {row.top or 0}"
            + ("" if row.n == row.top else "; turns are missing: restore it from a backup"),
            row.n == row.top,
        )
        for row in tx.conn.execute(wanted.limit(_SHOWN))
    ]


def _strays(tx: Tx) -> list[Fault]:
    """Every turn has its body and its session, and every body its turn."""
    return [
        *_without(tx, turns, bodies, "turn", "body", seq=True),
        *_without(tx, bodies, turns, "body", "turn", seq=True),
        *_without(tx, turns, sessions, "turn", "session", seq=False),
    ]


def _findings(tx: Tx) -> list[Fault]:
    """Every finding has a source, and every source lies inside its session."""
    return [Fault("findings", said, False) for said in derived.findings_at_fault(tx)]


def _views(tx: Tx) -> list[Fault]:
    """Every summary stands for turns that are there."""
    return [Fault(table, said, True) for table, said in derived.strays(tx)]


def _index(tx: Tx) -> list[Fault]:
    """Every chunk stands in the text index, and nothing else; the counts agree."""
    faults: list[Fault] = []
    if tx.dialect.name == "sqlite":
        missing, extra = (tx.conn.exec_driver_sql(statement).scalar_one() for statement in _TEXT_INDEX)
        wrong = miscounted = 0
    else:
        there = postgres_facts.text_index(tx)
        missing, extra, wrong, miscounted = there.missing, there.extra, there.wrong, there.miscounted
    if missing or extra:
        faults.append(
            Fault("index", f"the text index lacks {missing} chunks and holds {extra} that do not exist", True)
        )
    if wrong:
        faults.append(Fault("index", f"the text index says something else than {wrong} of the chunks", True))
    if miscounted:
        faults.append(Fault("index", f"{miscounted} words stand in more or fewer chunks than `frequencies` says", True))
    faults += [
        Fault("index", f"the counts of tenant {tenant!r} disagree with its {true.chunks} chunks", True)
        for tenant, true in _corpora(tx).items()
        if chunk_store.corpus(tx.within(Scope(tenant))) != true
    ]
    orphans = sa.select(sa.func.count()).select_from(vector_rows).where(_orphaned())
    if lost := tx.conn.execute(orphans).scalar_one():
        faults.append(Fault("index", f"{lost} vectors belong to no chunk", True))
    if odd := sum(tx.conn.execute(wanted).scalar_one() for wanted in _UNMATCHED):
        faults.append(Fault("index", f"{odd} vectors and codes do not match", True))
    return faults


def _sessions(tx: Tx) -> list[Fault]:
    """Every session is indexed as far as it is said to be, and every chunk has its session."""
    said = [
        f"{len(keys)} sessions of tenant {tenant!r} are not indexed as their logs say"
        for tenant, keys in damage.doubtful(tx).items()
    ]
    gone = sa.select(sa.func.count()).select_from(chunks).where(~sa.exists().where(same(sessions, chunks)))
    if lost := tx.conn.execute(gone).scalar_one():
        said.append(f"{lost} chunks belong to no session")
    return [Fault("index", one, True) for one in said]


def _walls(tx: Tx) -> list[Fault]:
    """What keeps tenants apart in the database itself."""
    bare = postgres_facts.unsecured(tx.conn) if tx.dialect.name == "postgresql" else []
    return [Fault("security", f"the table {name} has no row-level security", True) for name in bare]


def _months(tx: Tx) -> list[Fault]:
    """The stream has its partitions before their months begin."""
    late = postgres_facts.unpartitioned(tx.conn) if tx.dialect.name == "postgresql" else []
    return [Fault("stream", f"the activity stream lacks its partition {name}", True) for name in late]


def _moves(tx: Tx) -> list[Fault]:
    """No move into this database stopped half-way."""
    if not move.is_under_way(tx):
        return []
    return [Fault("move", "a move into this database has not ended; run `carryover db move` again, as before", False)]


def _archive(tx: Tx) -> list[Fault]:
    """Every piece of a log has its bytes, and follows the one before it."""
    return [Fault("archive", said, False) for said in archive.faults(tx)]


_CHECKS: tuple[Callable[[Tx], list[Fault]], ...] = (
    _pages,
    _moves,
    _walls,
    _months,
    _logs,
    _strays,
    _findings,
    _views,
    _index,
    _sessions,
    _archive,
)

_TEXT_INDEX = (
    "SELECT count(*) FROM chunks WHERE tenant IS NOT NULL AND n NOT IN (SELECT rowid FROM chunks_text)",
    "SELECT count(*) FROM chunks_text WHERE rowid NOT IN (SELECT n FROM chunks WHERE tenant IS NOT NULL)",
)


_UNMATCHED = tuple(
    sa.select(sa.func.count())
    .select_from(one)
    .where(~sa.exists().where(vector_rows.c.tenant == code_rows.c.tenant, vectors.matched()).correlate(one))
    for one in (vector_rows, code_rows)
)


def _repair_heads(tx: Tx) -> None:
    log = _counted()
    dense = sa.select(log).where(log.c.n == log.c.top)
    wrong = sa.select(dense.subquery()).subquery()
    rows = tx.conn.execute(
        sa.select(sessions.c.tenant, sessions.c.agent, sessions.c.session, wrong.c.n, wrong.c.tokens)
        .join_from(sessions, wrong, same(sessions, wrong))
        .where(sessions.c.version != wrong.c.n)
    ).all()
    for row in rows:
        here = (sessions.c.tenant == row.tenant, sessions.c.agent == row.agent, sessions.c.session == row.session)
        tx.conn.execute(sessions.update().where(*here).values(version=row.n, tokens=row.tokens))


def _repair_chunks(tx: Tx) -> None:
    """The text index is made anew from the chunks, and vectors without a chunk are gone."""
    tx.conn.execute(vector_rows.delete().where(_orphaned()))
    for tenant in tx.conn.execute(sa.select(chunks.c.tenant).distinct()).scalars().all():
        seen = 0
        wanted = sa.select(*postgres_facts.CHUNK).where(chunks.c.tenant == tenant).order_by(chunks.c.n).limit(_BATCH)
        while rows := tx.conn.execute(wanted.where(chunks.c.n > seen)).all():
            tx.dialect.index(tx.conn, tenant, [Chunk(*row) for row in rows])
            seen = rows[-1].n


def _clear_text_index(tx: Tx) -> None:
    if tx.dialect.name == "sqlite":
        tx.conn.exec_driver_sql("INSERT INTO chunks_text(chunks_text) VALUES ('delete-all')")
    else:
        postgres_facts.clear_text_index(tx)


def _repair_counts(tx: Tx) -> None:
    true, counted = _corpora(tx).get(tx.tenant, chunk_store.Corpus(0, 0)), chunk_store.corpus(tx)
    counters.bump(tx, "chunks", true.chunks - counted.chunks)
    counters.bump(tx, "terms", true.terms - counted.terms)
    vectors.recode(tx)


def _arm_lagging(tx: Tx) -> None:
    wanted = (
        sa.select(sessions.c.agent, sessions.c.session)
        .join_from(sessions, watermarks, same(sessions, watermarks), isouter=True)
        .where(sessions.c.tenant == tx.tenant, sessions.c.version > sa.func.coalesce(watermarks.c.through, 0))
    )
    lagging = [subject_of(*row) for row in tx.conn.execute(wanted)]
    queue.arm(tx, [("index", subject, tx.now) for subject in lagging], push=False)


def _tenants(tx: Tx) -> list[str]:
    return list(tx.conn.execute(sa.select(sessions.c.tenant).distinct().order_by(sessions.c.tenant)).scalars())


def _counted() -> sa.Subquery:
    counted = sa.select(
        turns.c.tenant,
        turns.c.agent,
        turns.c.session,
        sa.func.count().label("n"),
        sa.func.max(turns.c.seq).label("top"),
        sa.func.sum(turns.c.tokens).label("tokens"),
    )
    return counted.group_by(turns.c.tenant, turns.c.agent, turns.c.session).subquery()


def _corpora(tx: Tx) -> dict[str, chunk_store.Corpus]:
    """Chunks and terms of every tenant, counted; zeros for a tenant that has none and should have some."""
    spaces = sa.func.length(chunks.c.terms) - sa.func.length(sa.func.replace(chunks.c.terms, " ", ""))
    terms = sa.func.sum(sa.case((chunks.c.terms == "", 0), else_=spaces + 1))
    expected = sa.select(counter_rows.c.tenant).where(counter_rows.c.name == "chunks", counter_rows.c.value != 0)
    true = {tenant: chunk_store.Corpus(0, 0) for tenant in tx.conn.execute(expected).scalars()}
    counted = sa.select(chunks.c.tenant, sa.func.count(), terms).group_by(chunks.c.tenant)
    return true | {row[0]: chunk_store.Corpus(row[1], row[2]) for row in tx.conn.execute(counted)}


def _orphaned() -> sa.ColumnElement[bool]:
    return ~sa.exists().where(chunks.c.tenant == vector_rows.c.tenant, chunks.c.n == vector_rows.c.n)


def _without(tx: Tx, table: sa.Table, other: sa.Table, what: str, lacks: str, *, seq: bool) -> list[Fault]:
    wanted = sa.select(table.c.tenant, table.c.agent, table.c.session, sa.func.count().label("n")).where(
        ~sa.exists().where(same(table, other, seq=seq))
    )
    rows = tx.conn.execute(wanted.group_by(table.c.tenant, table.c.agent, table.c.session).limit(_SHOWN))
    return [
        Fault("log", f"{name_of(row)} has {row.n} times a {what} without its {lacks}; restore it from a backup", False)
        for row in rows
    ]
