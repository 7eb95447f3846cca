"""Profiles of users: which version each is at, and what the user decided about it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.core.errors import VersionConflict
from carryover.core.persona import Edits
from carryover.store.persona_tables import persona_codes, personas_shown, preferences
from carryover.store.persona_tables import profiles as rows
from carryover.store.store import Tx
from carryover.store.vault import Vault

_PLACE = "profiles"
_ENCODER = msgspec.msgpack.Encoder(order="sorted")
_DECODER = msgspec.msgpack.Decoder(Edits)


@dataclass(frozen=True, slots=True)
class Head:
    """How a user's profile stands; nothing is known of a user whose version is 0."""

    user: str
    version: int  # grows with whatever changes what is told of the user
    edited: int  # the version that the newest edit made; 0: there is none
    edits: Edits
    updated_at: Time


def get(tx: Tx, vault: Vault, user: str) -> Head:
    """The user's profile as it stands; edits that were sealed with a key that was dropped are gone.

    Raises KeyLost when a key should be there and is not.
    """
    return _head(tx, vault, user, _mine(tx, user))


def held(tx: Tx, vault: Vault, user: str) -> Head:
    """As `get`, and until the transaction ends nobody else changes it."""
    made = tx.insert(rows).values(tenant=tx.tenant, user=user, version=0, edited=0, updated_at=tx.now)
    tx.conn.execute(made.on_conflict_do_nothing(index_elements=["tenant", "user"]))
    return _head(tx, vault, user, _mine(tx, user).with_for_update())


def locked(tx: Tx, user: str) -> int:
    """The version that the profile is at, 0 where there is none; until the transaction ends nobody else changes it."""
    here = rows.c.tenant == tx.tenant, rows.c.user == user
    return tx.conn.execute(sa.select(rows.c.version).where(*here).with_for_update()).scalar() or 0


def touch(tx: Tx, user: str) -> int:
    """What is told of the user may be another from now on; the version that the profile is at."""
    new = tx.insert(rows).values(tenant=tx.tenant, user=user, version=1, edited=0, updated_at=tx.now)
    higher = {"version": rows.c.version + 1, "updated_at": tx.now}
    raised = new.on_conflict_do_update(index_elements=["tenant", "user"], set_=higher)
    return tx.conn.execute(raised.returning(rows.c.version)).scalar_one()


def unsettle(tx: Tx, user: str) -> None:
    """What was made of what is known of the user is gone, also where sessions are open: it is made anew."""
    for table in (persona_codes, personas_shown):
        tx.conn.execute(table.delete().where(table.c.tenant == tx.tenant, table.c.user == user))


def edit(tx: Tx, vault: Vault, user: str, edits: Edits, expected_version: int | None) -> Head:
    """The user's decisions are these; where they were already, nothing has changed.

    Raises VersionConflict when a version was expected and the profile is at another one.
    """
    before = held(tx, vault, user)
    expect(before, expected_version)
    if edits == before.edits:
        return before
    sealed = vault.seal(tx.tenant, user, _PLACE, _ENCODER.encode(edits))
    version = before.version + 1
    here = rows.c.tenant == tx.tenant, rows.c.user == user
    anew = {"version": version, "edited": version, "updated_at": tx.now, "edits": sealed}
    tx.conn.execute(rows.update().where(*here).values(**anew))
    return Head(user, version, version, edits, tx.now)


def expect(head: Head, version: int | None) -> None:
    """Raises VersionConflict when a version is expected and the profile is at another one."""
    if version not in (None, head.version):
        raise VersionConflict(
            f"the profile of user {head.user!r} is at version {head.version}, not {version}; read it again and retry",
            current_version=head.version,
        )


def users(tx: Tx, limit: int) -> list[str]:
    """At most `limit` users of whom anything is known, those of whom most is new first."""
    wanted = sa.select(rows.c.user).where(rows.c.tenant == tx.tenant, rows.c.version > 0)
    return list(tx.conn.execute(wanted.order_by(rows.c.updated_at.desc(), rows.c.user).limit(limit)).scalars())


def count(tx: Tx) -> int:
    """Of how many users anything is known."""
    known = sa.select(sa.func.count()).select_from(rows).where(rows.c.tenant == tx.tenant, rows.c.version > 0)
    return tx.conn.execute(known).scalar_one()


def erase(tx: Tx, user: str) -> dict[str, int]:
    """No row says anything of the user any more; how many went, by table. The user's key is dropped apart from this."""
    gone: dict[str, int] = {}
    locked(tx, user)  # first, as whoever notices does: what they write at this moment goes as well
    for table in (preferences, rows, persona_codes, personas_shown):
        here = table.c.tenant == tx.tenant, table.c.user == user
        gone[table.name] = tx.conn.execute(table.delete().where(*here)).rowcount
    return gone


def _mine(tx: Tx, user: str) -> sa.Select[int, int, bytes, int]:
    columns = rows.c.version, rows.c.edited, rows.c.edits, rows.c.updated_at
    return sa.select(*columns).where(rows.c.tenant == tx.tenant, rows.c.user == user)


def _head(tx: Tx, vault: Vault, user: str, wanted: sa.Select[int, int, bytes, int]) -> Head:
    row = tx.conn.execute(wanted).first()
    if row is None:
        return Head(user, 0, 0, Edits(), 0)
    plain = None if row.edits is None else vault.open(tx.tenant, user, _PLACE, bytes(row.edits))
    return Head(user, row.version, row.edited, Edits() if plain is None else _DECODER.decode(plain), row.updated_at)
