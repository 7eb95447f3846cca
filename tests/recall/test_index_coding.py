"""Of coding sessions search finds what was said, what failed, and the digest as it is now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acted import Log
from carryover.coding.digests.digest import digesting
from carryover.core.chunk import Chunk, Query
from carryover.core.page import page
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.recall.index import indexing
from carryover.recall.search import search
from carryover.store import check, chunks, damage, digests, steps
from carryover.store.store import Store
from talk import say

AGENT = "claude-code"


def session() -> Log:
    log = Log().prompt("Fix the parser of calendar dates").add("thinking", "Perhaps a walrus helps.")
    log.run("pytest -q", "the zebra test: 1 failed", 1).read("src/dates.py", "a giraffe in the source")
    log.edit("src/dates.py").add("note", "an injected hippo").run("pytest -q", "4 passed, says the ocelot")
    return log.text("Leap years are read as well now.")


def ingest(store: Store, scope: Scope, log: Log, *, user: str | None = None) -> None:
    with store.write(scope) as tx:
        steps.append(tx, "claude-code", "s1", log.steps, user=user)
    drain(store, scope)


def drain(store: Store, scope: Scope) -> None:
    work = digesting()
    index = indexing()
    Worker(store, {work.kind: work, index.kind: index}, lambda _: Cap()).drain(tenant=scope.tenant)


def indexed(store: Store, scope: Scope) -> list[Chunk]:
    with store.read(scope) as tx:
        return chunks.of_session(tx, AGENT, "s1")


def found(store: Store, scope: Scope, text: str, **more: object) -> list[str]:
    return [hit.kind for hit in search(store, scope, Query(text, **more), embedder=None).results]  # type: ignore[arg-type]


def test_only_what_was_said_and_what_failed_is_indexed_and_the_digest(store: Store, scope: Scope) -> None:
    ingest(store, scope, session())
    said = {chunk.text for chunk in indexed(store, scope) if chunk.kind == "turn"}
    assert said == {
        "Fix the parser of calendar dates",
        "Exit code 1\nthe zebra test: 1 failed",
        "Leap years are read as well now.",
    }
    for silent in ("walrus", "giraffe", "hippo"):
        assert found(store, scope, silent) == []


def test_a_digest_is_found_with_the_turns_that_it_stands_on(store: Store, scope: Scope) -> None:
    ingest(store, scope, session())
    hits = search(store, scope, Query("calendar parser", kinds=("digest",)), embedder=None).results
    with store.read(scope) as tx:
        digest = digests.get(tx, AGENT, "s1")
    assert digest is not None
    assert [(hit.kind, hit.text, hit.session_id, hit.sources) for hit in hits] == [
        ("digest", page(digest), "s1", digest.because)
    ]
    assert "digest" in found(store, scope, "calendar parser")


def test_a_digest_that_changed_takes_the_place_of_the_old_one(store: Store, scope: Scope) -> None:
    log = session()
    ingest(store, scope, log)
    before = [chunk for chunk in indexed(store, scope) if chunk.kind == "digest"]
    ingest(store, scope, log.prompt("And the docs of the armadillo?").text("Written, with an axolotl."))
    after = [chunk for chunk in indexed(store, scope) if chunk.kind == "digest"]
    assert len(before) == len(after) == 1
    assert before[0].ref == after[0].ref
    assert "axolotl" in after[0].text
    assert found(store, scope, "axolotl", kinds=("digest",)) == ["digest"]


def test_what_is_right_stays_as_it_is(store: Store, scope: Scope) -> None:
    ingest(store, scope, session())
    before = indexed(store, scope)
    for again in (False, True):
        with store.write(scope) as tx:
            damage.index_anew(tx, [(AGENT, "s1")] if again else [])
        drain(store, scope)
        assert indexed(store, scope) == before


def test_turns_that_are_not_to_be_found_are_no_damage(store: Store, scope: Scope) -> None:
    ingest(store, scope, session())
    assert check.look(store).doubtful == {}
    with store.write(scope) as tx:
        chunks.remove(tx, [chunk for chunk in chunks.of_session(tx, AGENT, "s1") if "zebra" in chunk.text])
    assert check.look(store).doubtful == {scope.tenant: {(AGENT, "s1")}}


def test_an_erasure_takes_the_digests_words_along(store: Store, scope: Scope) -> None:
    ingest(store, scope, session())
    lifecycle.delete(store, scope, AGENT, "s1")
    drain(store, scope)
    assert indexed(store, scope) == []
    assert found(store, scope, "calendar parser") == []


@pytest.mark.parametrize(("narrowed", "seen"), [("eve", ["digest"]), ("bob", [])])
def test_a_narrowed_scope_finds_only_its_own(store: Store, scope: Scope, narrowed: str, seen: list[str]) -> None:
    ingest(store, scope, session(), user="eve")
    assert found(store, replace(scope, user=narrowed), "calendar parser", kinds=("digest",)) == seen


def test_other_sessions_are_indexed_as_ever(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["Where is the giraffe?", "In the zoo."])
    drain(store, scope)
    with store.read(scope) as tx:
        assert [chunk.text for chunk in chunks.of_session(tx, "ada", "s1")] == ["Where is the giraffe?", "In the zoo."]
