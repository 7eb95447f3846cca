"""Snapshots are immutable: a version reads the same for ever, whatever comes after it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from carryover.core.errors import DataLoss, NotFound
from carryover.core.scope import Scope
from carryover.core.session import Source
from carryover.core.snapshot import Finding, FindingKind, Snapshot
from carryover.core.wire import encode
from carryover.store import snapshots
from carryover.store.snapshots import Link
from carryover.store.store import Store
from talk import begun

ACME = Scope("acme")


def finding(id: str, *places: int, kind: FindingKind = "fact", session: str = "s", **more: Any) -> Finding:
    sources = tuple(Source(session, seq, seq, f"quote {seq}") for seq in places)
    status = "open" if kind == "task" else "active"
    return Finding(
        id, kind, f"text of {id}", status, 1000 + places[0] if places else 0, sources, "rules", "a", session, **more
    )


def add(
    store: Store,
    version: int,
    *findings: Finding,
    session: str = "s",
    through: int = 10,
    user: str | None = None,
    links: tuple[Link, ...] = (),
    agent: str = "a",
) -> Snapshot:
    found = tuple(sorted(findings, key=lambda f: (f.learned_at, f.id)))
    snapshot = Snapshot(session, agent, version, through, 5000 + version, "rules", f"summary {version}", found)
    with store.write(ACME) as tx:
        begun(tx, [(agent, session), *((agent, s.session_id) for one in found for s in one.sources)])
        snapshots.add(tx, snapshot, user=user, links_made=links)
    return snapshot


def read(store: Store, version: int, session: str = "s") -> Snapshot:
    with store.read(ACME) as tx:
        return snapshots.get(tx, "a", session, version)


def text(snapshot: Snapshot) -> str:
    return json.dumps(encode(snapshot), sort_keys=True)


def history() -> list[tuple[Finding, ...]]:
    """Five versions: statements come, gain sources, change, go, and come back."""
    stays, grows, task = finding("f1", 1), finding("f2", 2), finding("f3", 3, kind="task")
    grown = replace(grows, sources=(*grows.sources, Source("s", 12, 12, "quote 12")))
    done = replace(task, status="done", reason="said so")
    replaced = replace(stays, status="superseded", superseded_by="f4", reason="changed", valid_to=9)
    newer = finding("f4", 14, kind="decision", subject="database", salience=0.5, pinned=True, valid_from=8)
    return [
        (stays, grows, task),
        (stays, grown, task),
        (stays, grown, done),
        (replaced, done, newer),  # f2 is gone
        (replaced, grown, done, newer),  # and back
    ]


def test_every_version_reads_the_same_bytes_after_all_later_ones(store: Store) -> None:
    made: list[Snapshot] = []
    for version, findings in enumerate(history(), 1):
        made.append(add(store, version, *findings, through=10 + version * 4))
        assert [text(read(store, n)) for n in range(1, version + 1)] == [text(one) for one in made]
    with store.read(ACME) as tx:
        assert snapshots.latest(tx, "a", "s") == made[-1]
        assert [one.version for one in snapshots.listed(tx, "a", "s")] == [5, 4, 3, 2, 1]
        assert [one.version for one in snapshots.listed(tx, "a", "s", limit=2, before=4)] == [3, 2]
        assert all(one.findings == () for one in snapshots.listed(tx, "a", "s"))


def test_a_source_that_was_found_later_is_not_in_older_versions(store: Store) -> None:
    first, second = finding("f", 1), finding("f", 1, 7)
    add(store, 1, first)
    add(store, 2, second)
    add(store, 3, replace(second, sources=(*second.sources, Source("s", 9, 9, "quote 9"))))
    assert [[s.first for s in read(store, v).findings[0].sources] for v in (1, 2, 3)] == [[1], [1, 7], [1, 7, 9]]


@pytest.mark.parametrize("version", [0, 2, 7])
def test_a_version_must_follow_the_last_one(store: Store, version: int) -> None:
    with pytest.raises(DataLoss, match=f"snapshot {version} does not follow the last one of 's'; consolidate again"):
        add(store, version, finding("f", 1))
    add(store, 1, finding("f", 1))
    with pytest.raises(DataLoss):
        add(store, 1, finding("f", 1))


@pytest.mark.parametrize("places", [(), (0,), (11,), (1, 11)])
def test_a_finding_must_stand_on_turns_that_were_read(store: Store, places: tuple[int, ...]) -> None:
    with pytest.raises(DataLoss, match="has no source inside turns 1 to 10"):
        add(store, 1, finding("f", *places))
    with store.read(ACME) as tx:
        assert snapshots.latest(tx, "a", "s") is None


def test_a_missing_version_is_not_found(store: Store) -> None:
    add(store, 1, finding("f", 1))
    for version in (0, 2):
        with pytest.raises(NotFound, match=f"session 's' has no snapshot {version}"):
            read(store, version)
    with store.read(Scope("zeta")) as tx, pytest.raises(NotFound):
        snapshots.get(tx, "a", "s", 1)


def test_a_later_session_closes_a_finding_without_touching_its_snapshot(store: Store) -> None:
    old = add(store, 1, finding("f1", 1), finding("f2", 2))
    link = Link("f1", "superseded", "g1", "the user changed their mind")
    add(store, 1, finding("g1", 1, session="later"), session="later", links=(link,))
    assert text(read(store, 1)) == text(old)
    with store.read(ACME) as tx:
        assert [f.id for f in snapshots.live(tx, [("a", "s")])] == ["f2"]
        assert {f.id for f in snapshots.live(tx, [("a", "s"), ("a", "later")])} == {"f2", "g1"}
        now = snapshots.finding(tx, "f1")
        assert (now.status, now.superseded_by, now.reason) == ("superseded", "g1", "the user changed their mind")
        assert [f.id for f in snapshots.replaced_by(tx, "g1")] == ["f1"]
        assert snapshots.replaced_by(tx, "f1") == []


def test_only_the_newest_open_and_active_findings_are_live(store: Store) -> None:
    *_, last = history()
    for version, findings in enumerate(history(), 1):
        add(store, version, *findings, through=30)
    with store.read(ACME) as tx:
        live = snapshots.live(tx, [("a", "s"), ("b", "s")])
        assert [f.id for f in live] == sorted((f.id for f in last if f.live), key=lambda id: id)
        assert [len(f.sources) for f in live if f.id == "f2"] == [2]
        assert snapshots.live(tx, []) == []


@pytest.mark.parametrize("scope", [Scope("zeta"), Scope("acme", agent="b"), Scope("acme", user="v")])
def test_a_finding_outside_the_scope_does_not_exist(store: Store, scope: Scope) -> None:
    add(store, 1, finding("f1", 1), user="u")
    with store.read(scope) as tx, pytest.raises(NotFound, match="finding 'f1' does not exist here"):
        snapshots.finding(tx, "f1")


def test_newest_snapshots_in_reach(store: Store) -> None:
    add(store, 1, finding("f1", 1), session="s", user="u")
    add(store, 2, finding("f1", 1), session="s", user="u", through=20)
    add(store, 1, finding("f2", 1, session="t"), session="t", user="v")
    add(store, 1, finding("f3", 1, session="n"), session="n")
    add(store, 1, finding("f4", 1, session="s"), session="s", user="u", agent="b")

    def reach(
        scope: Scope = ACME, agent: str | None = None, user: str | None = None, **how: Any
    ) -> list[tuple[Any, ...]]:
        with store.read(scope) as tx:
            return [row[:3] for row in snapshots.newest_of(tx, agent=agent, user=user, **how)]

    assert reach(user="u") == [("a", "s", 2), ("b", "s", 1)]
    assert reach(agent="b", user="u") == [("b", "s", 1)]
    assert reach() == [("a", "n", 1)]
    assert reach(agent="a", any_user=True, limit=1) == [("a", "s", 2)]
    assert len(reach(any_user=True)) == 4
    assert reach(Scope("acme", agent="b"), agent="a", any_user=True) == []
    assert reach(Scope("acme", user="v"), user="u") == []
    assert reach(Scope("acme", user="v"), any_user=True) == [("a", "t", 1)]
    assert reach(Scope("zeta"), any_user=True) == []
    with store.read(ACME) as tx:
        assert snapshots.newest_of(tx, agent="a", user="u") == [("a", "s", 2, 20, 5002)]


def test_hundreds_of_findings(store: Store) -> None:
    many = [finding(f"f{n:04d}", 1 + n % 9) for n in range(1200)]
    made = add(store, 1, *many)
    changed = [replace(f, salience=0.9) for f in many]
    add(store, 2, *changed)
    assert read(store, 1) == made
    with store.read(ACME) as tx:
        assert len(snapshots.live(tx, [("a", "s")])) == 1200
