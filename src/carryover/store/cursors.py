"""Where the reading of each log stopped, and what types of records were seen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from carryover.core.job import subject_of
from carryover.core.step import Flavor, uid
from carryover.core.text import clean
from carryover.store import hot, sealed
from carryover.store.coding_tables import cursors, formats
from carryover.store.dialect import Dialect
from carryover.store.parts import parts
from carryover.store.store import Tx

_PLACE = "cursors/state/"
_LONGEST_NAME = 1_000  # bytes of a path that is a key; an index of PostgreSQL takes no more than 2,700
_LONGEST_TYPE = 200  # characters of what a record says of its type and version


class Stamp(NamedTuple):
    """What a file looked like when it was read: as long as it looks the same, nothing is new in it.

    A change that leaves the size and the time as they were cannot be seen. A tuple, because a sweep makes one a file.
    """

    device: int
    inode: int
    size: int
    mtime: int  # in nanoseconds


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a log was read: up to `offset`, all of it whole records.

    `prefix` is the hash of its first bytes, by which a rewritten file is known; `content` is the hash of all that was
    read of it, by which a digest is compared with it. `generation` counts how often it was rewritten, `malformed`
    what was no record. Of a log that held a session that was `erased` no bytes are archived any more.
    """

    path: str
    flavor: Flavor
    stamp: Stamp
    offset: int
    prefix: str
    content: str
    state: str = "{}"
    generation: int = 0
    malformed: int = 0
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """A type of record in logs of a version, how often it was seen, and whether its adapter reads it."""

    flavor: str
    version: str
    type: str
    known: bool
    records: int
    since: int


_STAMPS = sa.select(*(cursors.c[name] for name in ("path", "device", "inode", "size", "mtime", "flavor"))).where(
    cursors.c.tenant == sa.bindparam("tenant")
)
_FIELDS = ("path", "flavor", "offset", "prefix", "content", "state", "generation", "malformed", "erased")
_STAMP = ("device", "inode", "size", "mtime")
_GET = sa.select(*(cursors.c[name] for name in (*_FIELDS, *_STAMP))).where(
    cursors.c.tenant == sa.bindparam("tenant"), cursors.c.path == sa.bindparam("path")
)


def stamps(tx: Tx) -> dict[str, tuple[str, int, int, int, int, Flavor]]:
    """Of every log that was read, by its name: the name, what it looked like (the fields of `Stamp`), its flavor."""
    return {row[0]: row for row in hot.read(tx.conn, _STAMPS, {"tenant": tx.tenant})}


def name_of(path: str) -> str:
    """What stands for the path of a log here: itself, but where no text or no key of a database can be like that."""
    said = os.fsencode(path)
    text = said.decode("utf-8", "replace")
    if len(said) <= _LONGEST_NAME and text == path:
        return path
    return f"{text[: _LONGEST_NAME // 4]}\N{HORIZONTAL ELLIPSIS}{uid(said)}"


def get(tx: Tx, path: str) -> Cursor | None:
    """Where the reading of this log stopped; None for one that was never read."""
    rows = hot.read(tx.conn, _GET, {"tenant": tx.tenant, "path": path})
    if not rows:
        return None
    row = tuple(rows[0])
    known = dict(zip(_FIELDS, row, strict=False))
    known["erased"] = bool(known["erased"])
    state = tx.opened(_PLACE + path, known["state"])
    if state is None:
        return None
    known["state"] = state
    return Cursor(stamp=Stamp(*row[len(_FIELDS) :]), **known)


def put(tx: Tx, read: Sequence[Cursor]) -> None:
    """Reading stopped there."""
    rows = _kept(tx, read)
    if rows:
        hot.write(tx.conn, _putting(tx.dialect), rows)


def advance(tx: Tx, moves: Sequence[tuple[Cursor | None, Cursor]]) -> list[bool]:
    """Of each (before, after): whether reading had stopped at `before`, and so stops at `after` now.

    Nobody else can move those any more before this transaction ends.
    """
    kept = _kept(tx, [after for _, after in moves])
    firsts = [row for (before, _), row in zip(moves, kept, strict=True) if before is None]
    new: set[str] = set()
    if firsts:
        adding = tx.insert(cursors).on_conflict_do_nothing(index_elements=["tenant", "path"])
        new.update(tx.conn.execute(adding.returning(cursors.c.path), firsts).scalars())
    done: list[bool] = []
    for (before, after), row in zip(moves, kept, strict=True):
        if before is None:
            done.append(after.path in new)
            new.discard(after.path)
            continue
        # The state follows from all else, and is kept sealed.
        here = (cursors.c[name] == value for name, value in _row(before).items() if name != "state")
        moved = cursors.update().where(cursors.c.tenant == tx.tenant, *here).values(row)
        done.append(tx.conn.execute(moved).rowcount == 1)
    return done


