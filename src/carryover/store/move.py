"""Moving all data into another database, of the same engine or another: row for row, tenant by tenant.

How far a move has come is kept in the target, in the transaction that brought the rows; so one that was killed goes on
where it was. What an engine derives for itself, its text index and the numbers that it hands out, is made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from carryover.core.chunk import Chunk
from carryover.core.errors import Conflict, Invalid, StoreUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import hashed, migrate, postgres_facts, sessions_sealed, snapshots, turns
from carryover.store import sessions as session_store
from carryover.store.hashed import Spoken
from carryover.store.store import SEALING, Store, Tx
from carryover.store.tables import chunks, codes, counters, events, metadata, removals, secrets, sessions, vectors

_ROWS, _BYTES = 1000, 4 << 20  # of one transaction, at most
_FETCH = 200
_SAMPLE = 20  # sessions of each tenant that are read through both stores
_MARK = "move"  # the row in the target that says how far the move has come
_TABLES = [table for table in metadata.sorted_tables if "tenant" in table.c]
_NUMBERED = (chunks, vectors, codes, removals)  # their `n` is the number of a chunk
# Counters of an engine: chunk numbers and event ids that it handed out, and how far its own vector index has come.
_OWN = ("chunk", "event:%", "embeddings/%")
_KEPT = sa.and_(
    counters.c.tenant.not_in(("", EVERY_TENANT.tenant)), *(counters.c.name.not_like(pattern) for pattern in _OWN)
)

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Move:
    """Two open databases, what the source holds, and where the move stands."""

    source: Store
    target: Store
    state: str  # of the source when the move began, as one hash
    rows: dict[tuple[str, str], int]  # by tenant and table
    shifts: dict[str, int]  # what is added to the numbers of a tenant's chunks
    highest: dict[str, int]  # the highest number that each tenant may have, as the target counts

    @property
    def total(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a move from a source in this state has come: behind this key of this table of this tenant."""

    state: str
    tenant: str = ""
    table: str = ""
    key: list[Any] | None = None
    rows: int = 0  # of the table

    def told(self) -> bytes:
        return json.dumps([self.state, self.tenant, self.table, self.key, self.rows], default=_told_bytes).encode()


@dataclass(frozen=True, slots=True)
class Compared:
    """A table of a tenant on both sides; `same` when every row is, byte for byte."""

    tenant: str
    table: str
    rows: int
    moved: int
    same: bool


def begin(source: Store, target: Store) -> Move:
    """A move that can be carried out; one that was broken off is taken up again.

    Raises Invalid for a target that is the source, StoreUnavailable unless both schemas are this program's, Conflict
    for a target that holds other data, or when the source has changed since its move began.
    """
    if source.url == target.url:
        raise Invalid("source and target are the same database; name another target")
    for store in (source, target):
        _require_ours(store)
    with source.read(EVERY_TENANT) as tx:
        source.dialect.unhurried(tx.conn)
        rows, state = _state(tx)
        highest = _highest(tx, sorted({tenant for tenant, _ in rows}))
    shifts = dict.fromkeys(highest, 0)
    if target.dialect.one_index and not source.dialect.one_index:
        above = 0
        for tenant, most in highest.items():
            shifts[tenant], above = above, above + most
            highest[tenant] = above
    with target.write(EVERY_TENANT) as tx:
        target.dialect.unhurried(tx.conn)
        found = _progress(tx)
        if found is None:
            if _holds_data(tx):
                raise Conflict("the target holds data already; name an empty database, or empty this one first")
            new = Progress(state).told()
            tx.conn.execute(sa.insert(secrets).values(name=_MARK, value=new))
        elif found.state != state:
            raise Conflict(
                "the target holds a part of a move from another source, or from this one before it changed; "
                "stop all that writes to the source, empty the target, and move again"
            )
    return Move(source, target, state, rows, shifts, highest)


def carry(move: Move, advance: Advance) -> None:
    """Everything is in the target; `advance` is told how many more rows are.

    Raises Conflict when another process moves into the target too, Invalid for what the target cannot hold.
    """
    with move.target.read(EVERY_TENANT) as tx:
        progress = _progress(tx) or Progress(move.state)
    with move.source.read(EVERY_TENANT) as reading:
        move.source.dialect.unhurried(reading.conn)
        for tenant, name in sorted(move.rows):
            if (tenant, name) < (progress.tenant, progress.table):
                advance(move.rows[tenant, name])
                continue
            if (tenant, name) == (progress.tenant, progress.table):
                advance(progress.rows)
            progress = _carry_table(move, reading, (tenant, name), progress, advance)
    _carry_secrets(move)
    with move.target.write(EVERY_TENANT) as tx:
        tx.dialect.unhurried(tx.conn)
        _set_numbers(move, tx)
        if tx.dialect.name == "postgresql":
            postgres_facts.analyze(tx.conn)


