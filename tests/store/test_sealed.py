"""What was said in a session is nowhere readable in the database, and opens in its own row alone."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.digest import DIGEST_VERSION, Digest
from carryover.core.errors import DataLoss
from carryover.core.pattern import Evidence, Pattern
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Draft, Source
from carryover.core.snapshot import Finding, Snapshot, Theme
from carryover.core.step import About, uid
from carryover.core.strategy import Strategy, Summary
from carryover.core.tier import Step
from carryover.core.usage import Cap
from carryover.core.verdict import Verdict
from carryover.jobs.worker import Worker
from carryover.recall import index
from carryover.store import (
    archive,
    chunks,
    cursors,
    digests,
    origins,
    patterns,
    rekeying,
    runs,
    sealed,
    sessions,
    sessions_sealed,
    snapshots,
    summaries,
    tiers,
    traces,
    verdicts,
)
from carryover.store.cursors import Cursor, Stamp
from carryover.store.keyring import Keyring, default_url
from carryover.store.sealing import Sealing
from carryover.store.snapshots import Link
from carryover.store.store import Store
from carryover.store.tables import findings
from carryover.store.trust_tables import metadata
from carryover.store.vault import Vault
from clocks import FrozenClock
from logbook import Book
from readable import EMPTY, HASHED, NAMES, READABLE, SEALED
from servers.postgres import Server, binaries

ACME = Scope("acme")
RECIPE = Strategy(mode="summarize")
# Each plants its own, so that what is found says where it came from.
WORDS = [
    *("quetzal", "narwhal", "axolotl", "okapi", "pangolin", "cassowary", "dugong"),
    *("kinkajou", "numbat", "tarsier", "wombat", "zorilla"),
]


@pytest.fixture
def store(database_url: str, clock: FrozenClock) -> Iterator[Store]:
    """An empty store that seals."""
    with Store.open(database_url, clock=clock) as opened:
        opened.sealing = Sealing(Vault(Keyring(default_url(database_url))))
        sessions_sealed.begins(opened)
        yield opened


def plant(book: Book, session: str = "s", agent: str = "default") -> None:
    """Words of the session in every table that keeps any."""
    quetzal, narwhal, axolotl, okapi, pangolin, cassowary, dugong, kinkajou, numbat, tarsier, wombat, zorilla = WORDS
    book.append(
        session,
        Draft("user", f"The {quetzal} sleeps.", idempotency_key="k", metadata={"seen": quetzal}),
        f"So does the {quetzal} of my aunt.",
        metadata={"about": narwhal},
        agent_id=agent,
    )
    source = (Source(session, 1, 1, f"The {axolotl}"),)
    one = Finding("f1", "fact", f"the {okapi}", "active", 1, source, "rules", agent, session, subject=f"{okapi} sleep")
    other = Finding("f2", "fact", f"a {okapi}", "done", 1, source, "rules", agent, session, reason=f"no {okapi}")
    made = Snapshot(session, agent, 1, 2, 1, "rules", f"of a {pangolin}", (one, other), themes=(Theme(pangolin, 2),))
    summary = Summary("", agent, session, 1, RECIPE.recipe, f"summary of a {dugong}", 4, "rules", 0)
    plain = f"a line of the {wombat}\n".encode()
    with book.store.write(ACME) as tx:
        link = Link("elsewhere", "done", None, f"the {cassowary} is gone")
        snapshots.add(tx, made, user=None, links_made=[link])
        tiers.put(tx, [Step("f1", 1, agent, session, "compressed", cassowary, 1, 9)], user=None)
        verdicts.put(tx, [(one, Verdict("fails", 1, 1, (f"no {cassowary}",), (cassowary,)))])
        summaries.put(tx, summary, version=2, attempts=1)
        runs.add(tx, agent, session, "r", 1, [("run_started", 1, {"input": kinkajou})])
        digests.put(tx, Digest(agent, session, "codex", DIGEST_VERSION, "h", title=numbat))
        shown = Evidence(agent, session, 1, 1, f"quote of a {tarsier}")
        patterns.put(tx, Pattern(uid("p"), 1, "candidate", "loop", "k", "t", "l", evidence=(shown,)))
        origins.put(tx, [(agent, session, "/l", About(title=zorilla)), (agent, "unborn", "/l", About(title=zorilla))])
        cursors.put(tx, [Cursor("/l", "codex", Stamp(1, 2, 3, 4), len(plain), "p", "c", f'{{"title":"{zorilla}"}}')])
        archive.put(tx, "/l", 0, [archive.Piece(0, 0, archive.Segment("h", len(plain), plain))])
    Worker(book.store, {"index": index.indexing()}, lambda _: Cap()).drain(tenant="acme")


def kept_files(store: Store, folder: Path, request: pytest.FixtureRequest) -> dict[str, bytes]:
    """All that whoever takes the data gets: the files of SQLite but for the keys, or a dump without their schema."""
    if store.dialect.name == "sqlite":
        files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(("keys", "master"))]
        return {path.name: path.read_bytes() for path in files}
    server: Server = request.getfixturevalue("postgres")
    dump = folder / "dump.sql"
    database = store.url.rpartition("/")[2]
    wanted = ["--exclude-schema=carryover_keys", f"--file={dump}", server.url(database, "postgres")]
    subprocess.run([str(binaries() / "pg_dump"), *wanted], check=True)
    return {dump.name: dump.read_bytes()}


def forms(word: str) -> list[bytes]:
    plain = word.encode()
    shifted = [base64.b64encode(b" " * n + plain)[4 * (n > 0) : -4] for n in range(3)]
    # What is shorter stands in base64 by chance.
    return [plain, plain.capitalize(), plain.hex().encode(), *(form for form in shifted if len(form) >= 8)]


def test_every_column_that_can_hold_words_is_decided_upon() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.c
        if isinstance(column.type, (sa.Text, sa.LargeBinary)) and column.name not in NAMES
    }
    decided = [SEALED, HASHED.keys(), EMPTY.keys(), READABLE.keys()]
    assert columns == set().union(*decided)
    assert sum(map(len, decided)) == len(columns)  # each once
    assert {f"{table.name}.{name}" for table, one in sealed.SEALED.items() for name in one.columns} <= SEALED
    for table, one in sealed.SEALED.items():
        assert {"agent", "session", *one.row, *one.columns} <= set(table.c.keys())


def test_no_word_of_a_session_is_in_any_file_while_it_is_alive(
    store: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    plant(Book(store))
    for name, content in kept_files(store, tmp_path, request).items():
        for word in WORDS:
            assert not [form for form in forms(word) if form in content], f"{word} in {name}"


def test_what_is_sealed_reads_as_it_was(store: Store) -> None:
    book = Book(store)
    plant(book)
    with store.read(ACME) as tx:
        latest = snapshots.latest(tx, "default", "s")
        assert latest is not None
        assert (latest.summary, latest.themes) == ("of a pangolin", (Theme("pangolin", 2),))
        one, other = latest.findings
        assert (one.text, one.subject, one.sources[0].quote) == ("the okapi", "okapi sleep", "The axolotl")
        assert other.reason == "no okapi"
        assert [f.text for f in snapshots.live(tx, [("default", "s")])] == ["cassowary"]
        assert verdicts.of(tx, ["f1"])["f1"].faults == ("no cassowary",)
        assert verdicts.unchecked(tx, {"f1": verdicts.state_of(one)}, 1) == set()
        assert traces.ends(tx, "default", "s") == [
            ("elsewhere", "the cassowary is gone", None),
            ("f2", "no okapi", None),
        ]
        assert [one.text for one in summaries.ready(tx, "default", "s", RECIPE.recipe)] == ["summary of a dugong"]
        assert [event.payload for event in runs.events(tx, "default", "s", "r")] == [{"input": "kinkajou"}]
        digest = digests.get(tx, "default", "s")
        assert digest is not None
        assert digest.title == "numbat"
        assert [one.quote for one in patterns.listed(tx)[0].evidence] == ["quote of a tarsier"]
        assert [about.title for _, about in origins.abouts(tx, "default", "s")] == ["zorilla"]
        assert [about.title for _, _, about in origins.of_path(tx, "/l")] == ["zorilla", "zorilla"]
        assert archive.body(tx, "h") == b"a line of the wombat\n"
        cursor = cursors.get(tx, "/l")
        assert cursor is not None
        assert cursor.state == '{"title":"zorilla"}'
        assert "quetzal" in chunks.of_session(tx, "default", "s")[0].text


def test_what_stands_in_another_row_does_not_open_there(store: Store) -> None:
    plant(Book(store))
    with store.write(ACME) as tx:
        mine = (findings.c.tenant == tx.tenant, findings.c.id == "f2")
        other = sa.select(findings.c.text).where(findings.c.tenant == tx.tenant, findings.c.id == "f1")
        tx.conn.execute(findings.update().where(*mine).values(text=other.scalar_subquery()))
    with store.read(ACME) as tx, pytest.raises(DataLoss, match="findings/text/f2/1"):
        snapshots.latest(tx, "default", "s")


def test_rows_whose_key_was_dropped_are_passed_over(store: Store) -> None:
    """As in a backup of before: the rows are back, and the key is gone."""
    plant(Book(store))
    plant_other(store)
    with store.read(ACME) as tx:
        key = sessions.key_of(tx, "default", "s")
    assert store.sealing is not None
    assert key is not None
    store.sealing.drop([key])
    with store.read(ACME) as tx:
        assert snapshots.latest(tx, "default", "s") is None
        assert snapshots.live(tx, [("default", "s"), ("default", "t")]) != []
        assert verdicts.of(tx, ["f1"]) == {}
        assert summaries.ready(tx, "default", "s", RECIPE.recipe) == []
        assert runs.events(tx, "default", "s", "r") == []
        assert digests.get(tx, "default", "s") is None
        assert chunks.of_session(tx, "default", "s") == []
    with store.write(ACME) as tx:  # and they can be erased all the same, from the text index too
        assert chunks.erase(tx, "default", "s")["chunks"] > 0


def plant_other(store: Store) -> None:
    Book(store).append("t", "Hello.")
    found = Finding("g1", "fact", "still here", "active", 1, (Source("t", 1, 1, "Hello."),), "rules", "default", "t")
    with store.write(ACME) as tx:
        snapshots.add(tx, Snapshot("t", "default", 1, 1, 1, "rules", "", (found,)), user=None)


def test_nothing_is_written_for_a_session_that_is_gone(store: Store) -> None:
    with store.write(ACME) as tx:
        tiers.put(tx, [Step("f1", 1, "default", "gone", "compressed", "words", 1, 9)], user=None)
        runs.add(tx, "default", "gone", "r", 1, [("run_started", 1, {"input": "words"})])
        source = (Source("gone", 1, 1, "words"),)
        one = Finding("f1", "fact", "words", "active", 1, source, "rules", "default", "gone")
        snapshots.add(tx, Snapshot("gone", "default", 1, 1, 1, "rules", "words", (one,)), user=None)
    with store.read(EVERY_TENANT) as tx:
        for table in sealed.SEALED:
            assert tx.conn.execute(sa.select(table)).all() == [], table.name


def test_a_session_of_before_is_sealed_with_all_that_was_made_of_it(
    store: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert store.sealing is not None
    store.sealing.wanted = False
    plant(Book(store))
    before = contents(store)
    assert any(b"okapi" in content for content in kept_files(store, tmp_path, request).values())
    store.sealing.wanted = True
    assert rekeying.seal(store, lambda _: None) == 1
    assert contents(store) == before
    for table, one in sealed.SEALED.items():
        with store.read(ACME) as tx:
            here = (table.c.tenant == tx.tenant, table.c.session == "s")
            columns = [table.c[name] for name in one.columns]
            for row in tx.conn.execute(sa.select(*columns).where(*here)):
                assert all(not kept or kept.startswith("\x01") for kept in row), table.name
    with store.read(ACME) as tx:
        assert tx.conn.execute(sa.select(archive.segments.c.body)).scalar_one().startswith(archive.SEALED)


def contents(store: Store) -> list[Any]:
    with store.read(ACME) as tx:
        return [
            snapshots.latest(tx, "default", "s"),
            verdicts.of(tx, ["f1"]),
            [one.text for one in summaries.ready(tx, "default", "s", RECIPE.recipe)],
            runs.events(tx, "default", "s", "r"),
            digests.get(tx, "default", "s"),
            patterns.listed(tx),
            origins.abouts(tx, "default", "s"),
            [chunk.text for chunk in chunks.of_session(tx, "default", "s")],
            archive.body(tx, "h"),
        ]
