"""What an index inside the database has still to take over of a tenant's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT
from carryover.store import counters
from carryover.store.store import Store, Tx
from carryover.store.tables import codes, vectors
from carryover.store.tables import counters as counter_rows

_BATCH = 500  # vectors taken over in one transaction


def behind(store: Store, mark: str, ahead: str = "vectors") -> list[str]:
    """The tenants whose counter `mark`, up to which the index has followed, is below the counter `ahead`."""
    wanted = sa.select(counter_rows.c.tenant, counter_rows.c.name, counter_rows.c.value).where(
        counter_rows.c.tenant.is_not(None), counter_rows.c.name.in_((ahead, mark))
    )
    with store.read(EVERY_TENANT) as tx:
        known = {(tenant, name): value for tenant, name, value in tx.conn.execute(wanted)}
    newest = {tenant: value for (tenant, name), value in known.items() if name == ahead}
    return [tenant for tenant, value in newest.items() if known.get((tenant, mark), 0) < value]


def new(tx: Tx, space: str, mark: str) -> Sequence[Any]:
    """The next vectors beyond the mark, with what searches filter by; they count as taken over."""
    after = counters.bump(tx, mark, 0)  # from here on no other transaction does the same for the tenant
    mine = codes.c.tenant == tx.tenant, codes.c.space == space, codes.c.added > after
    some = sa.select(codes.c.added).where(*mine).order_by(codes.c.added).limit(_BATCH).subquery()
    until = tx.conn.execute(sa.select(sa.func.max(some.c.added))).scalar()
    if until is None:
        return ()
    same = sa.and_(vectors.c.tenant == codes.c.tenant, vectors.c.space == codes.c.space, vectors.c.n == codes.c.n)
    wanted = sa.select(*(column for column in codes.c if column.name not in ("code", "added")), vectors.c.vector)
    rows = tx.conn.execute(wanted.join_from(codes, vectors, same).where(*mine, codes.c.added <= until)).mappings().all()
    counters.bump(tx, mark, until - after)
    return rows
