"""Numbers that a tenant keeps: counts, and generations that caches compare."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from carryover.store.store import Tx
from carryover.store.tables import counters


def bump(tx: Tx, name: str, by: int = 1) -> int:
    """The counter is `by` higher; its new value. The first value is `by` itself."""
    new = tx.insert(counters).values(tenant=tx.tenant, name=name, value=by)
    raised = new.on_conflict_do_update(index_elements=["tenant", "name"], set_={"value": counters.c.value + by})
    return tx.conn.execute(raised.returning(counters.c.value)).scalar_one()


def values(tx: Tx, names: Sequence[str]) -> list[int]:
    """Their values in the order of the names; 0 where nothing was counted."""
    wanted = sa.select(counters.c.name, counters.c.value).where(
        counters.c.tenant == tx.tenant, counters.c.name.in_(names)
    )
    known = {row[0]: row[1] for row in tx.conn.execute(wanted)}
    return [known.get(name, 0) for name in names]
