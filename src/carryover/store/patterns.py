"""Patterns: every version of each, and the quotes that show the newest.

A body holds no quote, so what is erased with a session is gone from all versions of a pattern.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from carryover.core.clock import rfc3339
from carryover.core.errors import VersionConflict
from carryover.core.pattern import Evidence, Pattern, PatternState
from carryover.core.wire import decode, encode
from carryover.store import sealed
from carryover.store.coding_tables import evidence, patterns
from carryover.store.parts import parts
from carryover.store.store import Tx

_COLUMNS = ("id", "version", "state", "by", "reason", "at")


def put(tx: Tx, pattern: Pattern) -> None:
    """This is the newest version of the pattern, shown by its evidence alone; the first one is version 1.

    Raises VersionConflict where its version does not follow the newest.
    """
    version = _version(tx, pattern.id)
    new = tx.insert(patterns).values(_row(tx, pattern))
    added = (
        pattern.version == version + 1
        and tx.conn.execute(new.on_conflict_do_nothing(index_elements=["tenant", "id", "version"])).rowcount
    )
    if not added:
        version = _version(tx, pattern.id)
        raise VersionConflict(
            f"pattern {pattern.id!r} is at version {version}, not {pattern.version - 1}; read it again and retry",
            current_version=version,
        )
    if version:
        _drop_evidence(tx, pattern.id)
    rows = [
        {
            "tenant": tx.tenant,
            "pattern": pattern.id,
            "n": n,
            "agent": one.agent_id,
            "session": one.session_id,
            "repo": one.repo,
            "quote": one.quote,
            "first": one.first,
            "last": one.last,
        }
        for n, one in enumerate(pattern.evidence)
    ]
    if kept := sealed.closed(tx, evidence, rows):
        tx.conn.execute(sa.insert(evidence), kept)


def get(tx: Tx, id: str) -> Pattern | None:
    """The newest version, with its evidence."""
    found = _read(tx, patterns.c.id == id)
    return found[0] if found else None


def listed(tx: Tx, state: PatternState | None = None) -> list[Pattern]:
    """The newest version of each pattern, or of those in this state, with its evidence; the highest score first."""
    found = _read(tx) if state is None else _read(tx, patterns.c.state == state)
    return sorted(found, key=lambda pattern: (-pattern.score, pattern.id))


def versions(tx: Tx, id: str) -> list[Pattern]:
    """All versions of a pattern, the newest first; that one alone has evidence."""
    wanted = sa.select(patterns).where(patterns.c.tenant == tx.tenant, patterns.c.id == id)
    found = [_pattern(row) for row in tx.conn.execute(wanted.order_by(patterns.c.version.desc()))]
    shown = tuple(_evidence(tx, [id]).get(id, ()))
    return [replace(found[0], evidence=shown), *found[1:]] if found else []


def thin(tx: Tx, newest: Pattern) -> None:
    """The version before is gone where nobody but detection made it: its counts are told by the newest one.

    The first one stays, and says since when the pattern is known: what it changes is measured against what was before.
    """
    before = (patterns.c.tenant == tx.tenant, patterns.c.id == newest.id, patterns.c.version == newest.version - 1)
    before = (*before, patterns.c.version > 1)
    tx.conn.execute(patterns.delete().where(*before, patterns.c.by == newest.by, patterns.c.state == newest.state))


def drop(tx: Tx, id: str) -> None:
    """No version of the pattern is left, nor its evidence."""
    _drop_evidence(tx, id)
    tx.conn.execute(patterns.delete().where(patterns.c.tenant == tx.tenant, patterns.c.id == id))


def _drop_evidence(tx: Tx, id: str) -> None:
    tx.conn.execute(evidence.delete().where(evidence.c.tenant == tx.tenant, evidence.c.pattern == id))


def _version(tx: Tx, id: str) -> int:
    newest = sa.select(sa.func.max(patterns.c.version)).where(patterns.c.tenant == tx.tenant, patterns.c.id == id)
    return tx.conn.execute(newest).scalar() or 0


def _read(tx: Tx, *which: sa.ColumnElement[bool]) -> list[Pattern]:
    newest = (
        sa.select(patterns.c.id, sa.func.max(patterns.c.version).label("version"))
        .where(patterns.c.tenant == tx.tenant)
        .group_by(patterns.c.id)
        .subquery()
    )
    here = sa.and_(patterns.c.id == newest.c.id, patterns.c.version == newest.c.version)
    wanted = sa.select(patterns).join(newest, here).where(patterns.c.tenant == tx.tenant, *which)
    found = [_pattern(row) for row in tx.conn.execute(wanted)]
    shown = _evidence(tx, [pattern.id for pattern in found])
    return [replace(pattern, evidence=tuple(shown.get(pattern.id, ()))) for pattern in found]


def _evidence(tx: Tx, ids: Sequence[str]) -> dict[str, list[Evidence]]:
    shown: dict[str, list[Evidence]] = {}
    for part in parts(ids):
        wanted = sa.select(evidence).where(evidence.c.tenant == tx.tenant, evidence.c.pattern.in_(part))
        rows = tx.conn.execute(wanted.order_by(evidence.c.pattern, evidence.c.n))
        for row, (quote,) in sealed.opened(tx, evidence, rows):
            one = Evidence(row.agent, row.session, row.first, row.last, quote, row.repo)
            shown.setdefault(row.pattern, []).append(one)
    return shown


def _row(tx: Tx, pattern: Pattern) -> dict[str, object]:
    body = encode(replace(pattern, evidence=()))
    columns = {name: getattr(pattern, name) for name in _COLUMNS}
    kept = {name: value for name, value in body.items() if name not in (*_COLUMNS, "evidence")}
    return {"tenant": tx.tenant, "body": json.dumps(kept, separators=(",", ":")), **columns}


def _pattern(row: Any) -> Pattern:
    columns = {name: getattr(row, name) for name in _COLUMNS}
    return decode(Pattern, {**json.loads(row.body), **columns, "at": rfc3339(row.at)})
