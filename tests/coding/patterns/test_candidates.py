"""Detection and the catalog: counts follow, decisions stay, and what nobody shows any more is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carryover.coding.patterns import candidates, curate
from carryover.core.digest import Digest
from carryover.core.errors import Forbidden, Invalid
from carryover.core.pattern import Pattern
from carryover.core.scope import Scope
from carryover.store import digests, erasure, patterns
from carryover.store.store import Store
from planted import DESK, NOW, session, signal

UNREAD = signal("edit_before_read", "edit: not read", "File has not been read yet.")
FMT = signal("error", "shell mise run fmt: task failed", "task failed", turn=7)
RARE = signal("error", "shell go vet: oops", "oops")


def put(store: Store, scope: Scope, *made: Digest) -> None:
    with store.write(scope) as tx:
        for digest in made:
            digests.put(tx, digest)


def detect(store: Store, scope: Scope) -> dict[str, Pattern]:
    return {one.signal: one for one in candidates.detect(store, scope)}


def test_what_recurs_is_a_candidate_whose_counts_follow(store: Store, scope: Scope) -> None:
    put(store, scope, *(session(f"a{n}", UNREAD) for n in range(3)), session("b", RARE))
    first = detect(store, scope)
    assert list(first) == ["edit_before_read"]
    assert (first["edit_before_read"].version, first["edit_before_read"].by) == (1, "detect")
    assert curate.listed(store, scope) == list(first.values())
    assert detect(store, scope) == first
    put(store, scope, session("a3", UNREAD))
    second = detect(store, scope)["edit_before_read"]
    assert (second.id, second.version, second.total.sessions) == (first["edit_before_read"].id, 2, 4)
    put(store, scope, session("a4", UNREAD))
    assert detect(store, scope)["edit_before_read"].version == 3
    assert [one.version for one in curate.versions(store, scope, second.id)] == [3, 1]
    assert detect(store, Scope("other")) == {}


def test_a_candidate_stays_while_one_session_shows_it_and_goes_with_the_last(store: Store, scope: Scope) -> None:
    put(store, scope, *(session(f"a{n}", UNREAD) for n in range(3)))
    (found,) = candidates.detect(store, scope)
    put(store, scope, session("a0"), session("a1"))
    assert candidates.detect(store, scope) == []
    assert curate.versions(store, scope, found.id)[0].total.sessions == 1
    put(store, scope, session("a2"))
    assert candidates.detect(store, scope) == []
    assert curate.listed(store, scope) == []


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_what_was_decided_is_never_undone(store: Store, scope: Scope, decision: str) -> None:
    put(store, scope, *(session(f"a{n}", UNREAD) for n in range(3)))
    (found,) = candidates.detect(store, scope)
    decided = curate.decide(store, scope, found.id, decision, "mara")  # type: ignore[arg-type]
    put(store, scope, *(session(f"b{n}", UNREAD, flavor="codex") for n in range(3)))
    (shown,) = candidates.detect(store, scope)
    assert (shown.state, shown.version, shown.by) == (decided.state, 2, "mara")
    assert (shown.total.sessions, shown.cross_flavor) == (6, True)
    assert curate.listed(store, scope) == [decided]
    put(store, scope, *(session(f"a{n}") for n in range(3)), *(session(f"b{n}", flavor="codex") for n in range(3)))
    assert candidates.detect(store, scope) == []
    assert curate.listed(store, scope) == [decided]


def test_words_that_somebody_edited_stay_and_a_rejected_one_that_was_edited_counts_again(
    store: Store, scope: Scope
) -> None:
    put(store, scope, *(session(f"a{n}", UNREAD) for n in range(3)))
    (found,) = candidates.detect(store, scope)
    curate.decide(store, scope, found.id, "reject", "mara")
    curate.edit(store, scope, found.id, lesson="Read first.", by="mara", reason="")
    put(store, scope, session("a3", UNREAD))
    (shown,) = candidates.detect(store, scope)
    assert (shown.state, shown.lesson, shown.version, shown.by) == ("candidate", "Read first.", 4, "detect")
    told = [(one.version, one.state, one.by) for one in curate.versions(store, scope, found.id)]
    assert told == [
        (4, "candidate", "detect"),
        (3, "candidate", "mara"),
        (2, "rejected", "mara"),
        (1, "candidate", "detect"),
    ]


def test_a_filter_counts_less_and_catalogs_all(store: Store, scope: Scope) -> None:
    put(store, scope, *(session(f"a{n}", UNREAD, FMT, age_days=n) for n in range(3)))
    put(store, scope, *(session(f"b{n}", UNREAD, flavor="codex", repo=DESK, age_days=n) for n in range(3)))
    (of_repo,) = candidates.detect(store, scope, repo=DESK)
    assert (of_repo.total.sessions, of_repo.total.of, of_repo.cross_flavor) == (3, 3, False)
    assert {one.signal: one.total.sessions for one in curate.listed(store, scope)} == {
        "edit_before_read": 6,
        "error": 3,
    }
    assert len(candidates.detect(store, scope, flavor="claude-code")) == 2
    since = candidates.detect(store, scope, since=NOW - 86_400_000 * 3 // 2, min_frequency=2)
    assert {one.signal: one.total.sessions for one in since} == {"edit_before_read": 4, "error": 2}
    assert candidates.detect(store, scope, repo="nowhere") == []


def test_a_pattern_keeps_its_id_when_another_wording_becomes_more_frequent(store: Store, scope: Scope) -> None:
    words = "shell go build: cannot find package <path> in any of the {} roots"
    first, second = (signal("error", words.format(name), "cannot find") for name in ("known", "listed"))
    put(store, scope, *(session(f"a{n}", first) for n in range(3)))
    (found,) = candidates.detect(store, scope)
    put(store, scope, *(session(f"b{n}", second) for n in range(9)))
    (grown,) = candidates.detect(store, scope)
    assert (grown.id, grown.key, grown.total.sessions) == (found.id, first.key, 12)


def test_who_may_not_write_or_sees_only_a_part_may_not_detect(store: Store, scope: Scope) -> None:
    for narrowed in (Scope("acme", agent="codex"), replace(scope, rights=frozenset({"read"}))):
        with pytest.raises(Forbidden):
            candidates.detect(store, narrowed)
    with pytest.raises(Invalid, match="use 1 or more"):
        candidates.detect(store, scope, min_frequency=0)
    with pytest.raises(Invalid, match="none of claude-code"):
        candidates.detect(store, scope, flavor="vi")  # type: ignore[arg-type]


def test_what_was_erased_in_between_is_not_quoted(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, scope, *(session(f"a{n}", UNREAD) for n in range(4)))
    transact = store.transact

    def after_an_erasure(*given: object) -> object:
        with store.write(scope) as tx:
            erasure.erase(tx, "claude-code", "a1")
        return transact(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "transact", after_an_erasure)
    candidates.detect(store, scope)
    (kept,) = curate.listed(store, scope)
    assert sorted(quote.session_id for quote in kept.evidence) == ["a0", "a2", "a3"]


def test_somebody_elses_decision_in_between_wins(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading the digests and writing the catalog a pattern is decided about."""
    put(store, scope, *(session(f"a{n}", UNREAD) for n in range(3)))
    (found,) = candidates.detect(store, scope)
    put(store, scope, session("a3", UNREAD))
    transact = store.transact

    def after_a_decision(*given: object) -> object:
        curate.decide(store, scope, found.id, "approve", "mara")
        return transact(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "transact", after_a_decision)
    (shown,) = candidates.detect(store, scope)
    assert (shown.state, shown.total.sessions) == ("approved", 4)
    with store.read(scope) as tx:
        assert [(one.version, one.state) for one in patterns.versions(tx, found.id)] == [
            (2, "approved"),
            (1, "candidate"),
        ]
