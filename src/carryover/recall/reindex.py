"""The job of a tenant that finds what its index lacks or holds too much, and mends it step by step.

It is armed every hour where the counts of rows disagree, and by `carryover db reindex`. What has to be made again from
the log is made by the jobs `index` and `embed`.
"""

from __future__ import annotations

import logging

from carryover.core.job import Job
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.store import damage, queue
from carryover.store.damage import Damage
from carryover.store.store import Tx

logger = logging.getLogger(__name__)


def progress(tx: Tx) -> str | None:
    """That the tenant's index is being looked through or rebuilt; None while it is not."""
    job = queue.get(tx, damage.REINDEX, damage.ALL)
    return None if job is None or job.dead_at is not None else "the index is being compared with the log and rebuilt"


def reindexing() -> Derivation[Damage, str]:
    """One step of the repair; while there is more to repair, the job stays armed."""
    said: set[tuple[str, object]] = set()  # what of a tenant's damage this process has told

    def load(tx: Tx, _job: Job) -> Damage | None:
        tx.dialect.unhurried(tx.conn)
        found = next(damage.look(tx), None)
        if found is None and any(tenant == tx.tenant for tenant, _ in said):
            said.difference_update([one for one in said if one[0] == tx.tenant])
            logger.warning("the index of tenant %r is sound again, but for what other jobs still have to do", tx.tenant)
        return found

    def save(tx: Tx, job: Job, work: Damage, _made: str) -> None:
        tx.dialect.unhurried(tx.conn)
        work.mend(tx, work)
        queue.arm(tx, [(job.kind, job.subject, tx.now)], push=False)
        if (tx.tenant, work.mend) not in said:
            said.add((tx.tenant, work.mend))
            logger.warning("the index of tenant %r was damaged and is being rebuilt: %s", tx.tenant, work.about)

    return Derivation(damage.REINDEX, load, lambda work: (work.about, Usage()), save, overdue=damage.suspects)
