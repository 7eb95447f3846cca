"""What is derived from the log and does not agree with it, and its repair in small steps while everything goes on.

The log is the truth: a session whose chunks are in doubt gets its watermark set back, and the `index` job compares
what is there with the log and makes what is missing. A session that was erased has no log, so nothing of it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from carryover.core.job import subject_of
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import chunks, counters, derived, listing, logged, queue, spaces, vectors, wording
from carryover.store.chunks import Corpus
from carryover.store.hashed import GIVEN
from carryover.store.parts import MOST, parts
from carryover.store.store import Store, Tx
from carryover.store.tables import chunks as chunk_rows
from carryover.store.tables import codes as code_rows
from carryover.store.tables import counters as counter_rows
from carryover.store.tables import jobs, sessions, watermarks
from carryover.store.tables import vectors as vector_rows

INDEX, REINDEX = "index", "reindex"  # the jobs of a session, and of a tenant (subject `all`)
ALL = "all"
_STEP = 5_000  # rows that one step repairs
_READ = 200  # turns that are read to learn whether anything was said

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong with a tenant's index, in words; `ns` (of a `space`) and `keys` are what a step mends:
    numbers of chunks, and sessions.
    """

    about: str
    mend: Callable[[Tx, Damage], None]
    ns: tuple[int, ...] = ()
    keys: tuple[Key, ...] = ()
    space: str = ""


def sessions_behind(tx: Tx) -> Iterator[tuple[str, str]]:
    """In `EVERY_TENANT`, (tenant, subject) of the sessions with turns that no job is going to index."""
    tx.dialect.unhurried(tx.conn)
    subject = sessions.c.agent + "/" + sessions.c.session
    armed = sa.exists().where(jobs.c.tenant == sessions.c.tenant, jobs.c.kind == INDEX, jobs.c.subject == subject)
    wanted = (
        sa.select(sessions.c.tenant, subject)
        .join_from(sessions, watermarks, _same(sessions, watermarks), isouter=True)
        .where(sessions.c.version > sa.func.coalesce(watermarks.c.through, 0), ~armed)
    )
    return ((tenant, found) for tenant, found in tx.conn.execute(wanted))


def suspects(tx: Tx) -> Iterator[tuple[str, str]]:
    """In `EVERY_TENANT`, (tenant, `all`) where numbers of rows do not agree: `look` says what is behind it.

    Counts alone are read, so that it can be done every hour.
    """
    tx.dialect.unhurried(tx.conn)
    there = _counted(tx, chunk_rows)
    said = sa.select(counter_rows.c.tenant, counter_rows.c.value).where(
        counter_rows.c.tenant != EVERY_TENANT.tenant, counter_rows.c.name == "chunks"
    )
    counted = {tenant: value for tenant, value in tx.conn.execute(said) if value}
    found = {tenant for tenant in there.keys() | counted.keys() if there.get(tenant) != counted.get(tenant)}
    found |= listing.suspects(tx, there) | wording.unlike(tx, there)
    with_vectors, with_codes = _counted(tx, vector_rows), _counted(tx, code_rows)
    found |= {one for one in with_vectors.keys() | with_codes.keys() if with_vectors.get(one) != with_codes.get(one)}
    found |= set(tx.conn.execute(_ahead(watermarks.c.tenant).distinct()).scalars())
    indexed = sa.select(watermarks.c.tenant).where(watermarks.c.tenant.is_not(None), watermarks.c.through > 0)
    found |= set(tx.conn.execute(indexed.distinct()).scalars()) - there.keys()
    return ((tenant, ALL) for tenant in sorted(found))


def changing(tx: Tx) -> set[str]:
    """In `EVERY_TENANT`, the tenants whose text index workers bring into the form that is set, now or soon."""
    alive = jobs.c.kind == REINDEX, jobs.c.subject == ALL, jobs.c.dead_at.is_(None)
    armed = tx.conn.execute(sa.select(jobs.c.tenant).where(jobs.c.tenant.is_not(None), *alive)).scalars()
    return wording.unlike(tx, armed)


