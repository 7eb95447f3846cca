"""The forms of the text index: what each lets be read, and the way from one to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.chunk import Query
from carryover.core.errors import Invalid, KeyLost
from carryover.core.scope import Scope
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.memory.rules import Rules
from carryover.recall import index, reindex, search
from carryover.recall.embed import Models, embedding
from carryover.settings import load
from carryover.store import check, damage, hashed, queue, rekeying, sessions_sealed, wording
from carryover.store.keyring import Keyring, default_url
from carryover.store.sealing import Sealing
from carryover.store.store import Store
from carryover.store.tables import chunks as rows
from carryover.store.tables import vectors
from carryover.store.vault import Vault
from clocks import FrozenClock
from talk import consolidate, say

LINES = ["The quetzal sleeps on the roof.", "A roof is no place for birds.", "It likes roofs, and so do I."]
FORMS: list[wording.Index] = ["hashed", "plain", "none"]


class Fake:
    """Texts with the same first letter mean the same."""

    name, dim = "fake:26", 26

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(text[:1].lower() == chr(97 + n)) + 0.01 for n in range(26)] for text in texts]


@pytest.fixture
def store(database_url: str, clock: FrozenClock) -> Iterator[Store]:
    """An empty store that seals."""
    with Store.open(database_url, clock=clock) as opened:
        opened.sealing = Sealing(Vault(Keyring(default_url(database_url))))
        sessions_sealed.begins(opened)
        yield opened


def catch_up(store: Store) -> None:
    models = Models(Fake(), lambda _: None)
    made: list[Any] = [index.indexing(models), reindex.reindexing(), embedding(models)]
    Worker(store, {one.kind: one for one in made}, lambda _: Cap()).drain(tenant="acme")


def found(store: Store, scope: Scope, query: str, *, embedder: Any = None) -> tuple[list[str], str]:
    """The best hit, and by what it was found: what stands around it comes behind."""
    hits = search.search(store, scope, Query(query), embedder=embedder)
    return [hit.text for hit in hits.results[:1]], hits.mode


def terms(store: Store, scope: Scope) -> list[str]:
    with store.read(scope) as tx:
        return list(tx.conn.execute(sa.select(rows.c.terms).where(rows.c.tenant == tx.tenant)).scalars())


def text_index(store: Store, scope: Scope) -> str:
    """All words that the engine's text index holds."""
    with store.write(scope) as tx:
        if tx.dialect.name == "sqlite":
            return " ".join(tx.conn.exec_driver_sql("SELECT term FROM chunks_terms").scalars())
        words = tx.conn.exec_driver_sql("SELECT unnest(tsvector_to_array(words)) FROM chunks_text").scalars().all()
        return " ".join([*words, *tx.conn.exec_driver_sql("SELECT word FROM frequencies WHERE chunks > 0").scalars()])


def numbered(store: Store, scope: Scope) -> list[tuple[int, str]]:
    with store.read(scope) as tx:
        there = sa.select(vectors.c.n, vectors.c.space).where(vectors.c.tenant == tx.tenant).order_by(vectors.c.n)
        return [(row.n, row.space) for row in tx.conn.execute(there)]


@pytest.mark.parametrize("form", FORMS)
def test_what_each_form_holds(store: Store, scope: Scope, form: wording.Index) -> None:
    store.index = form
    say(store, scope, "s1", LINES)
    catch_up(store)
    held = [*terms(store, scope), text_index(store, scope)]
    assert any("quetzal" in one for one in held) == (form == "plain")
    assert all("quetzal" in one for one in (held[0], held[-1])) == (form == "plain")
    unkeyed = {hashed.word("acme", term) for term in ("quetzal", "roof", "sleep")}
    assert not any(word in one for one in held for word in unkeyed)
    assert all(one == hashed.GIVEN for one in terms(store, scope)) == (form == "none")
    assert check.check(store) == []
    if form != "none":
        assert found(store, scope, "quetzals") == (LINES[:1], "text")
    said, mode = found(store, scope, "Aviaries?", embedder=Fake())
    assert said[0] == LINES[1]
    assert mode == ("vectors" if form == "none" else "hybrid")


@pytest.mark.parametrize(
    ("before", "after"),
    [("hashed", "hashed"), ("hashed", "plain"), ("plain", "hashed"), ("plain", "none"), ("none", "hashed")],
)
def test_a_change_of_the_setting_is_carried_out_by_the_worker(
    store: Store, scope: Scope, before: wording.Index, after: wording.Index
) -> None:
    store.index = before
    say(store, scope, "s1", LINES)
    say(store, scope, "s2", ["Nobody sleeps here."])
    catch_up(store)
    there = numbered(store, scope)
    store.index = after
    with store.read(Scope("*")) as tx:
        assert list(damage.suspects(tx)) == ([] if before == after else [("acme", damage.ALL)])
    told = [fault.detail for fault in check.check(store)]
    assert told == ([] if before == after else ["the text index of tenant 'acme' is kept in another form than is set"])
    check.repair(store)
    # From here on it is no fault any more: a worker does it.
    assert check.check(store) == []
    assert [note for note in check.notes(store) if "the form that is set" in note] == check.notes(store)
    assert len(check.notes(store)) == (before != after)
    catch_up(store)
    assert (check.check(store), check.notes(store)) == ([], [])
    assert numbered(store, scope) == there  # nothing was embedded again
    held = [*terms(store, scope), text_index(store, scope)]
    assert any("quetzal" in one for one in held) == (after == "plain")
    assert all(one == hashed.GIVEN for one in terms(store, scope)) == (after == "none")
    assert found(store, scope, "quetzals") == ((LINES[:1], "text") if after != "none" else ([], "vectors"))
    lifecycle.delete(store, scope, "ada", "s1")
    assert check.check(store) == []


