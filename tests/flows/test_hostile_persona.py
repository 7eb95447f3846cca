"""Personas among those who mean ill, those who come at the wrong moment, and those who are very many."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import old_schemas
from carryover.core.errors import KeyLost
from carryover.core.ids import new_id
from carryover.core.persona import EXPLICIT, HEADING, MOST_TOKENS, Preference, Quote
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.core.text import count_tokens
from carryover.jobs.upkeep import upkeep
from carryover.persona import fitting, noticing
from carryover.runtime import Carryover
from carryover.store import preferences, profiles, queue
from carryover.store.persona_tables import codebooks as book_rows
from carryover.store.persona_tables import noticed, persona_codes, personas_shown
from carryover.store.persona_tables import preferences as preference_rows
from carryover.store.persona_tables import profiles as profile_rows
from carryover.store.tables import jobs
from fakes.messages_api import FakeMessages
from fakes.openai_api import FakeOpenAI
from flows.test_sealed import files, forms
from noticeable import BULLETS, CASUAL, NO_EMOJIS, end, notice, open_memory, persona, say, talked
from persona.attacks import ATTACKS
from preferring import prefer
from servers.postgres import Server as Postgres
from servers.redis import Server as Redis
from serving import Running, serving

OF_USERS = (preference_rows, profile_rows, persona_codes, personas_shown)
OF_USERS_NAMES = tuple(table.name for table in OF_USERS)
SECRET = "limericks about tapirs"
HEARD = "ballads about lemurs"
PROFILE = "/profile?user_id=ana"
EMBEDDER = {"embedder": "openai:text-embedding-3-small", "embedder_api_key": "k", "embedder_dim": "1024"}


def rows_of(memory: Carryover, user: str = "ada") -> dict[str, int]:
    """How many rows there are of the user, by table."""
    with memory.engine.store.read(memory.scope) as tx:
        count = sa.select(sa.func.count())
        return {
            table.name: tx.conn.execute(count.select_from(table).where(table.c.user == user)).scalar_one()
            for table in OF_USERS
        }


def values_of(memory: Carryover, user: str = "ada") -> list[str]:
    with memory.engine.store.read(memory.scope) as tx:
        return sorted(one.value for one in preferences.of_user(tx, memory.engine.vault, user))


def told_whole(memory: Carryover, user: str = "ada") -> str:
    """What a model is told: short, on lines of its own, the same again, and without a digit."""
    text = persona(memory, user).text
    assert text == memory.profiles.persona(user).text == memory.profiles.show(user).persona.text
    assert count_tokens(text) <= MOST_TOKENS
    head, *lines = text.split("\n")
    assert head == (HEADING if text else "")
    assert all(line.startswith("- ") for line in lines)
    assert not any(char.isdigit() for char in text)
    return text


# At the wrong moment


def test_what_is_noticed_while_the_user_is_erased_leaves_nothing(postgres_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path, postgres_url) as memory:
        talked(memory, "s1", BULLETS)
        say(memory, "s2", CASUAL)
        assert memory.consolidate("s2") is not None
        vault = memory.engine.vault
        with memory.engine.store.write(memory.scope) as tx:
            profiles.erase(tx, "ada")
            thread = threading.Thread(target=notice, args=(memory,))
            thread.start()
            thread.join(2)  # it waits for what is erased, or has not looked
            vault.drop(memory.scope.tenant, "ada")
        thread.join(30)
        assert rows_of(memory) == dict.fromkeys(rows_of(memory), 0)
        assert memory.profiles.show("ada").lines == ()


def test_the_first_two_sessions_of_a_user_that_are_noticed_at_once_both_count(
    postgres_url: str, tmp_path: Path
) -> None:
    with open_memory(tmp_path, postgres_url) as memory:
        say(memory, "s2", CASUAL)
        assert memory.consolidate("s2") is not None
        vault = memory.engine.vault
        with memory.engine.store.write(memory.scope) as tx:
            profiles.held(tx, vault, "ada")
            said = Quote("default", "s1", 1, f"I prefer {SECRET}.")
            one = Preference(new_id("pr"), "ada", "", SECRET, "like", True, False, EXPLICIT, said, tx.now)
            preferences.add(tx, vault, [one])
            profiles.touch(tx, "ada")
            thread = threading.Thread(target=notice, args=(memory,))
            thread.start()
            thread.join(2)  # it waits for the other
        thread.join(30)
        assert SECRET in told_whole(memory)
        assert "asual" in told_whole(memory)


def test_a_persona_that_is_made_while_the_user_is_erased_is_not_kept(postgres_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path, postgres_url) as memory:
        prefer(memory, "ada", SECRET)
        with memory.engine.store.write(memory.scope) as tx:
            profiles.erase(tx, "ada")
            asked = threading.Thread(target=persona, args=(memory,), kwargs={"session": "s1"})
            asked.start()
            asked.join(2)
        asked.join(30)
        assert SECRET not in persona(memory, session="s1").text
        assert rows_of(memory) | {"personas_shown": 0} == dict.fromkeys(rows_of(memory), 0)


def test_what_a_session_taught_goes_out_of_other_open_sessions_with_it(database_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path, database_url) as memory:
        prefer(memory, "ada", SECRET, session="s1")
        say(memory, "s1", "hello")
        say(memory, "s2", "hello")
        assert SECRET in persona(memory, session="s2").text
        assert memory.delete_session("s1").counts["preferences"] == 1
        assert SECRET not in persona(memory, session="s2").text
        assert SECRET not in persona(memory).text


def test_what_is_taken_back_goes_out_of_other_open_sessions_as_well(database_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path, database_url) as memory:
        talked(memory, "s1", f"I prefer {SECRET}.", BULLETS)
        say(memory, "s2", "hello")
        assert SECRET in persona(memory, session="s2").text
        taken = Draft("system", [{"type": "retraction", "first": 1, "last": 2}], "retraction")
        memory.append(Append("s1", (taken,), "default", "ada"))
        end(memory, "s1")
        for told in (persona(memory), persona(memory, session="s2")):
            assert SECRET not in told.text
            assert "bullet points" in told.text


def test_noticing_erasing_fitting_and_asking_at_once(database_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path, database_url, persona={"floor": 2}) as memory:
        users = [f"u{n}" for n in range(4)]
        for user in users:
            talked(memory, f"{user}-0", BULLETS, user=user)
        failures: list[BaseException] = []
        over = threading.Event()

        def again(work: Any) -> None:
            try:
                while not over.is_set():
                    work()
            except BaseException as failure:
                failures.append(failure)

        def refit() -> None:
            fitting.ask(memory.engine.store, memory.scope)
            memory.engine.worker.run_one((fitting.KIND,), tenant="default")

        work = (
            lambda: notice(memory), lambda: memory.profiles.erase("u0"), refit,
            lambda: [memory.profiles.persona(user, session_id=f"{user}-open") for user in users],
            lambda: memory.profiles.edit("u1", texts=["rows of crates"]),
        )  # fmt: skip
        threads = [threading.Thread(target=again, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        for n, user in itertools.product(range(1, 4), users):
            say(memory, f"{user}-{n}", CASUAL, NO_EMOJIS, user=user)
            memory.consolidate(f"{user}-{n}")
            if n == 2 and user == "u2":
                memory.delete_session(f"{user}-0")
        over.set()
        for thread in threads:
            thread.join(60)
        assert failures == []
        while memory.engine.worker.run_one((noticing.KIND,), tenant="default"):
            pass
        with memory.engine.store.read(memory.scope) as tx:
            left = [(job.subject, job.reason) for job in queue.listed(tx) if job.kind == noticing.KIND]
            # A key that is dropped in the very moment in which it is made: that job is tried again in a while.
            assert [one for one in left if not one[0].startswith("default/u0-")] == []
            for user in users[1:]:
                found = [
                    (one.quote.session_id, one.value) for one in preferences.of_user(tx, memory.engine.vault, user)
                ]
                assert len(found) == len(set(found)) == (6 if user == "u2" else 7)
        for user in users:
            told_whole(memory, user)
        memory.profiles.erase("u0")
        assert rows_of(memory, "u0") == dict.fromkeys(rows_of(memory), 0)


def test_a_hundred_edits_at_once_lose_nothing_of_each_other(database_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path, database_url) as memory, serving(memory) as server, server.http() as http:
        prefer(memory, "ana", "bullet points")
        ids = [one["id"] for one in http.get("/profile/choices").json()["choices"]][:50]
        before = memory.profiles.show("ana").version
        bodies = [{"user_id": "ana", "weights": {id: factor}} for id in ids for factor in (0.5, 2)]
        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda body: http.patch("/profile", json=body).status_code, bodies))
        assert statuses == [200] * 100
        after = memory.profiles.show("ana")
        assert (sorted(after.edits.weights), after.version) == (sorted(ids), before + 100)
        told_whole(memory, "ana")


def test_an_embedder_that_fails_in_the_middle_writes_nothing_by_halves(database_url: str, tmp_path: Path) -> None:
    with (
        FakeOpenAI() as fake,
        open_memory(tmp_path, database_url, **EMBEDDER, embedder_base_url=fake.url) as memory,
    ):
        say(memory, "s1", BULLETS, NO_EMOJIS)
        assert memory.consolidate("s1") is not None
        fake.fail_next(400, 50)
        notice(memory)
        assert rows_of(memory) == dict.fromkeys(rows_of(memory), 0)
        with memory.engine.store.read(memory.scope) as tx:
            assert tx.conn.execute(sa.select(noticed).where(noticed.c.tenant == tx.tenant)).all() == []
            job = queue.get(tx, noticing.KIND, "default/s1")
        assert job is not None
        assert job.reason is not None


@pytest.mark.parametrize("lost", ["keys.db", "master.key"])
def test_where_keys_are_lost_every_route_says_so_and_the_rest_works_on(tmp_path: Path, lost: str) -> None:
    with FakeOpenAI() as fake:
        given = {**EMBEDDER, "embedder_base_url": fake.url, "persona": {"floor": 2}}
        with open_memory(tmp_path, **given) as memory:
            talked(memory, "s1", BULLETS, f"I prefer {SECRET}.", user="ana")
            memory.profiles.edit("ana", texts=["tapir stables in rows"])
            assert memory.profiles.refit() is not None
        for path in tmp_path.glob(f"{lost}*"):
            path.unlink()
        with open_memory(tmp_path, **given) as memory, serving(memory) as server, server.http() as http:
            asks: list[tuple[str, str, Any]] = [
                ("GET", PROFILE, None), ("GET", "/persona?user_id=ana", None), ("GET", "/profile/choices", None),
                ("GET", "/persona?user_id=ana&session_id=s2", None), ("PATCH", PROFILE, {"texts": ["x y"]}),
                ("GET", "/profile/overview", None), ("POST", "/profile/refit", {"timeout_s": 3}),
            ]  # fmt: skip
            for method, path, body in asks:
                got = http.request(method, path, json=body)
                assert got.status_code == (409 if "refit" in path else 503), (path, got.text)
                assert "tapir" not in got.text
                assert "master" in got.text or "keyring" in got.text or "refit" in path
            for path in (
                "/memory/default/s1",
                "/memory/default/s1/window",
                "/sessions/s1/turns",
                "/sessions/s1/snapshots/1",
            ):
                got = http.get(path)
                assert (got.status_code, got.json()["type"]) == (503, "/problems/key-lost"), got.text
            with pytest.raises(KeyLost):
                say(memory, "s1", CASUAL, user="ana")
            if lost == "keys.db":
                say(memory, "s3", "hello", user="noor")
                assert memory.consolidate("s3") is not None
            else:
                with pytest.raises(KeyLost, match="put back the one that was there"):
                    say(memory, "s3", "hello", user="noor")
            assert rows_of(memory, "ana")["preferences"] == 2
            assert http.delete("/memory/default/s1").json()["receipt"]["counts"]["preferences"] == 2
            assert http.delete(PROFILE).status_code == 200
            assert rows_of(memory, "ana") == dict.fromkeys(OF_USERS_NAMES, 0)


# By those who mean ill


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with open_memory(tmp_path_factory.mktemp("home"), persona={"floor": 2}) as memory, serving(memory) as server:
        prefer(memory, "ana", "bullet points")
        prefer(memory, "ana", SECRET)
        yield server


DEEP = "[" * 50_000 + "]" * 50_000
BODIES = (
    "", " ", "{", "}", "null", "true", "7", '"x"', "[]", "[{}]", DEEP, '{"pins":' + DEEP + "}", '{"a":' * 9_000 + "1",
    '{"weights":NaN}', '{"weights":{"1+":NaN}}', '{"weights":{"1+":Infinity}}', '{"weights":{"1+":-Infinity}}',
    '{"weights":{"1+":1e999}}', '{"weights":{"1+":-0.1}}', '{"weights":{"1+":4.0000001}}', '{"weights":{"1+":"2"}}',
    '{"weights":{"1+":true}}', '{"weights":{"1+":[1]}}', '{"weights":{"1+":{}}}', '{"weights":[["1+",1]]}',
    '{"weights":{"":1}}', '{"weights":{"999999+":1}}', '{"weights":{"1*":1}}', '{"weights":{"1+ ":1}}',
    '{"weights":{"-1+":1}}', '{"weights":{"p000000000000+":1}}', '{"weights":{"1\\u0000+":1}}',
    '{"weights":{"\\ud800":1}}', '{"weights":"1+=2"}', '{"pins":{}}', '{"pins":"1+"}', '{"pins":7}', '{"pins":[7]}',
    '{"pins":[null]}', '{"pins":[["1+"]]}', '{"pins":["no line"]}', '{"pins":["99999999999999999999+"]}',
    '{"pins":["1++"]}', '{"pins":["１+"]}', '{"pins":["1+"],"removed":["1+"]}', '{"removed":[{}]}',
    json.dumps({"pins": [f"{n}+" for n in range(10_000)]}), json.dumps({"removed": ["x" * 100_000]}),
    json.dumps({"weights": {f"{n}+": 1 for n in range(10_000)}}), '{"texts":"x"}', '{"texts":[7]}', '{"texts":[""]}',
    '{"texts":[" "]}', '{"texts":["' + "x" * 81 + '"]}', '{"texts":["' + "x " * 500_000 + '"]}',
    '{"texts":["a b","c d","e f","g h"]}', '{"texts":["a\\u0000b"]}', '{"texts":["a\\u202eb"]}',
    '{"texts":["\\ud83d"]}', '{"texts":["# System"]}', '{"texts":["<persona>"]}', '{"texts":["see http://x.example"]}',
    '{"texts":["call me at five 555"]}', '{"expected_version":-1}', '{"expected_version":1e3}',
    '{"expected_version":99999999999999999999}', '{"expected_version":"1"}', '{"expected_version":[1]}',
    '{"expected_version":77777}', '{"user_id":["ana"]}', '{"user_id":""}', '{"user_id":"bo"}', '{"user_id":"a b"}',
    '{"tenant":"other","texts":["x y"]}', '{"version":3}', '{"edits":{}}', '{"texts":["x y"],"texts ":["x y"]}',
)  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bodies_that_cannot_be_are_refused_and_change_nothing(running: Running, body: str) -> None:
    with running.http() as http:
        before = http.get(PROFILE).content
        got = http.patch(PROFILE, content=body.encode("utf-8", "surrogatepass"))
        assert got.status_code in (400, 409, 413, 422), got.text
        assert got.headers["content-type"] == "application/problem+json"
        assert len(got.text) < 1_500
        assert SECRET not in got.text
        assert http.get(PROFILE).content == before


@pytest.mark.parametrize(
    "query",
    [
        "", "user_id=", "user_id=%00", "user_id=a%20b", "user_id=" + "x" * 5_000, "user_id=%ED%A0%80", "user_id[]=ana",
        "user_id=../ana", "user_id=ana%27%20OR%201=1", "user_id=ana&session_id=", "user_id=ana&session_id=a%2Fb",
        "user_id=ana&session_id=" + "x" * 5_000, "user_id=ana&session_id=s&agent_id=", "user_id=%F0%9F%A6%93",
        "user_id=ana&session_id=s9&agent_id=a%00", "user_id=*", "user_id=ana%0d%0aX-Evil:1",
    ],
)  # fmt: skip
def test_queries_that_cannot_be_are_refused(running: Running, query: str) -> None:
    with running.http() as http:
        for method, path in (("GET", "/persona"), ("GET", "/profile"), ("DELETE", "/profile")):
            if "session_id" in query and path == "/profile":
                continue
            got = http.request(method, f"{path}?{query}")
            assert got.status_code in (404, 422), (method, path, got.text)
            assert got.headers["content-type"] == "application/problem+json"
            assert SECRET not in got.text
        assert SECRET in http.get("/persona?user_id=ana").text


def test_nobody_else_is_shown_a_word_by_any_route(tmp_path: Path) -> None:
    with open_memory(tmp_path, persona={"floor": 2}) as memory, serving(memory) as server:
        prefer(memory, "ana", SECRET, agent="planner")
        prefer(memory, "ana", SECRET, tenant="other")
        memory.profiles.edit("ana", texts=["tapir stables in rows"])
        (line,) = [one.id for one in memory.profiles.show("ana").lines if SECRET in one.text]
        server.key("admin")
        keys = {
            "another tenant": server.key("admin", tenant="elsewhere"),
            "another user": server.key("write", user="bo"),
            "another agent": server.key("write", agent="coder"),
            "link of another user": memory.profiles.link("bo").token,
            "link of another tenant": memory.seen_by(Scope("third")).profiles.link("ana").token,
            "link with another's claims": memory.profiles.link("ana").token[:-4] + "AAAA",
            "nobody": None,
        }
        asks: list[tuple[str, str, Any]] = [
            ("GET", "/profile?user_id=ana", None), ("PATCH", "/profile?user_id=ana", {"pins": [line]}),
            ("PATCH", "/profile", {"user_id": "ana", "removed": [line]}), ("GET", "/profile/choices", None),
            ("GET", "/profile/overview", None), ("POST", "/profile/link", {"user_id": "ana"}),
            ("POST", "/profile/refit", {"wait": False}), ("GET", "/persona?user_id=ana", None),
            ("GET", "/persona?user_id=ana&session_id=s7&agent_id=planner", None),
            ("GET", "/persona?user_id=ana&session_id=s7&agent_id=coder", None),
            ("DELETE", "/profile?user_id=ana", None),
        ]  # fmt: skip
        before = memory.profiles.show("ana")
        for who, key in keys.items():
            with server.http(key) as http:
                for method, path, body in asks:
                    got = http.request(method, path, json=body)
                    assert got.status_code in (200, 202, 401, 403, 404, 422), (who, path, got.text)
                    own_words = "tapir" in got.text
                    allowed = who == "another agent" and path.startswith("/persona")
                    assert not own_words or (allowed and SECRET not in got.text), (who, path, got.text)
                    if who in ("nobody", "link with another's claims"):
                        assert got.status_code == 401
                    elif who.startswith("another user") and "ana" in f"{path}{body}":
                        assert got.status_code == 404
                    elif who == "another agent" and method != "GET":
                        assert got.status_code == 403
                    elif who.startswith("link") and path.startswith(("/persona", "/profile/")):
                        assert got.status_code == (200 if path == "/profile/choices" else 401)
        assert memory.profiles.show("ana") == before


def test_a_key_of_one_agent_is_not_told_what_another_s_session_froze(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        prefer(memory, "ada", SECRET, agent="planner")
        assert SECRET in persona(memory, session="s1", agent="coder").text
        narrowed = memory.seen_by(Scope("default", agent="coder"))
        assert SECRET not in narrowed.profiles.persona("ada", session_id="s1", agent="coder").text


def test_no_order_to_the_model_that_stands_in_a_session_is_told_as_one(tmp_path: Path) -> None:
    frames = ("I prefer {}.", "Please always {}.", "From now on, {}.", "I like {}.", "Never forget: {}.", "{}")
    outright = {attack.lower() for attack in ATTACKS if len(attack.split()) > 1}
    with open_memory(tmp_path) as memory:
        for n, attack in enumerate(ATTACKS):
            say(memory, f"s{n % 12}", *(frame.format(attack) for frame in frames), user=f"u{n % 12}")
        for n in range(12):
            end(memory, f"s{n}")
        for n in range(12):
            text = told_whole(memory, f"u{n}").lower()
            for attack in outright:
                assert attack not in text
            for line in memory.profiles.show(f"u{n}").lines:
                assert not [attack for attack in outright if attack in line.text.lower()]


def test_contradictions_in_one_session_come_to_one_side(database_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path, database_url) as memory:
        said = ("Please use bullet points.", "Please don't use bullet points.", "Please always use bullet points.")
        talked(memory, "s1", *(text for _ in range(10) for text in said))
        text = told_whole(memory)
        assert text.lower().count("bullet points") == 1
        talked(memory, "s2", "Please use emojis.", "Please never use emojis.")
        assert told_whole(memory).lower().count("emojis") == 1


# In numbers


def test_a_hundred_users_who_say_the_same(tmp_path: Path) -> None:
    with (
        FakeOpenAI() as fake,
        open_memory(tmp_path, persona={"floor": 2}, **EMBEDDER, embedder_base_url=fake.url) as memory,
    ):
        for n in range(100):
            say(memory, f"s{n}", "I prefer answers about tapir stables.", BULLETS, user=f"u{n}")
            assert memory.consolidate(f"s{n}") is not None
        assert notice(memory) == 100
        for _ in range(2):
            first = memory.profiles.refit()
            assert first is not None
            assert (first.users, first.new) == (100, 0)  # one label says it, and words of no facet are nobody else's
        assert len({told_whole(memory, f"u{n}") for n in range(100)}) == 1
        assert "tapir stables" in told_whole(memory, "u0")
        overview = memory.profiles.overview()
        assert (overview.users, [one.users for one in overview.labels]) == (100, [100])


@pytest.mark.parametrize("users", [0, 1])
def test_a_fit_of_nobody_and_of_one(database_url: str, tmp_path: Path, users: int) -> None:
    for strategy in ("facets", "user-kmeans"):
        with (
            FakeOpenAI() as fake,
            open_memory(
                tmp_path, database_url, persona={"strategy": strategy}, **EMBEDDER, embedder_base_url=fake.url
            ) as memory,
        ):
            for n in range(users):
                talked(memory, f"{strategy}-{n}", BULLETS, user="ada")
            assert memory.profiles.refit() is not None
            assert memory.profiles.overview().users is None
            told_whole(memory)


def test_what_twenty_thousand_preferences_cost(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        many(memory, 20_000)
        text = told_whole(memory)
        assert SECRET in text
        opened = counted(memory, lambda: memory.profiles.persona("ada"))
        assert opened < 10  # a kept code is one record, however much it was made of
        assert counted(memory, lambda: memory.profiles.persona("ada", session_id="s1")) < 10
        assert memory.profiles.show("ada").preferences == 20_001


def many(memory: Carryover, count: int) -> None:
    """So many preferences of one user, no two alike, and one that was said last."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chars) for chars in itertools.islice(itertools.product(letters, repeat=4), count)]
    parts = memory.engine.personas
    with parts.store.write(memory.scope) as tx:
        made = [
            Preference(
                new_id("pr"), "ada", "", f"answers with {word}", "like", False, False, 1.0,
                Quote("default", f"s{n // 200}", n % 200 + 1, "x"), tx.now - count + n,
            )
            for n, word in enumerate(words)
        ]  # fmt: skip
        preferences.add(tx, parts.vault, made)
    prefer(memory, "ada", SECRET, session="last")


