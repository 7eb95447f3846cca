"""One running of one job."""

from __future__ import annotations

from carryover.core.errors import ProviderError
from carryover.core.job import Job
from carryover.core.usage import Cap, Usage
from carryover.jobs.derivation import Derivation, Made, Work
from carryover.store import queue, usages
from carryover.store.store import Store, Tx


def run(store: Store, job: Job, derivation: Derivation[Work, Made], cap: Cap) -> None:
    """The result, its usage and the end of the job are saved as one transaction, or none of them.

    Raises OverBudget before anything is consumed, LeaseLost when another worker has the job by now, and whatever
    `think` raises; what a failed call consumed is then on the account all the same.
    """
    with store.read(job.scope) as tx:
        work = derivation.load(tx, job)
    if work is None:
        with store.write(job.scope) as tx:
            queue.finish(tx, job)
        return
    reservation = _reserve(store, job, derivation.estimate(work), cap)
    try:
        made, usage = derivation.think(work)  # no transaction is open here
    except ProviderError as failure:
        _settle(store, job, reservation, failure.facts.get("usage") or Usage())
        raise

    def save(tx: Tx) -> None:
        queue.finish(tx, job)  # raises LeaseLost before anything is saved
        derivation.save(tx, job, work, made)
        usages.record(tx, job, usage, reservation=reservation)

    try:
        store.transact(job.scope, save)
    except BaseException:
        _settle(store, job, reservation, usage)
        raise


def _reserve(store: Store, job: Job, estimate: Usage, cap: Cap) -> str | None:
    if not estimate.calls:
        return None
    with store.write(job.scope) as tx:
        return usages.reserve(tx, job, estimate, cap)


def _settle(store: Store, job: Job, reservation: str | None, usage: Usage) -> None:
    """A failed attempt counts against the caps with what it really consumed."""
    if reservation is not None:
        with store.write(job.scope) as tx:
            usages.record(tx, job, usage, reservation=reservation, saved=False)
