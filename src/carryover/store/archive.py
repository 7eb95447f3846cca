"""The bytes of logs: pieces of each, and the packed segments that they are made of, each kept once.

A segment that no piece names is gone in the transaction that let go of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from carryover.core.budget import Tier
from carryover.core.errors import KeyLost
from carryover.store import hot
from carryover.store.coding_tables import pieces, segments
from carryover.store.dialect import Dialect
from carryover.store.parts import parts
from carryover.store.store import Tx


@dataclass(frozen=True, slots=True)
class Tail:
    """Where archiving of a log goes on: its n-th piece, the last one so far, begins at `start` and may still grow."""

    n: int = 0
    start: int = 0


START = Tail()
SEALED = b"\x01"  # begins what the vault sealed, and nothing that was only packed


@dataclass(frozen=True, slots=True)
class Segment:
    """Packed bytes; `hash` and `size` are of what they were before."""

    hash: str
    size: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a log's bytes, the n-th of its pieces, packed."""

    n: int
    start: int
    segment: Segment

    @property
    def tail(self) -> Tail:
        return Tail(self.n, self.start)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a piece: `hash` names it ("" for nothing), `whole` what it was; `packed` are its bytes here."""

    path: str
    generation: int
    n: int
    start: int
    length: int
    hash: str
    whole: str
    tier: Tier
    packed: int

    @property
    def is_whole(self) -> bool:
        return self.hash == self.whole


_HERE = (
    pieces.c.tenant == sa.bindparam("tenant"),
    pieces.c.path == sa.bindparam("path"),
    pieces.c.generation == sa.bindparam("generation"),
)
_LAST = sa.select(pieces.c.n, pieces.c.start).where(*_HERE).order_by(pieces.c.n.desc()).limit(1)
_FROM = sa.select(pieces.c.n, pieces.c.hash).where(*_HERE, pieces.c.n >= sa.bindparam("first"))
_BODY = sa.select(segments.c.body).where(
    segments.c.tenant == sa.bindparam("tenant"), segments.c.hash == sa.bindparam("hash")
)
_KEPT = ("path", "generation", "n", "start", "length", "hash", "whole", "tier")


def tail(tx: Tx, path: str, generation: int) -> Tail:
    """Where archiving of the log goes on: `START` where nothing of it is archived."""
    rows = hot.read(tx.conn, _LAST, {"tenant": tx.tenant, "path": path, "generation": generation})
    return Tail(*rows[0]) if rows else START


def put(tx: Tx, path: str, generation: int, cut: Sequence[Piece]) -> None:
    """These are the pieces of the log from the first of them on, in place of what was there."""
    if not cut:
        return
    asked = {"tenant": tx.tenant, "path": path, "generation": generation, "first": cut[0].n}
    old = {row[0]: row[1] for row in hot.read(tx.conn, _FROM, asked)}
    new = [piece for piece in cut if old.get(piece.n) != piece.segment.hash]
    if not new:
        return
    add(tx, [piece.segment for piece in new])
    rows = [
        {
            "tenant": tx.tenant,
            "path": path,
            "generation": generation,
            "n": piece.n,
            "start": piece.start,
            "length": piece.segment.size,
            "hash": piece.segment.hash,
            "whole": piece.segment.hash,
            "tier": "full",
        }
        for piece in new
    ]
    hot.write(tx.conn, _putting(tx.dialect), rows)
    release(tx, [old[piece.n] for piece in new if piece.n in old])


def add(tx: Tx, packed: Iterable[Segment]) -> None:
    """The segments are kept, each once; the transaction is about to name them in pieces."""
    # In one order, as whoever lets go of them: two transactions never wait for each other.
    kept = sorted({one.hash: one for one in packed}.values(), key=lambda one: one.hash)
    bodies = _closed(tx, [(one.hash, one.body) for one in kept])
    rows = [
        {
            "tenant": tx.tenant,
            "hash": one.hash,
            "size": one.size,
            "packed": len(one.body),
            "at": tx.now,
            "body": body,
        }
        for one, body in zip(kept, bodies, strict=True)
    ]
    if rows:
        hot.write(tx.conn, _adding(tx.dialect), rows)


def release(tx: Tx, hashes: Iterable[str]) -> int:
    """Those of the segments that no piece names are gone; how many packed bytes that freed."""
    freed = 0
    for part in parts(sorted({hash for hash in hashes if hash})):
        named = sa.exists().where(pieces.c.tenant == segments.c.tenant, pieces.c.hash == segments.c.hash)
        here = (segments.c.tenant == tx.tenant, segments.c.hash.in_(part))
        if tx.dialect.concurrent:
            # Whoever is about to name one of them holds its row; what it did is seen by the next statement.
            tx.conn.execute(sa.select(segments.c.hash).where(*here).order_by(segments.c.hash).with_for_update())
        gone = segments.delete().where(*here, ~named).returning(segments.c.packed)
        freed += sum(tx.conn.execute(gone).scalars())
    return freed


def body(tx: Tx, hash: str) -> bytes | None:
    """The packed bytes of a segment; None where there is none. Raises KeyLost."""
    rows = hot.read(tx.conn, _BODY, {"tenant": tx.tenant, "hash": hash})
    if not rows:
        return None
    kept = bytes(rows[0][0])
    if not kept.startswith(SEALED):
        return kept
    if tx.sealing is None:
        raise KeyLost("the archive is sealed, and no keyring was opened with the store; open it by its settings")
    return tx.sealing.vault.open(tx.tenant, "", _place(hash), kept)


def kept(tx: Tx, path: str, generation: int | None = None) -> list[Kept]:
    """The pieces of a log in order, of its newest generation where none is named."""
    if generation is None:
        newest = sa.select(sa.func.max(pieces.c.generation)).where(pieces.c.tenant == tx.tenant, pieces.c.path == path)
        generation = tx.conn.execute(newest).scalar() or 0
    wanted = _all(tx).where(pieces.c.path == path, pieces.c.generation == generation).order_by(pieces.c.n)
    return [Kept(*row) for row in tx.conn.execute(wanted)]


def size(tx: Tx) -> int:
    """The packed bytes that the tenant's archive takes."""
    total = sa.select(sa.func.coalesce(sa.func.sum(segments.c.packed), 0)).where(segments.c.tenant == tx.tenant)
    return int(tx.conn.execute(total).scalar_one())


