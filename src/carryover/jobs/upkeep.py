"""What has to be done from time to time, whoever's it is. Running it twice is running it once."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from carryover.core.clock import DAY_MS
from carryover.core.errors import StoreUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.jobs.derivation import Derivation
from carryover.store import personas_shown, queue, repeats, usages
from carryover.store.store import Store

STALE_MS = 2 * DAY_MS


def upkeep(store: Store, keep_events_ms: int | None = None, derivations: Iterable[Derivation[Any, Any]] = ()) -> None:
    """Jobs that waited for a cap look again (it may have been raised), old reservations of dead workers are gone,
    events older than `keep_events_ms` are gone, as are personas of sessions that never began and what was kept long
    enough of erased ones, what expired sessions held has left the files, and jobs that should have been armed are.

    A reservation counts against the caps of its own day only, so after two days it has no effect any more.
    """
    try:
        with store.write(EVERY_TENANT) as tx:
            queue.release(tx)
            usages.forget_reservations(tx, before=tx.now - STALE_MS)
            personas_shown.sweep(tx)
            repeats.sweep(tx)
        with store.write(EVERY_TENANT) as tx:
            tx.dialect.tend_events(tx.conn, tx.now, keep_events_ms)
        store.settle()
        for derivation in derivations:
            _arm_overdue(store, derivation)
    except StoreUnavailable as away:
        logging.getLogger(__name__).warning("upkeep was put off: %s", away)


def _arm_overdue(store: Store, derivation: Derivation[Any, Any]) -> None:
    with store.read(EVERY_TENANT) as tx:
        subjects: dict[str, list[str]] = {}
        for tenant, subject in derivation.overdue(tx):
            subjects.setdefault(tenant, []).append(subject)
    for tenant, overdue in subjects.items():
        with store.write(Scope(tenant)) as tx:
            queue.arm(tx, [(derivation.kind, subject, tx.now) for subject in overdue], push=False)
