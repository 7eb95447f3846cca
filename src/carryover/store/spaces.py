"""Vector spaces: which of them answers a tenant's searches, which is being filled, and which is on its way out.

One space of a tenant serves. Another that is wanted is filled beside it and takes over in one transaction, once every
chunk has its vector there; the former one leaves, and its vectors are cleared some time later. The space that was
wanted last is the one that counts: a process wants its own as of the moment when it was started, so processes with
different settings never fight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.store import chunks, queue, sqlitevec, vectors
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import codes, counters, jobs, spaces
from carryover.store.tables import vectors as vector_rows

State = Literal["serving", "filling", "leaving"]
JOB = "embed"  # its subject is the space: it fills one that is wanted, and clears one that leaves
# A space that was left keeps its vectors for so long: searches that had begun end with them, and whoever goes back
# finds them.
KEPT_MS = 600_000
_COLUMNS = spaces.c.space, spaces.c.state, spaces.c.since, spaces.c.through


@dataclass(frozen=True, slots=True)
class Space:
    """A tenant's vectors of one model, version and precision, which its name says.

    `since` is when the process was started that wanted it. Chunks with numbers up to `through` were looked at already
    when vectors were made.
    """

    name: str
    state: State
    since: Time = 0
    through: int = 0


@dataclass(frozen=True, slots=True)
class Filling:
    """How far a space has come that will serve: `done` of `of` chunks; `serving` answers meanwhile (None: none)."""

    space: str
    done: int
    of: int
    serving: str | None


def known(tx: Tx) -> list[Space]:
    """The tenant's spaces; those of a database that was written before spaces had states are told by their vectors."""
    return [Space(*row) for row in tx.conn.execute(_mine(tx))] or _found(tx)


def find(tx: Tx, name: str) -> Space | None:
    """The space as it stands; until a transaction that writes ends, nobody else changes its state."""
    wanted = _mine(tx).where(spaces.c.space == name)
    row = tx.conn.execute(wanted.with_for_update() if tx.writing else wanted).first()
    if row is not None:
        return Space(*row)
    return next((space for space in known(tx) if space.name == name), None)


def serving(tx: Tx) -> str | None:
    """The space that answers the tenant's searches."""
    return next((space.name for space in known(tx) if space.state == "serving"), None)


def filling(tx: Tx) -> Filling | None:
    """The space that is being filled, and how far it has come; None where none is."""
    there = {space.state: space.name for space in known(tx)}
    if "filling" not in there:
        return None
    here = vector_rows.c.tenant == tx.tenant, vector_rows.c.space == there["filling"]
    done = tx.conn.execute(sa.select(sa.func.count()).select_from(vector_rows).where(*here)).scalar_one()
    return Filling(there["filling"], done, chunks.corpus(tx).chunks, there.get("serving"))


def is_wanted(tx: Tx, name: str, since: Time | None) -> bool:
    """Whether `want` would change anything."""
    rows = [Space(*row) for row in tx.conn.execute(_mine(tx))]
    giving_way = _giving_way(rows, name, since)
    return giving_way is not None and (bool(giving_way) or not _is_in(rows, name))


def want(tx: Tx, name: str, since: Time | None) -> bool:
    """The space serves the tenant or is being filled, unless another was wanted later; whether it does or is.

    The first space of a tenant without chunks serves at once. Without `since` the space is wanted only where no other
    one is.
    """
    there = _locked(tx)
    giving_way, is_in = _giving_way(there, name, since), _is_in(there, name)
    if giving_way is None or (is_in and not giving_way):
        return is_in
    mine = next((space for space in there if space.name == name), None)
    if mine is None:
        state = "filling" if _others(there, name) or chunks.corpus(tx).chunks else "serving"
        new = {"tenant": tx.tenant, "space": name, "state": state, "since": since or 0, "through": 0}
        tx.conn.execute(sa.insert(spaces).values(new))
    elif is_in:
        _set(tx, name, since=since)
    else:
        _set(tx, name, state="filling", since=since or 0, through=0)
    if not is_in:
        vectors.renew(tx)  # a copy in memory may hold vectors that were cleared
    _leave(tx, giving_way)
    queue.arm(tx, [(JOB, name, tx.now)], push=False)
    return True


def reach(tx: Tx, name: str, through: int) -> None:
    """The next look for chunks without a vector begins near this number."""
    _set(tx, name, through=through)


def look_again(tx: Tx) -> None:
    """The next runs of the tenant's jobs look at all chunks, from the first on."""
    there = [space.name for space in known(tx) if space.state != "leaving"]
    for name in there:
        reach(tx, name, 0)
    queue.arm(tx, [(JOB, name, tx.now) for name in there], push=False)


def serve(tx: Tx, name: str) -> None:
    """From this commit on the space answers the tenant's searches; the one that did so before leaves."""
    _leave(tx, [space.name for space in _locked(tx) if space.state == "serving" and space.name != name])
    _set(tx, name, state="serving")


