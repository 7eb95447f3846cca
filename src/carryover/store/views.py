"""How far views were cut: what of a session's course under a strategy was told already."""

from __future__ import annotations

import sqlalchemy as sa

from carryover.store.store import Tx
from carryover.store.strategy_tables import views

MOST = 200  # strategies of a session that are remembered: whoever may read can ask for views by any number of them
_KEY = ("tenant", "agent", "session", "strategy")


def told(tx: Tx, agent: str, session: str, strategy: str) -> int:
    """How many moves of the strategy (its hash) were told; a transaction that writes keeps others off the number."""
    wanted = sa.select(views.c.moves).where(*_is(tx, agent, session, strategy))
    return tx.conn.execute(wanted.with_for_update() if tx.writing else wanted).scalar() or 0


def tell(tx: Tx, agent: str, session: str, strategy: str, *, moves: int, cut: int, cleared: int) -> int:
    """So many moves are told; how many of them were before. Of several that tell the same, one finds it untold.

    What strategies beyond the first `MOST` of a session do is told to nobody.
    """
    if not told(tx, agent, session, strategy) and _remembered(tx, agent, session) >= MOST:
        return moves
    state = {"moves": 0, "cut": 1, "cleared": 1, "updated_at": tx.now}
    key = dict(zip(_KEY, (tx.tenant, agent, session, strategy), strict=True))
    new = tx.dialect.insert(views).values({**key, **state})
    tx.conn.execute(new.on_conflict_do_nothing(index_elements=list(_KEY)))
    before = told(tx, agent, session, strategy)
    if before < moves:
        further = views.update().where(*_is(tx, agent, session, strategy))
        tx.conn.execute(further.values(moves=moves, cut=cut, cleared=cleared, updated_at=tx.now))
    return before


def _remembered(tx: Tx, agent: str, session: str) -> int:
    here = (views.c.tenant == tx.tenant, views.c.agent == agent, views.c.session == session)
    return tx.conn.execute(sa.select(sa.func.count()).select_from(views).where(*here)).scalar_one()


def _is(tx: Tx, agent: str, session: str, strategy: str) -> tuple[sa.ColumnElement[bool], ...]:
    here = (views.c.tenant == tx.tenant, views.c.agent == agent, views.c.session == session)
    return (*here, views.c.strategy == strategy)
