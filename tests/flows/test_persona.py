"""Personas as several processes tell them: the same to everybody, changed at once, and gone when they are erased."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT, Scope
from carryover.persona import fitting, noticing
from carryover.runtime import Carryover
from carryover.store import preferences, profiles, queue
from carryover.store.keyring import Keyring, default_url
from carryover.store.persona_tables import codebooks, noticed, persona_codes, personas_shown
from carryover.store.persona_tables import preferences as preference_rows
from carryover.store.persona_tables import profiles as profile_rows
from carryover.store.store import Store
from carryover.store.tables import jobs, sessions
from carryover.store.vault import Vault
from clocks import FrozenClock
from commands import ENTRY
from fakes.openai_api import FakeOpenAI
from noticeable import BULLETS, CASUAL, NO_EMOJIS, PYTHON, notice, open_memory, say, talked
from servers import redis as redis_servers
from servers.redis import Server as Redis
from serving import serving_process
from waiting import until

OWN = "I prefer answers about zebra stables."
OF_USERS = (preference_rows, profile_rows, persona_codes, personas_shown)
EMBEDDER = {"embedder": "openai:text-embedding-3-small", "embedder_api_key": "k", "embedder_dim": "1024"}
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Stand:
    """Two server processes and a worker process on one database, with a Redis."""

    url: str
    home: Path
    redis: Redis
    servers: tuple[httpx.Client, httpx.Client]

    def say(self, user: str, session: str, *said: str, agent: str = "default", server: int = 0) -> None:
        """A whole session of the user's, which is closed."""
        turns = [turn for text in said for turn in _turns(text)]
        body = {"turns": turns, "user_id": user, "agent_id": agent}
        got = self.servers[server].post(f"/sessions/{session}/turns", json=body)
        assert got.status_code == 201, got.text
        assert self.servers[1 - server].post(f"/sessions/{session}/close?agent_id={agent}").status_code == 200

    def taught(self, user: str, *said: str, session: str | None = None, agent: str = "default") -> None:
        """As `say`, and the worker has read it."""
        name = session or f"{user}-1"
        self.say(user, name, *said, agent=agent)
        self.read(name)

    def read(self, session: str) -> None:
        until(lambda: session in [row.session for row in self.rows(noticed)], 60)

    def persona(self, user: str, server: int = 0, **asked: str) -> dict[str, Any]:
        got = self.servers[server].get("/persona", params={"user_id": user, **asked})
        assert got.status_code == 200, got.text
        return got.json()

    def both(self, user: str, **asked: str) -> dict[str, Any]:
        """The persona as both tell it, asked for at once; they tell the same bytes."""
        with ThreadPoolExecutor(2) as pool:
            params = {"user_id": user, **asked}
            one, other = pool.map(lambda http: http.get("/persona", params=params), self.servers)
        assert (one.status_code, one.content, one.headers["etag"]) == (200, other.content, other.headers["etag"])
        return one.json()

    def edit(self, user: str, server: int = 0, **edits: Any) -> dict[str, Any]:
        got = self.servers[server].patch("/profile", json={"user_id": user, **edits})
        assert got.status_code == 200, got.text
        return got.json()

    def rows(self, *tables: sa.Table) -> list[Any]:
        with Store.open(self.url) as store, store.read(EVERY_TENANT) as tx:
            return [row for table in tables for row in tx.conn.execute(sa.select(table)).all()]

    def of(self, user: str) -> list[Any]:
        return [row for row in self.rows(*OF_USERS) if row.user == user]

    def command(self, *args: str) -> str:
        done = subprocess.run(
            [ENTRY, *args], env=_given(self.home, self.url, self.redis.url), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _turns(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": "All right."}]


def _given(home: Path, url: str, redis: str | None = None, **more: str) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
    settings = {"home": str(home), "database_url": url, "embedder": "none", "persona__floor": "2", **more}
    if redis is not None:
        settings["redis_url"] = redis
    return {**bare, **{f"CARRYOVER_{name.upper()}": value for name, value in settings.items()}}


@contextmanager
def working(home: Path, url: str, redis: str | None = None, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [ENTRY, "worker"], env=_given(home, url, redis, **more), stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as stack:
        url = f"sqlite:///{home / 'carryover.db'}"
        if request.param == "postgresql":
            databases = request.getfixturevalue("databases")
            name = databases.lend()
            stack.callback(databases.take_back, name)
            url = request.getfixturevalue("postgres").url(name)
        redis = stack.enter_context(redis_servers.running())
        settings = {"database_url": url, "redis_url": redis.url, "persona__floor": "2"}
        opened = [stack.enter_context(serving_process(home, "--no-worker", **settings))[1] for _ in (0, 1)]
        stack.enter_context(working(home, url, redis.url))
        one, other = (stack.enter_context(httpx.Client(base_url=address, timeout=60)) for address in opened)
        yield Stand(url, home, redis, (one, other))


def test_all_processes_tell_the_same(stand: Stand) -> None:
    said = {"ada": (BULLETS, NO_EMOJIS, OWN), "ben": (PYTHON,), "cleo": ("What is the weather like?",)}
    for n, (user, texts) in enumerate(said.items()):
        for agent in ("planner", "coder"):
            stand.say(user, f"same-{user}-{agent}", *texts, agent=agent, server=n % 2)
    for user in said:
        for agent in ("planner", "coder"):
            stand.read(f"same-{user}-{agent}")
    ada = stand.both("ada")["text"]
    assert "bullet points" in ada
    assert "emojis" in ada
    assert "zebra stables" in ada
    assert "Python" in stand.both("ben")["text"]
    assert stand.both("cleo")["text"] == stand.both("nobody")["text"] == ""
    for user in said:
        first = stand.servers[0].get("/persona", params={"user_id": user})
        for http in stand.servers:
            for accept in ("application/json", "text/markdown"):
                known = {"If-None-Match": first.headers["etag"], "Accept": accept}
                again = http.get("/persona", params={"user_id": user}, headers=known)
                assert (again.status_code, again.content) == (304, b"")
                del known["If-None-Match"]
                told = http.get("/persona", params={"user_id": user}, headers=known)
                assert told.headers["etag"] == first.headers["etag"]
    alone = stand.servers[1].get("/persona", params={"user_id": "ada"}, headers={"Accept": "text/markdown"})
    assert alone.text == ada


def test_an_edit_is_seen_at_once_wherever_it_is_asked(stand: Stand) -> None:
    stand.taught("ed", BULLETS, CASUAL)
    (bullets,) = [line["id"] for line in stand.edit("ed")["lines"] if "bullet" in line["text"]]
    for n, lost in enumerate((lambda: None, lambda: stand.redis.cli("FLUSHALL"), stand.redis.pause)):
        before = stand.both("ed")["text"]
        assert "bullet points" in before
        lost()
        try:
            stand.edit("ed", n % 2, removed=[bullets])
            without = stand.persona("ed", (n + 1) % 2)["text"]
            assert "bullet points" not in without
            assert stand.persona("ed", n % 2)["text"] == without
            stand.edit("ed", (n + 1) % 2, removed=[], texts=[f"rows of {'abc'[n]}s"])
            assert f"rows of {'abc'[n]}s" in stand.persona("ed", n % 2)["text"]
        finally:
            stand.redis.resume()
        assert f"rows of {'abc'[n]}s" in stand.both("ed")["text"]


def test_a_session_is_told_what_it_was_opened_with(stand: Stand) -> None:
    stand.taught("oda", BULLETS)
    opened = stand.both("oda", session_id="oda-open")
    assert opened["tail"] == ""
    stand.taught("oda", NO_EMOJIS, session="oda-2")
    assert "emojis" in stand.both("oda")["text"]
    assert stand.both("oda", session_id="oda-open") == opened
    stand.edit("oda", 1, texts=["rows of crates"])
    told = stand.both("oda", session_id="oda-open")
    assert told["text"] == opened["text"]
    assert "rows of crates" in told["tail"]
    stand.taught("oda", "Thanks.", session="oda-open")
    after = stand.both("oda", session_id="oda-open")
    assert after["tail"] == ""
    assert after["text"] == stand.both("oda")["text"] != opened["text"]


def test_nothing_is_left_of_a_user_who_is_erased(stand: Stand) -> None:
    stand.taught("eve", BULLETS, OWN)
    stand.taught("fay", BULLETS)
    stand.edit("eve", texts=["rows of crates"])
    assert "zebra" in stand.both("eve", session_id="eve-open")["text"]
    link = stand.servers[0].post("/profile/link", json={"user_id": "eve"}).json()["token"]
    by_link = {"Authorization": f"Bearer {link}"}
    for http in stand.servers:
        assert http.get("/profile", headers={**by_link, "Accept": "application/json"}).json()["user_id"] == "eve"
    codes = stand.redis.cli("KEYS", "carryover:cache:*").split()
    sealed = [row for row in stand.rows(preference_rows) if row.user == "eve"]
    assert sealed
    erased = stand.servers[1].delete("/profile", params={"user_id": "eve"})
    assert erased.status_code == 200, erased.text
    assert erased.json()["receipt"]["counts"]["preferences"] == len(sealed)
    assert stand.of("eve") == []
    assert len(set(codes) - set(stand.redis.cli("KEYS", "carryover:cache:*").split())) == 1
    for asked in ({}, {"session_id": "eve-open"}):
        assert stand.both("eve", **asked)["text"] == ""
    for http in stand.servers:
        until(lambda http=http: http.get("/profile", headers=by_link).status_code == 401)
        assert http.get("/profile", params={"user_id": "eve"}).json()["lines"] == []
    with closing(Vault(Keyring(default_url(stand.url)))) as vault:
        for row in sealed:
            assert vault.open("default", "eve", f"preferences/{row.id}", bytes(row.sealed)) is None
    assert "bullet points" in stand.both("fay")["text"]
    # What was said stays, and is not noticed again; what is said from now on is.
    stand.taught("eve", "And now?", session="eve-1")
    assert stand.both("eve")["text"] == ""
    stand.taught("eve", CASUAL, session="eve-2")
    assert "bullet" not in stand.both("eve")["text"]
    assert "asual" in stand.both("eve")["text"]


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_a_session_that_goes_takes_its_influence_along(stand: Stand, how: str) -> None:
    user, gone = f"gil-{how}", f"gone-{how}"
    stand.taught(user, BULLETS)
    before = stand.both(user)["text"]
    stand.taught(user, NO_EMOJIS, OWN, session=gone)
    assert "zebra" in stand.both(user, session_id=f"open-{how}")["text"]
    if how == "deleted":
        counts = stand.servers[0].delete(f"/memory/default/{gone}").json()["receipt"]["counts"]
        assert (counts["preferences"], counts["noticed"]) == (2, 1)
    else:
        put = stand.servers[0].put(f"/memory/default/{gone}/ttl", json={"seconds": 1})
        assert put.status_code == 200, put.text
        until(lambda: gone not in [row.session for row in stand.rows(sessions)], 60)
    assert stand.both(user)["text"] == before
    assert stand.both(user, session_id=f"open-{how}")["text"] == before
    assert gone not in [row.session for row in stand.rows(preference_rows)]
    assert gone not in stand.servers[1].get("/profile", params={"user_id": user}).text


def test_the_codebook_is_fitted_from_the_command_line_while_servers_run(stand: Stand) -> None:
    stand.taught("flo", BULLETS, OWN)
    before = stand.both("flo")["text"]
    assert "preferences" in stand.command("profile", "refit", "--json")
    assert stand.both("flo")["text"] == before
    assert "bullet points" in stand.command("profile", "show", "flo")


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as opened:
        yield opened


def later(home: Path, url: str, fake: FakeOpenAI) -> Carryover:
    """The memory as of an hour later: what a killed worker had claimed is anybody's again."""
    clock = FrozenClock(round(time.time() * 1000) + HOUR_MS)
    return open_memory(home, url, clock=clock, persona={"floor": 2}, **EMBEDDER, embedder_base_url=fake.url)


def killed_in(kind: str, home: Path, url: str, fake: FakeOpenAI, ask: Any) -> None:
    """A worker is killed while it waits for a vector that a job of this kind needs; `ask` makes the job due."""
    ask()
    seen = len(fake.requests)
    fake.hang_next(600)
    with working(home, url, **EMBEDDER, embedder_base_url=fake.url) as doomed:
        until(lambda: len(fake.requests) > seen, 60)
        with Store.open(url) as store, store.read(Scope("default")) as tx:
            leased = sa.select(jobs.c.kind).where(jobs.c.tenant == tx.tenant, jobs.c.lease.is_not(None))
            assert kind in tx.conn.execute(leased).scalars().all()
        doomed.kill()
        doomed.wait(30)


def test_a_worker_that_is_killed_while_it_notices(database_url: str, tmp_path: Path, fake: FakeOpenAI) -> None:
    with open_memory(tmp_path, database_url) as memory:
        say(memory, "s1", BULLETS, NO_EMOJIS, OWN)
        killed_in(noticing.KIND, tmp_path, database_url, fake, lambda: memory.consolidate("s1"))
        with memory.engine.store.read(memory.scope) as tx:
            assert preferences.of_user(tx, memory.engine.vault, "ada") == []
            assert profiles.get(tx, memory.engine.vault, "ada").version == 0
    with later(tmp_path, database_url, fake) as memory:
        assert notice(memory) == 1
        assert notice(memory) == 0
        with memory.engine.store.read(memory.scope) as tx:
            found = preferences.of_user(tx, memory.engine.vault, "ada")
            assert sorted(one.value for one in found) == ["answers about zebra stables", "bullet points", "emojis"]
            assert all(one.vector is not None for one in found)
        assert len(memory.profiles.show("ada").lines) == 3


def test_a_worker_that_is_killed_while_it_fits(database_url: str, tmp_path: Path, fake: FakeOpenAI) -> None:
    with open_memory(tmp_path, database_url) as memory:
        for user in ("ada", "ben", "cleo"):
            talked(memory, f"s-{user}", BULLETS, OWN, user=user)
        store, scope = memory.engine.store, memory.scope
        killed_in(fitting.KIND, tmp_path, database_url, fake, lambda: fitting.ask(store, scope))
        with store.read(scope) as tx:
            assert tx.conn.execute(sa.select(sa.func.count()).select_from(codebooks)).scalar_one() == 0
    with later(tmp_path, database_url, fake) as memory:
        before = memory.profiles.persona("ada").text
        assert memory.engine.worker.run_one((fitting.KIND,), tenant="default", subject=fitting.ASKED)
        with memory.engine.store.read(memory.scope) as tx:
            assert tx.conn.execute(sa.select(sa.func.count()).select_from(codebooks)).scalar_one() == 1
            assert queue.get(tx, fitting.KIND, fitting.ASKED) is None
        assert "bullet points" in before
        assert memory.profiles.refit() is not None
