"""What is known of users stands in no file and in no Redis, whatever was done with it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from carryover.core.session import Append, Draft
from carryover.runtime import Carryover
from noticeable import end, open_memory
from preferring import prefer
from servers.postgres import Server as Postgres
from servers.redis import Server as Redis

NOTICED, WRITTEN = "rhymes about zebras", "sign as captain walrus"


def forms(words: str) -> Iterator[bytes]:
    """The words in any form that a search would try."""
    for text in (words, words.upper(), words.title()):
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            told = text.encode(encoding)
            yield told
            yield told.hex().encode()
            yield from (base64.b64encode(bytes(n) + told)[4:20] for n in range(3))
    yield from (hashed(words.encode()).hexdigest()[:12].encode() for hashed in (hashlib.sha256, hashlib.blake2b))


def leaks(held: dict[str, bytes]) -> list[str]:
    every = [form for words in (NOTICED, WRITTEN) for form in forms(words)]
    return [f"{where}: {form!r}" for where, there in held.items() for form in every if form in there]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of(redis: Redis) -> dict[str, bytes]:
    return {key: redis.cli("--no-raw", "DUMP", key).encode("latin-1") for key in redis.cli("KEYS", "*").split()}


def live(memory: Carryover) -> None:
    """A user is known, edits their profile, is served in sessions, and the codebook is fitted anew."""
    for user in ("ana", "ben", "cleo", "dan", "eve", "finn"):
        prefer(memory, user, NOTICED)
    profiles = memory.profiles
    noticed = profiles.show("ana").lines[0].id
    profiles.edit("ana", texts=[WRITTEN], pins=[noticed], weights={noticed: 2.0})
    memory.append(Append("s1", (Draft("user", "hello"),), user_id="ana"))
    for _ in range(2):
        told = profiles.persona("ana", session_id="s1").text
        assert NOTICED in told
        assert WRITTEN in told
    end(memory, "s1")
    profiles.refit()
    profiles.overview()
    profiles.link("ana")
    assert NOTICED in profiles.persona("ana").text


def test_no_file_of_sqlite_and_no_redis_holds_it(tmp_path: Path, redis_server: Redis) -> None:
    with open_memory(tmp_path / "home", redis_url=redis_server.url, persona={"floor": 2}) as memory:
        live(memory)
        assert (tmp_path / "home" / "carryover.db-wal").exists()
        kept = of(redis_server)
        assert kept
        assert leaks(kept) == []
        assert leaks(files(tmp_path)) == []
        memory.append(Append("s1", (Draft("user", WRITTEN),)))
        assert leaks(files(tmp_path)) == []
    with open_memory(tmp_path / "readable", encryption=False) as memory:  # the search itself finds what is there
        memory.append(Append("s1", (Draft("user", WRITTEN),)))
        assert leaks(files(tmp_path)) != []


def test_no_file_of_postgresql_holds_it(postgres: Postgres, tmp_path: Path) -> None:
    name = f"sealed_{uuid4().hex}"
    try:
        with open_memory(tmp_path, postgres.create(name), persona={"floor": 2}) as memory:
            live(memory)
            postgres.sql("CHECKPOINT")
            assert leaks(files(postgres.folder)) == []
    finally:
        postgres.drop(name)


def test_an_erased_user_is_gone_from_the_files_themselves(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        prefer(memory, "ana", NOTICED)
        memory.profiles.edit("ana", texts=[WRITTEN])
        rows = memory.engine.store.engine
        with rows.connect() as conn:
            sealed = conn.exec_driver_sql("SELECT sealed FROM preferences WHERE user = 'ana'").scalar_one()
        assert any(sealed in held for held in files(tmp_path).values())
        memory.profiles.erase("ana")
        assert not any(sealed[9:40] in held for held in files(tmp_path).values())


@pytest.mark.parametrize("words", [NOTICED, WRITTEN])
def test_the_search_finds_each_form(words: str) -> None:
    assert all(leaks({"there": b"..." + form + b"..."}) for form in forms(words))