def look(tx: Tx) -> Iterator[Damage]:
    """Everything that is wrong with the tenant's index; the first of it is to be mended first."""
    return (found for check in _LOOKS if (found := check(tx)) is not None)


def torn(tx: Tx) -> dict[str, set[Key]]:
    """In `EVERY_TENANT`, the sessions of each tenant whose chunks or watermarks cannot be right, whatever was said.

    They have some parts of a turn and lack others, or say something of what is not there.
    """
    found: dict[str, set[Key]] = {}
    partly = sa.select(chunk_rows.c.tenant, chunk_rows.c.agent, chunk_rows.c.session).where(
        chunk_rows.c.tenant.is_not(None), chunk_rows.c.kind == "turn"
    )
    partly = partly.group_by(chunk_rows.c.tenant, chunk_rows.c.agent, chunk_rows.c.session, chunk_rows.c.first)
    uneven = partly.having(sa.func.count() != sa.func.max(chunk_rows.c.parts))
    stray = (
        sa.select(law.table.c.tenant, law.table.c.agent, law.table.c.session).where(law.wrong)
        for law in derived.OF_INDEX
    )
    for wanted in (uneven, *stray):
        for row in tx.conn.execute(wanted):
            found.setdefault(row.tenant, set()).add((row.agent, row.session))
    return found


def reindex(store: Store) -> tuple[int, int]:
    """Everything that is derived for search is compared with the log by the next workers; searches go on meanwhile.

    How many tenants and sessions there are. Begun again after it was broken off, it begins anew, which costs little.
    """
    with store.read(EVERY_TENANT) as tx:
        tenants = list(tx.conn.execute(sa.select(sessions.c.tenant).distinct().order_by(sessions.c.tenant)).scalars())
    counted = 0
    for tenant in tenants:
        after: Key | None = ("", "")
        while after is not None:
            number, after = store.transact(Scope(tenant), partial(_reindex_some, after=after))
            counted += number
    return len(tenants), counted


def _reindex_some(tx: Tx, after: Key) -> tuple[int, Key | None]:
    """The next sessions are compared with the log; how many, and where to go on. After the last comes all else."""
    keys = sessions_after(tx, after, MOST)
    index_anew(tx, keys)
    if len(keys) == MOST:
        return len(keys), keys[-1]
    spaces.look_again(tx)
    queue.arm(tx, [(REINDEX, ALL, tx.now)], push=False)
    return len(keys), None


def index_anew(tx: Tx, keys: Sequence[Key]) -> None:
    """The next workers compare the sessions with the log; what is indexed rightly stays, and is found meanwhile."""
    named = sa.tuple_(watermarks.c.agent, watermarks.c.session)
    for part in parts(keys):
        here = watermarks.c.tenant == tx.tenant, named.in_(list(part))
        tx.conn.execute(watermarks.update().where(*here).values(through=0, snapshot=0))
        tx.conn.execute(watermarks.delete().where(*here, ~sa.exists().where(_same(sessions, watermarks))))
    queue.arm(tx, [(INDEX, subject_of(*key), tx.now) for key in keys], push=False)


def sessions_after(tx: Tx, after: Key, most: int) -> list[Key]:
    """The next `most` of the tenant's sessions by agent and name."""
    beyond = sa.tuple_(sessions.c.agent, sessions.c.session) > sa.tuple_(*map(sa.literal, after))
    wanted = sa.select(sessions.c.agent, sessions.c.session).where(sessions.c.tenant == tx.tenant, beyond)
    rows = tx.conn.execute(wanted.order_by(sessions.c.agent, sessions.c.session).limit(most))
    return [(row[0], row[1]) for row in rows]


def true_corpus(tx: Tx) -> Corpus:
    """The tenant's chunks and terms, counted."""
    wanted = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(chunks.SIZE), 0)).where(
        chunk_rows.c.tenant == tx.tenant
    )
    return Corpus(*tx.conn.execute(wanted).one())


def _orphans(tx: Tx) -> Damage | None:
    """Chunks whose session is gone."""
    rows = sa.select(chunk_rows.c.n).where(
        chunk_rows.c.tenant == tx.tenant, ~sa.exists().where(_same(sessions, chunk_rows))
    )
    ns = tuple(tx.conn.execute(rows.limit(_STEP)).scalars())
    return Damage(f"{_many(ns)} chunks are of sessions that are gone", _remove, ns) if ns else None


