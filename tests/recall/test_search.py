"""Search finds the turn that answers, in both modes, and nothing that the scope does not admit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.core.chunk import Hits, Query
from carryover.core.clock import parse_time
from carryover.core.errors import Forbidden, Invalid
from carryover.core.ports import Embedder
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Draft
from carryover.log import read
from carryover.memory.rules import Rules
from carryover.providers import minilm
from carryover.providers.minilm import MiniLM
from carryover.recall import index
from carryover.recall.search import search
from carryover.store import erasure, snapshots
from carryover.store.store import Store
from findable import BY_MEANING, BY_WORDS, catch_up, drafts, log, open_model, tell
from talk import consolidate


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniLM]:
    model = open_model(tmp_path_factory.mktemp("model"))
    yield model
    model.close()


def places(hits: Hits) -> list[tuple[str, int]]:
    return [(source.session_id, source.first) for hit in hits.results for source in hit.sources]


def ask(store: Store, scope: Scope, text: str, embedder: Embedder | None = None, **more: object) -> Hits:
    return search(store, scope, Query(text, **more), embedder=embedder)  # type: ignore[arg-type]


def test_by_words_alone_the_answer_is_among_the_first_three(store: Store, scope: Scope) -> None:
    tell(store, scope)
    for question, wanted in BY_WORDS:
        hits = ask(store, scope, question, k=3)
        assert hits.mode == "text"
        assert wanted & set(places(hits)), (question, hits)


def test_with_vectors_what_is_meant_is_found_too(store: Store, scope: Scope, embedder: MiniLM) -> None:
    tell(store, scope, embedder)
    for question, wanted in (*BY_WORDS, *BY_MEANING):
        hits = ask(store, scope, question, embedder, k=3)
        assert hits.mode == "hybrid"
        assert wanted & set(places(hits)), (question, hits)


def test_a_hit_quotes_its_turn_word_for_word(store: Store, scope: Scope) -> None:
    tell(store, scope)
    for question, _ in BY_WORDS:
        for hit in ask(store, scope, question).results:
            (source,) = hit.sources
            turn = read.every(store, scope, "ada", hit.session_id, 11)
            text = next(t.text for t in turn if t.seq == source.first)
            assert source.quote
            assert source.quote in text
            assert hit.text in text


def test_each_turn_comes_once_and_best_first(store: Store, scope: Scope, embedder: MiniLM) -> None:
    log(store, scope, "long", [Draft("user", "The volcano erupted at dawn. " * 400), Draft("assistant", "Oh.")])
    catch_up(store, embedder)
    hits = ask(store, scope, "volcano", embedder)
    assert places(hits) == [("long", 1), ("long", 2)]
    assert [hit.score for hit in hits.results] == sorted((hit.score for hit in hits.results), reverse=True)


def test_another_tenant_agent_or_user_never_shows(store: Store, embedder: MiniLM) -> None:
    acme, other = Scope("acme"), Scope("other")
    secret = [Draft("user", "The vault code is 8812 and the canary sings.")]
    for scope, agent, user in ((acme, "ada", "u1"), (acme, "ada", "u2"), (acme, "bob", "u1"), (other, "ada", "u1")):
        log(store, scope, f"{scope.tenant}-{agent}-{user}", secret, agent, user)
    catch_up(store, embedder)

    def seen(scope: Scope, **filters: str) -> set[str]:
        found = {
            tuple(sorted(s for s, _ in places(ask(store, scope, "vault code", used, **filters))))
            for used in (embedder, None)
        }
        assert len(found) == 1  # both modes admit the same
        return set(found.pop())

    assert seen(acme) == {"acme-ada-u1", "acme-ada-u2", "acme-bob-u1"}
    assert seen(other) == {"other-ada-u1"}
    assert seen(Scope("nobody")) == set()
    assert seen(Scope("acme", agent="bob")) == {"acme-bob-u1"}
    assert seen(Scope("acme", user="u2")) == {"acme-ada-u2"}
    assert seen(Scope("acme", agent="bob"), agent_id="ada") == set()
    assert seen(Scope("acme", user="u1"), user_id="u2") == set()
    assert seen(acme, agent_id="ada", user_id="u2") == {"acme-ada-u2"}
    assert seen(acme, session_id="acme-bob-u1") == {"acme-bob-u1"}
    assert seen(acme, user_id="nobody") == set()


def test_sessions_without_a_user_are_not_those_of_any_user(store: Store, embedder: MiniLM) -> None:
    scope = Scope("acme")
    log(store, scope, "anonymous", [Draft("user", "The canary sings.")], user=None)  # type: ignore[arg-type]
    catch_up(store, embedder)
    for used in (embedder, None):
        assert places(ask(store, scope, "canary", used)) == [("anonymous", 1)]
        assert ask(store, Scope("acme", user="u1"), "canary", used).results == ()


def test_times_and_kinds_limit_what_is_found(store: Store, scope: Scope, embedder: MiniLM) -> None:
    tell(store, scope, embedder)
    summer = parse_time("2025-07-19T18:30:00Z")
    for used in (embedder, None):
        assert {s for s, _ in places(ask(store, scope, "Tom", used, since=summer))} <= {"summer", "work"}
        assert {s for s, _ in places(ask(store, scope, "Tom", used, until=summer))} == {"spring"}
        assert max(places(ask(store, scope, "Tom training marathon dog", used, as_of=summer, k=50)))[0] == "summer"
        assert ("summer", 2) not in places(ask(store, scope, "Tom", used, as_of=summer, k=50))
        assert ask(store, scope, "Tom", used, kinds=("decision",)).results == ()
        assert ask(store, scope, "Tom", used, kinds=("turn", "fact")).results


def test_findings_are_found_with_their_sources_until_they_are_closed(
    store: Store, scope: Scope, embedder: MiniLM
) -> None:
    log(store, scope, "s1", [Draft("user", "We decided to use PostgreSQL for the ledger."), Draft("assistant", "OK.")])
    consolidate(store, scope, "s1", Rules())
    catch_up(store, embedder)
    for used in (embedder, None):
        hits = ask(store, scope, "which database for the ledger?", used, kinds=("decision", "fact", "task"))
        assert hits.results, "the rules find a decision here"
        with store.read(scope) as tx:
            for hit in hits.results:
                assert snapshots.finding(tx, hit.id).sources == hit.sources
    assert [hit.kind for hit in ask(store, scope, "ledger").results].count("turn") == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_erasure_leaves_no_word_in_any_file(store: Store, scope: Scope, embedder: MiniLM, tmp_path: Path) -> None:
    tell(store, scope, embedder)
    log(store, scope, "doomed", [Draft("user", "The canaryword Xylograph42 is hidden here.", name="Quillon")])
    catch_up(store, embedder)
    assert places(ask(store, scope, "xylograph42", embedder))[0] == ("doomed", 1)
    with store.write(scope) as tx:
        counts = erasure.erase(tx, "ada", "doomed")
    assert counts["chunks"] == counts["vectors"] == 1
    for used in (embedder, None):
        assert "doomed" not in {s for s, _ in places(ask(store, scope, "canaryword xylograph42 hidden", used, k=50))}
    with store.read(EVERY_TENANT) as tx:
        conn = tx.conn
        assert conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar() == 0
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("carryover.db*")).lower()
    for word in (b"xylograph", b"canaryword", b"quillon"):
        assert word not in raw
    assert b"harbour street" in raw  # what was not erased is there, in the same files


def test_a_half_built_index_serves_what_it_has(store: Store, scope: Scope, embedder: MiniLM) -> None:
    log(store, scope, "first", drafts("spring"))
    catch_up(store, embedder)
    log(store, scope, "second", [Draft("user", "The glazier on Harbour Street retired.")])
    assert {s for s, _ in places(ask(store, scope, "glazier", embedder))} == {"first"}  # logged only
    catch_up(store, embedder, only=(index.INDEX,))
    hits = ask(store, scope, "glazier Harbour Street retired", embedder)  # indexed, no vector yet
    assert hits.mode == "hybrid"
    assert ("second", 1) in places(hits)[:3]
    assert ask(store, Scope("acme"), "glazier", embedder, session_id="second").mode == "text"  # no vector served
    catch_up(store, embedder)
    assert ask(store, Scope("acme"), "glazier", embedder, session_id="second").mode == "hybrid"


def test_with_a_corrupt_model_search_goes_by_words(
    store: Store, scope: Scope, embedder: MiniLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(store, scope, embedder)
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    folder = tmp_path / minilm.MODEL
    folder.mkdir()
    for file in minilm.HASHES:
        (folder / file).write_bytes(b"not a model")
    hits = ask(store, scope, "Tell me who repaired the skylight!", MiniLM(tmp_path))
    assert hits.mode == "text"
    assert ("spring", 4) in places(hits)[:3]


HOSTILE = [
    "", "   ", "?!...", "'", '"', '"unbalanced', "a AND b OR NOT", "NEAR(a b, 2)", "owner : x", "terms:*", "*", "^tom",
    "tom*", "(((", "-- DROP TABLE turns", "what is it", "the", "😀", "東京", "数", "\x00 tom", "\ud800 tom", "tom\ntom",
    "x" * 100_000, "tom " * 25_000, "é" * 1000, "%s {} \\", "İstanbul ǅ ﬁ", "-", "1.5e10", "'; --",
    "ماذا قال توم عن الماراثون؟", "トムは何と言いましたか？", "汤姆 🐕 marathon",
    "2023-05-08 " * 9_000, "31 February 2023", "9999-12-31",
    "May 0, 0000", "a" + "\u0301" * 500, "tom \u202e mot", "<b>tom</b> & \"co\"", "{'tom': [1, 2]}",
]  # fmt: skip


def test_any_text_is_a_legal_query(store: Store, scope: Scope, embedder: MiniLM) -> None:
    tell(store, scope, embedder)
    for text in HOSTILE:
        for used in (embedder, None):
            assert isinstance(ask(store, scope, text, used), Hits)
    assert ask(store, scope, "?!...", embedder).results == ()
    assert places(ask(store, scope, '"Dolomites" AND (marathon'))[0] == ("summer", 1)


def test_any_script_is_found_again(store: Store, scope: Scope, embedder: MiniLM) -> None:
    said = {
        "zh": ("我们把发布会改到了下周三", "发布会在什么时候？"),
        "ar": ("يعيش عمر في مدينة الإسكندرية", "أين يعيش عمر؟"),
        "ru": ("Мост через реку закрыт до октября", "Когда откроют мост?"),
        "de": ("Das Mühlrad dreht sich wieder seit Ostern", "Was ist mit dem Mühlrad?"),
        "hi": ("पुल की मरम्मत सोमवार को होगी", "पुल की मरम्मत कब होगी?"),
        "emoji": ("She put a 🦜 on the sign.", "🦜"),
    }
    for session, (text, _) in said.items():
        log(store, scope, session, [Draft("user", text)])
    catch_up(store, embedder)
    for session, (_, question) in said.items():
        for used in (embedder, None):
            assert places(ask(store, scope, question, used))[0] == (session, 1), question


def test_what_was_said_on_the_date_that_is_asked_about_comes_first(store: Store, scope: Scope) -> None:
    days = ("2023-03-02", "2023-05-08", "2023-08-20")
    for day in days:
        said = Draft("user", "We met at the lighthouse again.", created_at=parse_time(f"{day}T10:00:00Z"))
        log(store, scope, f"on-{day}", [said])
    catch_up(store)
    assert places(ask(store, scope, "lighthouse"))[0] == (f"on-{days[2]}", 1)  # the newest of equals
    for question, day in (
        ("Where did we meet in May 2023?", 1),
        ("the lighthouse on 2023-03-01", 0),
        ("der Leuchtturm, lighthouse, am 6.5.2023", 1),
    ):
        assert places(ask(store, scope, question))[0] == (f"on-{days[day]}", 1), question


def test_the_reply_comes_before_the_question_that_it_replies_to(store: Store, scope: Scope) -> None:
    filler = [Draft("user", f"Nothing much on day {n}.", name="Nora") for n in range(6)]
    talk = [
        Draft("user", "Which instrument does your sister play, the cello?", name="Tom"),
        Draft("user", "The cello, since she was nine.", name="Nora"),
    ]
    log(store, scope, "talk", [*filler[:3], *talk, *filler[3:]])
    catch_up(store)
    assert places(ask(store, scope, "Which instrument does the sister play? The cello?"))[0] == ("talk", 5)


def test_a_finding_that_its_turn_says_is_shown_once(store: Store, scope: Scope) -> None:
    said = [
        Draft("user", "I prefer aisle seats on trains. The dining car closes at nine."),
        Draft("assistant", "Noted."),
    ]
    log(store, scope, "trip", said)
    consolidate(store, scope, "trip", Rules())
    catch_up(store)
    found = ask(store, scope, "aisle seats on trains", kinds=("preference", "fact")).results
    assert [hit.text for hit in found], "the rules find a preference here"
    hits = ask(store, scope, "The dining car closes at nine, aisle seats on trains").results
    assert [hit.kind for hit in hits][:1] == ["turn"]
    assert sum("aisle" in hit.text for hit in hits) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80))
def test_any_text_whatsoever(store: Store, scope: Scope, text: str) -> None:
    if not ask(store, scope, "Tom").results:
        tell(store, scope)
    first = ask(store, scope, text, k=200)
    assert first == ask(store, scope, text, k=200)


def test_the_same_question_has_the_same_answer_and_equals_are_ordered(store: Store, scope: Scope) -> None:
    same = [Draft("user", "The parrot talks.", created_at=1_000 + n % 3) for n in range(40)]
    for n, draft in enumerate(same):
        log(store, scope, f"s{n:02}", [draft])
    catch_up(store)
    first = ask(store, scope, "parrot", k=40)
    assert len(first.results) == 40
    assert ask(store, scope, "parrot", k=40) == first
    assert [hit.created_at for hit in first.results] == sorted((d.created_at or 0 for d in same), reverse=True)
    assert ask(store, scope, "parrot", k=7).results == first.results[:7]


def test_what_cannot_be_asked_is_refused_with_its_remedy(store: Store, scope: Scope) -> None:
    for query in (Query("x", k=0), Query("x", k=201), Query("x", kinds=("idea",))):  # type: ignore[arg-type]
        with pytest.raises(Invalid, match="use"):
            search(store, scope, query, embedder=None)
    with pytest.raises(Forbidden):
        search(store, Scope("acme", rights=frozenset()), Query("x"), embedder=None)


def test_searching_while_others_append_never_fails(store: Store, scope: Scope, embedder: MiniLM) -> None:
    tell(store, scope, embedder)
    failures: list[BaseException] = []

    def append_and_index() -> None:
        try:
            for n in range(6):
                log(store, scope, f"more-{n}", drafts("summer"))
                catch_up(store, embedder)
        except BaseException as failure:
            failures.append(failure)

    writer = threading.Thread(target=append_and_index)
    writer.start()
    while writer.is_alive():
        assert ask(store, scope, "marathon", embedder, k=3).results
    writer.join()
    assert not failures
    assert len(places(ask(store, scope, "Dolomites marathon training", embedder, k=200, kinds=("turn",)))) > 60


def test_a_search_reads_a_bounded_number_of_rows(store: Store, scope: Scope) -> None:
    for n in range(3):
        log(store, scope, f"s{n}", [Draft("user", f"The parrot says {i}.") for i in range(1000)])
    catch_up(store)
    statements: list[str] = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert len(ask(store, scope, "parrot", k=10).results) == 10
    assert len(statements) < 30
    assert len(ask(store, scope, "parrot", k=200).results) == 200
