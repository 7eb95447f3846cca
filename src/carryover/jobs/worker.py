"""A worker: it claims what is due, and sees each job through to done, tried again, waiting or dead."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from carryover.core import telemetry
from carryover.core.errors import CarryoverError, LeaseLost, OverBudget, ProviderUnavailable, StoreUnavailable
from carryover.core.job import Job
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.usage import Cap
from carryover.jobs.derivation import Derivation
from carryover.jobs.leases import Leases
from carryover.jobs.logger import bound_to, logger_for
from carryover.jobs.rotation import Rotation
from carryover.jobs.run import run
from carryover.store import queue
from carryover.store.store import Store, Tx

logger = logger_for(__name__)

LEASE_MS = 60_000
FIRST_RETRY_MS = 2_000
LONGEST_RETRY_MS = 3_600_000
ATTEMPTS = 5
ATTEMPTS_UNAVAILABLE = 12  # a provider that does not answer: about five hours of trying
BATCH = 16  # jobs of one tenant that are claimed at once, as long as they are quick
QUICK_S = 0.5  # for so long a worker keeps what it claimed; the rest of a batch is put back for others
_REST_S = 0.02  # wake-ups that follow each other faster make it look once
_AWAY_S = 1.0  # before it asks a store again that did not answer

Derivations = Mapping[str, Derivation[Any, Any]]


class Worker:
    """Runs due jobs, one tenant after the other; any number of workers may share a store, and of threads a worker."""

    def __init__(
        self, store: Store, derivations: Derivations, cap_of: Callable[[str], Cap], *, lease_ms: int = LEASE_MS
    ) -> None:
        self._store = store
        self._derivations = derivations
        self._cap_of = cap_of
        self._lease_ms = lease_ms
        self._leases = Leases(store, lease_ms)
        self._rotation = Rotation(store, tuple(derivations), EVERY_TENANT)
        self._batch = 1
        self._stopping = threading.Event()
        self._idle = threading.Condition()
        self._woken = False
        self.hurried = False

    @property
    def derivations(self) -> Derivations:
        """What it runs, by kind."""
        return self._derivations

    def drain(self, kinds: Sequence[str] | None = None, *, tenant: str | None = None, most: int | None = None) -> int:
        """Runs what is due (of these kinds, of this tenant) until nothing is, or `most` were run, or `stop`.

        Returns how many jobs were run, whatever came of them.
        """
        scope = EVERY_TENANT if tenant is None else Scope(tenant)
        rotation = Rotation(self._store, tuple(kinds or self._derivations), scope)
        done = 0
        while not self._stopping.is_set() and (most is None or done < most):
            ran = self._run_batch(rotation, BATCH if most is None else most - done)
            if ran == 0:
                break
            done += ran
        return done

    def run_one(self, kinds: Sequence[str], *, tenant: str, subject: str | None = None) -> bool:
        """One due job of the tenant was run, whatever came of it; False when none was due."""
        # Looking takes no lock: who finds nothing disturbs no writer.
        with self._store.read(Scope(tenant)) as tx:
            if not queue.any_due(tx, kinds):
                return False
        with self._store.write(Scope(tenant)) as tx:
            job = queue.claim(tx, kinds, lease_ms=self._lease_ms, subject=subject)
        if job is None:
            return False
        self._leases.hold([job])
        self._see_through(job)
        return True

    def work(self, tick_s: float) -> None:
        """Runs what is due until `stop`; while nothing is, it looks every `tick_s` and whenever it is woken."""
        while not self._stopping.is_set():
            try:
                if self._run_batch(self._rotation, BATCH) == 0:
                    self._rest(tick_s)
            except StoreUnavailable as away:
                logger.warning("the store is away", reason=away.message)
                self._stopping.wait(_AWAY_S)
            except Exception as failure:  # a worker that ended here would leave its jobs undone, and tell nobody
                logger.error("looking for jobs failed", exc_info=failure)
                self._stopping.wait(_AWAY_S)

    def wake(self) -> None:
        """From any thread: there may be something to do, so an idle worker looks at once."""
        self._rotation.renew()
        self._rouse()

    def stop(self, *, now: bool = False) -> None:
        """Nothing more is claimed; jobs that are running end, or with `now` are not waited for."""
        self.hurried = self.hurried or now
        self._stopping.set()
        with self._idle:
            self._idle.notify_all()

    def close(self) -> None:
        """It was stopped; what is still running is left to other workers, and its result will be dropped."""
        self.stop()
        self._leases.let_go()
        self._leases.close()

    def _run_batch(self, rotation: Rotation, most: int) -> int:
        jobs = self._claimed(rotation, min(most, self._batch))
        if rotation.has_more():
            self._rouse()  # one after the other, only as many threads wake as there is work for
        end = time.monotonic() + QUICK_S
        done = 0
        for job in jobs:
            if self._stopping.is_set() or (done and time.monotonic() >= end):
                break
            self._see_through(job)
            done += 1
        self._leases.put_back(jobs[done:])
        if jobs:
            quick = time.monotonic() < end
            self._batch = min(self._batch * 2, BATCH) if quick else max(done // 2, 1)
        return done

    def _claimed(self, rotation: Rotation, most: int) -> list[Job]:
        while (due := rotation.next()) is not None:
            asked = min(most, due.jobs)
            with self._store.write(Scope(due.tenant)) as tx:
                jobs = queue.claim_batch(tx, rotation.kinds, lease_ms=self._lease_ms, most=asked)
            rotation.took(due.tenant, asked, len(jobs))
            if jobs:
                self._leases.hold(jobs)
                return jobs
        return []

    def _rouse(self) -> None:
        with self._idle:
            self._woken = True
            self._idle.notify()

    def _rest(self, tick_s: float) -> None:
        self._stopping.wait(_REST_S)
        with self._idle:
            self._idle.wait_for(lambda: self._woken or self._stopping.is_set(), tick_s)
            self._woken = False

    def _see_through(self, job: Job) -> None:
        with bound_to(job), telemetry.span("job", kind=job.kind, attempt=job.attempt) as told:
            told["outcome"] = self._outcome(job)
        telemetry.count("jobs", kind=job.kind, outcome=told["outcome"])

    def _outcome(self, job: Job) -> str:
        """The job was run: done, failed, dead, waiting for a cap, or lost to another worker."""
        try:
            if job.attempt > ATTEMPTS_UNAVAILABLE:
                # No failure was reported, so the process ended each time: it shall not take down the next one as well.
                raise CarryoverError("the process ended whenever this job ran; look into it and revive it")
            run(self._store, job, self._derivations[job.kind], self._cap_of(job.tenant))
            logger.debug("job done")
            return "done"
        except LeaseLost as lost:
            logger.warning("job dropped", reason=lost.message)
            return "lost"
        except OverBudget as refusal:
            reason, until = refusal.message, refusal.facts["until"]
            if not self._release(job, reason, lambda tx: queue.wait(tx, job, reason, until=until)):
                return "lost"
            logger.warning("job waits for its cap", reason=reason)
            return "waiting"
        except Exception as failure:  # whatever a job raises, it is tried again or kept with its reason
            return self._give_back(job, failure)
        finally:
            self._leases.drop(job)

    def _give_back(self, job: Job, failure: Exception) -> str:
        reason = f"{type(failure).__name__}: {failure}"[:2000]
        passing = isinstance(failure, (ProviderUnavailable, StoreUnavailable))
        final = job.attempt >= (ATTEMPTS_UNAVAILABLE if passing else ATTEMPTS)
        asked_s = getattr(failure, "facts", {}).get("retry_after") or 0
        pause = max(pause_ms(job.attempt), int(asked_s * 1000))
        if not self._release(
            job, reason, lambda tx: queue.fail(tx, job, reason, due=None if final else tx.now + pause)
        ):
            return "lost"
        if final:
            about = None if isinstance(failure, CarryoverError) else failure
            logger.error("job is dead", reason=reason, exc_info=about)
            return "dead"
        logger.warning("job failed and will be tried again", reason=reason)
        return "failed"

    def _release(self, job: Job, reason: str, change: Callable[[Tx], None]) -> bool:
        """The job is no longer this worker's, and is as `change` leaves it; False when that could not be written."""
        try:
            with self._store.write(job.scope) as tx:
                change(tx)
        except LeaseLost:
            logger.warning("job dropped", reason=reason)
            return False
        except StoreUnavailable:
            # The lease runs out by itself, and someone tries again.
            logger.exception("job failed and the store is away", reason=reason)
            return False
        return True


def pause_ms(attempt: int) -> int:
    """How long to wait before the next attempt: doubling, with a quarter of jitter so that a crowd spreads out."""
    base = min(FIRST_RETRY_MS * 2 ** min(attempt - 1, 20), LONGEST_RETRY_MS)
    return int(base * random.uniform(0.75, 1.25))
