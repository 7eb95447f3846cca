"""From real logs of several agents to patterns that can be defended: each quote stands in the log, word for word."""

from __future__ import annotations

from pathlib import Path

from carryover.coding.digests import digest
from carryover.coding.logs import discover, sweep
from carryover.coding.patterns import candidates
from carryover.coding.patterns.units import units
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log import read
from carryover.store import digests
from carryover.store.store import Store


def test_real_logs_show_patterns_across_agents_with_evidence_of_distinct_sessions(shared: Path, tmp_path: Path) -> None:
    scope = Scope()
    with Store.open(f"sqlite:///{tmp_path}/carryover.db") as store:
        files = list(discover.files_in(discover.given_places([shared / "corpus"])))
        sweep.sweep(store, scope, files, sweep.Options(archived=False))
        Worker(store, {digest.KIND: digest.digesting()}, lambda _: Cap()).drain([digest.KIND])
        found = candidates.detect(store, scope)
        across = [pattern for pattern in found if pattern.cross_flavor]
        assert len(across) >= 2
        with store.read(scope) as tx:
            told = units(digests.every(tx))
        unit_of = {(one.agent_id, one.session_id): n for n, unit in enumerate(told) for one in unit.members}
        assert any(
            len({one.flavor for one in unit.members}) == 3 for unit in told
        )  # told by three logs, and one session
        for pattern in found:
            sessions = [unit_of[quote.agent_id, quote.session_id] for quote in pattern.evidence]
            assert len(set(sessions)) == len(sessions) >= min(pattern.total.sessions, 2)
            assert pattern.total.sessions <= pattern.total.of <= len(told)
            for quote in pattern.evidence:
                asked = (quote.agent_id, quote.session_id)
                _, turns = read.page(store, scope, *asked, after=quote.first - 1, limit=quote.last - quote.first + 1)
                assert any(quote.quote in turn.text for turn in turns), quote
        for pattern in across:
            assert len({quote.agent_id for quote in pattern.evidence}) >= 2
            assert len(pattern.evidence) >= 4
        assert candidates.detect(store, scope) == found
