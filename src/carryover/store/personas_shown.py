"""The persona that a session was opened with: its model is told the same bytes until the session has ended."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from carryover.core.clock import DAY_MS, Time
from carryover.store.persona_tables import personas_shown
from carryover.store.store import Tx
from carryover.store.tables import sessions
from carryover.store.vault import Vault

KEPT_MS = 30 * DAY_MS  # for sessions that were opened and never held a turn
_KEY = ("tenant", "agent", "session")
_PARTED = "\0"  # no text holds one


@dataclass(frozen=True, slots=True)
class Shown:
    """A text that a session's model is told of its user, and the version of the profile (and of the newest edit in
    it) that it was made at. `own` is what a key of that agent alone is told."""

    user: str
    text: str
    version: int
    edited: int
    shown_at: Time
    own: str | None = None  # where it is not the text


def get(tx: Tx, vault: Vault, agent: str, session: str) -> Shown | None:
    """What the session was opened with; None where it was not, or the user is erased."""
    row = tx.conn.execute(sa.select(personas_shown).where(*_is(tx, agent, session))).first()
    if row is None:
        return None
    text = vault.open(tx.tenant, row.user, _place(agent, session), row.sealed) if row.sealed else b""
    if text is None:
        return None
    whole, parted, own = text.decode().partition(_PARTED)
    return Shown(row.user, whole, row.version, row.edited, row.shown_at, own if parted else None)


def put(tx: Tx, vault: Vault, agent: str, session: str, shown: Shown) -> None:
    """This is what the session is opened with, from now on."""
    whole = shown.text if shown.own in (None, shown.text) else f"{shown.text}{_PARTED}{shown.own}"
    plain = whole.encode()  # of a user of whom nothing is known there is nothing to seal, and no key is made
    sealed = vault.seal(tx.tenant, shown.user, _place(agent, session), plain) if plain else b""
    told = {"user": shown.user, "version": shown.version, "edited": shown.edited, "sealed": sealed, "shown_at": tx.now}
    row = tx.insert(personas_shown).values(tenant=tx.tenant, agent=agent, session=session, **told)
    tx.conn.execute(row.on_conflict_do_update(index_elements=list(_KEY), set_=told))


def sweep(tx: Tx) -> int:
    """What sessions were opened with that never held a turn is gone after a while; of how many."""
    session = sa.exists().where(*(sessions.c[name] == personas_shown.c[name] for name in _KEY))
    gone = personas_shown.delete().where(personas_shown.c.shown_at < tx.now - KEPT_MS, ~session)
    return tx.conn.execute(gone).rowcount


def _place(agent: str, session: str) -> str:
    return f"personas_shown/{agent}/{session}"


def _is(tx: Tx, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    here = zip(_KEY, (tx.tenant, agent, session), strict=True)
    return tuple(personas_shown.c[name] == value for name, value in here)
