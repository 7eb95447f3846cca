"""Strategies as they were set: for a conversation, or (where the session is empty) for an agent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from carryover.core.errors import VersionConflict
from carryover.core.text import canonical_json
from carryover.store.store import Tx
from carryover.store.strategy_tables import strategies

_KEY = ("tenant", "agent", "session")


def get(tx: Tx, agent: str, session: str = "") -> tuple[dict[str, Any], int]:
    """The fields that are set, and their version; 0 where nothing ever was."""
    row = tx.conn.execute(_wanted(tx, agent, session)).first()
    return (json.loads(row.fields), row.version) if row is not None else ({}, 0)


def held(tx: Tx, agent: str, session: str = "") -> tuple[dict[str, Any], int]:
    """As `get`, and until the transaction ends nobody else sets any."""
    new = tx.insert(strategies).values(
        tenant=tx.tenant, agent=agent, session=session, fields="{}", version=0, updated_at=tx.now
    )
    tx.conn.execute(new.on_conflict_do_nothing(index_elements=list(_KEY)))
    row = tx.conn.execute(_wanted(tx, agent, session).with_for_update()).one()
    return json.loads(row.fields), row.version


def put(tx: Tx, agent: str, session: str, fields: Mapping[str, Any], expected_version: int | None = None) -> int:
    """These fields are set and no others; their version, which is the next one if they were others before.

    Raises VersionConflict unless the version before is the one expected.
    """
    before, version = held(tx, agent, session)
    if expected_version not in (None, version):
        whose = f"of session {session!r}" if session else f"of agent {agent!r}"
        raise VersionConflict(
            f"the strategy {whose} is at version {version}, not {expected_version}; read it again and retry",
            current_version=version,
        )
    if before == fields:
        return version
    changed = strategies.update().where(*_is(tx, agent, session))
    tx.conn.execute(changed.values(fields=canonical_json(dict(fields)), version=version + 1, updated_at=tx.now))
    return version + 1


def _wanted(tx: Tx, agent: str, session: str) -> sa.Select[Any, Any]:
    return sa.select(strategies.c.fields, strategies.c.version).where(*_is(tx, agent, session))


def _is(tx: Tx, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    here = zip(_KEY, (tx.tenant, agent, session), strict=True)
    return tuple(strategies.c[name] == value for name, value in here)
