"""Summaries: texts that stand for the turns 1 to `last` of a session, one row a session, recipe and last turn.

A row is `wanted` until a job has made its text (`ready`), has tried often enough (`failed`), or has found that a text
would save nothing (`skipped`). Where turns that it stands for were taken back after it was made, a row counts for
nothing any more, whatever it says, and is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from carryover.core.strategy import Strategy, Summary
from carryover.core.text import canonical_json, digest
from carryover.store import sealed, sessions, turns
from carryover.store.sessions import Head
from carryover.store.store import Tx
from carryover.store.strategy_tables import summaries
from carryover.store.tables import turns as turn_rows

Status = Literal["wanted", "ready", "failed", "skipped"]
_KEY = ("tenant", "agent", "session", "recipe", "last")
_RETRACTIONS = sa.select(turn_rows.c.seq).where(
    *(turn_rows.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session")),
    turn_rows.c.seq > sa.bindparam("version"),
    turn_rows.c.kind == "retraction",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A summary that somebody asked for: up to which turn, and made how."""

    recipe: str
    last: int
    strategy: Strategy  # only what its recipe is made of


def ready(tx: Tx, agent: str, session: str, recipe: str) -> list[Summary]:
    """The summaries of the session that were made by this recipe and can be used, the shortest range first."""
    wanted = sa.select(summaries).where(*_in(tx, agent, session), summaries.c.recipe == recipe)
    rows = tx.conn.execute(wanted.where(summaries.c.status == "ready").order_by(summaries.c.last)).all()
    held = holding(tx, agent, session, rows)
    return [_summary(row, text) for row, (text,) in sealed.opened(tx, summaries, held)]


def status(tx: Tx, agent: str, session: str, recipe: str, last: int) -> Status | None:
    """What has become of this summary; None where nobody asked for it, or it has to be made anew."""
    row = tx.conn.execute(sa.select(summaries).where(*_is(tx, agent, session, recipe, last))).first()
    if row is None:
        return None
    return row.status if row.status == "wanted" or holding(tx, agent, session, [row]) else None


def want(tx: Tx, head: Head, strategy: Strategy, last: int) -> None:
    """The summary is to be made, whatever became of it before."""
    row = {
        **dict(zip(_KEY, (tx.tenant, head.agent, head.session, strategy.recipe, last), strict=True)),
        **{"id": "", "status": "wanted", "text": canonical_json(strategy.ingredients), "by": "", "user": head.user},
        **{"base": None, "depth": 0, "tokens": 0, "version": 0, "attempts": 0, "created_at": tx.now},
    }
    _put(tx, row)


def wanted(tx: Tx, agent: str, session: str) -> Wanted | None:
    """The summary that has been waited for longest, of several the shortest range first."""
    here = (*_in(tx, agent, session), summaries.c.status == "wanted")
    oldest = sa.select(summaries).where(*here).order_by(summaries.c.created_at, summaries.c.last, summaries.c.recipe)
    found = sealed.opened(tx, summaries, tx.conn.execute(oldest.limit(1)))
    return next((Wanted(row.recipe, row.last, Strategy(**json.loads(text))) for row, (text,) in found), None)


def waiting(tx: Tx, agent: str, session: str) -> int:
    """How many summaries of the session are wanted and not made yet."""
    here = (*_in(tx, agent, session), summaries.c.status == "wanted")
    return tx.conn.execute(sa.select(sa.func.count()).select_from(summaries).where(*here)).scalar_one()


def put(tx: Tx, summary: Summary, *, version: int, attempts: int) -> Summary:
    """The summary can be used from now on; its id follows from what it says, and tells nobody what that is.

    One that is ready already stays.
    """
    known = ready(tx, summary.agent_id, summary.session_id, summary.recipe)
    there = next((one for one in known if one.last == summary.last), None)
    if there is not None:
        return there
    place = (summary.agent_id, summary.session_id, summary.recipe, str(summary.last))
    said = tx.hashed(sessions.key_of(tx, summary.agent_id, summary.session_id), summary.text)
    made = replace(summary, id=digest(*place, said).replace("b2:", "sum_"), created_at=tx.now)
    copied = ("recipe", "last", "id", "text", "tokens", "by", "base", "depth", "created_at")
    own = {"tenant": tx.tenant, "agent": made.agent_id, "session": made.session_id, "user": made.user_id}
    state = {"status": "ready", "version": version, "attempts": attempts}
    _put(tx, {name: getattr(made, name) for name in copied} | own | state)
    return made


def fail(tx: Tx, agent: str, session: str, recipe: str, last: int, *, version: int, attempts: int) -> None:
    """The summary was tried often enough: nobody tries again until more turns are to be summarised."""
    _end(tx, (agent, session, recipe, last), status="failed", version=version, attempts=attempts)


def skip(tx: Tx, agent: str, session: str, recipe: str, last: int, *, version: int) -> None:
    """The turns say it in as few tokens as a summary would."""
    _end(tx, (agent, session, recipe, last), status="skipped", version=version)


def holding(tx: Tx, agent: str, session: str, rows: Sequence[Any]) -> list[Any]:
    """Those of the session's rows whose turns are as they were when they were read."""
    if not rows:
        return []
    taken = _taken_back(tx, agent, session, min(row.version for row in rows))
    return [row for row in rows if not any(seq > row.version and first <= row.last for seq, first in taken)]


def tally(tx: Tx) -> dict[Status, int]:
    """How many summaries of the tenant are in which state."""
    counted = sa.select(summaries.c.status, sa.func.count()).where(summaries.c.tenant == tx.tenant)
    return {row[0]: row[1] for row in tx.conn.execute(counted.group_by(summaries.c.status))}


def _taken_back(tx: Tx, agent: str, session: str, version: int) -> list[tuple[int, int]]:
    """The retractions that followed when the log had this version: their turn, and the first that each takes back."""
    asked = {"tenant": tx.tenant, "agent": agent, "session": session, "version": version}
    later = tx.conn.execute(_RETRACTIONS, asked).scalars().all()
    found = [turns.between(tx, agent, session, seq, seq)[0] for seq in later]
    return [(turn.seq, turn.retracts[0]) for turn in found if turn.retracts is not None]


def _end(tx: Tx, key: tuple[str, str, str, int], **state: Any) -> None:
    mine = (*_is(tx, *key), summaries.c.status != "ready")
    tx.conn.execute(summaries.update().where(*mine).values(text="", created_at=tx.now, **state))


def _put(tx: Tx, row: dict[str, Any]) -> None:
    for kept in sealed.closed(tx, summaries, [row]):
        new = tx.insert(summaries).values(kept)
        state = {name: new.excluded[name] for name in row if name not in _KEY}
        tx.conn.execute(new.on_conflict_do_update(index_elements=list(_KEY), set_=state))


def _summary(row: Any, text: str) -> Summary:
    return Summary(
        id=row.id,
        agent_id=row.agent,
        session_id=row.session,
        last=row.last,
        recipe=row.recipe,
        text=text,
        tokens=row.tokens,
        by=row.by,
        created_at=row.created_at,
        user_id=row.user,
        base=row.base,
        depth=row.depth,
    )


def _in(tx: Tx, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (summaries.c.tenant == tx.tenant, summaries.c.agent == agent, summaries.c.session == session)


def _is(tx: Tx, agent: str, session: str, recipe: str, last: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (*_in(tx, agent, session), summaries.c.recipe == recipe, summaries.c.last == last)
