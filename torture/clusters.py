"""A cluster of three PostgreSQL nodes loses its leader, again and again: `benchmarks.chaos` does and judges it."""

from __future__ import annotations

from benchmarks import chaos
from benchmarks.chaos_faults import possible
from servers import etcd, network, patroni
from torture.run import Run, Skipped, scenario

_NAMES = {"doubled": "duplicated", "changed": "invented", "saved and refused": "invented"}
_NAMES |= {"consolidated": "phantom", "consolidated twice": "phantom"}
_FAILOVERS = ("switchover", "leader killed", "leader paused", "leader cut off")
_KILLS = ("leader killed", "sync replica killed", "API process killed", "worker killed", "etcd member killed")


@scenario("cluster")
def _cluster(run: Run) -> None:
    """The leader is killed, frozen, cut off or told to hand over; then everything else that can fall does."""
    try:
        etcd.binary()
        patroni.interpreter()
    except RuntimeError as cause:
        raise Skipped(str(cause)) from cause
    if network.missing():
        run.notes.append(f"no node was cut off: {network.missing()}")
    leaders = [kind for kind in _FAILOVERS if kind in possible()]
    kinds = [leaders[n % len(leaders)] for n in range(run.often(1, 21))]
    kinds += [] if run.short else [kind for kind in possible() if kind not in leaders]
    run.chance.shuffle(kinds)
    report = chaos.run(run.folder / "cluster", run.records / "clients", kinds, run.often(6, 12), run.seed)
    done = [one.kind for one in report.broke]
    run.kills += sum(kind in _KILLS for kind in done)
    run.failovers += sum(kind in leaders for kind in done)
    run.acknowledged += sum(one.seq is not None for one in report.outcomes)
    run.unknown += sum(bool(one.unknown) for one in report.outcomes)
    for violation in report.violations:
        run.broke(_NAMES.get(violation.kind, violation.kind), violation.detail)
