"""Erasure: no row of any table still names the session, but the event that says it is gone."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.chunk import Chunk
from carryover.core.digest import DIGEST_VERSION, Digest
from carryover.core.errors import Conflict, NotFound
from carryover.core.job import Job
from carryover.core.pattern import Evidence, Pattern
from carryover.core.persona import EXPLICIT, Preference, Quote
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Draft, Source
from carryover.core.snapshot import Finding, Snapshot
from carryover.core.step import About, Spend, uid
from carryover.core.strategy import Strategy, Summary
from carryover.core.text import digest
from carryover.core.tier import Step
from carryover.core.usage import Cap, Usage
from carryover.core.verdict import Verdict
from carryover.jobs.derivation import Derivation
from carryover.jobs.run import run
from carryover.jobs.upkeep import upkeep
from carryover.log import lifecycle
from carryover.store import (
    archive,
    chunks,
    cursors,
    digests,
    erasure,
    events,
    keys,
    marks,
    noticed,
    origins,
    patterns,
    personas_shown,
    preferences,
    queue,
    repeats,
    sessions,
    snapshots,
    spends,
    strategies,
    summaries,
    tiers,
    usages,
    vectors,
    verdicts,
    views,
    wording,
)
from carryover.store.chunks import Watermark
from carryover.store.cursors import Cursor, Stamp
from carryover.store.keyring import Keyring, default_url
from carryover.store.personas_shown import Shown
from carryover.store.snapshots import Link
from carryover.store.store import Store
from carryover.store.strategy_tables import agent_run_events
from carryover.store.tables import metadata
from carryover.store.vault import Vault
from logbook import Book

ACME = Scope("acme")
SPACE = "fake:2"
RECIPE = Strategy(mode="summarize")


@pytest.fixture
def book(store: Store) -> Book:
    return Book(store)


def fill(book: Book, session: str, closes: str | None = None) -> None:
    """Something about the session in every table that can hold it."""
    book.append(
        session,
        Draft("user", f"words of {session}", idempotency_key="k"),
        f"more of {session}",
        metadata={"about": session},
        user_id="ana",
    )
    source = (Source(session, 1, 1, f"words of {session}"),)
    found = Finding(f"f-{session}", "fact", f"known from {session}", "active", 1, source, "rules", "default", session)
    links = () if closes is None else (Link(f"f-{closes}", "superseded", f"f-{session}", f"{session} knew better"),)
    with book.store.write(book.scope) as tx:
        snapshot = Snapshot(session, "default", 1, 2, tx.now, "rules", f"summary of {session}", (found,))
        snapshots.add(tx, snapshot, user="ana", links_made=links)
        tiers.put(tx, [Step(found.id, 1, "default", session, "compressed", session, 1, 9)], user="ana")
        verdicts.put(tx, [(found, Verdict("fails", tx.now, 1, (f"no turn says {session}",)))])
        made = chunks.add(
            tx,
            [
                Chunk(
                    0,
                    "turn",
                    f"{session}/1",
                    "default",
                    session,
                    "ana",
                    1,
                    1,
                    0,
                    "user",
                    None,
                    f"words of {session}",
                    tx.now,
                    terms=f"word {session.replace('-', '')}",
                ),
            ],
        )
        vectors.add(tx, SPACE, [(made[0].n, [1.0, 0.0])])
        chunks.mark(tx, "default", session, Watermark(2, 1))
        usages.record(tx, Job("acme", "consolidate", f"default/{session}", 0, 1), Usage("fake", 1, 5, money=Decimal(1)))
    lifecycle.set_ttl(book.store, book.scope, "default", session, 1000)
    fill_strategies(book, session)
    fill_personas(book, session)
    fill_coding(book, session)


def fill_strategies(book: Book, session: str) -> None:
    """A strategy of the session, one summary that is ready and one that is wanted, a view, and a run."""
    made = Summary("", "default", session, 1, RECIPE.recipe, f"summary of {session}", 4, "rules", 0, user_id="ana")
    event = {"run": f"run of {session}", "n": 1, "at": 1, "type": "end", "payload": session}
    with book.store.write(book.scope) as tx:
        strategies.put(tx, "default", session, {"summary_prefix": session})
        summaries.put(tx, made, version=2, attempts=1)
        summaries.want(tx, sessions.get(tx, "default", session), RECIPE, 2)
        views.tell(tx, "default", session, session, moves=1, cut=1, cleared=1)
        here = {"tenant": tx.tenant, "agent": "default", "session": session}
        tx.conn.execute(agent_run_events.insert().values(here | event))


def fill_personas(book: Book, session: str) -> None:
    """What was noticed in the session, and the persona that it was opened with."""
    quote = Quote("default", session, 1, f"words of {session}")
    said = Preference(f"pr-{session}", "ana", "tone", "casual", "like", True, False, EXPLICIT, quote, 1)
    with closing(Vault(Keyring(default_url(book.store.url)))) as vault, book.store.write(book.scope) as tx:
        preferences.add(tx, vault, [said])
        noticed.put(tx, "default", session, 2)
        personas_shown.put(tx, vault, "default", session, Shown("ana", session, 1, 0, 0))


def fill_coding(book: Book, session: str, *others: str, agent: str = "default") -> str:
    """A log of the session, and of others in the same file, with what was made of it; its path."""
    path = f"/logs/{session}.jsonl"
    plain = f"a line of {session}\n".encode()
    pieces = [archive.Piece(0, 0, archive.Segment(session, len(plain), plain))]
    spend = Spend(uid("call", session), 1, f"model of {session}", 1)
    found = Evidence(agent, session, 1, 1, f"quote of {session}")
    with book.store.write(book.scope) as tx:
        cursors.put(tx, [Cursor(path, "codex", Stamp(1, 2, 3, 4), len(plain), "p", session)])
        archive.put(tx, path, 0, pieces)
        for one in (session, *others):
            origins.put(tx, [(agent, one, path, About(title=f"title of {one}", first_at=1))])
            marks.add(tx, [{"uid": bytes.fromhex(uid(one)), "agent": agent, "session": one, "seq": 1}])
        spends.put(tx, [(agent, session, spend)])
        digests.put(tx, Digest(agent, session, "codex", DIGEST_VERSION, session))
        patterns.put(tx, Pattern(uid(session), 1, "candidate", "loop", "k", "t", "l", evidence=(found,)))
    return path


def rows_naming(store: Store, word: str) -> dict[str, int]:
    found: dict[str, int] = {}
    with store.read(EVERY_TENANT) as tx:
        conn = tx.conn
        for table in metadata.sorted_tables:
            named = [row for row in conn.execute(sa.select(table)) if any(word in str(value) for value in row)]
            if named:
                found[table.name] = len(named)
    return found


def everything(store: Store) -> dict[str, list[Any]]:
    with store.read(EVERY_TENANT) as tx:
        conn = tx.conn
        return {table.name: sorted(map(repr, conn.execute(sa.select(table)))) for table in metadata.sorted_tables}


def test_the_test_fills_every_table_that_erasure_must_empty(book: Book) -> None:
    fill(book, "earlier")
    fill(book, "doomed", closes="earlier")
    held_elsewhere = {"counters", "extractors", "keys", "removals", "secrets", "spaces", "vectors"}
    held_elsewhere |= {"profiles", "persona_codes", "codebooks"}  # of users, and of all of them
    held_elsewhere |= {"audit", "erasures", "holds", "repeats"}  # what says that something was erased, or may not be
    held_elsewhere |= {"effects", "exposures", "formats", "patterns"}  # of no session, or in words of no session
    assert set(rows_naming(book.store, "doomed")) == {table.name for table in metadata.sorted_tables} - held_elsewhere


def test_nothing_of_the_session_is_left_but_what_says_so(book: Book) -> None:
    fill(book, "earlier")
    before = everything(book.store)
    fill(book, "doomed", closes="earlier")
    receipt = lifecycle.delete(book.store, ACME, "default", "doomed")
    assert rows_naming(book.store, "doomed") == {"events": 1}
    assert receipt.counts == {
        "chunks": 1, "vectors": 1, "sources": 1, "links": 1, "findings": 1, "snapshots": 1, "watermarks": 1,
        "events": 2, "tiers": 1, "verdicts": 1, "bodies": 2, "turns": 2, "sessions": 1, "jobs": 3, "usages": 1,
        "marks": 1, "spends": 1, "digests": 1, "evidence": 1, "origins": 1, "pieces": 1, "segments": 1, "cursors": 1,
        "strategies": 1, "summaries": 2, "views": 1, "agent_run_events": 1,
        "preferences": 1, "noticed": 1, "personas_shown": 1,
    }  # fmt: skip
    after = everything(book.store)
    # What other sessions of the user were opened with told of this one too.
    changed = {"events", "usages", "counters", "jobs", "removals", "watermarks", "cursors", "patterns", "profiles"}
    changed |= {"audit", "erasures", "secrets"}  # the receipt, and what it is signed with
    changed |= {"repeats"}  # hashes of idempotency keys
    for name in set(before) - changed - {"personas_shown"}:
        assert after[name] == before[name], name
    assert (len(after["jobs"]), len(after["watermarks"])) == (
        len(before["jobs"]) + 1,
        len(before["watermarks"]),
    )  # the index of what is open again is armed once more, and a fit of what users say by now
    with book.store.read(ACME) as tx:
        assert snapshots.finding(tx, "f-earlier").live  # what the erased session closed is open again
        assert usages.spent(tx, tx.now).money == 2  # paid is paid
        assert tx.dialect.matching(tx.conn, wording.of(tx), {"doomed": 1.0}, 3.0, vectors.Bounds(), 9) == []
        assert len(tx.dialect.matching(tx.conn, wording.of(tx), {"word": 1.0}, 3.0, vectors.Bounds(), 9)) == 1
        (event,) = events.newest(tx, "default", events.Filter(session="doomed"), limit=9)
        assert (event.action, event.user_id, event.detail) == ("delete", "ana", {"turns": 2})


def test_an_erased_session_does_not_close_others_and_is_not_closed_by_them(book: Book) -> None:
    fill(book, "doomed")
    fill(book, "later", closes="doomed")
    lifecycle.delete(book.store, ACME, "default", "doomed")
    assert rows_naming(book.store, "doomed") == {"events": 1}
    with book.store.read(ACME) as tx:
        assert [f.id for f in snapshots.live(tx, [("default", "later")])] == ["f-later"]


def test_erasing_again_finds_nothing(book: Book) -> None:
    fill(book, "doomed")
    lifecycle.delete(book.store, ACME, "default", "doomed")
    before = everything(book.store)
    with book.store.write(ACME) as tx:
        assert set(erasure.erase(tx, "default", "doomed").values()) == {1, 0}  # its own delete event is all there is
        assert set(erasure.erase(tx, "default", "doomed").values()) == {0}
    with pytest.raises(NotFound):
        lifecycle.delete(book.store, ACME, "default", "doomed")
    assert {name for name, rows in everything(book.store).items() if rows != before[name]} <= {"events", "counters"}


def test_another_tenant_and_another_agent_keep_their_session_of_that_name(book: Book) -> None:
    for about, scope in (("default", Scope("zeta")), ("other", ACME)):
        book.append("doomed", "mine", scope=scope, agent_id=about)
    fill(book, "doomed")
    lifecycle.delete(book.store, ACME, "default", "doomed")
    assert [turn.content for turn in book.turns("doomed", "other")] == ["mine"]
    assert Book(book.store, scope=Scope("zeta")).session("doomed").version == 1


def test_an_erased_session_begins_anew(book: Book) -> None:
    fill(book, "doomed")
    lifecycle.delete(book.store, ACME, "default", "doomed")
    again = book.append("doomed", Draft("user", "other words", idempotency_key="other"))
    assert (again.version, again.saved) == (1, True)
    assert book.session("doomed").user_id is None


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_sent_again_late_does_not_begin_it_anew(book: Book, clock: Any, begun: bool) -> None:
    fill(book, "doomed")
    lifecycle.delete(book.store, ACME, "default", "doomed")
    if begun:
        book.append("doomed", "begun anew")
    late = Draft("user", "words of doomed", idempotency_key="k")
    for _ in range(2):
        clock.pass_(repeats.KEPT_MS // 2 - 1)
        with pytest.raises(Conflict, match="before it was erased"):
            book.append("doomed", late)
        upkeep(book.store)
    assert rows_naming(book.store, "words of") == {}
    for scope, agent in ((Scope("zeta"), "default"), (ACME, "other")):
        assert book.append("doomed", late, scope=scope, agent_id=agent).saved
    clock.pass_(2)
    with book.store.write(EVERY_TENANT) as tx:
        assert repeats.sweep(tx) == 1
    assert book.append("doomed", late).saved


@pytest.mark.parametrize("key", [digest("said") + ":0", "row:7f", "line:7f"])
def test_what_is_known_by_its_content_may_be_said_again(book: Book, key: str) -> None:
    draft = Draft("user", "Hello.", idempotency_key=key)
    book.append("doomed", draft)
    lifecycle.delete(book.store, ACME, "default", "doomed")
    assert book.append("doomed", draft).saved


def test_a_worker_that_was_at_it_brings_nothing_back(book: Book, clock: Any) -> None:
    book.append("doomed", "one")
    clock.pass_(book.limits.idle_ms)
    with book.store.write(ACME) as tx:
        job = queue.claim(tx, ["consolidate"], lease_ms=60_000)
    assert job is not None

    def think(work: int) -> tuple[str, Usage]:
        lifecycle.delete(book.store, ACME, "default", "doomed")
        return "made", Usage("fake", 1, 5, money=Decimal(1))

    derivation = Derivation(
        "consolidate",
        lambda tx, job: 1,
        think,
        lambda tx, job, work, made: pytest.fail("saved"),
        lambda work: Usage("fake", 1, 9, money=Decimal(2)),
    )
    with pytest.raises(Exception, match="this result was dropped"):
        run(book.store, job, derivation, Cap())
    assert rows_naming(book.store, "doomed") == {"events": 1}
    with book.store.read(ACME) as tx:
        assert (usages.spent(tx, tx.now).money, usages.reserved(tx, tx.now).money) == (1, 0)


def test_a_log_goes_whole_with_one_of_its_sessions_and_is_not_read_again(book: Book) -> None:
    book.append("doomed", "one", agent_id="codex")
    book.append("beside", "two", agent_id="codex")
    path = fill_coding(book, "doomed", "beside", agent="codex")
    with book.store.write(ACME) as tx:
        before = origins.source_hash(tx, "codex", "beside")
        queue.cancel(tx, "codex/beside")
    lifecycle.delete(book.store, ACME, "codex", "doomed")
    assert rows_naming(book.store, "doomed") == {"events": 1}
    with book.store.write(ACME) as tx:
        assert cursors.get(tx, path) is None
        assert cursors.buried(path) in cursors.stamps(tx)
        assert (archive.kept(tx, path), archive.size(tx)) == ([], 0)
        assert origins.source_hash(tx, "codex", "beside") != before
        due = [job.subject for job in queue.claim_batch(tx, ["digest"], lease_ms=1000, most=9)]
    assert due == ["codex/beside"]


def test_a_segment_stays_while_another_log_names_it(book: Book) -> None:
    book.append("doomed", "one")
    path = fill_coding(book, "doomed")
    same = [archive.Piece(0, 0, archive.Segment("doomed", 4, b"same"))]
    with book.store.write(ACME) as tx:
        archive.put(tx, "/logs/other.jsonl", 0, same)
    lifecycle.delete(book.store, ACME, "default", "doomed")
    with book.store.read(ACME) as tx:
        assert archive.kept(tx, path) == []
        assert [piece.hash for piece in archive.kept(tx, "/logs/other.jsonl")] == ["doomed"]
        assert archive.body(tx, "doomed") is not None


def test_keys_are_no_part_of_a_session(book: Book) -> None:
    with book.store.write(ACME) as tx:
        keys.create(tx, label="doomed")
    fill(book, "doomed")
    lifecycle.delete(book.store, ACME, "default", "doomed")
    assert rows_naming(book.store, "doomed") == {"events": 1, "keys": 1}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_file_holds_a_word_of_what_was_erased_while_the_store_is_open(book: Book, database_url: str) -> None:
    path = Path(database_url.removeprefix("sqlite:///"))
    book.append("kept", "a word that stays")
    book.append("doomed", "the canary sings in the mine")
    fill_coding(book, "doomed")
    with book.store.write(ACME) as tx:
        canary = archive.Segment("canary", 9, b"the canary in the archive")
        archive.put(tx, "/logs/doomed.jsonl", 1, [archive.Piece(0, 0, canary)])
    lifecycle.delete(book.store, ACME, "default", "doomed")
    held = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    assert b"a word that stays" in held
    assert b"canary" not in held