def repack(tx: Tx, hash: str, body: bytes) -> int:
    """The segment's bytes are packed as these; how many bytes that freed."""
    here = (segments.c.tenant == tx.tenant, segments.c.hash == hash, segments.c.packed > len(body))
    before = tx.conn.execute(sa.select(segments.c.packed).where(*here).with_for_update()).scalar()
    if before is None:
        return 0
    (kept,) = _closed(tx, [(hash, body)])
    tx.conn.execute(segments.update().where(*here).values(body=kept, packed=len(body)))
    return before - len(body)


def seal(tx: Tx, most: int) -> int:
    """At most so many segments that were readable are sealed, where the database seals; how many."""
    if not tx.seals:
        return 0
    readable = sa.func.substr(segments.c.body, 1, 1) != SEALED
    wanted = sa.select(segments.c.hash, segments.c.body).where(segments.c.tenant == tx.tenant, readable)
    rows = tx.conn.execute(wanted.order_by(segments.c.hash).limit(most).with_for_update()).all()
    for row, kept in zip(rows, _closed(tx, [(row.hash, bytes(row.body)) for row in rows]), strict=True):
        here = segments.c.tenant == tx.tenant, segments.c.hash == row.hash
        tx.conn.execute(segments.update().where(*here).values(body=kept))
    return len(rows)


