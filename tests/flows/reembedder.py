"""A process whose settings name another embedding model: it runs the jobs of all tenants until its input ends.

Arguments: the database's URL, how long a lease lasts (ms). It says `embedding` whenever its model is asked.
"""

from __future__ import annotations

import sys
import time

from carryover.core.scope import EVERY_TENANT
from carryover.core.usage import Cap
from carryover.jobs.timer import ticking
from carryover.jobs.worker import Worker
from carryover.recall import embed, index
from carryover.recall.embed import Models
from carryover.store.store import Store
from lettered import first, second


def say() -> None:
    sys.stdout.write("embedding\n")
    sys.stdout.flush()
    time.sleep(0.002)  # a model takes its time


def main(url: str, lease_ms: int) -> None:
    embed.VECTORS = 3
    with Store.open(url) as store:
        models = Models(second(say), {"letters@1": first()}.get)
        with store.read(EVERY_TENANT) as tx:
            models.since = tx.now
        made = {index.INDEX: index.indexing(models), embed.EMBED: embed.embedding(models)}
        worker = Worker(store, made, lambda _tenant: Cap(), lease_ms=lease_ms)
        with ticking(store, worker, concurrency=2, tick_s=0.02):
            sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