def clear(tx: Tx, name: str, most: int) -> bool:
    """At most `most` vectors of a space that leaves are gone; whether there are more. The last ones take its row."""
    space = find(tx, name)
    if space is None or space.state != "leaving":
        return False
    here = vector_rows.c.tenant == tx.tenant, vector_rows.c.space == name
    wanted = sa.select(vector_rows.c.n, vector_rows.c.added).where(*here).order_by(vector_rows.c.n).limit(most)
    gone = tx.conn.execute(wanted).all()
    coded = codes.c.tenant == tx.tenant, codes.c.space == name
    for part in parts(gone):
        ns, added = [row.n for row in part], {row.added for row in part}
        tx.conn.execute(codes.delete().where(*coded, codes.c.added.in_(added), codes.c.n.in_(ns)))
        tx.conn.execute(vector_rows.delete().where(*here, vector_rows.c.n.in_(ns)))
    if len(gone) == most:
        return True
    tx.conn.execute(codes.delete().where(*coded))
    sqlitevec.clear(tx, name)
    tx.conn.execute(spaces.delete().where(spaces.c.tenant == tx.tenant, spaces.c.space == name))
    return False


def overdue(tx: Tx, name: str, since: Time) -> Iterator[tuple[str, str]]:
    """In `EVERY_TENANT`, the (tenant, space) pairs whose job nobody armed: tenants whose searches the space neither
    answers nor will answer, spaces that lack vectors, and those that leave.
    """
    tx.dialect.unhurried(tx.conn)
    mine, other = (
        sa.exists().where(spaces.c.tenant == counters.c.tenant, spaces.c.state != "leaving", *more)
        for more in ((spaces.c.space == name,), (spaces.c.space != name, spaces.c.since > since))
    )
    rival = sa.exists().where(spaces.c.tenant == counters.c.tenant, spaces.c.state == "filling", spaces.c.space != name)
    having = counters.c.name == "chunks", counters.c.value > 0
    for tenant in tx.conn.execute(sa.select(counters.c.tenant).where(*having, ~other, sa.or_(~mine, rival))).scalars():
        yield tenant, name
    counted = (
        sa.select(sa.func.count())
        .where(vector_rows.c.tenant == spaces.c.tenant, vector_rows.c.space == spaces.c.space)
        .correlate(spaces)
        .scalar_subquery()
    )
    armed = sa.exists().where(jobs.c.tenant == spaces.c.tenant, jobs.c.kind == JOB, jobs.c.subject == spaces.c.space)
    has = sa.and_(counters.c.tenant == spaces.c.tenant, *having)
    left = sa.select(spaces.c.tenant, spaces.c.space).join_from(spaces, counters, has, isouter=True)
    lags = sa.case((spaces.c.state == "leaving", True), else_=sa.func.coalesce(counters.c.value, 0) > counted)
    for tenant, space in tx.conn.execute(left.where(~armed, lags)):
        yield tenant, space


def _is_in(there: Sequence[Space], name: str) -> bool:
    return any(space.name == name and space.state != "leaving" for space in there)


def _others(there: Sequence[Space], name: str) -> list[Space]:
    return [space for space in there if space.name != name and space.state != "leaving"]


def _giving_way(there: Sequence[Space], name: str, since: Time | None) -> list[str] | None:
    """The spaces that are filled no more once this one is wanted; None where another was wanted later."""
    others = _others(there, name)
    if others and (since is None or max((other.since, other.name) for other in others) > (since, name)):
        return None
    return [other.name for other in others if other.state == "filling"]


def _mine(tx: Tx) -> sa.Select[str, str, int, int]:
    return sa.select(*_COLUMNS).where(spaces.c.tenant == tx.tenant).order_by(spaces.c.space)


def _locked(tx: Tx) -> list[Space]:
    """The tenant's spaces, all with rows, and nobody else's to change until the transaction ends."""
    rows = tx.conn.execute(_mine(tx).with_for_update()).all()
    if rows:
        return [Space(*row) for row in rows]
    found = _found(tx)
    for space in found:
        tx.conn.execute(
            sa.insert(spaces).values(tenant=tx.tenant, space=space.name, state=space.state, since=0, through=0)
        )
    _leave(tx, [space.name for space in found if space.state == "leaving"])
    return found


def _found(tx: Tx) -> list[Space]:
    """What the vectors say: the space that got the newest of them serves."""
    newest = sa.select(sa.func.max(codes.c.added)).where(codes.c.tenant == tx.tenant)
    ages = {name: tx.conn.execute(newest.where(codes.c.space == name)).scalar() or 0 for name in vectors.spaces(tx)}
    last = max(ages, key=lambda name: ages[name], default=None)
    return [Space(name, "serving" if name == last else "leaving") for name in ages]


def _leave(tx: Tx, names: Sequence[str]) -> None:
    for name in names:
        _set(tx, name, state="leaving")
    queue.arm(tx, [(JOB, name, tx.now + KEPT_MS) for name in names])


def _set(tx: Tx, name: str, **values: object) -> None:
    tx.conn.execute(spaces.update().where(spaces.c.tenant == tx.tenant, spaces.c.space == name).values(**values))