def _closed(tx: Tx, packed: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """The bytes of these segments as they are kept: a log may hold several sessions, so the key is the tenant's."""
    if not packed or tx.sealing is None or not tx.seals:
        return [body for _, body in packed]
    return [tx.sealing.vault.seal(tx.tenant, "", _place(hash), body) for hash, body in packed]


def _place(hash: str) -> str:
    return f"segments/{hash}"


def replace(tx: Tx, piece: Kept, hash: str, tier: Tier) -> bool:
    """Of the piece this is left; False where it has changed since it was looked at: then nothing was done.

    The segment `hash` was added before; what the piece named until now is still to be released.
    """
    here = (pieces.c.tenant == tx.tenant, *(pieces.c[name] == getattr(piece, name) for name in _KEPT))
    return tx.conn.execute(pieces.update().where(*here).values(hash=hash, tier=tier)).rowcount == 1


def forget(tx: Tx, path: str, generation: int) -> None:
    """A generation of which nothing is left is not told of any more."""
    here = (pieces.c.tenant == tx.tenant, pieces.c.path == path, pieces.c.generation == generation)
    if tx.conn.execute(sa.select(pieces.c.n).where(*here, pieces.c.hash != "").limit(1)).first() is None:
        tx.conn.execute(pieces.delete().where(*here))


def erase(tx: Tx, paths: Sequence[str]) -> dict[str, int]:
    """Nothing of these logs is archived; how many rows went, by table."""
    counts = {"pieces": 0, "segments": 0}
    for part in parts(paths):
        gone = pieces.delete().where(pieces.c.tenant == tx.tenant, pieces.c.path.in_(part)).returning(pieces.c.hash)
        hashes = tx.conn.execute(gone).scalars().all()
        counts["pieces"] += len(hashes)
        before = _count(tx, hashes)
        release(tx, hashes)
        counts["segments"] += before - _count(tx, hashes)
    return counts


def faults(tx: Tx) -> list[str]:
    """In `EVERY_TENANT`: pieces without their segment, gaps between pieces, and segments that nothing names."""
    same = sa.and_(segments.c.tenant == pieces.c.tenant, segments.c.hash == pieces.c.hash)
    bare = sa.select(pieces.c.tenant, pieces.c.path, sa.func.count().label("n")).where(
        pieces.c.tenant.is_not(None), pieces.c.hash != "", ~sa.exists().where(same)
    )
    before = sa.func.lag(pieces.c.start + pieces.c.length, 1, 0).over(
        partition_by=(pieces.c.tenant, pieces.c.path, pieces.c.generation), order_by=pieces.c.n
    )
    placed = sa.select(pieces.c.tenant, pieces.c.path, pieces.c.start, before.label("end")).subquery()
    torn = sa.select(placed.c.tenant, placed.c.path, sa.func.count().label("n")).where(placed.c.start != placed.c.end)
    stray = sa.select(sa.func.count()).where(
        segments.c.tenant.is_not(None), ~sa.exists().where(same).correlate(segments)
    )
    found = [
        f"{row.n} pieces of the log {row.path!r} of tenant {row.tenant!r} {what}; restore them from a backup"
        for wanted, rows, what in ((bare, pieces, "lack their bytes"), (torn, placed, "do not follow each other"))
        for row in tx.conn.execute(wanted.group_by(rows.c.tenant, rows.c.path).limit(20))
    ]
    if lost := tx.conn.execute(stray).scalar_one():
        found.append(f"{lost} segments belong to no log; they take room and nothing else")
    return found


def _all(tx: Tx) -> sa.Select[Any]:
    same = sa.and_(segments.c.tenant == pieces.c.tenant, segments.c.hash == pieces.c.hash)
    packed = sa.func.coalesce(segments.c.packed, 0)
    wanted = sa.select(*(pieces.c[name] for name in _KEPT), packed).join_from(pieces, segments, same, isouter=True)
    return wanted.where(pieces.c.tenant == tx.tenant)


def _count(tx: Tx, hashes: Sequence[str]) -> int:
    found = 0
    for part in parts(sorted(set(hashes))):
        wanted = sa.select(sa.func.count()).where(segments.c.tenant == tx.tenant, segments.c.hash.in_(part))
        found += tx.conn.execute(wanted).scalar_one()
    return found


@lru_cache(maxsize=8)
def _putting(dialect: Dialect) -> Any:
    new = dialect.insert(pieces)
    changed = {name: new.excluded[name] for name in ("start", "length", "hash", "whole", "tier")}
    return new.on_conflict_do_update(index_elements=["tenant", "path", "generation", "n"], set_=changed)


@lru_cache(maxsize=8)
def _adding(dialect: Dialect) -> Any:
    new = dialect.insert(segments)
    # The row is written either way: nobody lets go of it before this transaction has named it.
    return new.on_conflict_do_update(index_elements=["tenant", "hash"], set_={"at": new.excluded["at"]})