def compare(move: Move, advance: Advance) -> list[Compared]:
    """Every table of every tenant on both sides, read anew; nothing that differs is left unsaid.

    Raises Conflict when the source has changed since the move began.
    """
    found: list[Compared] = []
    with move.source.read(EVERY_TENANT) as ours, move.target.read(EVERY_TENANT) as theirs:
        for tx in (ours, theirs):
            tx.dialect.unhurried(tx.conn)
        there, _ = _state(theirs)
        for tenant, name in sorted(move.rows.keys() | there.keys()):
            table = metadata.tables[name]
            before = _digest(_rows(ours, tenant, table, None), table, move.shifts.get(tenant, 0))
            after = _digest(_rows(theirs, tenant, table, None), table, 0)
            found.append(Compared(tenant, name, before[0], after[0], before == after))
            advance(before[0])
        if _state(ours)[1] != move.state:
            raise Conflict(
                "the source has changed while it was moved; stop all that writes to it, empty the target, "
                "and move again"
            )
    return found


def unlike(move: Move) -> list[str]:
    """What a sample of each tenant's data reads differently through the two stores."""
    different: list[str] = []
    for tenant in sorted({tenant for tenant, _ in move.rows}):
        scope = Scope(tenant)
        newest = sa.select(sessions.c.agent, sessions.c.session).where(sessions.c.tenant == tenant)
        newest = newest.order_by(sessions.c.updated_at.desc()).limit(_SAMPLE)
        said = sa.select(chunks.c.terms).where(chunks.c.tenant == tenant).order_by(chunks.c.n).limit(_SAMPLE)
        with move.source.read(scope) as ours, move.target.read(scope) as theirs:
            for agent, session in ours.conn.execute(newest).all():
                if _seen(ours, agent, session) != _seen(theirs, agent, session):
                    different.append(f"session {session!r} of agent {agent!r} of tenant {tenant!r}")
            words = sorted({word for terms in ours.conn.execute(said).scalars() for word in hashed.said(tenant, terms)})
            found, there = (tx.dialect.frequency(tx.conn, Spoken(tenant), words) for tx in (ours, theirs))
            different += [f"the word {word!r} of tenant {tenant!r}" for word in words if found[word] != there[word]]
    return different


def end(move: Move) -> None:
    """The target is a database like any other: it no longer says that a move into it is under way."""
    with move.target.write(EVERY_TENANT) as tx:
        tx.conn.execute(secrets.delete().where(secrets.c.name == _MARK))


def is_under_way(tx: Tx) -> bool:
    """Whether a move into this database was begun and has not ended."""
    return _progress(tx) is not None


def _require_ours(store: Store) -> None:
    found = migrate.look(store.engine, store.dialect)
    if found.revision != migrate.HEAD:
        raise StoreUnavailable(
            f"the schema of {store.dialect.name} is at {found.revision or 'nothing'} and a move needs {migrate.HEAD}; "
            "run `carryover db upgrade` there, or upgrade carryover"
        )


def _carry_table(move: Move, reading: Tx, whose: tuple[str, str], progress: Progress, advance: Advance) -> Progress:
    tenant, table = whose[0], metadata.tables[whose[1]]
    begun = whose == (progress.tenant, progress.table)
    rows = progress.rows if begun else 0
    for batch in _batches(_rows(reading, tenant, table, progress.key if begun else None)):
        rows += len(batch)
        # Where the source stands: its own numbers, before any shift.
        reached = Progress(move.state, *whose, [batch[-1][column.name] for column in table.primary_key], rows)
        shifted = [_shifted(row, table, move.shifts[tenant]) for row in batch]
        with move.target.write(Scope(tenant)) as tx:
            move.target.dialect.unhurried(tx.conn)
            _reach(tx, progress, reached)
            _put(tx, table, shifted)
        progress = reached
        advance(len(batch))
    return progress


