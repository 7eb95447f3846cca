"""The jobs that this process has in hand: one thread keeps all their leases, however long the jobs think."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable

from carryover.core.errors import StoreUnavailable
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.jobs.logger import logger_for
from carryover.store import queue
from carryover.store.store import Store

logger = logger_for(__name__)


class Leases:
    """No lease of a held job runs out while the process lives; when it dies, they all do. Close it at the end."""

    def __init__(self, store: Store, lease_ms: int) -> None:
        self._store = store
        self._lease_ms = lease_ms
        self._beat_s = lease_ms / 3000
        self._change = threading.Condition()
        self._held: dict[Job, float] = {}  # when each was claimed or renewed
        self._thread: threading.Thread | None = None
        self._closed = False

    def hold(self, jobs: Iterable[Job]) -> None:
        """These jobs were claimed just now."""
        with self._change:
            self._held |= dict.fromkeys(jobs, time.monotonic())
            if self._held and self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
                self._thread.start()

    def drop(self, job: Job) -> None:
        """The job is over, or somebody else's."""
        with self._change:
            self._held.pop(job, None)

    def let_go(self) -> None:
        """Whatever is still in hand may be claimed by others at once; what comes of it here is dropped."""
        with self._change:
            held = list(self._held)
        self.put_back(held)

    def put_back(self, jobs: Iterable[Job]) -> None:
        """These jobs are as if they had not been claimed."""
        for tenant, theirs in _by_tenant(jobs).items():
            try:
                with self._store.write(Scope(tenant)) as tx:
                    queue.put_back(tx, theirs)
            except StoreUnavailable as away:  # then their leases run out by themselves
                logger.warning("jobs not put back", tenant=tenant, reason=away.message)
            for job in theirs:
                self.drop(job)

    def close(self) -> None:
        """Nothing is kept any more."""
        with self._change:
            self._closed = True
            self._change.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _keep(self) -> None:
        with self._change:
            while True:
                self._change.wait_for(lambda: self._closed, self._beat_s)
                if self._closed or not self._held:
                    self._thread = None
                    return
                now = time.monotonic()
                old = [job for job, since in self._held.items() if now - since > self._beat_s / 2]
                self._change.release()
                try:
                    kept, lost = self._renewed(old)
                finally:
                    self._change.acquire()
                for job in kept:
                    if job in self._held:
                        self._held[job] = now
                for job in lost:
                    self._held.pop(job, None)  # the end of the job will find out, and drop its result

    def _renewed(self, jobs: Iterable[Job]) -> tuple[list[Job], list[Job]]:
        kept: list[Job] = []
        lost: list[Job] = []
        for tenant, theirs in _by_tenant(jobs).items():
            try:
                with self._store.write(Scope(tenant)) as tx:
                    gone = queue.renew(tx, theirs, lease_ms=self._lease_ms)
            except StoreUnavailable as away:
                logger.warning("leases not renewed", tenant=tenant, reason=away.message)
                continue
            lost += gone
            kept += [job for job in theirs if job not in gone]
        return kept, lost


def _by_tenant(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        found[job.tenant].append(job)
    return found