@pytest.mark.parametrize("form", ["hashed", "plain"])
def test_what_a_turn_says_takes_no_second_place_as_a_finding(store: Store, scope: Scope, form: wording.Index) -> None:
    store.index = form
    say(store, scope, "s1", ["I prefer aisle seats on trains. The dining car closes at nine.", "A roof is no place."])
    consolidate(store, scope, "s1", Rules())
    catch_up(store)
    kept = search.search(store, scope, Query("aisle seats on trains", kinds=("preference", "fact")), embedder=None)
    assert kept.results, "the rules find a preference here"
    hits = search.search(store, scope, Query("The dining car closes at nine, aisle seats on trains"), embedder=None)
    assert [hit.kind for hit in hits.results] == ["turn", "turn"]


def test_what_is_said_while_the_form_changes_is_found(store: Store, scope: Scope) -> None:
    store.index = "plain"
    say(store, scope, "s1", LINES)
    catch_up(store)
    store.index = "hashed"
    with store.write(scope) as tx:
        wording.begin(tx)
        assert len(wording.former(tx, 2)) == 2
        queue.arm(tx, [(damage.REINDEX, damage.ALL, tx.now)])
    say(store, scope, "s2", ["The quetzal is awake."])
    made: list[Any] = [index.indexing()]
    Worker(store, {one.kind: one for one in made}, lambda _: Cap()).drain(tenant="acme")
    assert found(store, scope, "quetzals") == (["The quetzal is awake."], "text")
    catch_up(store)
    hits = search.search(store, scope, Query("quetzals"), embedder=None)
    assert {"The quetzal is awake.", LINES[0]} <= {hit.text for hit in hits.results}
    assert "quetzal" not in text_index(store, scope)
    assert check.check(store) == []


def test_a_database_of_before_gets_a_secret_once_it_is_sealed(store: Store, scope: Scope) -> None:
    assert store.sealing is not None
    store.sealing.wanted = False
    say(store, scope, "s1", LINES)
    catch_up(store)
    there = numbered(store, scope)
    assert hashed.word("acme", "quetzal") in text_index(store, scope)
    assert terms(store, scope)[0].split()[-1] == "roof"  # the text stands readable beside it
    store.sealing.wanted = True
    assert rekeying.seal(store, lambda _: None) == 1
    catch_up(store)
    assert hashed.word("acme", "quetzal") not in text_index(store, scope)
    assert "roof" not in " ".join(terms(store, scope))
    assert (found(store, scope, "quetzals"), numbered(store, scope)) == ((LINES[:1], "text"), there)
    store.sealing.wanted = False
    with store.read(Scope("*")) as tx:
        assert list(damage.suspects(tx)) == []  # a secret stays, whoever seals nothing new
    assert found(store, scope, "quetzals") == (LINES[:1], "text")


def test_two_tenants_have_two_secrets(store: Store) -> None:
    words: list[str] = []
    for tenant in ("acme", "zeta"):
        with store.write(Scope(tenant)) as tx:
            words.append(wording.of(tx).word("quetzal"))
        with store.read(Scope(tenant)) as tx:
            assert wording.of(tx).word("quetzal") == words[-1]
    assert len({*words, hashed.word("acme", "quetzal"), hashed.word("zeta", "quetzal")}) == 4


def test_without_the_key_nobody_searches(store: Store, scope: Scope, database_url: str) -> None:
    say(store, scope, "s1", LINES)
    catch_up(store)
    sealing, store.sealing = store.sealing, None
    with pytest.raises(KeyLost, match="no keyring was opened"):
        found(store, scope, "quetzals")
    store.sealing = sealing


def test_no_word_passes_for_an_owners(store: Store, scope: Scope) -> None:
    """In plain words, a narrowed search is as narrow as ever."""
    store.index = "plain"
    theirs = hashed.owner("acme", "u", "bob")
    say(store, scope, "s1", [f"I say {theirs} quetzal"], user="ana")
    say(store, scope, "s2", ["A quetzal of mine."], user="bob")
    catch_up(store)
    hits = search.search(store, scope, Query("quetzal", user_id="bob"), embedder=None)
    assert [hit.session_id for hit in hits.results] == ["s2"]
    assert found(store, scope, theirs) == ([f"I say {theirs} quetzal"], "text")


def test_no_words_and_no_vectors_is_refused() -> None:
    assert load({"CARRYOVER_INDEX": "none"}).settings.index == "none"
    with pytest.raises(Invalid, match="setting index: embedder is none too"):
        load({"CARRYOVER_INDEX": "none", "CARRYOVER_EMBEDDER": "none"})
