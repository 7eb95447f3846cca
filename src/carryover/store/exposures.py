"""Where patterns stand for agents to read, and since when; and what each measurement of them found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa

from carryover.core.pattern import Effect, Exposure, Share, Verdict
from carryover.core.text import canonical_json
from carryover.store.coding_tables import effects, exposures
from carryover.store.dialect import Dialect
from carryover.store.store import Tx

_FIELDS = ("pattern", "version", "path", "repo", "flavor", "since", "until", "block", "detail")
_KEY = ["tenant", "pattern", "path", "since"]
_OWN = ("design", "measure", "missing", "notes", "detail")  # of an effect, beside its columns


def add(tx: Tx, told: Sequence[Exposure]) -> int:
    """These patterns stand there from now on; how many of them did not already.

    One that stands there in another version, or with other words (its `detail`), ends where the new one begins.
    """
    added = 0
    for one in told:
        before = next((known for known in listed(tx, pattern=one.pattern, path=one.path, standing=True)), None)
        if before is not None and (before.version, before.detail) == (one.version, one.detail):
            continue
        if before is not None:
            end(tx, one.pattern, one.path, one.since)
        row = {"tenant": tx.tenant, **{name: getattr(one, name) for name in _FIELDS}, "detail": _text(one.detail)}
        tx.conn.execute(_adding(tx.dialect), row)
        added += 1
    return added


def end(tx: Tx, pattern: str, path: str, at: int) -> bool:
    """The pattern stands there no longer; False where it did not."""
    here = (exposures.c.pattern == pattern, exposures.c.path == path, exposures.c.until.is_(None))
    ended = exposures.update().where(exposures.c.tenant == tx.tenant, *here).values(until=at)
    return tx.conn.execute(ended).rowcount > 0


def wrote(tx: Tx, path: str, block: str) -> None:
    """What stands at the path is the block with this hash, whichever of its patterns are new."""
    here = (exposures.c.tenant == tx.tenant, exposures.c.path == path, exposures.c.until.is_(None))
    tx.conn.execute(exposures.update().where(*here, exposures.c.block != block).values(block=block))


def listed(
    tx: Tx, *, pattern: str | None = None, path: str | None = None, standing: bool | None = None
) -> list[Exposure]:
    """The exposures, oldest first; with `standing`, only those that last (True) or are over (False)."""
    wanted = sa.select(*(exposures.c[name] for name in _FIELDS)).where(exposures.c.tenant == tx.tenant)
    if pattern is not None:
        wanted = wanted.where(exposures.c.pattern == pattern)
    if path is not None:
        wanted = wanted.where(exposures.c.path == path)
    if standing is not None:
        wanted = wanted.where(exposures.c.until.is_(None) if standing else exposures.c.until.is_not(None))
    rows = tx.conn.execute(wanted.order_by(exposures.c.since, exposures.c.pattern, exposures.c.path))
    return [Exposure(*row[:-1], detail=json.loads(row[-1])) for row in map(tuple, rows)]


def measured(tx: Tx, found: Sequence[Effect]) -> int:
    """What measuring found is kept; how many of these say something new.

    One that says what the pattern's latest says, at another moment, is not kept again.
    """
    new = 0
    for effect in found:
        before = latest(tx, effect.pattern)
        if before is not None and _said(before) == _said(effect):
            continue
        tx.conn.execute(_measuring(tx.dialect), {"tenant": tx.tenant, **_row(effect)})
        new += 1
    return new


def latest(tx: Tx, pattern: str) -> Effect | None:
    """What the pattern's newest measurement found."""
    row = tx.conn.execute(_of(tx, pattern).order_by(effects.c.at.desc()).limit(1)).first()
    return None if row is None else _effect(row)


def history(tx: Tx, pattern: str) -> list[Effect]:
    """What all measurements of the pattern found, oldest first."""
    return [_effect(row) for row in tx.conn.execute(_of(tx, pattern).order_by(effects.c.at))]


def _of(tx: Tx, pattern: str) -> sa.Select[Any]:
    return sa.select(effects).where(effects.c.tenant == tx.tenant, effects.c.pattern == pattern)


def _said(effect: Effect) -> str:
    return _text({name: value for name, value in asdict(effect).items() if name != "at"})


def _row(effect: Effect) -> dict[str, Any]:
    said = asdict(effect)
    body = {name: said.pop(name) for name in _OWN} | {
        name: list(said.pop(name).values()) for name in ("before", "after")
    }
    return {**said, "body": _text(body)}


def _effect(row: Any) -> Effect:
    body = json.loads(row.body)
    return Effect(
        row.pattern,
        row.version,
        row.at,
        cast("Verdict", row.verdict),
        body["design"],
        body["measure"],
        Share(*body["before"]),
        Share(*body["after"]),
        row.estimate,
        row.low,
        row.high,
        body["missing"],
        tuple(body["notes"]),
        body["detail"],
    )


def _text(value: Any) -> str:
    return canonical_json(value)


@lru_cache(maxsize=8)
def _adding(dialect: Dialect) -> Any:
    new = dialect.insert(exposures)
    kept = {name: new.excluded[name] for name in ("until", "version", "repo", "flavor", "block", "detail")}
    return new.on_conflict_do_update(index_elements=_KEY, set_=kept)


@lru_cache(maxsize=8)
def _measuring(dialect: Dialect) -> Any:
    new = dialect.insert(effects)
    kept = {name: new.excluded[name] for name in ("version", "verdict", "body", "estimate", "low", "high")}
    return new.on_conflict_do_update(index_elements=["tenant", "pattern", "at"], set_=kept)