def erase(tx: Tx, paths: Sequence[str]) -> int:
    """These logs are not read again, and nothing is known of them, their names included; how many there were."""
    return sum(_erase(tx, path, {"path": buried(path)}) for path in paths)


def restart(tx: Tx, path: str) -> int:
    """The log is read again from its beginning, and none of its bytes are archived."""
    return _erase(tx, path, {"offset": 0, "size": -1})


def _erase(tx: Tx, path: str, more: dict[str, Any]) -> int:
    gone = {"erased": True, "state": "{}", "prefix": "", "content": ""} | more
    here = (cursors.c.tenant == tx.tenant, cursors.c.path == path)
    return tx.conn.execute(cursors.update().where(*here).values(gone)).rowcount


def bury(tx: Tx, agent: str, session: str) -> None:
    """What logs hold of that session, wherever they lie, is not logged again."""
    flavor: Any = agent
    put(tx, [Cursor(buried(subject_of(agent, session)), flavor, Stamp(0, 0, 0, 0), 0, "", "", erased=True)])


def gone(tx: Tx, sessions: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the (agent, session) pairs that were erased."""
    named = {buried(subject_of(*key)): key for key in sessions}
    found: set[tuple[str, str]] = set()
    for part in parts(list(named)):
        there = sa.select(cursors.c.path).where(cursors.c.tenant == tx.tenant, cursors.c.path.in_(part))
        found.update(named[path] for path in tx.conn.execute(there).scalars())
    return found


def buried(path: str) -> str:
    """What stands for the path of a log that was erased."""
    return f"erased:{uid(path)}"


def size(tx: Tx) -> int:
    """The bytes that were read of all logs."""
    total = sa.select(sa.func.coalesce(sa.func.sum(cursors.c.offset), 0)).where(cursors.c.tenant == tx.tenant)
    return int(tx.conn.execute(total).scalar_one())


def saw(tx: Tx, flavor: str, counts: Mapping[tuple[str, str, bool], int]) -> None:
    """So many more records of these (version, type, known) were in logs of this flavor."""
    short: dict[tuple[str, str], tuple[bool, int]] = {}  # what a log says can be as long as it likes
    for (version, type, known), records in sorted(counts.items()):
        key = clean(version)[:_LONGEST_TYPE], clean(type)[:_LONGEST_TYPE]
        also, before = short.get(key, (True, 0))
        short[key] = known and also, before + records
    rows = [
        {
            "tenant": tx.tenant,
            "flavor": flavor,
            "version": version,
            "type": type,
            "known": known,
            "records": records,
            "since": tx.now,
        }
        for (version, type), (known, records) in sorted(short.items())
    ]
    if rows:
        hot.write(tx.conn, _counting(tx.dialect), rows)


def types(tx: Tx, *, unknown: bool = False) -> list[Format]:
    """The types of records that were seen, by flavor, version and name; with `unknown` only those nothing reads."""
    wanted = sa.select(*(formats.c[name] for name in Format.__dataclass_fields__)).where(formats.c.tenant == tx.tenant)
    if unknown:
        wanted = wanted.where(formats.c.known.is_(False))
    rows = tx.conn.execute(wanted.order_by(formats.c.flavor, formats.c.version, formats.c.type))
    return [Format(*row) for row in rows]


def _kept(tx: Tx, read: Sequence[Cursor]) -> list[dict[str, Any]]:
    """The rows of these cursors; a log may be of several sessions, so the key is the tenant's."""
    key = sealed.owner(tx) if read else None
    rows: list[dict[str, Any]] = [{"tenant": tx.tenant, "read_at": tx.now, **_row(cursor)} for cursor in read]
    return [
        row if row["state"] == "{}" else {**row, "state": tx.closed(key, _PLACE + row["path"], row["state"])}
        for row in rows
    ]


def _row(cursor: Cursor) -> dict[str, Any]:
    said = asdict(cursor)
    return {**said.pop("stamp")._asdict(), **said}


@lru_cache(maxsize=8)
def _putting(dialect: Dialect) -> Any:
    new = dialect.insert(cursors)
    kept = {c.name: new.excluded[c.name] for c in cursors.c if c.name not in ("tenant", "path")}
    return new.on_conflict_do_update(index_elements=["tenant", "path"], set_=kept)


@lru_cache(maxsize=8)
def _counting(dialect: Dialect) -> Any:
    new = dialect.insert(formats)
    more = {"records": formats.c.records + new.excluded.records, "known": new.excluded.known}
    return new.on_conflict_do_update(index_elements=["tenant", "flavor", "version", "type"], set_=more)