def _remove(tx: Tx, damage: Damage) -> None:
    chunks.remove(tx, chunks.bare(tx, damage.ns))


def _ahead_here(tx: Tx) -> Damage | None:
    """Watermarks beyond their logs."""
    rows = _ahead(watermarks.c.agent, watermarks.c.session).where(watermarks.c.tenant == tx.tenant)
    keys = tuple((row[0], row[1]) for row in tx.conn.execute(rows.limit(_STEP)))
    return (
        Damage(f"{_many(keys)} sessions are said to be indexed beyond their logs", _set_back, (), keys)
        if keys
        else None
    )


def _set_back(tx: Tx, damage: Damage) -> None:
    index_anew(tx, damage.keys)


def _lost(tx: Tx) -> Damage | None:
    """Chunks that are counted and not there, or that none of all sessions has though they are indexed."""
    true, counted = true_corpus(tx), chunks.corpus(tx)
    if true != counted:
        return Damage(f"{counted.chunks} chunks are counted and {true.chunks} are there", _index_all_anew)
    indexed = sa.select(sa.func.count()).where(watermarks.c.tenant == tx.tenant, watermarks.c.through > 0)
    if true.chunks == 0 and tx.conn.execute(indexed).scalar_one() and _says_something(tx):
        return Damage("sessions are said to be indexed and none has a chunk", _index_all_anew)
    return None


def _says_something(tx: Tx) -> bool:
    """Whether the first turns of the tenant have anything that search could find."""
    read = islice((entry for page in logged.pages(tx) for entry in page), _READ)
    return any(entry.link.row["kind"] != "retraction" and (entry.text or "").strip() for entry in read)


def _index_all_anew(tx: Tx, _damage: Damage) -> None:
    counters.bump(tx, "chunks", 0)  # from here on nobody else adds or removes chunks of the tenant
    true, counted = true_corpus(tx), chunks.corpus(tx)
    counters.bump(tx, "chunks", true.chunks - counted.chunks)
    counters.bump(tx, "terms", true.terms - counted.terms)
    _all_anew(tx)


def _all_anew(tx: Tx) -> None:
    keys, after = list[Key](), ("", "")
    while some := sessions_after(tx, after, _STEP):
        keys, after = keys + some, some[-1]
    index_anew(tx, keys)


def _otherwise(tx: Tx) -> Damage | None:
    """An index in another form than the settings ask for."""
    return Damage("the text index is kept in another form than is set", _form_anew) if wording.is_amiss(tx) else None


def begin_anew(tx: Tx) -> None:
    """Where the text index is to be in another form, the next workers bring it there."""
    if wording.is_amiss(tx):
        queue.arm(tx, [(REINDEX, ALL, tx.now)], push=False)


def _form_anew(tx: Tx, _damage: Damage) -> None:
    """Words of the former form are gone from some chunks more; once they are from all, sessions are indexed again."""
    wording.begin(tx)
    if some := wording.former(tx, _STEP):
        chunks.reword(tx, [(chunk, GIVEN) for chunk in chunks.bare(tx, some)])
        return
    tx.dialect.purge(tx.conn)
    wording.end(tx)
    _all_anew(tx)


def _strays(tx: Tx) -> Damage | None:
    """Entries of the text index without a chunk."""
    count = listing.strays(tx)
    return Damage(f"the text index holds {count} entries without a chunk", _clear_strays) if count else None


def _clear_strays(tx: Tx, _damage: Damage) -> None:
    for tenant in listing.clear_strays(tx):
        queue.arm(tx.within(Scope(tenant)), [(REINDEX, ALL, tx.now)], push=False)


def _unlisted(tx: Tx) -> Damage | None:
    """Chunks that the text index lacks."""
    ns = listing.unlisted(tx, _STEP)
    return Damage(f"the text index lacks {_many(ns)} chunks", _list, tuple(ns)) if ns else None


