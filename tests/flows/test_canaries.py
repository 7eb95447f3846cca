"""Everything that can hold text holds a canary; what each kind of erasure takes is looked for in every store and file.

The search is the one that users have, `carryover verify-erasure`, over the raw files; beside it, all that opens with
the keys that are left is read.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from canaries import Of, Owner, columns_with, doomed, opened, plant
from carryover.cli.main import app
from carryover.core.canary import Canaries
from carryover.core.ids import new_id
from carryover.core.persona import Quote
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.persona import fitting
from carryover.runtime import Carryover
from carryover.store import preferences, queue
from commands import Commands
from noticeable import open_memory
from readable import SEALED
from servers.postgres import Server as Postgres
from servers.redis import Server as Redis
from worded import Worded, said

WHEN = 631_152_000_000  # 1990: nothing else was said then
# What each erasure takes of its owner.
TAKEN: dict[str, tuple[Of, ...]] = {
    "session": ("turns", "session"),
    "turns": ("turns",),
    "time": ("turns", "session"),
    "user": ("turns", "session", "user"),
    "agent": ("turns", "session", "agent"),
    "bystander": (),
}
# Where ids stay, which are never sealed: events tell of single sessions that they were erased, the audit log names
# whom a key was made for, usage is an agent's, and whose logs are not read again is a coding agent's name.
NAMED = {
    "session": {"session": {"events"}},
    "time": {"session": set[str]()},
    "user": {"session": set[str](), "user": {"audit"}},
    "agent": {"session": set[str](), "agent": {"usages", "cursors"}},
}

# What is sealed whether or not the database seals, and holds words of users.
IN_VAULTS = {
    "preferences.sealed",
    "profiles.edits",
    "persona_codes.sealed",
    "personas_shown.sealed",
    "codebooks.sealed",
}
# Readable columns in which words can stand that somebody gave.
WORDS = {
    *("turns.name", "turns.call_id", "turns.idempotency_key", "turns.metadata", "chunks.name", "chunks.terms"),
    *("cursors.path", "origins.path", "pieces.path", "digests.repo", "evidence.repo", "jobs.reason", "jobs.subject"),
    *("holds.reason", "strategies.fields", "keys.label", "spends.model", "views.strategy", "agent_run_events.run"),
}
# Sealed with the tenant's own key: a backup of before can tell it to whoever has the keyring.
OF_TENANT = {"segments.body", "cursors.state", "codebooks.sealed"}
NUMBERS = {"verdicts.state", "persona_codes.sealed"}  # a hash of what was checked, and labels by number


@dataclass
class Searched:
    """What was planted, and where it was looked for."""

    engine: str
    planted: int = 0
    erasures: int = 0
    places: set[str] = field(default_factory=set[str])
    read: int = 0  # bytes of files
    opened: int = 0  # texts that open with the keys that are left
    receipts: dict[str, Any] = field(default_factory=dict[str, Any])
    hits: list[str] = field(default_factory=list[str])

    def report(self) -> None:
        where = f"{len(self.places)} files and databases, {self.read / 1e6:.1f} MB read, {self.opened} texts opened"
        what = f"{self.engine}: {self.planted} canaries, {self.erasures} erasures, {where}"
        sys.stdout.write(f"canary hits after erasure: {len(self.hits)} ({what})\n")
        assert not self.hits, "\n".join(self.hits)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    name = f"canaries_{uuid4().hex}"
    yield postgres.create(name)
    postgres.drop(name)


def owners(run: str) -> dict[str, Owner]:
    return {name: Owner(run, name, taken) for name, taken in TAKEN.items()}


def fill(memory: Carryover, known: dict[str, Owner]) -> int:
    """How many canaries there are, a column each and more."""
    for name, owner in known.items():
        # Turns of a session that was read out of logs are not erased singly.
        plant(memory, owner, at=WHEN if name == "time" else None, coding=name != "turns")
    return sum(len(owner.canaries) for owner in known.values())


def forget(name: str, owner: Owner) -> dict[str, Any]:
    """The receipt of `carryover forget`, as it is asked for this."""
    session = ("--session", owner.session, "--agent", owner.agent)
    asked = {
        "session": session,
        "turns": (*session, "--turns", "1..5"),
        "time": ("--since", "1989-12-31", "--until", "1990-01-03"),
        "user": ("--user", owner.user),
        "agent": ("--agent", owner.agent),
    }
    (receipt,) = Commands().json("forget", *asked[name], "--yes")["receipts"]
    return receipt


def look(words: list[str], into: Searched, *paths: str) -> None:
    """`carryover verify-erasure`, over these paths or over all that the settings name."""
    for hit in searched_for(words, into, *paths):
        into.hits.append(f"{words[hit['canary'] - 1]} in {hit['where']} at {hit['offset']} ({hit['form']})")


def look_for_ids(name: str, owner: Owner, into: Searched) -> None:
    """The same for ids: they stand in rows of the tables that say so, and in no byte beside these."""
    for what, tables in NAMED.get(name, {}).items():
        id = owner.canaries[what].word
        found = searched_for([id], into)
        rows = [hit for hit in found if hit["form"].endswith("row")]
        named = (hit["where"].rpartition(" ")[2].rpartition(".")[2] for hit in rows)
        told = {re.sub(r"_\d{6}$", "", one) for one in named}  # months of the stream are tables of their own
        if told - tables or (len(found) != len(rows) and len(found) != 2 * len(rows)):
            into.hits.append(f"{name}: the id of the {what} is in {sorted(told)}, {len(found)} times")


def searched_for(words: list[str], into: Searched, *paths: str) -> list[dict[str, Any]]:
    asked = [part for word in words for part in ("--canary", word)]
    said = CliRunner().invoke(app, ["verify-erasure", *asked, *paths, "--json"])
    found = json.loads(said.stdout)
    assert said.exit_code == (1 if found["hits"] else 0)
    into.places.update(found["looked_at"])
    into.read += sum(Path(one).stat().st_size for one in found["looked_at"] if Path(one).is_file())
    return found["hits"]


def read_all(memory: Carryover, words: list[str], into: Searched) -> None:
    """The same in what opens."""
    canaries = Canaries(words)
    for where, text in opened(memory):
        into.opened += 1
        into.hits += [f"{words[hit.canary - 1]} opens in {where}" for hit in canaries.found(where, text)]


def erase_all(memory: Carryover, known: dict[str, Owner], into: Searched) -> None:
    """One kind of erasure after the other, and after each nothing of it is left that a program could read."""
    for name, owner in known.items():
        if owner.doomed:
            into.receipts[name] = forget(name, owner)
            into.erasures += 1
            look(owner.marks(), into)
            look_for_ids(name, owner, into)
            read_all(memory, owner.marks(), into)
    kept = known["bystander"]
    texts = b"\n".join(text for _, text in opened(memory))
    lost = [one.place for one in kept.canaries.values() if one.sealed and one.word.encode() not in texts]
    assert lost == []  # and nothing else went
    memory.engine.worker.drain()  # what goes on with what is left brings nothing back
    for owner in known.values():
        if owner.doomed:
            read_all(memory, owner.marks(), into)


def share(memory: Carryover, known: dict[str, Owner], run: str) -> str:
    """A label of the codebook that just two users share, one of whom is erased."""
    label, words = doomed(run, sealed=True), Worded()
    for owner in (known["user"], known["bystander"]):
        quote = Quote(owner.agent, owner.session, 1, label)
        one = replace(said(owner.user, label, words, facet="format"), id=new_id("pr"), quote=quote)
        with memory.engine.store.write(memory.scope) as tx:
            preferences.add(tx, memory.engine.vault, [one])
    parts = memory.engine.personas
    fit = fitting.fitting(fitting.Means(parts.books, words, 2))
    with parts.store.write(memory.scope) as tx:
        queue.arm(tx, [(fitting.KIND, fitting.SUBJECT, tx.now)])
    assert Worker(parts.store, {fit.kind: fit}, lambda _: Cap()).run_one((fit.kind,), tenant=memory.scope.tenant)
    assert "codebooks.sealed" in told_in(memory, label)
    return label


def told_in(memory: Carryover, word: str) -> set[str]:
    """The columns in which the word opens."""
    return {where for where, text in opened(memory) if word.encode() in text}


def settings(monkeypatch: pytest.MonkeyPatch, home: Path, **more: Any) -> dict[str, Any]:
    """What a memory is opened with, and the commands as well."""
    given = {"home": home, "embedder": "none", "index": "plain", **more}
    for name, value in given.items():
        monkeypatch.setenv(f"CARRYOVER_{name.upper()}", str(value).lower() if isinstance(value, bool) else str(value))
    return {**given, "persona": {"floor": 2}}


def run_through(memory: Carryover, known: dict[str, Owner], run: str, into: Searched, back: Path | None = None) -> None:
    """All is planted, and everything is erased that is to be; the canaries can be found before, and not after.

    A copy of the database of before lies in `back`.
    """
    into.planted = fill(memory, known) + 1
    assert SEALED - NUMBERS - {"codebooks.sealed"} <= told_in(memory, doomed(run, sealed=True))
    assert searched_for(both(run), Searched(""))
    label = share(memory, known, run)
    if (
        memory.engine.store.dialect.concurrent
    ):  # samples of what is there lie in the catalogue, as autovacuum takes them
        with memory.engine.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("ANALYZE")
    if back is not None:
        memory.engine.store.settle()
        shutil.copy2(memory.engine.store.url.partition("///")[2], back)
    erase_all(memory, known, into)
    if "codebooks.sealed" in told_in(memory, label):
        into.hits.append("a label that one user alone is left of is in the codebook")


def both(run: str) -> list[str]:
    return [doomed(run, sealed=True), doomed(run, sealed=False)]


def test_every_column_that_can_hold_words_holds_a_canary(tmp_path: Path) -> None:
    run = uuid4().hex
    owner = Owner(run, "all", TAKEN["user"])
    with open_memory(tmp_path, encryption=False, index="plain") as memory:
        plant(memory, owner)
        held = columns_with(memory.engine.store, {one.word for one in owner.canaries.values()})
    assert (SEALED | WORDS) - held == IN_VAULTS | NUMBERS


@pytest.mark.parametrize("sealed", [True, False])
def test_no_canary_is_left_in_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: bool) -> None:
    searched, run = Searched("SQLite, sealed" if sealed else "SQLite, not sealed"), uuid4().hex
    known, home, back = owners(run), tmp_path / "home", tmp_path / "back"
    back.mkdir()
    with open_memory(**settings(monkeypatch, home, encryption=sealed)) as memory:
        prepared = home / "hooks" / "contexts" / "note.md"  # as hooks tell it
        prepared.parent.mkdir(parents=True)
        prepared.write_text(known["session"].put("hook", "session"))
        run_through(memory, known, run, searched, back)
        look(both(run), searched)
    look(both(run), searched)
    if sealed:
        for path in home.glob("*"):  # the keyring as it is now
            if path.is_file() and not path.name.startswith("carryover.db"):
                shutil.copy2(path, back)
        with open_memory(back, index="plain") as restored:
            assert told_in(restored, known["bystander"].canaries["turn"].word)
            for name, receipt in searched.receipts.items():
                owned = IN_VAULTS if "sealed with their own keys" in receipt["backups"] else set[str]()
                told = set[str]().union(*(told_in(restored, mark) for mark in known[name].marks(sealed=True)))
                searched.hits += [f"a backup of before tells of {name} in {one}" for one in told - OF_TENANT - owned]
            assert "their own keys" not in searched.receipts["user"]["backups"]
    searched.report()


@pytest.mark.parametrize("index", ["hashed", "plain"])
def test_no_canary_is_left_in_postgresql_and_redis(
    postgres: Postgres,
    database: str,
    redis_server: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    index: str,
) -> None:
    searched, run = Searched(f"PostgreSQL and Redis, sealed, index {index}"), f"postgresql {index}"
    known, given = owners(run), {"database_url": database, "redis_url": redis_server.url, "index": index}
    with open_memory(**settings(monkeypatch, tmp_path / "home", **given)) as memory:
        run_through(memory, known, run, searched)
        look(both(run), searched)
    if index == "hashed":
        postgres.sql("CHECKPOINT")
        look([doomed(run, sealed=True)], searched, *data_of(postgres, database), "--redis", redis_server.url)
    # What is never sealed leaves the pages when these are written anew, and the write-ahead log in time.
    postgres.sql("VACUUM FULL", "CHECKPOINT", database=database.rpartition("/")[2])
    look(both(run), searched, *(path for path in data_of(postgres, database) if not path.endswith("pg_wal")))
    searched.report()


def data_of(postgres: Postgres, database: str) -> list[str]:
    """All files of the server but those of other databases."""
    data, name = postgres.folder / "data", database.rpartition("/")[2]
    own = data / "base" / postgres.sql(f"SELECT oid FROM pg_database WHERE datname = '{name}'")
    return [str(path) for path in (own, postgres.folder / "log", *data.iterdir()) if path.name != "base"]
