"""The keyring: a data key for each user and each session, wrapped by a master key, in a database of its own.

It lies apart from the data, so that no backup of the data holds a key. A key that was dropped leaves its id alone:
whoever meets the id in a sealed record knows that it was erased, and neither whose it was nor what it said.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text, exc

from carryover.core.errors import Conflict, KeyLost, StoreUnavailable
from carryover.core.scope import EVERY_TENANT
from carryover.store import master
from carryover.store.master import MasterKey, Masters, OwnFile, OwnTable, Source
from carryover.store.parts import parts
from carryover.store.seal import KEY_BYTES, binding, decrypted, encrypted
from carryover.store.store import Store, Tx

SCHEMA = "carryover_keys"  # in PostgreSQL: what a dump of the data leaves out
ID_BYTES = 8
FILE = "keys.db"  # beside the file of a database in SQLite
_POOL = 2
_LOCK = 0x63_6172_726B  # of PostgreSQL; in SQLite one transaction writes at a time anyway
_BATCH = 500  # keys that are wrapped anew by one transaction

Answer = TypeVar("Answer")


def default_url(database: str) -> str:
    """Where the keyring of a database lies unless it is said: beside its file, or in a schema of the same database."""
    there = folder(database)
    return database if there is None else f"sqlite:///{there / FILE}"


def folder(url: str) -> Path | None:
    """The folder of the file of a SQLite database; None for another engine."""
    file = sa.make_url(url).database if url.startswith("sqlite") else None
    return None if file is None else Path(file).parent


def is_same_file(url: str, other: str) -> bool:
    """Whether both are databases in SQLite, and one file."""
    files = [sa.make_url(one).database if one.startswith("sqlite") else None for one in (url, other)]
    return None not in files and len({Path(file or "").resolve() for file in files}) == 1


@dataclass(frozen=True, slots=True)
class DataKey:
    """A user's key (the tenant's own where `user` is empty), or one of the stock that sessions draw from (None)."""

    id: bytes
    tenant: str
    user: str | None
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """How many keys a keyring holds."""

    keys: int
    dropped: int  # of which only ids are left
    older: int  # of the keys: wrapped by a master key that is not the current one
    lost: int  # ... by one that is not here


class Keyring:
    """The keys of a database; nothing is opened or made before it is needed. Close it."""

    def __init__(self, url: str, given: Source | None = None, kms: str | None = None) -> None:
        """Without `given` the master keys are made here, and wrapped by the KMS of that name where one is named."""
        self.url = url
        schema = SCHEMA if url.startswith("postgresql") else None
        self._schema = sa.MetaData(schema=schema)
        self._keys, kept = _tables(self._schema)
        there = folder(url)
        beside = OwnTable(kept, kms) if there is None else OwnFile(there / master.FILE)
        wrapped = kms is not None and there is not None
        self.masters = Masters(given, OwnTable(kept, kms) if wrapped else beside, beside if wrapped else None)
        self._known: dict[str, MasterKey] = {}
        self._opening = threading.Lock()
        self._store: Store | None = None

    def close(self) -> None:
        """No connection is open any more, and no file of it holds what was dropped, unless its disk does not obey."""
        with self._opening:
            if self._store is None:
                return
            store, self._store = self._store, None
            try:
                store.settle()
            except StoreUnavailable as cause:  # a disk that is full, say; whoever closes next does it
                logging.getLogger(__name__).warning("the journal of the keyring could not be emptied: %s", cause)
            finally:
                store.close()

    def current(self, tenant: str, user: str) -> DataKey:
        """The key that seals what is new of the user, made where there is none.

        Raises KeyLost when it, or a master key to make it under, is not to be had.
        """
        found = self._read(lambda tx: self._find(tx, tenant, user))
        if found is None:
            self._opened().transact(EVERY_TENANT, lambda tx: self._make(tx, tenant, user))
            found = self._read(lambda tx: self._find(tx, tenant, user))
        if found is None:
            raise KeyLost(f"the key of {owner(user)} was dropped while it was made; try again")
        return found

    def keys(self, ids: Sequence[bytes]) -> dict[bytes, DataKey | None]:
        """Those of the ids that the keyring knows: None for a key that was dropped.

        Raises KeyLost when a master key is not to be had.
        """
        return self._read(lambda tx: self._named(tx, ids))

    def stock(self, tenant: str, n: int) -> list[DataKey]:
        """So many new keys, which belong to whatever their ids are written into.

        Raises KeyLost when there is no master key to make them under.
        """

        def make(tx: Tx) -> list[DataKey]:
            self._lock(tx)
            current = self._wrapping(tx)
            made = [DataKey(os.urandom(ID_BYTES), tenant, None, os.urandom(KEY_BYTES)) for _ in range(n)]
            tx.conn.execute(self._keys.insert(), [_row(tx, current, key) for key in made])
            return made

        return self._opened().transact(EVERY_TENANT, make)

    def drop(self, tenant: str, user: str) -> bool:
        """Nothing that was sealed for the user can be opened any more, wherever it lies; whether there was a key."""
        return self._drop([(self._keys.c.tenant == tenant) & (self._keys.c.user == user)]) > 0

    def drop_ids(self, ids: Sequence[bytes]) -> int:
        """Nothing that was sealed with these keys can be opened any more, wherever it lies; how many there were."""
        return self._drop([self._keys.c.id.in_(part) & self._keys.c.wrapped.is_not(None) for part in parts(ids)])

    def _drop(self, doomed: Sequence[sa.ColumnElement[bool]]) -> int:
        def bare(tx: Tx) -> int:
            nothing = dict.fromkeys(("tenant", "user", "wrapped", "master", "created_at"))
            emptied = (self._keys.update().where(some).values(**nothing, dropped_at=tx.now) for some in doomed)
            return sum(tx.conn.execute(one).rowcount for one in emptied)

        dropped = self._opened().transact(EVERY_TENANT, bare)
        if dropped:
            self._opened().settle()
        return dropped

    def look(self) -> Standing | None:
        """What the keyring holds; None where there is none. It is not made for this."""
        if self.url.startswith("sqlite") and not Path(sa.make_url(self.url).database or "").exists():
            return None
        with Store.at(self.url, pool=1) as store, store.read(EVERY_TENANT) as tx:
            if not sa.inspect(tx.conn).has_table(self._keys.name, self._keys.schema):
                return None
            wanted = sa.select(self._keys.c.master, sa.func.count()).group_by(self._keys.c.master)
            found = {row[0]: row[1] for row in tx.conn.execute(wanted)}
            dropped = found.pop(None, 0)
            there = [one.id for one in self.masters.read(tx)]
            older = sum(count for master, count in found.items() if master in there[1:])
            lost = sum(count for master, count in found.items() if master not in there)
            return Standing(sum(found.values()), dropped, older, lost)

    def renew(self) -> bool:
        """There is a new master key, where they are made here; whether it was made now."""

        def begin(tx: Tx) -> bool:
            self._lock(tx)
            return self.masters.renew(tx)

        return self._opened().transact(EVERY_TENANT, begin)

    def rewrap(self) -> int:
        """Some keys more are wrapped by the current master key; how many. After the last the others are thrown away.

        Those who seal and open go on meanwhile. Raises KeyLost when a master key is not to be had.
        """

        def some(tx: Tx) -> int:
            self._lock(tx)
            current = self._wrapping(tx)
            old = self._keys.c.master != current.id
            wanted = sa.select(self._keys).where(old).order_by(self._keys.c.id).limit(_BATCH).with_for_update()
            rows = tx.conn.execute(wanted).all()
            for row in rows:
                anew = _wrapped(current, self._unwrapped(tx, row))
                mine = self._keys.c.id == row.id
                tx.conn.execute(self._keys.update().where(mine).values(master=current.id, wrapped=anew))
            if not rows:
                self.masters.trim(tx)
            return len(rows)

        done = self._opened().transact(EVERY_TENANT, some)
        if done == 0:
            self._opened().settle()
        return done

    def copy_to(self, other: Keyring) -> int:
        """The other keyring has these keys as well, wrapped by its own master key; how many. Dropped ones stay so."""
        rows = self._read(lambda tx: tx.conn.execute(sa.select(self._keys).order_by(self._keys.c.id)).all())
        for part in parts(rows):
            keys = [self._read(lambda tx, row=row: self._unwrapped(tx, row)) if row.wrapped else None for row in part]
            other._take(part, keys)
        return len(rows)

    def _take(self, rows: Sequence[Any], keys: Sequence[DataKey | None]) -> None:
        def put(tx: Tx) -> None:
            self._lock(tx)
            current = self._wrapping(tx)
            for row, key in zip(rows, keys, strict=True):
                wrapping = {} if key is None else {"wrapped": _wrapped(current, key), "master": current.id}
                new = tx.insert(self._keys).values(row._asdict() | wrapping)
                tx.conn.execute(new.on_conflict_do_nothing(index_elements=["id"]))

        try:
            self._opened().transact(EVERY_TENANT, put)
        except exc.IntegrityError as cause:
            raise Conflict(
                "the keyring of the target has keys of its own for users of the source; name an empty database, or "
                "set keyring_url to the keyring that both are to use"
            ) from cause

    def _find(self, tx: Tx, tenant: str, user: str) -> DataKey | None:
        mine = sa.select(self._keys).where(self._keys.c.tenant == tenant, self._keys.c.user == user)
        row = tx.conn.execute(mine).first()
        return None if row is None else self._unwrapped(tx, row)

    def _named(self, tx: Tx, ids: Sequence[bytes]) -> dict[bytes, DataKey | None]:
        found: dict[bytes, DataKey | None] = {}
        for part in parts(ids):
            for row in tx.conn.execute(sa.select(self._keys).where(self._keys.c.id.in_(part))):
                found[bytes(row.id)] = None if row.wrapped is None else self._unwrapped(tx, row)
        return found

    def _make(self, tx: Tx, tenant: str, user: str) -> None:
        self._lock(tx)
        key, current = DataKey(os.urandom(ID_BYTES), tenant, user, os.urandom(KEY_BYTES)), self._wrapping(tx)
        new = tx.insert(self._keys).values(_row(tx, current, key))
        tx.conn.execute(new.on_conflict_do_nothing(index_elements=["tenant", "user"]))

    def _wrapping(self, tx: Tx) -> MasterKey:
        """The current master key, as it is while the lock is held; made, where there was never one."""
        there = self.masters.read(tx)
        if there:
            return there[0]
        # Another one in place of one that went missing would hide that everything older is lost.
        wrapped = sa.select(self._keys.c.id).where(self._keys.c.master.is_not(None)).limit(1)
        if tx.conn.execute(wrapped).first() is None and self.masters.renew(tx):
            return self.masters.read(tx)[0]
        raise KeyLost(f"{self.masters.said} holds no master key; put back the one that was there")

    def _unwrapped(self, tx: Tx, row: Any) -> DataKey:
        known = self._known.get(row.master)
        if known is None:
            self._known = there = {one.id: one for one in self.masters.read(tx)}
            known = there.get(row.master)
        if known is None:
            raise KeyLost(
                f"{_whose(row)} is wrapped under the master key {row.master}, which is not in "
                f"{self.masters.said}; put it back there"
            )
        id = bytes(row.id)
        key = decrypted(known.key, bytes(row.wrapped), _bound(id, row.tenant, row.user))
        if key is None:
            raise KeyLost(f"{_whose(row)} in the keyring is damaged; restore the keyring")
        return DataKey(id, row.tenant, row.user, key)

    def _read(self, work: Callable[[Tx], Answer]) -> Answer:
        store = self._opened()
        try:
            with store.read(EVERY_TENANT) as tx:
                return work(tx)
        except KeyLost:
            # A rotation may have ended between what was read of the keyring and what was read of the master keys.
            with store.read(EVERY_TENANT) as tx:
                return work(tx)

    def _lock(self, tx: Tx) -> None:
        """Nobody else makes keys or wraps them anew before the transaction ends: what is current stays so."""
        if tx.dialect.concurrent:
            tx.conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    def _opened(self) -> Store:
        with self._opening:
            if self._store is None:
                store = Store.at(self.url, pool=_POOL)
                try:
                    store.transact(EVERY_TENANT, self._prepare)
                except BaseException:
                    store.close()
                    raise
                self._store = store
            return self._store

    def _prepare(self, tx: Tx) -> None:
        """The tables are there. A role that may make none can use those that another one made."""
        if sa.inspect(tx.conn).has_table(self._keys.name, self._keys.schema):
            return
        self._lock(tx)
        if self._keys.schema is not None:
            tx.conn.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        self._schema.create_all(tx.conn)


def _tables(schema: sa.MetaData) -> tuple[Table, Table]:
    """A row for each key, and for each that was dropped; and the master keys, where nobody else keeps them."""
    keys = Table(
        "data_keys",
        schema,
        Column("id", LargeBinary, primary_key=True),
        *(Column(name, Text) for name in ("tenant", "user", "master")),
        Column("wrapped", LargeBinary),
        *(Column(name, BigInteger) for name in ("created_at", "dropped_at")),
        sa.UniqueConstraint("tenant", "user"),
    )
    masters = Table(
        "master_keys",
        schema,
        Column("n", BigInteger, primary_key=True, autoincrement=False),
        Column("wrapped", LargeBinary, nullable=False),
        Column("kms", Text),  # that wrapped it; as it is where this is empty
        Column("created_at", BigInteger, nullable=False),
    )
    return keys, masters


def _wrapped(current: MasterKey, key: DataKey) -> bytes:
    return encrypted(current.key, key.key, _bound(key.id, key.tenant, key.user))


def _row(tx: Tx, current: MasterKey, key: DataKey) -> dict[str, Any]:
    wrapping = {"wrapped": _wrapped(current, key), "master": current.id, "created_at": tx.now}
    return {"id": key.id, "tenant": key.tenant, "user": key.user} | wrapping


def _whose(row: Any) -> str:
    return f"the key {bytes(row.id).hex()}" if row.user is None else f"the key of {owner(row.user)}"


def owner(user: str) -> str:
    """Whose a key is, in words: what no user owns belongs to the tenant."""
    return f"user {user!r}" if user else "the tenant"


def _bound(id: bytes, tenant: str, user: str | None) -> bytes:
    return binding("data key", id.hex(), tenant, *(() if user is None else (user,)))
