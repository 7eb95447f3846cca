"""The parts of a process put together as the settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from carryover.core.chunk import Query
from carryover.core.errors import Invalid
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.engine import Engine
from carryover.log.append import append
from carryover.recall.search import search
from carryover.settings import Settings
from carryover.store import copies, sqlitevec
from lettered import Letters

ACME = Scope("acme")


def test_vectors_searched_by_sqlite_vec(tmp_path: Path) -> None:
    try:
        sqlitevec.driver()
    except Invalid as missing:
        pytest.skip(missing.message)
    for session in ("monday", "tuesday"):  # the second time the table is there
        engine = Engine.open(Settings(home=tmp_path, vector_index="sqlite-vec"), embedder=Letters())
        with engine.closing:
            given = Append(session, (Draft("user", f"the harbour permit of {session}"),), "ada", "mara")
            append(engine.log, ACME, given, engine.limits)
            engine.worker.drain()
            hits = search(engine.store, ACME, Query("harbour permit"), embedder=engine.embedder)
            assert hits.mode == "hybrid"
            assert session in {hit.session_id for hit in hits.results}
            assert copies.held(engine.store.engine) == {}
    assert len(hits.results) == 2


def test_sqlite_vec_that_cannot_be_loaded_is_refused_at_the_start(tmp_path: Path) -> None:
    try:
        sqlitevec.driver()
    except Invalid:
        with pytest.raises(Invalid, match='set vector_index to "memory"'):
            Engine.open(Settings(home=tmp_path, vector_index="sqlite-vec"), embedder=Letters())
    else:
        pytest.skip("it can be loaded here")
