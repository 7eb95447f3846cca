"""What was erased is in no file, no table and no Redis; and the search for it finds what is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from carryover.coding.logs.archive import packer, segment, unpack
from carryover.core.canary import Canaries, Hit
from carryover.core.errors import Invalid
from carryover.core.persona import Edits
from carryover.core.session import Append, Draft
from carryover.core.strategy import Summary
from carryover.core.tier import Step
from carryover.runtime import Carryover
from carryover.store import archive, profiles, runs, scan, strategies, summaries, tiers
from noticeable import notice, open_memory
from preferring import prefer
from servers.postgres import Server as Postgres
from servers.redis import Server as Redis

WORDS = "velvet walrus quartz canary"
USER, SESSION = "velvet.walrus.of.users", "velvet-walrus-session"
SAID, IDS = Canaries([WORDS]), Canaries([USER, SESSION])


def plant(memory: Carryover) -> None:
    """The words in every kind of data that can hold what was said: each by way of what makes it."""
    about = {"title": WORDS}
    said = (
        Draft("user", f"We decided to use {WORDS} for the ledger.", metadata={"note": WORDS}),
        Draft("assistant", [{"type": "text", "text": f"So {WORDS} it is."}], name="walrus"),
        Draft("user", f"From now on, please always sign as {WORDS}."),
    )
    memory.append(Append(SESSION, said, user_id=USER, metadata=about))
    memory.append(Append("beside", (Draft("user", "We decided to use another word for the ledger."),), user_id="ben"))
    for session in (SESSION, "beside"):
        memory.consolidate(session)
    notice(memory)
    prefer(memory, USER, WORDS, session=SESSION)
    assert memory.profiles.persona(USER, session_id=SESSION).text
    memory.engine.worker.drain()
    memory.search_memory(WORDS)
    memory.context(SESSION, user=USER)
    memory.strategies.view(SESSION, strategy={"mode": "summarize"})
    with memory.engine.store.write(memory.scope) as tx:
        recipe = "fill"
        made = Summary("", "default", SESSION, 1, recipe, WORDS, 4, "rules", 0, user_id=USER)
        summaries.put(tx, made, version=3, attempts=1)
        # Not by its verb, which is audited: what was done to whom stays in the audit log.
        profiles.edit(tx, memory.engine.vault, USER, Edits({}, (), (), (f"I like {WORDS}",)), None)
        if memory.engine.store.sealing is None or not memory.engine.store.sealing.begun:
            strategies.put(tx, "default", SESSION, {"summary_prefix": WORDS})  # what is set is not sealed
        tiers.put(tx, [Step("f", 1, "default", SESSION, "compressed", WORDS, 1, 9)], user=USER)
        runs.add(tx, "default", SESSION, "r", 1, [("model_request", None, {"text": WORDS})])


def on_disk(folder: Path, canaries: Canaries, *, but: str = "no such folder") -> list[Hit]:
    return [
        hit
        for path in scan.files(folder)
        if but not in path.parts and path.exists()
        for hit in scan.file(path, canaries, unpack)
    ]


@pytest.mark.parametrize("sealed", [True, False])
def test_a_user_is_in_no_file_of_sqlite_and_no_redis(tmp_path: Path, redis_server: Redis, sealed: bool) -> None:
    home = tmp_path / "home"
    with open_memory(home, redis_url=redis_server.url, encryption=sealed) as memory:
        plant(memory)
        assert on_disk(home, IDS)
        # Sealed words are in no file even before; where they are not sealed, the search finds them.
        assert bool(on_disk(home, SAID)) != sealed
        receipt = memory.erasures.erase(user=USER)
        assert (receipt.sessions, receipt.turns) == (1, 3)
        assert on_disk(home, IDS) == []
        assert on_disk(home, SAID) == []
        assert list(scan.redis(redis_server.url, IDS)) == []
        assert list(scan.redis(redis_server.url, SAID)) == []
        assert [turn.seq for turn in memory.turns("beside")[1]] == [1]


@contextmanager
def database(postgres: Postgres) -> Iterator[str]:
    name = f"erased_{uuid4().hex}"
    try:
        yield postgres.create(name)
    finally:
        postgres.drop(name)


def test_a_user_is_in_no_table_of_postgresql_and_sealed_words_in_no_file(postgres: Postgres, tmp_path: Path) -> None:
    with database(postgres) as url, open_memory(tmp_path, url) as memory:
        plant(memory)
        postgres.sql("CHECKPOINT")
        store = memory.engine.store
        assert list(scan.tables(store, IDS, unpack))
        memory.erasures.erase(user=USER)
        assert list(scan.tables(store, IDS, unpack)) == []
        assert list(scan.tables(store, SAID, unpack)) == []
        postgres.sql("CHECKPOINT")
        assert on_disk(postgres.folder, SAID) == []


def test_words_that_were_not_sealed_leave_postgresql_with_its_old_pages(postgres: Postgres, tmp_path: Path) -> None:
    with database(postgres) as url, open_memory(tmp_path, url, encryption=False) as memory:
        plant(memory)
        postgres.sql("CHECKPOINT")
        assert on_disk(postgres.folder, SAID, but="pg_wal")
        receipt = memory.erasures.erase(user=USER)
        assert "can still tell" in receipt.backups
        assert any("write-ahead log" in one for one in receipt.remains)
        assert list(scan.tables(memory.engine.store, SAID, unpack)) == []
        postgres.sql("VACUUM FULL", "CHECKPOINT", database=url.rpartition("/")[2])
        assert on_disk(postgres.folder, SAID, but="pg_wal") == []


def test_a_backup_of_before_opens_nothing_of_it_and_all_of_the_rest(tmp_path: Path) -> None:
    home, back = tmp_path / "home", tmp_path / "back"
    with open_memory(home) as memory:
        plant(memory)
        memory.engine.store.settle()
        shutil.copytree(home, back, ignore=shutil.ignore_patterns("keys.db*", "master*"))
        memory.erasures.erase(user=USER)
    for path in home.iterdir():  # the keyring as it is now: keys are no part of a backup of the data
        if not (back / path.name).exists() and path.is_file():
            shutil.copy2(path, back)
    with open_memory(back) as restored:
        assert restored.turns(SESSION)[1] == []
        assert restored.snapshots(SESSION) == [] or WORDS not in repr(restored.snapshots(SESSION))
        assert restored.search_memory(WORDS, user=USER) == []
        assert WORDS not in restored.get_context("next", user=USER)
        assert "another word" in restored.turns("beside")[1][0].text


def test_a_run_of_turns_leaves_the_files_too(tmp_path: Path) -> None:
    with open_memory(tmp_path, encryption=False) as memory:
        memory.log_turn("s", "user", "We decided to keep this.")
        memory.log_turn("s", "user", f"We decided to use {WORDS}.", idempotency_key="k")
        memory.consolidate("s")
        memory.engine.worker.drain()
        assert on_disk(tmp_path, SAID)
        receipt = memory.erasures.erase(session="s", turns=(2, 2))
        memory.engine.worker.drain()
        assert on_disk(tmp_path, SAID) == []
        assert memory.log_turn("s", "user", f"We decided to use {WORDS}.", idempotency_key="k").seq == 2
        assert on_disk(tmp_path, SAID) == []
        assert receipt.turns == 1
        assert [finding.text for finding in memory.snapshots("s") and memory.snapshot("s", 1).findings]


FORMS: list[tuple[str, bytes]] = [
    ("utf-8", WORDS.encode()),
    ("utf-16-le", WORDS.encode("utf-16-le")),
    ("JSON", json.dumps("wälrus \n canary")[1:-1].encode()),
    ("hex of utf-8", WORDS.encode().hex().encode()),
    ("base64 of utf-8", b"dmVsdmV0IHdhbHJ1cyBxdWFydHogY2FuYXJ5"),
]


@pytest.mark.parametrize("n", range(len(FORMS)))
def test_each_form_is_found_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    name, form = FORMS[n]
    canaries = Canaries([WORDS, "wälrus \n canary"])
    monkeypatch.setattr(scan, "_CHUNK", 64)
    for before in range(0, 140, 7):  # over every border of what is read at a time
        (tmp_path / "held").write_bytes(b"x" * before + form + b"y" * 50)
        hits = list(scan.file(tmp_path / "held", canaries, unpack))
        assert [(hit.form, hit.offset) for hit in hits if hit.form == name] == [(name, before)]
    (tmp_path / "held").write_bytes(b"x" * 500)
    assert list(scan.file(tmp_path / "held", canaries, unpack)) == []


def test_packed_bytes_and_rows_longer_than_a_page_are_looked_into(tmp_path: Path) -> None:
    with open_memory(tmp_path, encryption=False) as memory:
        packed = segment((f"line\n{WORDS}\n" * 50).encode(), packer())
        with memory.engine.store.write(memory.scope) as tx:
            archive.put(tx, "/logs/a", 0, [archive.Piece(0, 0, packed)])
        memory.log_turn("s", "user", "x" * 4000 + WORDS + "y" * 9000)
        found = on_disk(tmp_path, SAID)
    assert {hit.where.rpartition(" ")[2] for hit in found if "row" in hit.form} >= {"segments", "bodies"}


def test_a_canary_that_says_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="6 or more"):
        Canaries(["ana"])
