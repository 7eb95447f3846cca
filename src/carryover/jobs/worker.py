"""A worker: it claims what is due, and sees each job through to done, tried again, waiting or dead."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from carryover.core.errors import CarryoverError, LeaseLost, OverBudget, ProviderUnavailable, StoreUnavailable
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.derivation import Derivation
from carryover.jobs.logger import logger_for
from carryover.jobs.run import run
from carryover.store import queue
from carryover.store.store import Store, Tx

logger = logger_for(__name__)

LEASE_MS = 60_000
FIRST_RETRY_MS = 2_000
LONGEST_RETRY_MS = 3_600_000
ATTEMPTS = 5
ATTEMPTS_UNAVAILABLE = 12  # a provider that does not answer: about five hours of trying

Derivations = Mapping[str, Derivation[Any, Any]]


class Worker:
    """Runs due jobs one after the other; any number of workers may share a store."""

    def __init__(
        self, store: Store, derivations: Derivations, cap_of: Callable[[str], Cap], *, lease_ms: int = LEASE_MS
    ) -> None:
        self._store = store
        self._derivations = derivations
        self._cap_of = cap_of
        self._lease_ms = lease_ms
        self._stopping = threading.Event()

    def drain(self, kinds: Sequence[str] | None = None, *, tenant: str | None = None, most: int | None = None) -> int:
        """Runs what is due (of these kinds, of this tenant) until nothing is, or `most` were run, or `stop`.

        Returns how many jobs were run, whatever came of them.
        """
        done = 0
        while not self._stopping.is_set() and (most is None or done < most):
            if not self.run_one(kinds or tuple(self._derivations), tenant=tenant):
                break
            done += 1
        return done

    def run_one(self, kinds: Sequence[str], *, tenant: str | None = None, subject: str | None = None) -> bool:
        """One due job was run, whatever came of it; False when none was due."""
        # Looking takes no lock: an idle worker disturbs no writer.
        with self._store.read(Scope(tenant or "")) as tx:
            if not queue.any_due(tx, kinds):
                return False
        with self._store.write(Scope(tenant or "")) as tx:
            job = queue.claim(tx, kinds, lease_ms=self._lease_ms, tenant=tenant, subject=subject)
        if job is None:
            return False
        self._see_through(job)
        return True

    def stop(self) -> None:
        """`drain` returns after the job that it is running."""
        self._stopping.set()

    def _see_through(self, job: Job) -> None:
        about = logger.bind(tenant=job.tenant, kind=job.kind, subject=job.subject, attempt=job.attempt)
        if job.attempt > ATTEMPTS_UNAVAILABLE:
            # No failure was reported, so the process ended each time: it shall not take down the next one as well.
            self._give_back(job, CarryoverError("the process ended whenever this job ran; look into it and revive it"))
            return
        try:
            with kept(self._store, job, self._lease_ms):
                run(self._store, job, self._derivations[job.kind], self._cap_of(job.tenant))
            about.debug("job done")
        except LeaseLost as lost:
            about.warning("job dropped", reason=lost.message)
        except OverBudget as refusal:
            reason, until = refusal.message, refusal.facts["until"]
            if self._release(job, reason, lambda tx: queue.wait(tx, job, reason, until=until)):
                about.warning("job waits for its cap", reason=reason)
        except Exception as failure:  # whatever a job raises, it is tried again or kept with its reason
            self._give_back(job, failure)

    def _give_back(self, job: Job, failure: Exception) -> None:
        reason = f"{type(failure).__name__}: {failure}"[:2000]
        passing = isinstance(failure, (ProviderUnavailable, StoreUnavailable))
        final = job.attempt >= (ATTEMPTS_UNAVAILABLE if passing else ATTEMPTS)
        asked_s = getattr(failure, "facts", {}).get("retry_after") or 0
        due = None if final else self._store.clock.now() + max(pause_ms(job.attempt), int(asked_s * 1000))
        about = logger.bind(tenant=job.tenant, kind=job.kind, subject=job.subject, attempt=job.attempt)
        if not self._release(job, reason, lambda tx: queue.fail(tx, job, reason, due=due)):
            return
        if final:
            about.error("job is dead", reason=reason, exc_info=None if isinstance(failure, CarryoverError) else failure)
        else:
            about.warning("job failed and will be tried again", reason=reason)

    def _release(self, job: Job, reason: str, change: Callable[[Tx], None]) -> bool:
        """The job is no longer this worker's, and is as `change` leaves it; False when that could not be written."""
        about = logger.bind(tenant=job.tenant, kind=job.kind, subject=job.subject, attempt=job.attempt)
        try:
            with self._store.write(job.scope) as tx:
                change(tx)
        except LeaseLost:
            about.warning("job dropped", reason=reason)
            return False
        except StoreUnavailable:
            # The lease runs out by itself, and someone tries again.
            about.exception("job failed and the store is away", reason=reason)
            return False
        return True


def pause_ms(attempt: int) -> int:
    """How long to wait before the next attempt: doubling, with a quarter of jitter so that a crowd spreads out."""
    base = min(FIRST_RETRY_MS * 2 ** min(attempt - 1, 20), LONGEST_RETRY_MS)
    return int(base * random.uniform(0.75, 1.25))


@contextmanager
def kept(store: Store, job: Job, lease_ms: int = LEASE_MS) -> Generator[None]:
    """The lease does not run out while the block thinks, however long; it does when the process dies."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(lease_ms / 3000):
            try:
                with store.write(job.scope) as tx:
                    queue.renew(tx, job, lease_ms=lease_ms)
            except LeaseLost:
                return  # the end of the job will find out, and drop its result
            except StoreUnavailable:
                continue

    thread = threading.Thread(target=renew, name=f"lease-{job.kind}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
