"""Chunks in the table and in the text index: added, found, taken back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from carryover.core.chunk import Chunk
from carryover.core.scope import Scope
from carryover.store import chunks, sqlite, vectors, wording
from carryover.store.chunks import Corpus, Watermark
from carryover.store.dialect import Bounds
from carryover.store.store import Store, Tx
from talk import add_chunks


def chunk(terms: str, **more: Any) -> Chunk:
    given: dict[str, Any] = {
        "n": 0, "kind": "turn", "ref": "t", "agent_id": "ada", "session_id": "s1", "user_id": "u1", "first": 1,
        "last": 1, "part": 0, "role": "user", "name": None, "text": terms, "created_at": 1000, "terms": terms,
    }  # fmt: skip
    return Chunk(**{**given, **more})


def found(tx: Tx, *terms: str, **bounds: Any) -> list[int]:
    return [n for n, _ in matching(tx, terms, 100, **bounds)]


def matching(tx: Tx, terms: Sequence[str], k: int, **bounds: Any) -> list[tuple[int, float]]:
    known = tx.dialect.frequency(tx.conn, wording.of(tx), terms)
    weights = {term: math.log(1 + 100 / df) for term, df in known.items() if df}
    return tx.dialect.matching(tx.conn, wording.of(tx), weights, 3.0, Bounds(**bounds), k)


def test_chunks_come_back_as_they_were_added(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        first, second = chunk("red fox", name="Nora", parts=2), chunk("blue 東京", part=1, parts=2, user_id=None)
        added = add_chunks(tx, [first, second])
        assert add_chunks(tx, []) == []
    with store.read(scope) as tx:
        assert chunks.by_n(tx, [c.n for c in added]) == {c.n: c for c in added}
        assert chunks.of_session(tx, "ada", "s1") == added
        assert chunks.by_n(tx, [999]) == {}
        assert chunks.corpus(tx) == Corpus(2, 4)
    with store.read(Scope("other")) as tx:
        assert chunks.by_n(tx, [c.n for c in added]) == {}
        assert chunks.corpus(tx) == Corpus(0, 0)


def test_any_term_matches_and_rare_ones_weigh_more(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        common = [c.n for c in add_chunks(tx, [chunk("fox runs") for _ in range(20)])]
        (rare,) = [c.n for c in add_chunks(tx, [chunk("fox sleeps")])]
        best = matching(tx, ["fox", "sleeps", "unheard"], 5)
        assert best[0][0] == rare
        assert best[0][1] > best[1][1]
        # Equals come newest first, so that a cut takes the newest.
        assert [n for n, _ in best[1:]] == common[::-1][:4]
        assert found(tx) == []
        assert found(tx, "unheard") == []


def test_frequencies_are_the_tenants_own(store: Store, scope: Scope) -> None:
    for tenant, count in (("acme", 3), ("other", 7)):
        with store.write(Scope(tenant)) as tx:
            add_chunks(tx, [chunk("fox fox runs") for _ in range(count)])
    with store.read(scope) as tx:
        assert tx.dialect.frequency(tx.conn, wording.of(tx), ["fox", "runs", "none"]) == {
            "fox": 3,
            "runs": 3,
            "none": 0,
        }


def test_counting_may_stop_where_it_is_told_to(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        add_chunks(tx, [chunk("fox runs"), *(chunk("fox") for _ in range(5))])
        counted = tx.dialect.frequency(tx.conn, wording.of(tx), ["fox", "runs", "none"], 3)
        assert 3 <= counted["fox"] <= 6
        assert (counted["runs"], counted["none"]) == (1, 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_a_great_many_the_newest_are_scored(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_SCORED", 4)
    with store.write(scope) as tx:
        add_chunks(tx, [chunk("fox fox fox")])  # the best, were it looked at
        ns = [c.n for c in add_chunks(tx, [chunk("fox"), chunk("fox dog cat"), chunk("fox"), chunk("fox dog")])]
        assert found(tx, "fox") == [ns[2], ns[0], ns[3], ns[1]]


@pytest.mark.parametrize("term", ["AND", "NEAR", '"', "*", "a:b", "(", "😀", "東京", "ada", "turn", "-", "x" * 300])
def test_any_term_is_legal_and_matches_itself_alone(store: Store, scope: Scope, term: str) -> None:
    with store.write(scope) as tx:
        (mine,) = add_chunks(tx, [chunk(f"before {term} after")])
        add_chunks(tx, [chunk("before after"), chunk(term + "x")])
        assert found(tx, term) == [mine.n]
        assert found(tx, term, agent="ada", user="u1", session="s1", kinds=("turn",)) == [mine.n]


def test_bounds_hold_inside_the_index(store: Store, scope: Scope) -> None:
    variants: list[dict[str, Any]] = [
        {}, {"agent_id": "bob"}, {"user_id": "u2"}, {"user_id": None}, {"session_id": "s2"}, {"kind": "fact"},
        {"created_at": 2000},
    ]  # fmt: skip
    with store.write(scope) as tx:
        n = [c.n for c in add_chunks(tx, [chunk("fox", **variant) for variant in variants])]
        assert sorted(found(tx, "fox")) == n
        assert found(tx, "fox", agent="bob") == [n[1]]
        assert found(tx, "fox", user="u2") == [n[2]]
        assert found(tx, "fox", session="s2") == [n[4]]
        assert found(tx, "fox", kinds=("fact", "task")) == [n[5]]
        assert found(tx, "fox", since=1001) == [n[6]]
        assert n[6] not in found(tx, "fox", before=2000)
        assert len(found(tx, "fox", before=2000)) == 6
        assert found(tx, "fox", agent="nobody") == []
        assert found(tx, "fox", agent="bob", user="u2") == []
    with store.read(Scope("other")) as tx:
        assert found(tx, "fox") == []
        assert found(tx, "fox", since=0) == []


def test_the_turns_around_are_of_the_same_session(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        mine = add_chunks(tx, [chunk("w", first=seq, last=seq) for seq in range(1, 10)])
        add_chunks(tx, [chunk("w", first=5, last=5, session_id="s2"), chunk("w", first=5, last=5, agent_id="bob")])
        add_chunks(tx, [chunk("w", first=6, last=6, part=1, parts=2)])
        finding = add_chunks(tx, [chunk("w", kind="fact", first=1, last=2)])[0]
        assert sorted(c.first for c in chunks.around(tx, [mine[4].n], 2)) == [3, 4, 5, 6, 7]
        assert sorted(c.first for c in chunks.around(tx, [finding.n], 2)) == [1, 2, 3, 4]
        assert chunks.around(tx, [], 2) == []
    with store.read(Scope("other")) as tx:
        assert chunks.around(tx, [mine[4].n], 2) == []


def test_removal_takes_back_exactly_what_was_added(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        kept, gone = add_chunks(tx, [chunk("fox runs"), chunk("fox sleeps")])
        vectors.add(tx, "space", [(kept.n, [1.0, 0.0]), (gone.n, [0.0, 1.0])])
        assert chunks.remove(tx, [gone]) == 1
        assert chunks.remove(tx, []) == 0
        assert found(tx, "fox", "sleeps") == [kept.n]
        assert tx.dialect.frequency(tx.conn, wording.of(tx), ["fox", "sleeps"]) == {"fox": 1, "sleeps": 0}
        assert chunks.corpus(tx) == Corpus(1, 2)
        assert chunks.of_session(tx, "ada", "s1") == [kept]


def test_erasing_a_session_leaves_the_others(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        add_chunks(tx, [chunk("fox", session_id="gone"), chunk("fox", session_id="gone", kind="fact")])
        other = add_chunks(tx, [chunk("fox")])[0]
        assert chunks.erase(tx, "ada", "gone") == {"chunks": 2, "vectors": 0}
        assert chunks.erase(tx, "ada", "gone") == {"chunks": 0, "vectors": 0}
        assert found(tx, "fox") == [other.n]
        assert chunks.erase(tx, "bob", "s1") == {"chunks": 0, "vectors": 0}
    with store.write(Scope("other")) as tx:
        assert chunks.erase(tx, "ada", "s1") == {"chunks": 0, "vectors": 0}
    with store.read(scope) as tx:
        assert found(tx, "fox") == [other.n]


def test_unembedded_are_those_without_a_vector_in_the_space(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        added = add_chunks(tx, [chunk(f"w{i}") for i in range(5)])
        vectors.add(tx, "one", [(c.n, [1.0]) for c in added[:3]])
        assert chunks.unembedded(tx, "one", 10) == added[3:]
        assert chunks.unembedded(tx, "two", 2) == added[:2]
    with store.read(Scope("other")) as tx:
        assert chunks.unembedded(tx, "one", 10) == []


def test_the_watermark_is_where_it_was_put(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        assert chunks.watermark(tx, "ada", "s1") == Watermark(0, 0)
        chunks.mark(tx, "ada", "s1", Watermark(5, 1))
        chunks.mark(tx, "ada", "s1", Watermark(9, 2))
        assert chunks.watermark(tx, "ada", "s1") == Watermark(9, 2)
        assert chunks.watermark(tx, "bob", "s1") == Watermark(0, 0)
    with store.read(Scope("other")) as tx:
        assert chunks.watermark(tx, "ada", "s1") == Watermark(0, 0)


def test_what_is_rolled_back_was_never_indexed(store: Store, scope: Scope) -> None:
    with suppress(RuntimeError), store.write(scope) as tx:
        add_chunks(tx, [chunk("fox")])
        raise RuntimeError
    with store.read(scope) as tx:
        assert found(tx, "fox") == []
        assert chunks.corpus(tx) == Corpus(0, 0)
