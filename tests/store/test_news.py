"""News: here at once, in other processes by way of Redis, and never in anybody's way when Redis is not there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from carryover.core.job import subject_of
from carryover.core.scope import Scope
from carryover.log import lifecycle
from carryover.store import events, queue, redis_channel
from carryover.store import news as telling
from carryover.store import redis as connecting
from carryover.store.news import UNKNOWN, Change, Channel, LocalNews, News, SharedNews
from carryover.store.postgres_channel import PostgresChannel
from carryover.store.redis import Redis
from carryover.store.redis_channel import RedisChannel
from carryover.store.seal import Seal
from carryover.store.store import Store
from servers import redis as servers
from servers.postgres import Server as Postgres
from servers.redis import Server
from talk import say
from waiting import until

ADA, BOB = ("acme", "ada"), ("acme", "bob")


class Ear:
    """All that was heard."""

    def __init__(self, news: News) -> None:
        self.heard: list[Change] = []
        self.leave = news.listen(self.heard.append)

    @property
    def streams(self) -> set[tuple[str, str]]:
        return set().union(*(change.streams for change in self.heard))

    @property
    def unknown(self) -> int:
        return sum(change.unknown for change in self.heard)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "LOOK_S", 0.02)
    monkeypatch.setattr(telling, "LOOK_S", 0.02)


@contextmanager
def process(url: str, key: bytes = bytes(32)) -> Iterator[tuple[SharedNews, Ear]]:
    """What one process has: its own connection, and somebody who listens."""
    redis = Redis(url, Seal(key))
    try:
        with listener(RedisChannel(redis)) as heard:
            yield heard
    finally:
        redis.close()


@contextmanager
def listener(channel: Channel) -> Iterator[tuple[SharedNews, Ear]]:
    news = SharedNews(channel)
    ear = Ear(news)
    until(lambda: news.prompt)
    try:
        yield news, ear
    finally:
        news.close()


def of(*streams: tuple[str, str], due: str = "") -> Change:
    return Change(frozenset(streams), frozenset(due.split()))


def test_this_process_hears_at_once() -> None:
    news = LocalNews()
    one, two = Ear(news), Ear(news)
    news.publish(of(ADA))
    news.publish(Change())  # nothing happened
    two.leave()
    news.publish(of(BOB))
    assert (one.heard, two.heard) == ([of(ADA), of(BOB)], [of(ADA)])
    news.close()
    news.publish(of(ADA))
    assert len(one.heard) == 2
    assert not news.prompt


def test_other_processes_hear_what_whom_it_concerns(redis_server: Server) -> None:
    with process(redis_server.url) as (one, ear_one), process(redis_server.url) as (_, ear_two):
        began = len(ear_one.heard)
        one.publish(of(ADA, due="consolidate"))
        assert ear_one.heard[began:] == [of(ADA, due="consolidate")]
        until(lambda: ear_two.streams)
        assert ear_two.heard[-1] == of(ADA, due="consolidate")
        one.publish(of(BOB))
        until(lambda: BOB in ear_two.streams)
        assert ear_one.heard[began:] == [of(ADA, due="consolidate"), of(BOB)]  # its own did not come back to it


def test_a_burst_is_told_in_few_entries_and_whole(redis_server: Server) -> None:
    with process(redis_server.url) as (one, _), process(redis_server.url) as (_, ear):
        told = {("acme", f"agent-{n}") for n in range(800)}
        for stream in told:
            one.publish(of(stream))
        until(lambda: ear.streams == told)
        assert len(ear.heard) < 400
    many = Change(frozenset(("acme", f"agent-{n}") for n in range(telling.MOST_STREAMS + 1)))
    with process(redis_server.url) as (one, _), process(redis_server.url) as (_, ear):
        before = ear.unknown
        one.publish(many)
        until(lambda: ear.unknown > before)
        assert ear.streams == set()


def test_what_was_published_last_is_told_before_the_end(redis_server: Server) -> None:
    with process(redis_server.url) as (_, ear):
        redis = Redis(redis_server.url, Seal(bytes(32)))
        short = SharedNews(RedisChannel(redis))
        short.publish(of(ADA))
        short.publish(of(BOB))
        short.close()
        redis.close()
        until(lambda: ear.streams == {ADA, BOB})


def test_redis_reads_nothing_of_it_and_keeps_little(redis_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_channel, "MOST", 10)
    monkeypatch.setattr(telling, "REST_S", 0)
    with process(redis_server.url) as (one, _), process(redis_server.url) as (_, ear):
        for n in range(400):
            one.publish(of(("acme-corporation", f"secret-agent-{n}")))
            until(lambda told=n + 1: len(ear.streams) == told)
        length = int(redis_server.cli("XLEN", Seal(bytes(32)).name("news")))
        assert redis_server.cli("SAVE") == "OK"
    assert length < 300  # trimmed about, by whole nodes
    dump = (redis_server.folder / "dump.rdb").read_bytes()
    assert b"acme" not in dump
    assert b"secret-agent" not in dump


def test_entries_of_others_are_passed_over(redis_server: Server) -> None:
    with process(redis_server.url) as (one, _), process(redis_server.url) as (_, ear):
        name = Seal(bytes(32)).name("news")
        began = len(ear.heard)
        redis_server.cli("XADD", name, "*", "v", "forged")
        redis_server.cli("XADD", name, "*", "w", json.dumps(["x", [], [], True]))
        one.publish(of(ADA))
        until(lambda: len(ear.heard) > began)
        assert ear.heard[began:] == [of(ADA)]
        with process(redis_server.url, key=b"k" * 32) as (stranger, _):
            stranger.publish(of(BOB))
            one.publish(of(("acme", "last")))
            until(lambda: ("acme", "last") in ear.streams)
            assert BOB not in ear.streams


def test_while_redis_is_not_there_this_process_goes_on_and_later_all_look_everywhere(redis_server: Server) -> None:
    with process(redis_server.url) as (one, ear_one), process(redis_server.url) as (two, ear_two):
        before = ear_two.unknown
        servers.stop(redis_server.folder)
        one.publish(of(ADA))
        assert ADA in ear_one.streams
        until(lambda: ear_two.unknown > before)  # told that it can rely on nothing
        assert not two.prompt
        one.publish(of(BOB))
        before = ear_two.unknown
        servers.start(redis_server.folder, redis_server.port)
        until(lambda: one.prompt and two.prompt)
        assert ear_two.unknown > before
        assert BOB not in ear_two.streams
        until(lambda: one.publish(of(BOB)) or BOB in ear_two.streams)


def test_a_redis_that_is_frozen_holds_nobody_up(redis_server: Server) -> None:
    with process(redis_server.url) as (one, ear_one), process(redis_server.url) as (two, ear_two):
        redis_server.pause()
        try:
            for n in range(1000):
                one.publish(of(("acme", f"agent-{n}")))
            assert len(ear_one.streams) == 1000
            until(lambda: not two.prompt)
        finally:
            redis_server.resume()
        before = ear_two.unknown
        until(lambda: one.prompt and two.prompt and ear_two.unknown > before)
        until(lambda: one.publish(of(BOB)) or BOB in ear_two.streams)


def test_a_flush_in_the_middle_loses_no_later_news(redis_server: Server) -> None:
    with process(redis_server.url) as (one, _), process(redis_server.url) as (_, ear):
        for n in range(20):
            redis_server.cli("FLUSHALL")
            one.publish(of(("acme", f"agent-{n}")))
            until(lambda told=n + 1: len(ear.streams) == told)


def test_closing_ends_the_threads_whatever_redis_does(redis_server: Server) -> None:
    with process(redis_server.url) as (one, _):
        one.publish(of(ADA))
        redis_server.pause()
        one.publish(of(ADA))
    redis_server.resume()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("news-")]


def test_a_commit_says_what_it_set_in_motion(store: Store) -> None:
    heard: list[Change] = []
    store.listeners.append(heard.append)
    acme = Scope("acme")
    say(store, acme, "s1", ["hello"])
    assert heard.pop() == of(ADA)  # its consolidation is not due yet, and indexing waits for nobody
    lifecycle.close(store, acme, "ada", "s1")
    assert heard.pop() == of(ADA, due="consolidate")
    with store.write(acme) as tx:
        events.add(tx, [("open", "bob", "s2", None, {})])
        queue.arm(tx, [("consolidate", subject_of("bob", "s2"), tx.now + 1)])
        events.add(tx.within(Scope("other")), [("open", "bob", "s2", None, {})])
    assert heard.pop() == of(BOB, ("other", "bob"))
    with pytest.raises(sa.exc.IntegrityError), store.write(acme) as tx:
        events.add(tx, [("open", "bob", "s3", None, {}), (None, "bob", "s3", None, {})])  # type: ignore[list-item]
    with store.read(acme):
        pass
    assert heard == []
    with store.write(acme):
        pass
    assert heard == [Change()]
    assert not heard[0]
    assert UNKNOWN


# By way of PostgreSQL


def test_other_processes_hear_by_way_of_the_database(postgres_url: str) -> None:
    with listener(PostgresChannel(postgres_url)) as (one, here), listener(PostgresChannel(postgres_url)) as (_, there):
        one.publish(of(ADA, due="index"))
        until(lambda: of(ADA, due="index") in there.heard)
        assert here.heard.count(of(ADA, due="index")) == 1  # not once more by way of the database


def test_what_is_too_long_for_a_notification_wakes_everybody(postgres_url: str) -> None:
    with listener(PostgresChannel(postgres_url)) as (one, _), listener(PostgresChannel(postgres_url)) as (_, there):
        before = there.unknown
        one.publish(of(*(("acme", f"agent-{n}" * 10) for n in range(300))))
        until(lambda: there.unknown > before)


def test_a_database_that_went_away_is_heard_of_again(postgres: Postgres, postgres_url: str) -> None:
    with listener(PostgresChannel(postgres_url)) as (one, _), listener(PostgresChannel(postgres_url)) as (_, there):
        before = there.unknown
        name = postgres_url.rpartition("/")[2]
        postgres.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
        until(lambda: there.unknown >= before + 2)  # it broke, and it was made again
        until(lambda: one.prompt)
        one.publish(of(BOB))
        until(lambda: BOB in there.streams or there.unknown >= before + 3)
