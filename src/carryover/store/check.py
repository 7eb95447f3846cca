"""Whether a database is sound: what the log promises, and whether what is derived from it still agrees.

Every check looks at all tenants of the database. The log is the truth: `repair` rebuilds what follows from it and
touches no turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from carryover.core.job import subject_of
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import ERASED
from carryover.store import (
    archive,
    audit,
    chains,
    damage,
    derived,
    indexes,
    logged,
    migrate,
    move,
    openable,
    postgres_facts,
    queue,
)
from carryover.store import chunks as chunk_store
from carryover.store.chains import Chains, Tally
from carryover.store.derived import SHOWN, name_of, same
from carryover.store.indexed import Indexed
from carryover.store.logged import Key
from carryover.store.quotes import Quotes
from carryover.store.store import Store, Tx
from carryover.store.tables import bodies, sessions, turns, watermarks
from carryover.store.tables import vectors as vector_rows

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that should not be; `repairable` when it can be made again from the log."""

    check: str
    detail: str
    repairable: bool


@dataclass(slots=True)
class Report:
    """What was found. `log` counts the turns that were read: none, where only a quick look was taken."""

    faults: list[Fault] = field(default_factory=list[Fault])
    log: Tally = field(default_factory=Tally)
    doubtful: dict[str, set[Key]] = field(default_factory=dict[str, set[Key]])  # sessions to index anew, by tenant


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


def check(store: Store, *, quick: bool = False) -> list[Fault]:
    """Everything that is wrong in the database, as of one moment; an empty list is a sound one."""
    return look(store, quick=quick).faults


def look(store: Store, *, quick: bool = False, advance: Advance | None = None) -> Report:
    """The same with what was read for it; `advance` is told how many more turns were.

    A quick look reads no turn's content: it leaves out hash chains, quotes, words of the text index, and whether what
    is sealed opens.
    """
    with store.read(EVERY_TENANT) as tx:
        tx.dialect.unhurried(tx.conn)
        if tx.dialect.name == "postgresql":
            postgres_facts.whole_tables(tx.conn)
        return _look(tx, quick, advance)


def size(tx: Tx) -> int:
    """How many turns there are in the transaction's reach, as their sessions count them."""
    counted = sa.select(sa.func.coalesce(sa.func.sum(sessions.c.version), 0)).where(sessions.c.tenant.is_not(None))
    return int(tx.conn.execute(counted).scalar_one())


def notes(store: Store) -> list[str]:
    """What is no fault of the data, and should be known all the same."""
    with store.read(EVERY_TENANT) as tx:
        found = [
            f"workers bring the text index of tenant {tenant!r} into the form that is set; start one where none runs"
            for tenant in sorted(damage.changing(tx))
        ]
        here = postgres_facts.server(tx.conn) if tx.dialect.name == "postgresql" else None
    if here is not None and here.unbound:
        found.append(
            f"row-level security does not hold for the role {here.role!r}, a superuser or one that bypasses it; "
            "use an ordinary role in database_url"
        )
    return found


def repair(store: Store) -> None:
    """What is derived agrees with the log again: heads, text index, counts, vectors; nothing of the log changed.

    Sessions whose index lags are indexed by the next worker.
    """
    store.transact(EVERY_TENANT, _repair)


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


def _look(tx: Tx, quick: bool, advance: Advance | None) -> Report:
    report = Report()
    for found in _CHECKS:
        report.faults += found(tx)
    report.faults += [Fault("index", said, True) for said in indexes.faults(tx, quick=quick)]
    report.doubtful = damage.torn(tx)
    for tenant in _tenants(tx):
        mine = tx.within(Scope(tenant))
        report.faults += [Fault("audit", f"{said}; tenant {tenant!r}", False) for said in audit.verify(mine).faults]
        if not quick:
            _read(mine, report, advance)
    for tenant, keys in sorted(report.doubtful.items()):
        said = f"{len(keys)} sessions of tenant {tenant!r} are not indexed as their logs say, as {min(keys)[1]!r}"
        report.faults.append(Fault("index", said, True))
    return report


def _read(tx: Tx, report: Report, advance: Advance | None) -> None:
    """What the tenant's logs themselves say, each turn read once."""
    chain, quotes, indexed = Chains(tx.tenant), Quotes(tx), Indexed(tx)
    for page in logged.pages(tx):
        for reader in (chain, quotes, indexed):
            reader.take(page)
        if advance is not None:
            advance(len(page))
    report.log.add(chain.tally)
    report.faults += [Fault("log", said, False) for said in chain.end()]
    report.faults += [Fault("findings", said, False) for said in quotes.end()]
    report.faults += [Fault("sealed", said, False) for said in openable.faults(tx)]
    if doubtful := indexed.end():
        report.doubtful.setdefault(tx.tenant, set()).update(doubtful)


def _pages(tx: Tx) -> list[Fault]:
    """The file itself, by the engine's own check."""
    if tx.dialect.name != "sqlite":
        return []
    said = tx.conn.exec_driver_sql(f"PRAGMA integrity_check({SHOWN})").scalars().all()
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
        for row in tx.conn.execute(wanted.limit(SHOWN))
    ]


def _strays(tx: Tx) -> list[Fault]:
    """Every turn that is not erased has its body, every turn its session, and every body its turn."""
    bare = sa.and_(turns.c.kind != ERASED, ~sa.exists().where(same(bodies, turns, seq=True)))
    return [
        *_counted_by_session(tx, turns, bare, "a turn without its body"),
        *_counted_by_session(tx, bodies, ~sa.exists().where(same(turns, bodies, seq=True)), "a body without its turn"),
        *_counted_by_session(tx, turns, ~sa.exists().where(same(sessions, turns)), "a turn without its session"),
    ]


def _ends(tx: Tx) -> list[Fault]:
    """Every log ends with the turn that its session says."""
    return [Fault("log", said, False) for said in chains.ends(tx)]


def _laws(tx: Tx) -> list[Fault]:
    """What is derived belongs to what is there."""
    return [Fault(law.check, said, law.loose) for law, said in derived.faults(tx)]


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
    _ends,
    _laws,
    _archive,
)


def _repair(tx: Tx) -> None:
    tx.dialect.unhurried(tx.conn)
    if tx.dialect.name == "postgresql":
        postgres_facts.secure(tx.conn)
        postgres_facts.extend(tx.conn)
        postgres_facts.whole_tables(tx.conn)
    indexes.clear(tx)  # from here on nobody else writes
    _repair_heads(tx)
    report = Report(doubtful=damage.torn(tx))
    for tenant in _tenants(tx):
        _read(tx.within(Scope(tenant)), report, None)
    derived.clear(tx)
    indexes.fill(tx)
    for tenant in sorted({*_tenants(tx), *report.doubtful}):
        mine = tx.within(Scope(tenant))
        indexes.recount(mine)
        damage.index_anew(mine, sorted(report.doubtful.get(tenant, ())))
        damage.begin_anew(mine)
        _arm_lagging(mine)


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


def _counted_by_session(tx: Tx, table: sa.Table, wrong: sa.ColumnElement[bool], what: str) -> list[Fault]:
    key = (table.c.tenant, table.c.agent, table.c.session)
    wanted = sa.select(*key, sa.func.count().label("n")).where(table.c.tenant.is_not(None), wrong)
    rows = tx.conn.execute(wanted.group_by(*key).limit(SHOWN))
    return [Fault("log", f"{name_of(row)} has {row.n} times {what}; restore it from a backup", False) for row in rows]
