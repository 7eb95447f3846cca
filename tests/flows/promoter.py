"""A process that compares an extractor with the promoted one, and hangs at its third session.

Arguments: the database's URL, how long a lease lasts (ms).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

from carryover.core.session import Turn
from carryover.core.snapshot import Extraction, Finding
from carryover.core.usage import Cap, Usage
from carryover.jobs.worker import Worker
from carryover.memory.choice import PROMOTE, Extractors
from carryover.memory.promote import promotion
from carryover.memory.rules import Rules
from carryover.store.store import Store


class Third(Rules):
    """The rules under another name."""

    id = "rules/third"

    def __init__(self, hangs_at: int) -> None:
        self.left = hangs_at
        self.read: list[str] = []

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        self.read.append(turns[0].text)
        self.left -= 1
        if self.left == 0:
            sys.stdout.write("hangs\n")
            sys.stdout.flush()
            threading.Event().wait()
        return super().extract(turns, live)


def worker(store: Store, extractor: Third, lease_ms: int) -> Worker:
    return Worker(store, {PROMOTE: promotion(Extractors(extractor))}, lambda _: Cap(), lease_ms=lease_ms)


if __name__ == "__main__":
    with Store.open(sys.argv[1]) as opened:
        worker(opened, Third(3), int(sys.argv[2])).drain()
