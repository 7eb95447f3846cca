"""Vector spaces: filled, switched to and cleared by jobs, while searches are answered from one of them throughout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from carryover.core.chunk import Query
from carryover.core.ids import new_id
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.upkeep import upkeep
from carryover.jobs.worker import Worker
from carryover.recall import embed, index
from carryover.recall.embed import EMBED, Models
from carryover.recall.search import search
from carryover.store import chunks, erasure, queue, spaces, vectors
from carryover.store.dialect import Bounds
from carryover.store.spaces import KEPT_MS, Filling, Space
from carryover.store.store import Store
from carryover.store.tables import codes as code_rows
from carryover.store.tables import spaces as space_rows
from carryover.store.tables import vectors as vector_rows
from clocks import FrozenClock
from findable import drafts, log
from lettered import Letters, first, second
from talk import add_chunks

OLD, NEW = "letters@1", "letters@2"
SAID = {str(draft.content) for draft in drafts("spring")}


class Process:
    """The jobs of one process: its own model, the models that it can open besides, and when it was started."""

    def __init__(self, store: Store, embedder: Letters, *others: Letters, since: int | None = None) -> None:
        known = {other.name: other for other in others}
        self.store, self.embedder = store, embedder
        self.models = Models(embedder, known.get)
        self.models.since = since
        self.derivations = {
            index.INDEX: index.indexing(self.models),
            EMBED: embed.embedding(self.models),
        }
        self.worker = Worker(store, self.derivations, lambda _tenant: Cap())

    def look(self) -> None:
        """As it does when it starts, and every hour."""
        upkeep(self.store, None, self.derivations.values())

    def run(self, most: int | None = None) -> int:
        return self.worker.drain(most=most)

    def mode(self, scope: Scope, question: str = "Which glazier repaired the skylight?") -> str:
        with self.store.read(scope) as tx:
            embedder = embed.answering(tx, self.models)
        return search(self.store, scope, Query(question), embedder=embedder).mode


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "VECTORS", 4)
    monkeypatch.setattr(embed, "CLEARED", 4)


@pytest.fixture
def told(store: Store, scope: Scope) -> Process:
    """A process that has filled its space with a conversation."""
    process = Process(store, first(), since=1)
    log(store, scope, "spring", drafts("spring"))
    process.run()
    return process


def states(store: Store, scope: Scope) -> dict[str, str]:
    with store.read(scope) as tx:
        return {space.name: space.state for space in spaces.known(tx)}


def held(store: Store, scope: Scope) -> dict[str, tuple[int, int]]:
    """How many vectors and codes there are in each space."""
    with store.read(scope) as tx:
        counted = [
            dict(
                tx.conn.execute(
                    sa.select(table.c.space, sa.func.count())
                    .where(table.c.tenant == scope.tenant)
                    .group_by(table.c.space)
                ).all()
            )
            for table in (vector_rows, code_rows)
        ]
    return {name: (counted[0].get(name, 0), counted[1].get(name, 0)) for name in {*counted[0], *counted[1]}}


def test_the_first_space_of_an_empty_memory_serves_at_once(told: Process, store: Store, scope: Scope) -> None:
    assert states(store, scope) == {OLD: "serving"}
    assert held(store, scope) == {OLD: (10, 10)}
    assert told.mode(scope) == "hybrid"
    told.run()
    assert sum(text in SAID for text in told.embedder.embedded) == len(SAID) == 10  # each turn once


def test_a_change_fills_switches_and_clears(told: Process, store: Store, scope: Scope, clock: FrozenClock) -> None:
    new = Process(store, second(), first(), since=2)
    new.look()
    seen: list[Filling] = []
    new.run(1)  # it is wanted from now on
    while states(store, scope)[OLD] == "serving":
        assert states(store, scope) == {OLD: "serving", NEW: "filling"}
        with store.read(scope) as tx:
            filling = spaces.filling(tx)
        assert filling is not None
        seen.append(filling)
        assert told.mode(scope) == new.mode(scope) == "hybrid"
        assert new.run(1) == 1
    assert seen == [Filling(NEW, done, 10, OLD) for done in (0, 4, 8)]
    assert states(store, scope) == {OLD: "leaving", NEW: "serving"}
    assert held(store, scope) == {OLD: (10, 10), NEW: (10, 10)}  # searches that had begun may end
    assert new.mode(scope) == "hybrid"
    assert new.run() == 0
    clock.at += KEPT_MS
    assert new.run(1) == 1
    assert held(store, scope) == {OLD: (6, 6), NEW: (10, 10)}
    new.run()
    assert held(store, scope) == {NEW: (10, 10)}
    assert states(store, scope) == {NEW: "serving"}


def test_searches_go_to_one_space_and_never_to_none(told: Process, store: Store, scope: Scope) -> None:
    """The model of the serving space embeds the query, step for step."""
    new = Process(store, second(), first(), since=2)
    old_again = new.models.of(OLD)
    assert isinstance(old_again, Letters)
    new.look()
    new.run(2)
    before, after = (f"pottery {new_id('q')}" for _ in range(2))  # questions are remembered: these are asked once
    assert new.mode(scope, before) == "hybrid"
    assert len(old_again.embedded) == 1
    assert len(new.embedder.embedded) == 4
    new.run()
    assert new.mode(scope, after) == "hybrid"
    assert len(old_again.embedded) == 1
    assert len(new.embedder.embedded) == 11


def test_silent_tenants_are_embedded_too(store: Store) -> None:
    tenants = [Scope(f"tenant-{n}") for n in range(5)]
    old = Process(store, first(), since=1)
    for tenant in tenants:
        log(store, tenant, "spring", drafts("spring"))
    old.run()
    assert len(old.embedder.embedded) == 50
    new = Process(store, second(), first(), since=2)
    new.look()
    new.run()
    assert [states(store, tenant)[NEW] for tenant in tenants] == ["serving"] * 5
    new.look()
    assert new.run() == 0  # nothing is left to do


def test_who_goes_back_midway_finds_everything_as_it_was(
    told: Process, store: Store, scope: Scope, clock: FrozenClock
) -> None:
    new = Process(store, second(), first(), since=2)
    new.look()
    new.run(2)
    assert held(store, scope)[NEW] == (4, 4)
    back = Process(store, first(), second(), since=3)
    back.look()
    back.run()
    assert states(store, scope) == {OLD: "serving", NEW: "leaving"}
    assert back.embedder.embedded == []
    new.look()  # it is still alive, and does not insist
    new.run()
    assert states(store, scope) == {OLD: "serving", NEW: "leaving"}
    clock.at += KEPT_MS
    back.run()
    assert held(store, scope) == {OLD: (10, 10)}


def test_who_goes_back_after_the_switch_embeds_only_what_came_since(
    told: Process, store: Store, scope: Scope, clock: FrozenClock
) -> None:
    new = Process(store, second(), first(), since=2)
    new.look()
    new.run()
    log(store, scope, "more", drafts("spring")[:1])
    new.run()
    assert held(store, scope) == {OLD: (10, 10), NEW: (11, 11)}
    clock.at += KEPT_MS
    new.run(1)  # four vectors of the old space are gone by now
    back = Process(store, first(), second(), since=3)
    back.look()
    back.run()
    assert states(store, scope) == {OLD: "serving", NEW: "leaving"}
    assert len(back.embedder.embedded) == 5
    assert held(store, scope)[OLD] == (11, 11)
    with store.read(scope) as tx:  # and no process searches what it held in memory before
        assert spaces.serving(tx) == OLD
        near = vectors.nearest(tx, OLD, first().embed(["skylight"])[0], Bounds(), 50)
        assert near is not None
        assert near.admitted == 11


def test_processes_with_different_settings_do_not_fight(told: Process, store: Store, scope: Scope) -> None:
    old, new = told, Process(store, second(), first(), since=2)
    for n in range(6):
        for process in (old, new):
            process.look()
            log(store, scope, f"more-{n}-{process.embedder.name[-1]}", drafts("spring")[:2])
            process.run()
            assert process.mode(scope) in ("hybrid", "text")
    assert states(store, scope) == {OLD: "leaving", NEW: "serving"}
    for process in (old, new):
        said = [text for text in process.embedder.embedded if text in SAID]
        assert len(said) <= 10 + 2 * 12  # nothing was embedded twice
    late = Scope("late")
    log(store, late, "spring", drafts("spring"))  # a tenant that comes later, and meets the old process first
    old.run()
    assert states(store, late)[OLD] == "serving"
    new.look()
    new.run()
    assert states(store, late) == {OLD: "leaving", NEW: "serving"}
    old.look()
    old.run()
    assert states(store, late) == {OLD: "leaving", NEW: "serving"}


def test_without_the_old_model_words_answer_until_the_new_space_serves(
    told: Process, store: Store, scope: Scope, caplog: pytest.LogCaptureFixture
) -> None:
    new = Process(store, second(), since=2)
    assert new.mode(scope) == "text"
    (said,) = [record.getMessage() for record in caplog.records if record.name.endswith("embed")]
    assert said == f"vectors are of {OLD}, whose model cannot be had here: searching by words until {NEW} is filled"
    new.look()
    new.run(2)
    assert new.mode(scope) == "text"
    assert told.mode(scope) == "hybrid"  # a process that has the model goes on
    new.run()
    assert new.mode(scope) == "hybrid"
    assert told.mode(scope) == "text"


def test_a_space_that_this_process_cannot_fill_is_left_to_others(
    told: Process, store: Store, scope: Scope, clock: FrozenClock
) -> None:
    new = Process(store, second(), first(), since=2)
    new.look()
    assert told.run() > 0  # the old process got hold of the job
    with store.read(scope) as tx:
        job = queue.get(tx, EMBED, NEW)
    assert job is not None
    assert "cannot be had in this process" in (job.reason or "")
    assert job.dead_at is None
    clock.at += 60_000
    new.run()
    assert states(store, scope)[NEW] == "serving"


def test_a_memory_that_had_no_model_answers_by_words_until_every_chunk_has_its_vector(
    store: Store, scope: Scope
) -> None:
    log(store, scope, "spring", drafts("spring"))
    Worker(store, {index.INDEX: index.indexing()}, lambda _tenant: Cap()).drain()
    assert states(store, scope) == {}
    process = Process(store, first(), since=1)
    process.look()
    modes = [process.mode(scope)]
    while process.run(1):
        modes.append(process.mode(scope))
    assert modes == ["text"] * 4 + ["hybrid"]


def test_a_process_that_runs_no_jobs_takes_the_spaces_as_they_are(told: Process, store: Store, scope: Scope) -> None:
    guest = Process(store, second(), first())
    guest.look()
    log(store, scope, "more", drafts("spring")[:2])
    guest.run()
    assert states(store, scope) == {OLD: "serving"}
    assert held(store, scope) == {OLD: (12, 12)}
    assert guest.embedder.embedded == []
    other = Scope("other")
    log(store, other, "spring", drafts("spring"))
    guest.run()
    assert states(store, other) == {NEW: "serving"}  # where nothing is yet, somebody has to begin


@pytest.mark.parametrize("configured", [first, second])
def test_a_database_without_states_is_served_by_the_space_that_was_filled_last(
    store: Store, scope: Scope, clock: FrozenClock, configured: Callable[[], Letters]
) -> None:
    log(store, scope, "spring", drafts("spring"))
    former, last = Process(store, second()), Process(store, first())
    former.run()
    with store.write(scope) as tx:
        every = chunks.of_session(tx, "ada", "spring")
        made = last.embedder.embed([chunk.text for chunk in every])
        vectors.add(tx, OLD, [(chunk.n, vector) for chunk, vector in zip(every, made, strict=True)])
        tx.conn.execute(space_rows.delete().where(space_rows.c.tenant == scope.tenant))
    assert states(store, scope) == {NEW: "leaving", OLD: "serving"}
    process = Process(store, configured(), first(), second(), since=5)
    assert process.mode(scope) == "hybrid"
    process.look()
    process.run()
    assert states(store, scope)[configured().name] == "serving"
    assert len(process.embedder.embedded) <= 1  # all vectors were there: but for the question
    clock.at += KEPT_MS
    process.run()
    assert held(store, scope) == {configured().name: (10, 10)}


def test_what_comes_and_goes_meanwhile_is_neither_forgotten_nor_waited_for(
    told: Process, store: Store, scope: Scope
) -> None:
    log(store, scope, "doomed", drafts("summer"))
    told.run()
    new = Process(store, second(), first(), since=2)
    new.look()
    new.run(3)
    with store.write(scope) as tx:
        erasure.erase(tx, "ada", "doomed")
    log(store, scope, "late", drafts("spring")[:3])
    new.run()
    assert states(store, scope)[NEW] == "serving"
    assert held(store, scope)[NEW] == (13, 13)


def test_a_space_does_not_serve_before_its_last_gap_is_filled(told: Process, store: Store, scope: Scope) -> None:
    """Vectors that were lost far behind are found by the look that precedes the switch."""
    new = Process(store, second(), first(), since=2)
    new.look()
    new.run(3)
    with store.write(scope) as tx:
        some = chunks.unembedded(tx, NEW, 1)[0].n
        gone = [chunk.n for chunk in chunks.of_session(tx, "ada", "spring")][:2]
        for table in (vector_rows, code_rows):
            tx.conn.execute(
                table.delete().where(table.c.tenant == scope.tenant, table.c.space == NEW, table.c.n.in_(gone))
            )
        spaces.reach(tx, NEW, some + 20_000)  # as if all of them lay far behind
    new.run()
    assert states(store, scope)[NEW] == "serving"
    assert held(store, scope)[NEW] == (10, 10)


def test_vectors_that_were_lost_are_made_again(told: Process, store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        for table in (vector_rows, code_rows):
            tx.conn.execute(table.delete().where(table.c.tenant == scope.tenant))
        spaces.reach(tx, OLD, 50_000)
    told.run()
    assert held(store, scope) == {}
    told.look()
    told.run()
    assert held(store, scope) == {OLD: (10, 10)}


def test_a_lost_job_does_not_keep_an_old_space_for_ever(
    told: Process, store: Store, scope: Scope, clock: FrozenClock
) -> None:
    new = Process(store, second(), first(), since=2)
    new.look()
    new.run()
    with store.write(scope) as tx:
        queue.cancel(tx, OLD)
    clock.at += KEPT_MS
    new.look()
    new.run()
    assert states(store, scope) == {NEW: "serving"}


def test_a_space_is_wanted_by_whoever_came_last(store: Store, scope: Scope) -> None:
    def want(name: str, since: int | None) -> list[Space]:
        with store.write(scope) as tx:
            spaces.want(tx, name, since)
            return spaces.known(tx)

    assert want("a", 5) == [Space("a", "serving", 5)]
    with store.write(scope) as tx:
        add_chunks(tx, [])
    assert want("b", 4) == [Space("a", "serving", 5)]
    assert want("b", None) == [Space("a", "serving", 5)]
    assert want("b", 6) == [Space("a", "serving", 5), Space("b", "filling", 6)]
    assert want("b", 9) == [Space("a", "serving", 5), Space("b", "filling", 6)]  # nothing to change
    assert want("c", 7) == [Space("a", "serving", 5), Space("b", "leaving", 6), Space("c", "filling", 7)]
    assert want("a", 6) == [Space("a", "serving", 5), Space("b", "leaving", 6), Space("c", "filling", 7)]
    assert want("a", 8) == [Space("a", "serving", 8), Space("b", "leaving", 6), Space("c", "leaving", 7)]
    with store.write(scope) as tx:
        assert spaces.find(tx, "d") is None
        assert not spaces.clear(tx, "a", 10)  # it serves
        assert not spaces.clear(tx, "d", 10)
    second_one = sa.insert(space_rows).values(tenant=scope.tenant, space="e", state="serving", since=1, through=0)
    with pytest.raises(sa.exc.IntegrityError), store.write(scope) as tx:
        tx.conn.execute(second_one)
