"""Whose turn it is: tenants with due jobs are served one after the other, however many jobs each of them has."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from carryover.core.scope import Scope
from carryover.store import queue
from carryover.store.queue import Due
from carryover.store.store import Store

FRESH_S = 1.0  # for so long the tenants that were found due are served before all are looked at again
MOST_TENANTS = 4096  # in one round


class Rotation:
    """The tenants of `scope` (one, or every tenant) that have due jobs of these kinds. Threads may share it."""

    def __init__(self, store: Store, kinds: Sequence[str], scope: Scope) -> None:
        self.kinds = tuple(kinds)
        self._store = store
        self._scope = scope
        self._lock = threading.Lock()
        self._looked = 0.0
        self._left: dict[str, Due] = {}  # in the order of their turns
        self._served: dict[str, int] = {}
        self._turn = 0

    def next(self) -> Due | None:
        """The tenant whose turn it is, which goes to the end of the round; None when no job is due."""
        with self._lock:
            if not self._left or time.monotonic() - self._looked > FRESH_S:
                self._look()
            if not self._left:
                return None
            tenant = next(iter(self._left))
            due = self._left[tenant] = self._left.pop(tenant)
            self._turn += 1
            self._served[tenant] = self._turn
            return due

    def took(self, tenant: str, asked: int, got: int) -> None:
        """So many of the tenant's jobs were asked for and claimed: it leaves the round when that was the last."""
        with self._lock:
            due = self._left.get(tenant)
            if due is not None and got < asked:
                del self._left[tenant]
            elif due is not None and (jobs := due.jobs - got) > 0:
                self._left[tenant] = Due(tenant, due.since, jobs)
            else:
                self._left.pop(tenant, None)

    def has_more(self) -> bool:
        """Whether another worker would find something."""
        return bool(self._left)

    def renew(self) -> None:
        """The next turn looks at all tenants again."""
        self._looked = 0.0

    def _look(self) -> None:
        with self._store.read(self._scope) as tx:
            found = queue.tenants_due(tx, self.kinds, MOST_TENANTS)
        # Whoever was served last comes last, so that slow jobs and fresh looks do not favour the longest backlog.
        found.sort(key=lambda due: self._served.get(due.tenant, 0))
        self._left = {due.tenant: due for due in found}
        self._served = {tenant: turn for tenant, turn in self._served.items() if tenant in self._left}
        self._looked = time.monotonic()
