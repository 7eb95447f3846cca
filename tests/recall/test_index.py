"""What is said becomes findable, piece by piece, behind the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.chunk import Chunk
from carryover.core.job import subject_of
from carryover.core.scope import Scope
from carryover.core.session import Draft, retraction
from carryover.providers.minilm import MiniLM
from carryover.recall import embed, index
from carryover.recall.embed import EMBED, Models
from carryover.recall.index import INDEX, MOST, PART, cut, spoken_date
from carryover.store import chunks, queue, vectors
from carryover.store.chunks import Watermark
from carryover.store.dialect import Bounds
from carryover.store.store import Store
from findable import catch_up, drafts, log, open_model
from talk import note, remember


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniLM]:
    model = open_model(tmp_path_factory.mktemp("model"))
    yield model
    model.close()


def indexed(store: Store, scope: Scope, session: str) -> list[Chunk]:
    with store.read(scope) as tx:
        return chunks.of_session(tx, "ada", session)


@given(st.text(alphabet=st.sampled_from("ab .\n!?。é"), max_size=3000))
def test_parts_are_pieces_of_the_text_in_order_and_lose_nothing_but_blanks(text: str) -> None:
    parts = cut(text, 100)
    at = 0
    for part in parts:
        assert 0 < len(part) <= 100
        assert part == part.strip()
        at = text.index(part, at) + len(part)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_part_ends_where_a_sentence_does() -> None:
    sentence = "This sentence has exactly forty letters.."
    parts = cut(" ".join([sentence] * 50))
    assert all(part.endswith("..") for part in parts)
    assert all(len(part) > PART // 2 for part in parts[:-1])
    assert [len(part) for part in cut("x" * 1200)] == [PART, PART, 1200 - 2 * PART]


def test_name_date_and_caption_are_indexed(store: Store, scope: Scope) -> None:
    said = [{"type": "text", "text": "Look at this!"}, {"type": "image", "caption": "a heron by the lake"}]
    log(store, scope, "s", [Draft("user", said, name="Nora", created_at=1_741_082_400_000)])
    catch_up(store)
    (chunk,) = indexed(store, scope, "s")
    assert chunk.text == "Look at this!\na heron by the lake"
    assert chunk.terms.split()[:4] == ["4", "march", "2025", "nora"]
    assert "heron" in chunk.terms.split()
    assert spoken_date(0) == "1 January 1970"


def test_a_huge_turn_is_found_by_its_beginning_and_its_end(store: Store, scope: Scope) -> None:
    text = "Beginning. " + "filler words here. " * 300_000 + " middleword " + "more filler. " * 300_000 + "The end."
    assert len(text) > 9_000_000
    log(store, scope, "s", [Draft("user", text), Draft("tool", text, kind="tool_result"), Draft("assistant", text)])
    catch_up(store)
    for seq, role in enumerate(("user", "tool", "assistant"), 1):
        parts = [chunk for chunk in indexed(store, scope, "s") if chunk.first == seq]
        assert sum(len(part.text) for part in parts) <= MOST[role]
        assert parts[0].text.startswith("Beginning.")
        assert parts[-1].text.endswith("The end.")
        assert [part.part for part in parts] == list(range(len(parts)))
        assert {part.parts for part in parts} == {len(parts)}


def test_what_says_nothing_has_no_chunk_but_is_passed(store: Store, scope: Scope) -> None:
    image = [{"type": "image", "data": "AAAA"}]
    log(store, scope, "s", [Draft("user", ""), Draft("user", image)])
    catch_up(store)
    assert indexed(store, scope, "s") == []
    with store.read(scope) as tx:
        assert chunks.watermark(tx, "ada", "s") == Watermark(2, 0)
        assert queue.get(tx, INDEX, subject_of("ada", "s")) is None


def test_long_sessions_are_indexed_in_several_runs(store: Store, scope: Scope) -> None:
    count = index.TURNS * 2 + 7
    log(store, scope, "s", [Draft("user", f"turn number {n}") for n in range(count)])
    runs: list[int] = []
    with store.read(scope) as tx:
        job = queue.get(tx, INDEX, subject_of("ada", "s"))
        assert job is not None
    derivation = index.indexing()
    while True:
        with store.read(scope) as tx:
            work = derivation.load(tx, job)
        if work is None:
            break
        runs.append(len(work.turns))
        made, usage = derivation.think(work)
        assert usage.calls == 0
        with store.write(scope) as tx:
            derivation.save(tx, job, work, made)
    assert runs == [index.TURNS, index.TURNS, 7]
    assert [chunk.first for chunk in indexed(store, scope, "s")] == list(range(1, count + 1))


def test_a_run_that_came_too_late_saves_nothing(store: Store, scope: Scope, embedder: MiniLM) -> None:
    log(store, scope, "s", drafts("spring"))
    derivation = index.indexing(Models(embedder))
    with store.read(scope) as tx:
        job = queue.get(tx, INDEX, subject_of("ada", "s"))
        assert job is not None
        work = derivation.load(tx, job)
        assert work is not None
    catch_up(store)
    with store.write(scope) as tx:
        derivation.save(tx, job, work, derivation.think(work)[0])
        assert queue.get(tx, EMBED, embedder.name) is None
    assert len(indexed(store, scope, "s")) == len(drafts("spring"))


def test_live_findings_replace_those_that_are_no_more(store: Store, scope: Scope) -> None:
    log(store, scope, "s1", [Draft("user", "Use Redis."), Draft("user", "No: use PostgreSQL.")])
    old, new = note("Use Redis", "decision"), note("Use PostgreSQL", "decision")
    remember(store, scope, "s1", [old])
    arm(store, scope)
    assert [c.text for c in indexed(store, scope, "s1") if c.kind == "decision"] == ["Use Redis"]
    before = [c.n for c in indexed(store, scope, "s1") if c.kind == "turn"]
    remember(store, scope, "s1", [new])
    arm(store, scope)
    after = indexed(store, scope, "s1")
    assert [c.text for c in after if c.kind == "decision"] == ["Use PostgreSQL"]
    assert [c.n for c in after if c.kind == "turn"] == before  # turns are not indexed again


def arm(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        queue.arm(tx, [(INDEX, subject_of("ada", "s1"), tx.now)])
    catch_up(store)


def test_vectors_follow_the_chunks_in_batches(store: Store, scope: Scope, embedder: MiniLM) -> None:
    count = embed.VECTORS + 5
    log(store, scope, "s", [Draft("user", f"n {n}") for n in range(count)])
    catch_up(store, embedder, only=(INDEX,))
    with store.read(scope) as tx:
        assert len(chunks.unembedded(tx, embedder.name, 1000)) == count
        assert queue.get(tx, EMBED, embedder.name) is not None
    catch_up(store, embedder)
    with store.read(scope) as tx:
        assert chunks.unembedded(tx, embedder.name, 1000) == []
        assert queue.get(tx, EMBED, embedder.name) is None
        near = vectors.nearest(tx, embedder.name, embedder.embed(["n 3"])[0], Bounds(), 5)
    assert near is not None
    assert near.admitted == count


def test_a_chunk_that_was_erased_while_it_was_embedded_gets_no_vector(
    store: Store, scope: Scope, embedder: MiniLM
) -> None:
    log(store, scope, "s", drafts("spring"))
    catch_up(store, embedder, only=(INDEX,))
    derivation = embed.embedding(Models(embedder))
    with store.read(scope) as tx:
        job = queue.get(tx, EMBED, embedder.name)
        assert job is not None
        work = derivation.load(tx, job)
        assert work is not None
    made, _ = derivation.think(work)
    with store.write(scope) as tx:
        chunks.erase(tx, "ada", "s")
        derivation.save(tx, job, work, made)
    with store.read(scope) as tx:
        assert vectors.spaces(tx) == []


def test_what_was_taken_back_is_not_found(store: Store, scope: Scope) -> None:
    log(store, scope, "s", [Draft("user", "a heron"), Draft("user", "an otter"), retraction(1, 1)])
    catch_up(store)
    assert [chunk.text for chunk in indexed(store, scope, "s")] == ["an otter"]


def test_what_is_taken_back_later_is_found_no_more(store: Store, scope: Scope) -> None:
    log(store, scope, "s", [Draft("user", text) for text in ("a heron", "an otter", "a stork", "a vole")])
    catch_up(store)
    log(store, scope, "s", [retraction(2, 3), retraction(3, 3), Draft("user", "a newt"), retraction(7, 7)])
    catch_up(store)
    assert [chunk.text for chunk in indexed(store, scope, "s")] == ["a heron", "a vole"]
    with store.read(scope) as tx:
        assert chunks.corpus(tx).chunks == 2
    log(store, scope, "s", [retraction(1, 8)])
    catch_up(store)
    assert indexed(store, scope, "s") == []


def test_a_run_leaves_out_what_turns_behind_it_take_back(
    store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "TURNS", 2)
    monkeypatch.setattr(index, "_READ", 2)
    log(store, scope, "s", [*(Draft("user", f"word{n}") for n in range(5)), retraction(1, 4)])
    catch_up(store)
    assert [chunk.text for chunk in indexed(store, scope, "s")] == ["word4"]
