"""Numbers that a tenant keeps: counts, and generations that caches compare."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from carryover.store import hot
from carryover.store.store import Tx
from carryover.store.tables import counters


def bump(tx: Tx, name: str, by: int = 1) -> int:
    """The counter is `by` higher; its new value. The first value is `by` itself."""
    new = tx.insert(counters).values(tenant=tx.tenant, name=name, value=by)
    raised = new.on_conflict_do_update(index_elements=["tenant", "name"], set_={"value": counters.c.value + by})
    return tx.conn.execute(raised.returning(counters.c.value)).scalar_one()


def values(tx: Tx, names: Sequence[str]) -> list[int]:
    """Their values in the order of the names; 0 where nothing was counted."""
    known = dict(hot.read(tx.conn, _values(tx.dialect.name), {"tenant": tx.tenant, "names": list(names)}))
    return [known.get(name, 0) for name in names]


@lru_cache
def _values(engine: str) -> sa.Select[*tuple[Any, ...]]:
    here = counters.c.tenant == sa.bindparam("tenant"), hot.listed(engine, counters.c.name, "names")
    return sa.select(counters.c.name, counters.c.value).where(*here)