def counted(memory: Carryover, work: Any) -> int:
    """How many statements it takes."""
    seen: list[str] = []

    def see(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    sa.event.listen(memory.engine.store.engine, "before_cursor_execute", see)
    try:
        work()
    finally:
        sa.event.remove(memory.engine.store.engine, "before_cursor_execute", see)
    return len(seen)


# When what it is made with changes


def test_the_strategy_is_switched_back_and_forth(database_url: str, tmp_path: Path) -> None:
    with FakeOpenAI() as fake:
        given = {**EMBEDDER, "embedder_base_url": fake.url}
        told: dict[str, set[str]] = {"facets": set(), "user-kmeans": set()}
        for n, strategy in enumerate(("facets", "user-kmeans", "facets", "user-kmeans", "facets")):
            with open_memory(tmp_path, database_url, persona={"strategy": strategy, "floor": 2}, **given) as memory:
                told_whole(memory, "u0")  # before any fit of this strategy
                if n == 0:
                    for user in range(6):
                        talked(memory, f"s{user}", BULLETS, NO_EMOJIS, user=f"u{user}")
                made = memory.profiles.refit()
                assert made is not None
                text = told_whole(memory, "u0")
                told[strategy].add(text)
                memory.profiles.edit("u0", texts=[f"rows of {'abcde'[n]}s"])
                assert f"rows of {'abcde'[n]}s" in told_whole(memory, "u0")
                memory.profiles.edit("u0", texts=[])
                memory.profiles.overview()
        assert len(told["facets"]) == 1
        assert "bullet points" in told["facets"].pop()


def test_a_tenant_s_own_facets_come_and_go(database_url: str, tmp_path: Path) -> None:
    own = {"default": {"cuisine": ["thai food", "vegan dishes"]}}
    said = "I prefer thai food."
    with FakeOpenAI() as fake:
        given = {**EMBEDDER, "embedder_base_url": fake.url}
        for facets in (own, {}, own, {}):
            with open_memory(tmp_path, database_url, persona={"facets": facets, "floor": 2}, **given) as memory:
                for n in range(3):
                    talked(memory, f"s{n}", said, user=f"u{n}")
                assert memory.profiles.refit() is not None
                for n in range(3):
                    talked(memory, f"s{n}", "Thanks.", user=f"u{n}")
                assert "thai food" in told_whole(memory, "u0").lower()
                memory.profiles.choices()
                if facets:
                    pin = next(one.id for one in memory.profiles.choices() if "vegan dishes" in one.text.lower())
                    memory.profiles.edit("u1", pins=[pin])
                    assert "vegan dishes" in told_whole(memory, "u1").lower()
                else:
                    told_whole(memory, "u1")


def test_another_vector_space(database_url: str, tmp_path: Path) -> None:
    with FakeOpenAI() as fake:
        for name in ("text-embedding-3-small", "text-embedding-3-large", "none", "text-embedding-3-small"):
            embedder = name if name == "none" else f"openai:{name}"
            given = {**EMBEDDER, "embedder": embedder, "embedder_base_url": fake.url}
            with open_memory(tmp_path, database_url, persona={"floor": 2}, **given) as memory:
                if not rows_of(memory)["profiles"]:
                    for user in ("ada", "ben", "cleo"):
                        talked(memory, f"s-{user}", BULLETS, "I prefer answers about tapir stables.", user=user)
                before = told_whole(memory)
                assert "bullet points" in before
                assert "tapir stables" in before
                assert memory.profiles.refit() is not None
                assert told_whole(memory) == before
                talked(memory, "s-ada", CASUAL)
                assert "asual" in told_whole(memory)


# What lies about


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_what_a_model_heard_lies_nowhere_in_the_open(
    engine: str, request: pytest.FixtureRequest, redis_server: Redis, tmp_path: Path
) -> None:
    """Its words for it stand in no turn, so they may stand nowhere."""

    def heard(ask: Any) -> dict[str, Any]:
        item = {"facet": "format", "polarity": "like", "explicit": True, "correction": False}
        return {"preferences": [{**item, "value": HEARD, "quote": "keep it as we said", "n": 1}]}

    url, places = None, [tmp_path, redis_server.folder]
    if engine == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        name = f"heard_{new_id('x')}"
        request.addfinalizer(lambda: postgres.drop(name))
        url, places = postgres.create(name), [*places, postgres.folder]
    with FakeMessages(heard) as model, FakeOpenAI() as fake:
        for n in range(4):
            with open_memory(tmp_path, url) as memory:
                say(memory, f"s{n}", "Please keep it as we said.", user=f"u{n}")
                memory.consolidate(f"s{n}")
        given = {"llm": "anthropic:claude-haiku-5-5", "llm_api_key": "k", "llm_base_url": model.url}
        given |= {**EMBEDDER, "embedder_base_url": fake.url, "persona": {"floor": 2}}
        with open_memory(tmp_path, url, redis_url=redis_server.url, **given) as memory:
            assert notice(memory) == 4
            assert HEARD in told_whole(memory, "u0")
            made = memory.profiles.refit()  # it is a label now
            assert made is not None
            assert made.new >= 1
            assert HEARD in told_whole(memory, "u0")
            assert any(HEARD in one.text for one in memory.profiles.choices())
            memory.profiles.edit("u0", texts=["lemur stables in rows"])
            assert "lemur stables" in persona(memory, "u0", session="open").text
            redis_server.cli("SAVE")
            assert (redis_server.folder / "dump.rdb").stat().st_size > 500
            if engine == "postgresql":
                postgres.sql("CHECKPOINT")
            held = b"".join(content for place in places for content in files(place).values())
            assert [form for words in (HEARD, "lemur stables") for form in forms(words) if form in held] == []


def test_the_rows_of_what_rules_noticed_hold_no_word_of_it(database_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path, database_url) as memory:
        talked(memory, "s1", f"I prefer {SECRET}.", BULLETS)
        persona(memory, session="s2")
        assert SECRET in told_whole(memory)
        with memory.engine.store.read(memory.scope) as tx:
            rows = [row for table in (*OF_USERS, noticed, book_rows) for row in tx.conn.execute(sa.select(table))]
        assert len(rows) >= 5
        dumped = b"".join(bytes(v) if isinstance(v, bytes) else str(v).encode() for row in rows for v in row)
        assert not [form for words in (SECRET, "bullet points") for form in forms(words) if form in dumped]


def test_a_copy_of_before_an_erasure_opens_for_all_but_the_erased(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy.db"
    with open_memory(home) as memory:
        for user in ("ada", "ben"):
            talked(memory, f"s-{user}", BULLETS, user=user)
            memory.profiles.edit(user, texts=["rows of crates"])
        with closing(sqlite3.connect(home / "carryover.db")) as live, closing(sqlite3.connect(copy)) as other:
            live.backup(other)
        memory.profiles.erase("ada")
    shutil.copy(copy, home / "carryover.db")
    for leftover in home.glob("carryover.db-*"):
        leftover.unlink()
    with open_memory(home) as memory:
        assert rows_of(memory)["preferences"] == 1
        assert told_whole(memory) == ""
        assert memory.profiles.show("ada").lines == ()
        assert "crates" in told_whole(memory, "ben")
        assert "bullet points" in told_whole(memory, "ben")
        memory.profiles.erase("ada")
        assert rows_of(memory) == dict.fromkeys(rows_of(memory), 0)


def test_sessions_of_a_database_of_before_are_noticed_by_upkeep(empty_url: str, tmp_path: Path) -> None:
    with open_memory(tmp_path / "newer", encryption=False) as newer:
        for user in ("ada", "ben"):
            say(newer, f"s-{user}", BULLETS, user=user)
            assert newer.consolidate(f"s-{user}") is not None
        with newer.engine.store.write(newer.scope) as tx:
            tx.conn.execute(jobs.delete().where(jobs.c.tenant == tx.tenant, jobs.c.kind == noticing.KIND))
        old_schemas.make(empty_url, "0005", newer.engine.store)
    with open_memory(tmp_path, empty_url) as memory:
        assert told_whole(memory) == ""
        upkeep(memory.engine.store, derivations=memory.engine.worker.derivations.values())
        assert notice(memory) == 2
        for user in ("ada", "ben"):
            assert "bullet points" in told_whole(memory, user)
