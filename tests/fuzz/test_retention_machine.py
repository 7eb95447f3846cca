"""Logs grow, are read, digested and thinned in any order: nothing goes before its digest, and all else comes back."""

from __future__ import annotations

import json
import random
import tempfile
from itertools import count
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from carryover.coding.digests.digest import KIND, digesting
from carryover.coding.logs import archive, retention
from carryover.coding.logs.sweep import sweep
from carryover.core.budget import Budget
from carryover.core.errors import DataLoss, NotFound
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.store import archive as vault
from carryover.store import budgets
from carryover.store.store import Store
from clocks import FrozenClock
from fuzz.lengths import TIMEOUT_S, lasting
from sweeping import files_in

pytestmark = pytest.mark.timeout(TIMEOUT_S)
TENANTS = count()
NAMES = st.sampled_from(["one", "two", "three"])


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SHORTEST", 3_000)
    monkeypatch.setattr(archive, "LONGEST", 6_000)


class Archive(RuleBasedStateMachine):
    def __init__(self, store: Store, clock: FrozenClock) -> None:
        super().__init__()
        self.store, self.clock = store, clock
        self.scope = Scope(f"archive{next(TENANTS)}")
        self.held = tempfile.TemporaryDirectory()
        self.folder = Path(self.held.name)
        self.lines = count()
        self.read: dict[str, bytes] = {}  # what was read of each log
        self.digested: set[str] = set()  # logs whose sessions have a digest of all that was read
        self.thinned: set[str] = set()  # logs that something may have been taken of

    def teardown(self) -> None:
        self.held.cleanup()

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def log(self, name: str, records: int) -> bytes:
        made: list[bytes] = []
        for _ in range(records):
            n = next(self.lines)
            rng = random.Random(n)
            output = {"type": "tool_result", "tool_use_id": f"t{n}", "content": rng.randbytes(2_200).hex()}
            said = {"role": "user", "content": f"prompt {n}" if n % 3 else [output]}
            about = {"type": "user", "uuid": f"u{n}", "sessionId": name, "timestamp": "2026-01-01T00:00:00Z"}
            record = {**about, "message": said}
            made.append(json.dumps({**record, "toolUseResult": {"noise": rng.randbytes(90).hex()}}).encode() + b"\n")
        return b"".join(made)

    @initialize(records=st.integers(1, 6))
    def begin(self, records: int) -> None:
        """One log has its digest, one waits for it."""
        self.grow("one", records, False)
        self.sweep()
        self.digest()
        self.grow("two", 7 - records, False)
        self.sweep()

    @rule(name=NAMES, records=st.integers(1, 6), torn=st.booleans())
    def grow(self, name: str, records: int, torn: bool) -> None:
        self.clock.pass_(1_000)
        with self.path(name).open("ab") as file:
            file.write(self.log(name, records))
            file.write(b'{"type": "user", "half": "a rec' if torn else b"")
        if torn:  # whoever wrote it comes back and ends the line
            with self.path(name).open("ab") as file:
                file.write(b'ord"}\n')

    @rule(name=NAMES, records=st.integers(1, 3))
    def rewrite(self, name: str, records: int) -> None:
        self.path(name).unlink(missing_ok=True)
        self.path(name).write_bytes(self.log(name, records))

    @rule()
    def sweep(self) -> None:
        sweep(self.store, self.scope, files_in(self.folder))
        for path in self.folder.iterdir():
            if self.read.get(path.stem) != (now := path.read_bytes()):
                grew = path.stem in self.read and now.startswith(self.read[path.stem])
                self.digested.discard(path.stem)
                self.thinned -= set() if grew else {path.stem}
                self.read[path.stem] = now

    @rule()
    def digest(self) -> None:
        Worker(self.store, {KIND: digesting()}, lambda _: Cap()).drain([KIND], tenant=self.scope.tenant)
        self.digested |= set(self.read)

    @rule(soft=st.floats(0, 1.2), hard=st.floats(0, 1.2), forced=st.booleans())
    def evict(self, soft: float, hard: float, forced: bool) -> None:
        """The archive is within its caps; what has no digest goes last, and only where that is said."""
        before = self.usage()
        low = int(before * min(soft, hard))
        high = int(before * max(soft, hard)) if forced else 1 << 40
        done = retention.evict(self.store, self.scope, Budget(low, high))
        assert (done.final_usage, done.freed) == (self.usage(), before - self.usage())
        assert done.final_usage <= high
        lost = {Path(one.path).stem for one in done.data_loss}
        assert forced or not lost
        self.thinned |= lost | self.digested if done.freed else set()
        again = retention.evict(self.store, self.scope, Budget(low, high))
        assert (again.freed, again.evictions) == (0, {})

    def usage(self) -> int:
        with self.store.read(self.scope) as tx:
            return vault.size(tx)

    @invariant()
    def what_nobody_took_anything_of_comes_back(self) -> None:
        with self.store.read(self.scope) as tx:
            assert vault.faults(tx) == []
            for name, data in self.read.items():
                try:
                    back = b"".join(archive.restore(tx, str(self.path(name).resolve())))
                except (DataLoss, NotFound):
                    assert name in self.thinned, f"{name} is gone, and nobody said so"
                    continue
                assert back == data
                assert name not in self.digested or budgets.is_digested(tx, str(self.path(name).resolve()))


def test_the_archive_keeps_what_it_must(store: Store, clock: FrozenClock, database_url: str) -> None:
    shorter = database_url.startswith("postgresql")
    run_state_machine_as_test(lambda: Archive(store, clock), settings=lasting(2 if shorter else 6, 14))