def _put(tx: Tx, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    try:
        tx.conn.execute(tx.insert(table).on_conflict_do_nothing(), rows)
    except exc.DataError as cause:
        key = {column.name: rows[0][column.name] for column in table.primary_key}
        raise Invalid(
            f"a row of {table.name}, at or soon after {key}, cannot be kept by {tx.dialect.name} ({cause.orig}); "
            "forget its session in the source, and move again"
        ) from cause
    if table is chunks:
        tx.dialect.index(tx.conn, tx.tenant, [_chunk(row) for row in rows])


def _carry_secrets(move: Move) -> None:
    with move.source.read(EVERY_TENANT) as ours:
        rows = ours.conn.execute(sa.select(secrets).where(secrets.c.name != _MARK)).mappings().all()
    with move.target.write(EVERY_TENANT) as tx:
        if any(row["name"] == SEALING for row in rows):
            migrate.shut_out(tx.conn, tx.dialect, sessions_sealed.SINCE)
        for row in rows:
            new = tx.insert(secrets).values(row)
            tx.conn.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": row["value"]}))


def _set_numbers(move: Move, tx: Tx) -> None:
    """What the target hands out next stands above everything that was moved."""
    if tx.dialect.one_index:
        _raise(tx, "", "chunk", max(move.highest.values(), default=0))
        return
    for tenant, most in move.highest.items():
        _raise(tx, tenant, "chunk", most)
    last = sa.select(events.c.tenant, events.c.agent, sa.func.max(events.c.id)).group_by(
        events.c.tenant, events.c.agent
    )
    for tenant, agent, id in tx.conn.execute(last).all():
        _raise(tx, tenant, f"event:{agent}", id)


def _raise(tx: Tx, tenant: str, name: str, value: int) -> None:
    new = tx.insert(counters).values(tenant=tenant, name=name, value=value)
    higher = sa.case((counters.c.value < value, value), else_=counters.c.value)
    tx.conn.execute(new.on_conflict_do_update(index_elements=["tenant", "name"], set_={"value": higher}))


def _rows(tx: Tx, tenant: str, table: sa.Table, after: Sequence[Any] | None) -> Iterator[Any]:
    """The tenant's rows that are moved, in the order of their keys, behind the key `after`."""
    key = list(table.primary_key)
    wanted = sa.select(table).where(table.c.tenant == tenant).order_by(*key)
    if table is counters:
        wanted = wanted.where(_KEPT)
    if after is not None:
        wanted = wanted.where(sa.tuple_(*key) > sa.tuple_(*after, types=[column.type for column in key]))
    yield from tx.conn.execute(wanted.execution_options(yield_per=_FETCH)).mappings()


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, (str, bytes)))
        if len(batch) == _ROWS or size > _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _shifted(row: Any, table: sa.Table, by: int) -> dict[str, Any]:
    return {**row, "n": row["n"] + by} if by and table in _NUMBERED else dict(row)


def _chunk(row: dict[str, Any]) -> Chunk:
    return Chunk(*(row[name.removesuffix("_id")] for name in Chunk.__dataclass_fields__))


def _digest(rows: Iterator[Any], table: sa.Table, shift: int) -> tuple[int, int]:
    """How many rows, and the sum of their hashes: engines put texts in different orders."""
    count = total = 0
    for row in rows:
        told = repr(tuple(_shifted(row, table, shift).values())).encode()
        count, total = count + 1, total + int.from_bytes(hashlib.blake2b(told, digest_size=32).digest())
    return count, total


def _state(tx: Tx) -> tuple[dict[tuple[str, str], int], str]:
    """How many rows there are by tenant and table, and a hash that is another once anything was written."""
    rows: dict[tuple[str, str], int] = {}
    told: list[Any] = []
    for table in _TABLES:
        highest = [sa.func.max(column) for column in table.c if isinstance(column.type, sa.BigInteger)]
        wanted = sa.select(table.c.tenant, sa.func.count(), *highest).group_by(table.c.tenant)
        if table is counters:
            wanted = wanted.where(_KEPT)
        for row in tx.conn.execute(wanted):
            found = list(row)
            rows[found[0], table.name] = found[1]
            told.append([table.name, *found])
    return rows, hashlib.blake2b(json.dumps(sorted(told, key=repr)).encode(), digest_size=16).hexdigest()


def _highest(tx: Tx, tenants: Sequence[str]) -> dict[str, int]:
    """The highest number that a chunk of each tenant has or ever had."""
    named = sa.select(counters.c.tenant, counters.c.value).where(counters.c.name == "chunk")
    handed = {row.tenant: row.value for row in tx.conn.execute(named)}
    return {tenant: handed.get("" if tx.dialect.one_index else tenant, 0) for tenant in tenants}


def _holds_data(tx: Tx) -> bool:
    return any(
        tx.conn.execute(sa.select(table.c.tenant).where(table.c.tenant != EVERY_TENANT.tenant).limit(1)).first()
        for table in _TABLES
    )


def _progress(tx: Tx) -> Progress | None:
    value = tx.conn.execute(sa.select(secrets.c.value).where(secrets.c.name == _MARK)).scalar()
    return (
        None if value is None else Progress(*json.loads(value, object_hook=lambda told: bytes.fromhex(told["bytes"])))
    )


def _told_bytes(key: bytes) -> dict[str, str]:
    """A part of a key that is no text, as JSON can say it."""
    return {"bytes": key.hex()}


def _reach(tx: Tx, before: Progress, after: Progress) -> None:
    """The move has come further, and nobody else had a hand in it."""
    mine = secrets.c.name == _MARK, secrets.c.value == before.told()
    if tx.conn.execute(secrets.update().where(*mine).values(value=after.told())).rowcount != 1:
        raise Conflict("another process moves into the target too; let one of them end")


def _seen(tx: Tx, agent: str, session: str) -> tuple[Any, ...]:
    """What a reader gets of a session."""
    return (
        session_store.find(tx, [(agent, session)], lock=False),
        turns.last(tx, agent, session, 10),
        snapshots.latest(tx, agent, session),
    )
