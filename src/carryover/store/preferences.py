"""Preferences of users, each sealed with its user's key: rows say whose it is and where it was said, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from carryover.core.persona import Polarity, Preference, Quote
from carryover.store.parts import parts
from carryover.store.persona_tables import preferences as rows
from carryover.store.store import Tx
from carryover.store.vault import Vault


class _Sealed(msgspec.Struct, array_like=True):
    """What is sealed of a preference. A field that comes later goes last and has a default."""

    facet: str
    value: str
    polarity: Polarity
    explicit: bool
    correction: bool
    weight: float
    quote: str
    label: int | None
    vector: bytes | None
    space: str | None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Sealed)


def add(tx: Tx, vault: Vault, preferences: Sequence[Preference]) -> None:
    """The preferences are kept; one whose id is there already is left as it was."""
    new = [
        {
            "tenant": tx.tenant,
            "id": one.id,
            "user": one.user_id,
            "agent": one.quote.agent_id,
            "session": one.quote.session_id,
            "seq": one.quote.seq,
            "said_at": one.said_at,
            "sealed": sealed,
        }
        for one, sealed in _sealed(tx, vault, preferences)
    ]
    for part in parts(new):
        tx.conn.execute(tx.insert(rows).on_conflict_do_nothing(index_elements=["tenant", "id"]), list(part))


def of_user(tx: Tx, vault: Vault, user: str) -> list[Preference]:
    """The user's, in the order in which they were said; none of those that were sealed with a key that was dropped.

    Raises KeyLost when a key should be there and is not.
    """
    here = rows.c.tenant == tx.tenant, rows.c.user == user
    return _opened(tx, vault, tx.conn.execute(sa.select(rows).where(*here)).all())


def of_tenant(tx: Tx, vault: Vault, *, after: str = "", limit: int = 1000) -> list[Preference]:
    """Those of so many users who come after `after`, all of each user's; the last page alone is empty.

    Raises KeyLost when a key should be there and is not.
    """
    user = rows.c.user if tx.dialect.name == "sqlite" else sa.collate(rows.c.user, "C")  # one order on every engine
    while True:
        page = sa.select(rows.c.user).where(rows.c.tenant == tx.tenant, user > after).group_by(rows.c.user)
        users = tx.conn.execute(page.order_by(user).limit(limit)).scalars().all()
        if not users:
            return []
        found: list[Any] = []
        for part in parts(users):
            found += tx.conn.execute(sa.select(rows).where(rows.c.tenant == tx.tenant, rows.c.user.in_(part))).all()
        opened = _opened(tx, vault, found)
        if opened:
            return opened
        after = users[-1]  # all of them were erased


def relabel(tx: Tx, vault: Vault, preferences: Sequence[Preference]) -> None:
    """The same preferences with other labels, vectors and spaces; one that is gone meanwhile stays so."""
    here = rows.c.tenant == tx.tenant, rows.c.id == sa.bindparam("key"), rows.c.user == sa.bindparam("whose")
    anew = rows.update().where(*here).values(sealed=sa.bindparam("record"))
    given = [{"key": one.id, "whose": one.user_id, "record": sealed} for one, sealed in _sealed(tx, vault, preferences)]
    if given:
        tx.conn.execute(anew, given)


def drop(tx: Tx, ids: Sequence[str]) -> None:
    """These are gone: the turns that they were said in were taken back."""
    for part in parts(ids):
        tx.conn.execute(rows.delete().where(rows.c.tenant == tx.tenant, rows.c.id.in_(part)))


def users_of(tx: Tx, agent: str, session: str) -> list[str]:
    """The users of whom anything was noticed in the session."""
    theirs = sa.select(rows.c.user).where(*_of_session(tx, agent, session)).distinct().order_by(rows.c.user)
    return list(tx.conn.execute(theirs).scalars())


def said_in(tx: Tx, agent: str, session: str, turns: Iterable[int]) -> dict[str, str]:
    """The ids of what was noticed in these turns of the session, each with its user."""
    gone = set(turns)
    found = tx.conn.execute(sa.select(rows.c.id, rows.c.user, rows.c.seq).where(*_of_session(tx, agent, session)))
    return {row.id: row.user for row in found if row.seq in gone}


def count_session(tx: Tx, agent: str, session: str) -> int:
    """How many were noticed in the session."""
    mine = sa.select(sa.func.count()).select_from(rows).where(*_of_session(tx, agent, session))
    return tx.conn.execute(mine).scalar_one()


def erase_session(tx: Tx, agent: str, session: str) -> int:
    """What was noticed in the session is gone; how many."""
    return tx.conn.execute(rows.delete().where(*_of_session(tx, agent, session))).rowcount


def _of_session(tx: Tx, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    return rows.c.tenant == tx.tenant, rows.c.agent == agent, rows.c.session == session


def _sealed(tx: Tx, vault: Vault, preferences: Sequence[Preference]) -> list[tuple[Preference, bytes]]:
    """Each with what is to be kept of it, user by user."""
    done: list[tuple[Preference, bytes]] = []
    for user in dict.fromkeys(one.user_id for one in preferences):
        theirs = [one for one in preferences if one.user_id == user]
        records = [(_place(one.id), _ENCODER.encode(_told(one))) for one in theirs]
        done += zip(theirs, vault.seal_all(tx.tenant, user, records), strict=True)
    return done


def _told(one: Preference) -> _Sealed:
    return _Sealed(
        one.facet,
        one.value,
        one.polarity,
        one.explicit,
        one.correction,
        one.weight,
        one.quote.text,
        one.label,
        one.vector,
        one.space,
    )


def _opened(tx: Tx, vault: Vault, found: Sequence[Any]) -> list[Preference]:
    """User by user, in the order in which they were said: the same on every engine."""
    in_order = sorted(found, key=lambda row: (row.user, row.said_at, row.agent, row.session, row.seq, row.id))
    records = [(row.user, _place(row.id), bytes(row.sealed)) for row in in_order]
    opened = vault.open_all(tx.tenant, records)
    return [_made(row, plain) for row, plain in zip(in_order, opened, strict=True) if plain is not None]


def _made(row: Any, plain: bytes) -> Preference:
    said = _DECODER.decode(plain)
    return Preference(
        id=row.id,
        user_id=row.user,
        facet=said.facet,
        value=said.value,
        polarity=said.polarity,
        explicit=said.explicit,
        correction=said.correction,
        weight=said.weight,
        quote=Quote(row.agent, row.session, row.seq, said.quote),
        said_at=row.said_at,
        label=said.label,
        vector=said.vector,
        space=said.space,
    )


def _place(id: str) -> str:
    return f"preferences/{id}"
