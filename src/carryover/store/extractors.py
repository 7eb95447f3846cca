"""Extractors: which one a tenant's memory is made with, and how others compared with it. One is promoted at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import sqlalchemy as sa

from carryover.core.extractor import Comparison, ExtractorState, Standing, Tally
from carryover.store import counters
from carryover.store.store import Tx
from carryover.store.tables import extractors


@dataclass(frozen=True, slots=True)
class Compared:
    """One session of a comparison that is under way; `mark` tells it from others without naming it."""

    mark: str
    before: Tally
    after: Tally
    tokens: int


def listed(tx: Tx) -> list[ExtractorState]:
    """All that the tenant has known: the promoted one first, then the newest."""
    rows = tx.conn.execute(sa.select(extractors).where(extractors.c.tenant == tx.tenant))
    return sorted(map(_state, rows), key=lambda one: (one.state != "promoted", -one.since, one.name))


def find(tx: Tx, name: str) -> ExtractorState | None:
    row = _row(tx, extractors.c.name == name)
    return None if row is None else _state(row)


def promoted(tx: Tx) -> ExtractorState | None:
    """The one that the tenant's memory is made with; None before its first snapshot."""
    row = _row(tx, extractors.c.state == "promoted")
    return None if row is None else _state(row)


def lock(tx: Tx) -> None:
    """Whoever else decides about the tenant's extractors waits until this transaction ends."""
    counters.bump(tx, "extractors")


def promote(tx: Tx, name: str, reason: str, *, away: str | None = None) -> None:
    """It is the promoted one from now on, and the one before is a former one, or `away`; its own score stays."""
    once = (extractors.c.tenant == tx.tenant, extractors.c.state.in_(("promoted", "away")), extractors.c.name != name)
    gone = sa.case((extractors.c.name == away, "away"), else_="former")
    tx.conn.execute(extractors.update().where(*once).values(state=gone, since=tx.now))
    fresh = {"state": "promoted", "since": tx.now, "reason": reason}
    row = {"tenant": tx.tenant, "name": name, "against": "", "detail": _text(Comparison(), ()), **fresh}
    tx.conn.execute(
        tx.insert(extractors).values(row).on_conflict_do_update(index_elements=["tenant", "name"], set_=fresh)
    )


def compare(tx: Tx, name: str, against: str) -> None:
    """It is a candidate that is to be compared from the beginning."""
    fresh: dict[str, Any] = {
        "state": "candidate",
        "against": against,
        "reason": f"it is to be compared with {against} before it makes memory",
        "since": tx.now,
        "score": None,
        "detail": _text(Comparison(), ()),
    }
    new = tx.insert(extractors).values({"tenant": tx.tenant, "name": name, **fresh})
    tx.conn.execute(new.on_conflict_do_update(index_elements=["tenant", "name"], set_=fresh))


def refuse(tx: Tx, name: str, against: str, reason: str) -> None:
    """It is refused as long as `against` is promoted."""
    change = {"state": "refused", "against": against, "reason": reason, "since": tx.now}
    tx.conn.execute(extractors.update().where(*_is(tx, name)).values(change))


def compared(tx: Tx, name: str) -> list[Compared]:
    """The sessions of the comparison that is under way, in the order in which they were compared."""
    row = _row(tx, extractors.c.name == name)
    found: list[Any] = [] if row is None else json.loads(row.detail)["sessions"]
    return [Compared(mark, Tally(*before), Tally(*after), tokens) for mark, before, after, tokens in found]


def note(tx: Tx, name: str, comparison: Comparison, sessions: Sequence[Compared], reason: str) -> None:
    """How far the comparison has come; its sessions are kept only as long as it is under way."""
    change = {"score": comparison.after.score, "detail": _text(comparison, sessions), "reason": reason}
    tx.conn.execute(extractors.update().where(*_is(tx, name)).values(change))


def _row(tx: Tx, which: sa.ColumnElement[bool]) -> Any:
    return tx.conn.execute(sa.select(extractors).where(extractors.c.tenant == tx.tenant, which)).first()


def _is(tx: Tx, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (extractors.c.tenant == tx.tenant, extractors.c.name == name)


def _state(row: Any) -> ExtractorState:
    detail = json.loads(row.detail)
    total = Comparison(detail["n"], Tally(*detail["before"]), Tally(*detail["after"]))
    return ExtractorState(
        row.name, cast("Standing", row.state), row.since, row.score, row.against, row.reason, comparison=total
    )


def _text(comparison: Comparison, sessions: Sequence[Compared]) -> str:
    detail = {
        "n": comparison.sessions,
        "before": _numbers(comparison.before),
        "after": _numbers(comparison.after),
        "sessions": [(one.mark, _numbers(one.before), _numbers(one.after), one.tokens) for one in sessions],
    }
    return json.dumps(detail, separators=(",", ":"))


def _numbers(tally: Tally) -> list[int]:
    return list(asdict(tally).values())
