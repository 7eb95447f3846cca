"""Whether all that is sealed beside the log opens: what is damaged, and what lost its key, is named and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from carryover.core.errors import CarryoverError
from carryover.core.scope import EVERY_TENANT
from carryover.store import sealed
from carryover.store.derived import SHOWN
from carryover.store.marked import MARK
from carryover.store.parts import parts
from carryover.store.persona_tables import codebooks, persona_codes, personas_shown, preferences, profiles
from carryover.store.store import Store, Tx
from carryover.store.tables import sessions

_FETCH = 500


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A table with what is sealed in it, and how rows of it are opened: it raises where one cannot be."""

    table: sa.Table
    there: sa.ColumnElement[bool]
    open: Callable[[Tx, Sequence[Any]], None]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Sessions (tenant, agent, id) that nobody can open here: their keys are dropped, or not in the keyring."""

    erased: tuple[tuple[str, str, str], ...] = ()
    lost: tuple[tuple[str, str, str], ...] = ()


def unreadable(store: Store) -> Unreadable:
    """The sessions whose keys are not to be had. Of a store that was opened without a keyring: none."""
    if store.sealing is None:
        return Unreadable()
    own = sessions.c
    with store.read(EVERY_TENANT) as tx:
        wanted = sa.select(own.tenant, own.agent, own.session, own.key).where(own.key.is_not(None))
        rows = tx.conn.execute(wanted.order_by(own.tenant, own.agent, own.session)).all()
    erased: list[tuple[str, str, str]] = []
    lost: list[tuple[str, str, str]] = []
    for some in parts(rows):
        known = store.sealing.vault.keyring.keys([bytes(row.key) for row in some])
        for tenant, agent, session, key in some:
            if known.get(bytes(key), False) is None:
                erased.append((tenant, agent, session))
            elif bytes(key) not in known:
                lost.append((tenant, agent, session))
    return Unreadable(tuple(erased), tuple(lost))


def faults(tx: Tx) -> Iterator[str]:
    """What of the tenant cannot be opened, in words. Nothing is said where the store was opened without a keyring."""
    if tx.sealing is None:
        return
    for one in _ALL:
        failures: Counter[str] = Counter()
        wanted = sa.select(one.table).where(one.table.c.tenant == tx.tenant, one.there)
        found = tx.conn.execute(wanted.execution_options(yield_per=_FETCH))
        while rows := found.fetchmany(_FETCH):
            failures.update(_failures(tx, one, rows))
        for why, n in failures.most_common(SHOWN):
            yield f"{n} rows of {one.table.name} of tenant {tx.tenant!r} do not open: {why}"
        if (more := len(failures) - SHOWN) > 0:
            yield f"rows of {one.table.name} of tenant {tx.tenant!r} do not open for {more} more reasons"


def those(tx: Tx, table: sa.Table, rows: Sequence[Any]) -> Iterator[tuple[Any, Sequence[Any]]]:
    """The rows of a table that seals, each with its sealed columns, but for those that do not open."""
    try:
        yield from list(sealed.opened(tx, table, rows))
    except CarryoverError:
        if len(rows) > 1:
            for row in rows:
                yield from those(tx, table, [row])


def _failures(tx: Tx, one: _Sealed, rows: Sequence[Any]) -> Iterator[str]:
    """Why rows do not open, once for each; all are tried at once, and by themselves only where that fails."""
    try:
        one.open(tx, rows)
    except CarryoverError as failure:
        if len(rows) == 1:
            yield failure.message
            return
        for row in rows:
            yield from _failures(tx, one, [row])


def _of_session(table: sa.Table) -> _Sealed:
    marked = (table.c[name].like(f"{MARK}%") for name in sealed.SEALED[table].columns)

    def open_all(tx: Tx, rows: Sequence[Any]) -> None:
        for _ in sealed.opened(tx, table, rows):
            pass

    return _Sealed(table, sa.or_(*marked), open_all)


def _of_user(table: sa.Table, place: str, column: str = "sealed", user: str | None = None) -> _Sealed:
    """`place` is filled with the members of a row; `user` is whose key it is, where no column says so."""

    def open_all(tx: Tx, rows: Sequence[Any]) -> None:
        assert tx.sealing is not None
        records = [
            (row.user if user is None else user, place.format(**row._mapping), bytes(getattr(row, column)))
            for row in rows
        ]
        tx.sealing.vault.open_all(tx.tenant, records)

    there = sa.func.length(table.c[column]) > 0
    return _Sealed(table, there, open_all)


_ALL = (
    *map(_of_session, sealed.SEALED),
    _of_user(preferences, "preferences/{id}"),
    _of_user(profiles, "profiles", "edits"),
    _of_user(persona_codes, "persona_codes"),
    _of_user(personas_shown, "personas_shown/{agent}/{session}"),
    _of_user(codebooks, "codebooks/{version}", user=""),
)
