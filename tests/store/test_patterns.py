"""Patterns: versions that follow each other, quotes that are those of the newest, and nothing of other tenants."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from carryover.core.errors import VersionConflict
from carryover.core.pattern import PATTERN_STATES, Evidence, Pattern, Share
from carryover.core.scope import Scope
from carryover.store import erasure, patterns
from carryover.store.coding_tables import patterns as rows
from carryover.store.store import Store

QUOTE = "File has not been read yet \u2028 größer"
FULL = Pattern(
    "p_1",
    1,
    "candidate",
    "edit_before_read",
    "edit *.go",
    "Edits before reading",
    "Read a file before you edit it.",
    cross_flavor=True,
    score=2.5,
    total=Share(7, 31, 12),
    flavors={"codex": Share(3, 11, 4), "claude-code": Share(4, 20, 8)},
    repos={"github.com/acme/shop": Share(7, 31, 12)},
    first_seen=1_000,
    last_seen=9_000,
    at=5_000,
    evidence=(Evidence("codex", "s1", 3, 4, QUOTE, "github.com/acme/shop"), Evidence("claude-code", "s2", 1, 1, "b")),
)


def put(store: Store, scope: Scope, *made: Pattern) -> None:
    for pattern in made:
        with store.write(scope) as tx:
            patterns.put(tx, pattern)


def test_a_pattern_reads_back_as_it_was_put(store: Store, scope: Scope) -> None:
    put(store, scope, FULL)
    with store.read(scope) as tx:
        assert patterns.get(tx, "p_1") == FULL
        assert patterns.get(tx, "p_2") is None
        assert patterns.listed(tx) == [FULL]
        assert patterns.versions(tx, "p_2") == []
    with store.read(Scope("other")) as tx:
        assert patterns.get(tx, "p_1") is None
        assert patterns.listed(tx) == []


def test_each_change_is_a_version_and_quotes_are_those_of_the_newest(store: Store, scope: Scope) -> None:
    approved = replace(FULL, version=2, state="approved", by="mara", reason="seen it too", evidence=FULL.evidence[1:])
    put(store, scope, FULL, approved)
    with store.read(scope) as tx:
        assert patterns.get(tx, "p_1") == approved
        assert patterns.versions(tx, "p_1") == [approved, replace(FULL, evidence=())]
        assert patterns.listed(tx, "candidate") == []
        assert patterns.listed(tx, "approved") == [approved]
        bodies = tx.conn.execute(sa.select(rows.c.body).where(rows.c.tenant == tx.tenant)).scalars().all()
    assert not any("File has not been read" in body for body in bodies)


@pytest.mark.parametrize("version", [1, 3, 0])
def test_a_version_that_does_not_follow_the_newest_is_refused(store: Store, scope: Scope, version: int) -> None:
    put(store, scope, FULL)
    with store.write(scope) as tx, pytest.raises(VersionConflict) as refusal:
        patterns.put(tx, replace(FULL, version=version, title="other"))
    assert refusal.value.facts == {"current_version": 1}
    with store.read(scope) as tx:
        assert patterns.get(tx, "p_1") == FULL


def test_the_first_version_is_1(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx, pytest.raises(VersionConflict):
        patterns.put(tx, replace(FULL, version=2))


def test_patterns_are_listed_by_score_and_state(store: Store, scope: Scope) -> None:
    made = [replace(FULL, id=f"p_{n}", state=state, score=float(n % 3)) for n, state in enumerate(PATTERN_STATES)]
    put(store, scope, *made)
    with store.read(scope) as tx:
        assert [one.id for one in patterns.listed(tx)] == ["p_2", "p_5", "p_1", "p_4", "p_0", "p_3"]
        for one in made:
            assert patterns.listed(tx, one.state) == [one]


def test_of_detections_own_versions_the_newest_is_kept(store: Store, scope: Scope) -> None:
    edited = replace(FULL, version=2, by="mara", title="Better")
    counted = [replace(edited, version=n, by="detect", score=n) for n in (3, 4)]
    with store.write(scope) as tx:
        for one in (FULL, edited, *counted):
            patterns.put(tx, one)
            patterns.thin(tx, one)
        assert [one.version for one in patterns.versions(tx, "p_1")] == [4, 2, 1]


def test_a_pattern_that_is_dropped_leaves_nothing(store: Store, scope: Scope) -> None:
    put(store, scope, FULL, replace(FULL, version=2))
    with store.write(scope) as tx:
        patterns.drop(tx, "p_1")
        assert patterns.get(tx, "p_1") is None
    put(store, scope, replace(FULL, evidence=()))
    with store.read(scope) as tx:
        assert patterns.get(tx, "p_1") == replace(FULL, evidence=())


def test_erasing_a_session_takes_its_quotes_along(store: Store, scope: Scope) -> None:
    put(store, scope, FULL)
    with store.write(scope) as tx:
        counts = erasure.erase(tx, "codex", "s1")
    assert counts["evidence"] == 1
    with store.read(scope) as tx:
        assert patterns.get(tx, "p_1") == replace(FULL, evidence=FULL.evidence[1:])