def _list(tx: Tx, damage: Damage) -> None:
    counters.bump(tx, "chunks", 0)  # as above
    listing.add(tx, damage.ns)


def _bereft(tx: Tx) -> Damage | None:
    """Vectors without a chunk."""
    chunk = sa.exists().where(chunk_rows.c.tenant == vector_rows.c.tenant, chunk_rows.c.n == vector_rows.c.n)
    wanted = sa.select(vector_rows.c.n).where(vector_rows.c.tenant == tx.tenant, ~chunk)
    ns = tuple(tx.conn.execute(wanted.limit(_STEP)).scalars())
    return Damage(f"{_many(ns)} vectors belong to no chunk", _forget, ns) if ns else None


def _forget(tx: Tx, damage: Damage) -> None:
    vectors.remove(tx, damage.ns)


def _codeless(tx: Tx) -> Damage | None:
    """Vectors of a space without their codes."""
    for space in vectors.spaces(tx):
        lacking = np.setdiff1d(_numbers(tx, vector_rows, space), _numbers(tx, code_rows, space))
        if lacking.size:
            ns = tuple(lacking[:_STEP].tolist())
            return Damage(f"{lacking.size} vectors of {space} have no code", _encode, ns, space=space)
    return None


def _encode(tx: Tx, damage: Damage) -> None:
    counters.bump(tx, "vectors", 0)  # from here on nobody else adds vectors of the tenant
    vectors.encode(tx, damage.space, damage.ns)
    if len(damage.ns) < _STEP:
        vectors.renew(tx)


def _vectorless(tx: Tx) -> Damage | None:
    """Codes without their vectors; a chunk's second code is one, of a vector that was lost and made again."""
    named = tx.conn.execute(sa.select(code_rows.c.space).where(code_rows.c.tenant == tx.tenant).distinct()).scalars()
    for space in named.all():
        coded, counts = np.unique(_numbers(tx, code_rows, space), return_counts=True)
        extra = np.union1d(np.setdiff1d(coded, _numbers(tx, vector_rows, space)), coded[counts > 1])
        if extra.size:
            ns = tuple(extra[:_STEP].tolist())
            return Damage(f"{extra.size} codes of {space} have no vector", _drop_codes, ns, space=space)
    return None


def _drop_codes(tx: Tx, damage: Damage) -> None:
    for part in parts(damage.ns):
        here = code_rows.c.tenant == tx.tenant, code_rows.c.space == damage.space, code_rows.c.n.in_(part)
        matched = sa.exists().where(vector_rows.c.tenant == code_rows.c.tenant, vectors.matched())
        tx.conn.execute(code_rows.delete().where(*here, ~matched))
    vectors.renew(tx)


def _numbers(tx: Tx, table: sa.Table, space: str) -> NDArray[np.int64]:
    wanted = sa.select(table.c.n).where(table.c.tenant == tx.tenant, table.c.space == space)
    return np.fromiter(tx.conn.execute(wanted).scalars(), np.int64)


# What a step repairs a part of comes first, so that the next step soon finds it again.
_LOOKS = (_otherwise, _unlisted, _codeless, _vectorless, _ahead_here, _strays, _orphans, _bereft, _lost)


def _ahead(*columns: sa.ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
    wanted = sa.select(*columns).join_from(watermarks, sessions, _same(watermarks, sessions), isouter=True)
    return wanted.where(
        watermarks.c.tenant.is_not(None), watermarks.c.through > sa.func.coalesce(sessions.c.version, -1)
    )


def _counted(tx: Tx, table: sa.Table) -> dict[str, int]:
    wanted = sa.select(table.c.tenant, sa.func.count()).where(table.c.tenant.is_not(None)).group_by(table.c.tenant)
    return {row[0]: row[1] for row in tx.conn.execute(wanted)}


def _same(a: sa.FromClause, b: sa.FromClause) -> sa.ColumnElement[bool]:
    return sa.and_(*(a.c[name] == b.c[name] for name in ("tenant", "agent", "session")))


def _many(values: Sequence[object]) -> str:
    return f"{len(values)} or more" if len(values) == _STEP else str(len(values))
