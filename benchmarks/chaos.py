"""Breaks a cluster again and again while clients append, and checks that it kept every word that it gave them.

    python -m benchmarks.chaos [--faults 20] [--seed 1] [--clients 12] [--folder records]

A cluster of its own is started (`servers`): three PostgreSQL nodes under Patroni and etcd, Redis, two API processes and
two workers. Clients of two tenants append over HTTP, with idempotency keys and expected versions, and write down each
request and each answer. One fault after the other is done, mended, and waited out. Then every answer is compared with
the log. Exits 1 where one promise was broken.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx

from benchmarks import chaos_check, chaos_clients
from benchmarks.chaos_check import Violation
from benchmarks.chaos_clients import Outcome
from benchmarks.chaos_faults import FAULTS, planned, possible, wait_whole
from carryover.core.scope import RIGHTS, Scope
from carryover.store import keys
from carryover.store.store import Store
from servers import network, services
from servers.cluster import Cluster, wait_for

TENANTS = ("acme", "zeta")
_CALM_S, _BROKEN_S = 3.0, 3.0  # before a fault; while it lasts, once there is a leader
_LAST_S, _JOBS_S, _SAME_S = 60, 180, 30
_COUNTED = ("lost", "doubled", "reordered")


@dataclass(frozen=True)
class Broke:
    """A fault that was done, and when all was whole again."""

    kind: str
    began_at: float
    whole_at: float


@dataclass(frozen=True)
class Report:
    """What became of it; times are in seconds."""

    seed: int
    outcomes: Sequence[Outcome]
    sessions: int
    consolidations: int
    broke: Sequence[Broke]
    violations: Sequence[Violation]
    seconds: float

    def gaps(self) -> dict[str, list[float]]:
        """For each kind of fault, the longest time without any acknowledgement in each of them."""
        acks = sorted(one.ended_at for one in self.outcomes if one.seq is not None and one.ended_at is not None)
        found: dict[str, list[float]] = {}
        for fault in self.broke:
            between = [b - a for a, b in pairwise(acks) if b > fault.began_at and a < fault.whole_at]
            found.setdefault(fault.kind, []).append(max(between, default=fault.whole_at - fault.began_at))
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20, help="how many")
    parser.add_argument("--kind", choices=possible(), action="append", help="only these, in this order")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--folder", type=Path, help="where the records are kept; else they go with the run")
    given = parser.parse_args()
    if given.folder and given.folder.exists():
        parser.error(f"{given.folder} is there already; name a folder that is not")
    chosen = given.kind or planned(given.faults, random.Random(given.seed))
    with tempfile.TemporaryDirectory(prefix="carryover-chaos-") as made:
        report = run(Path(made) / "cluster", given.folder or Path(made) / "records", chosen, given.clients, given.seed)
    show(report)
    return 1 if report.violations else 0


def run(folder: Path, records: Path, kinds: Sequence[str], clients: int, seed: int, pause_s: float = 0.15) -> Report:
    """These faults, one after the other, on a cluster in `folder` that is gone afterwards."""
    began, chance = time.monotonic(), random.Random(seed)
    cluster = Cluster.start(folder, namespaces=network.missing() is None)
    try:
        services.serve(cluster)
        _tell(f"seed {seed}; the cluster runs after {time.monotonic() - began:.0f} s")
        secrets = _make_keys(cluster.dsn())
        state = cluster.state
        threads, stop = chaos_clients.begin(clients, secrets, state.api_urls, records, seed=seed, pause_s=pause_s)
        broke: list[Broke] = []
        violations: list[Violation] = []
        try:
            for n, kind in enumerate(kinds, 1):
                broke.append(_break(cluster, kind, chance))
                took = broke[-1].whole_at - broke[-1].began_at
                _tell(f"{n:>3} of {len(kinds)}  {kind:<20} whole again after {took:.0f} s")
            time.sleep(_CALM_S)
        except (TimeoutError, RuntimeError) as failure:
            violations.append(Violation("not mended", f"{kinds[len(broke)]}: {failure}"))
        stop.set()
        end = time.monotonic() + _LAST_S
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        violations += [Violation("not answered", thread.name) for thread in threads if thread.is_alive()]
        violations += _settle(cluster, secrets)
        outcomes = chaos_clients.read(records)
        found = chaos_check.look(cluster.dsn())
        violations += chaos_check.judge(outcomes, found)
        violations += _differing(cluster)
    finally:
        if cluster.exists:
            cluster.stop()
    consolidations = sum(len(saved) for saved in found.snapshots.values())
    return Report(seed, outcomes, len(found.versions), consolidations, broke, violations, time.monotonic() - began)


def _make_keys(url: str) -> dict[str, str]:
    """A key for each tenant; from now on nobody is let in without one."""
    made: dict[str, str] = {}
    with Store.open(url, upgrade=False) as store:
        for tenant in TENANTS:
            with store.write(Scope(tenant)) as tx:
                made[tenant] = keys.create(tx, label="chaos", rights=RIGHTS)[1]
    return made


def _break(cluster: Cluster, kind: str, chance: random.Random) -> Broke:
    time.sleep(_CALM_S)
    began_at = time.time()
    mend = FAULTS[kind](cluster, chance)
    time.sleep(_BROKEN_S)
    mend()
    wait_whole(cluster)
    return Broke(kind, began_at, time.time())


def _settle(cluster: Cluster, secrets: Mapping[str, str]) -> list[Violation]:
    """The workers have done all that is due, for every tenant."""
    url = cluster.state.api_urls[0]

    def queued() -> dict[str, dict[str, int]]:
        with httpx.Client(base_url=url, timeout=10) as http:
            asked = {name: {"Authorization": f"Bearer {key}"} for name, key in secrets.items()}
            return {name: http.get("/health", headers=headers).json()["queue"] for name, headers in asked.items()}

    def done() -> bool:
        return all(now["due"] == now["running"] == 0 for now in queued().values())

    try:
        wait_for(done, _JOBS_S, lambda: f"the queues hold {queued()}")
    except (TimeoutError, httpx.TransportError) as failure:
        return [Violation("jobs not done", str(failure))]
    return []


def _differing(cluster: Cluster) -> list[Violation]:
    """All three nodes hold the same log."""
    asked = "SELECT count(*), md5(string_agg(t::text, '' ORDER BY tenant, agent, session, seq)) FROM turns t"

    def held() -> set[str]:
        return {cluster.sql(asked, node=node) for node in cluster.nodes}

    try:
        wait_for(lambda: len(held()) == 1, _SAME_S, lambda: f"the nodes hold {held()}")
    except TimeoutError as failure:
        return [Violation("nodes differ", str(failure))]
    return []


def show(report: Report) -> None:
    """The report, for people."""
    outcomes, counted = report.outcomes, Counter(one.kind for one in report.violations)
    saved = [one for one in outcomes if one.seq is not None]
    unknown = [one for one in outcomes if one.unknown]
    print(
        f"\nseed {report.seed}, {len(report.broke)} faults in {report.seconds / 60:.1f} minutes: "
        f"{len(outcomes):,} requests, {len(saved):,} acknowledged, {sum(one.refused for one in outcomes):,} conflicts"
    )
    print("   ".join(f"{kind} {counted[kind]}" for kind in _COUNTED) + f"   in all {len(report.violations)} violations")
    print(f"{report.sessions} sessions, consolidated {report.consolidations} times")
    ended = Counter(_end_of(one) for one in unknown)
    print(f"unknown outcomes: {len(unknown)}; " + ", ".join(f"{n} {how}" for how, n in sorted(ended.items())))
    print(f"\n{'no acknowledgement for (s)':<28}{'times':>6}{'p50':>8}{'max':>8}")
    for kind, gaps in report.gaps().items():
        print(f"{kind:<28}{len(gaps):>6}{statistics.median(gaps):>8.1f}{max(gaps):>8.1f}")
    for violation in report.violations[:50]:
        print(f"{violation.kind}: {violation.detail}", file=sys.stderr)


def _end_of(one: Outcome) -> str:
    if one.refused:
        return "conflicts, not saved"
    if one.seq is None:
        return "never answered"
    return "saved already, found by the retry" if one.replayed else "saved by the retry"


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
