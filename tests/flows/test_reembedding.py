"""Another embedding model, in a database that is searched and written to meanwhile, by processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from carryover import engine
from carryover.core.chunk import Query
from carryover.core.ports import Embedder
from carryover.core.scope import Scope
from carryover.engine import Engine
from carryover.recall import embed
from carryover.runtime import Carryover
from carryover.settings import Settings
from carryover.store import check, chunks, spaces, vectors
from carryover.store.dialect import Bounds
from carryover.store.store import Store
from findable import BY_WORDS, catch_up, drafts, log, tell
from lettered import Letters, first, second
from waiting import until

REEMBEDDER = Path(__file__).parent / "reembedder.py"
KILLS = int(os.environ.get("CARRYOVER_KILLS", "10"))
TENANTS = tuple(Scope(f"tenant-{n}") for n in range(4))
OLD, NEW = "letters@1", "letters@2"


def start(url: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(REEMBEDDER.parent.parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, str(REEMBEDDER), url, "200"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def answered(store: Store, tenant: Scope) -> str:
    """The space that serves; every chunk of the tenant can be found in it, as in its model's own copy."""
    with store.read(tenant) as tx:
        serving = spaces.serving(tx)
        assert serving is not None
        model = {OLD: first, NEW: second}[serving]()
        near = vectors.nearest(tx, serving, model.embed(["tomatoes"])[0], Bounds(), 500)
        assert near is not None
        assert near.admitted == chunks.corpus(tx).chunks
        assert [space.name for space in spaces.known(tx) if space.state == "serving"] == [serving]
    return serving


@pytest.mark.timeout(60 + 5 * KILLS)
def test_a_change_goes_on_after_kills_and_searches_never_meet_a_gap(database_url: str) -> None:
    """`CARRYOVER_KILLS=100` gives the long form."""
    chance = random.Random(KILLS)
    with Store.open(database_url) as store:
        for tenant in TENANTS:
            tell(store, tenant, first())  # type: ignore[arg-type]
        seen = [dict.fromkeys(TENANTS, OLD)]
        for _ in range(KILLS):
            process = start(database_url)
            assert process.stdout is not None
            assert process.stdin is not None
            if NEW not in seen[-1].values() or OLD in seen[-1].values():
                process.stdout.readline()  # it is at work
            threading.Event().wait(chance.uniform(0, 0.03))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
            process.stdin.close()
            seen.append({tenant: answered(store, tenant) for tenant in TENANTS})
        with start(database_url) as process:
            until(lambda: all(answered(store, tenant) == NEW for tenant in TENANTS), 60)
            process.communicate("")
        assert check.check(store) == []
    for tenant in TENANTS:  # nobody ever went back
        assert [moment[tenant] for moment in seen] == sorted(moment[tenant] for moment in seen)


def opened(url: str, home: Path, embedder: Letters) -> Carryover:
    settings = Settings(home=home, database_url=url, embedder="none", tenant="acme")
    return Carryover(Engine.open(settings, embedder=embedder), Scope("acme"))


def test_every_search_during_the_change_is_answered_from_one_space(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, Embedder] = {OLD: first(), NEW: second()}
    monkeypatch.setattr(engine, "reopen_embedder", lambda space, *_: known.get(space))
    monkeypatch.setattr(embed, "VECTORS", 1)
    acme, questions = Scope("acme"), [question for question, _ in BY_WORDS]
    with opened(database_url, tmp_path, first()) as old, opened(database_url, tmp_path, second()) as new:
        tell(old.engine.store, acme, first())  # type: ignore[arg-type]
        before = [found(old, question) for question in questions]
        answers: list[list[list[Any]]] = [[[] for _ in questions] for _ in range(4)]
        failures: list[BaseException] = []
        over = threading.Event()

        def ask(memory: Carryover, into: list[list[Any]]) -> None:
            try:
                while not over.is_set():
                    for n, question in enumerate(questions):
                        into[n].append(found(memory, question))
            except BaseException as failure:
                failures.append(failure)

        askers = [threading.Thread(target=ask, args=((old, new)[n % 2], answers[n])) for n in range(4)]
        for asker in askers:
            asker.start()
        new.engine.start_working()
        try:
            until(lambda: serving(new) == NEW, 60)
            rounds = [len(into[-1]) for into in answers]
            until(lambda: failures or all(len(into[-1]) > rounds[n] + 1 for n, into in enumerate(answers)), 60)
        finally:
            over.set()
            for asker in askers:
                asker.join()
        assert not failures
        after = [found(new, question) for question in questions]
        assert before != after
        for into in answers:
            for n, given in enumerate(into):
                switch = next(k for k, answer in enumerate(given) if answer == after[n])
                assert given == [before[n]] * switch + [after[n]] * (len(given) - switch)


def serving(memory: Carryover) -> str | None:
    with memory.engine.store.read(memory.scope) as tx:
        return spaces.serving(tx)


def found(memory: Carryover, question: str) -> tuple[str, list[tuple[str, int, float]]]:
    hits = memory.search(Query(question, 20))
    return hits.mode, [(hit.session_id, hit.sources[0].first, hit.score) for hit in hits.results]


def test_health_and_search_say_how_it_goes(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "VECTORS", 64)
    acme = Scope("acme")
    with opened(database_url, tmp_path, second()) as new:
        store = new.engine.store
        for n in range(8):
            log(store, acme, f"s{n}", drafts("spring"))
        catch_up(store, first())  # type: ignore[arg-type]
        assert new.health().notes == ()
        assert new.search(Query("skylight")).mode == "text"  # the other model cannot be had here
        with store.write(acme) as tx:
            assert spaces.want(tx, NEW, tx.now)
        assert new.engine.worker.run_one((embed.EMBED,), tenant="acme")
        (note,) = new.health().notes
        assert note == f"re-embedding for {NEW}: 64 of 80 chunks, search answers by words"
        monkeypatch.setattr(engine, "reopen_embedder", lambda *_: first())
        with opened(database_url, tmp_path, second()) as another:
            (note,) = another.health().notes
            assert note == f"re-embedding for {NEW}: 64 of 80 chunks, search answers from {OLD}"
        new.log_turn("more", "user", "One more thing about the skylight.")
        assert new.search(Query("skylight")).mode == "hybrid"  # few were left: the search itself made them
        assert new.health().notes == ()
