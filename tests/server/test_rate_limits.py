"""Rate limits: each tenant has its own, wherever it is counted, and nothing that looks after the server has any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from carryover.core.errors import Invalid
from carryover.settings import load
from servers import redis as servers
from servers.redis import Server
from serving import open_memory, serving

TURN = {"role": "user", "content": "hello"}


def asked(http: httpx.Client, times: int) -> list[int]:
    return [http.get("/memory/default/sessions").status_code for _ in range(times)]


def refusal(http: httpx.Client) -> httpx.Response:
    got = http.get("/memory/default/sessions")
    assert got.status_code == 429
    return got


@contextmanager
def two_servers(home: Path, **settings: Any) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with (
        open_memory(home, **settings) as one,
        open_memory(home, **settings) as two,
        serving(one) as first,
        serving(two) as second,
        first.http() as a,
        second.http() as b,
    ):
        yield a, b


def test_beyond_its_rate_a_tenant_is_told_when_to_come_back(tmp_path: Path) -> None:
    with open_memory(tmp_path, rate_limit="3/hour") as memory, serving(memory) as running, running.http() as http:
        assert asked(http, 3) == [200] * 3
        got = refusal(http)
        assert got.headers["content-type"] == "application/problem+json"
        assert 3500 < int(got.headers["retry-after"]) <= 3600
        problem = got.json()
        assert (problem["type"], problem["status"]) == ("/problems/too-many", 429)
        assert problem["retry_after"] == int(got.headers["retry-after"])
        assert "3 per 1 hour" in problem["detail"]


def test_after_the_wait_it_is_let_in_again(tmp_path: Path) -> None:
    with open_memory(tmp_path, rate_limit="2/second") as memory, serving(memory) as running, running.http() as http:
        while 429 not in asked(http, 10):
            pass
        while (got := http.get("/memory/default/sessions")).status_code == 429:
            assert int(got.headers["retry-after"]) == 1


def test_hot_routes_count_and_nothing_is_done_for_who_is_refused(tmp_path: Path) -> None:
    with open_memory(tmp_path, rate_limit="2/hour") as memory, serving(memory) as running, running.http() as http:
        assert http.post("/sessions/s/turns", json=TURN).status_code == 201
        assert http.get("/sessions/s/context").status_code == 200
        for method, path in (("POST", "/sessions/s/turns"), ("GET", "/sessions/s/context"), ("DELETE", "/memory/a/s")):
            assert http.request(method, path, json=TURN if method == "POST" else None).status_code == 429
        assert memory.session("s").turn_count == 1


def test_tenants_do_not_use_up_each_others_rate(tmp_path: Path) -> None:
    with open_memory(tmp_path, rate_limit="3/hour") as memory, serving(memory) as running:
        one, same, other = (running.http(running.key("admin", tenant=tenant)) for tenant in ("a", "a", "b"))
        with one, same, other:
            assert asked(one, 2) + asked(same, 1) == [200] * 3
            assert asked(one, 1) + asked(same, 1) == [429, 429]
            assert asked(other, 3) == [200] * 3


def test_health_and_metrics_have_no_limit(tmp_path: Path) -> None:
    settings = {"rate_limit": "1/hour"}
    with open_memory(tmp_path, **settings) as memory, serving(memory) as running, running.http() as http:
        assert asked(http, 2) == [200, 429]
        for path in ("/health", "/health/live", "/metrics", "/"):
            assert [http.get(path).status_code for _ in range(3)] == [200] * 3, path


def test_without_a_rate_there_is_no_limit(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, serving(memory) as running, running.http() as http:
        assert asked(http, 50) == [200] * 50


def test_servers_with_one_redis_count_together(tmp_path: Path, redis_server: Server) -> None:
    settings = {"rate_limit": "5/hour", "redis_url": SecretStr(redis_server.url)}
    with two_servers(tmp_path, **settings) as (a, b):
        assert asked(a, 3) + asked(b, 2) == [200] * 5
        assert 3500 < int(refusal(a).headers["retry-after"]) <= 3600
        refusal(b)
        counted = redis_server.cli("KEYS", "carryover:rate*").split()
        assert len(counted) == 1
        assert "default" not in counted[0]


def test_while_redis_is_away_each_server_counts_for_itself(tmp_path: Path, redis_server: Server) -> None:
    settings = {"rate_limit": "5/hour", "redis_url": SecretStr(redis_server.url)}
    with two_servers(tmp_path, **settings) as (a, b):
        assert asked(a, 5) == [200] * 5
        refusal(b)
        servers.stop(redis_server.folder)
        assert asked(a, 6) + asked(b, 6) == ([200] * 5 + [429]) * 2


def test_a_frozen_redis_fails_no_request(tmp_path: Path, redis_server: Server) -> None:
    settings = {"rate_limit": "5/hour", "redis_url": SecretStr(redis_server.url)}
    with open_memory(tmp_path, **settings) as memory, serving(memory) as running, running.http() as http:
        assert asked(http, 1) == [200]
        redis_server.pause()
        try:
            assert asked(http, 6) == [200] * 5 + [429]
        finally:
            redis_server.resume()


@pytest.mark.parametrize("rate", ["many", "600/fortnight", "600", "0/minute", "1/second;9/minute", "-1/minute", ""])
def test_a_rate_that_cannot_be_is_refused_at_the_start(tmp_path: Path, rate: str) -> None:
    with pytest.raises(Invalid, match=r"write one number and one time, as in 600/minute; correct it in environment"):
        load({"CARRYOVER_RATE_LIMIT": rate, "CARRYOVER_HOME": str(tmp_path)})


def test_a_key_has_a_rate_beside_the_tenants(tmp_path: Path) -> None:
    with open_memory(tmp_path, rate_limit="4/hour") as memory, serving(memory) as running:
        slow, same, free = running.key("read", rate="2/hour"), running.key("read", rate="2/hour"), running.key("read")
        with running.http(slow) as one, running.http(same) as two, running.http(free) as three:
            assert asked(one, 2) == [200] * 2
            assert "whoever sends this key or token may make 2 per 1 hour" in refusal(one).json()["detail"]
            assert asked(one, 5) == [429] * 5  # which takes nothing from the tenant's
            assert asked(two, 1) + asked(three, 2) == [200, 200, 429]
            assert "this tenant may make 4 per 1 hour" in refusal(three).json()["detail"]


def test_a_key_s_rate_is_counted_where_the_tenants_have_none(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, serving(memory) as running:
        slow, free = running.http(running.key("read", rate="1/hour")), running.http(running.key("read"))
        with slow, free:
            assert asked(slow, 2) == [200, 429]
            assert asked(free, 20) == [200] * 20


def test_servers_with_one_redis_count_a_key_together(tmp_path: Path, redis_server: Server) -> None:
    with open_memory(tmp_path, redis_url=SecretStr(redis_server.url)) as memory, serving(memory) as running:
        secret = running.key("read", rate="3/hour")
        with open_memory(tmp_path, redis_url=SecretStr(redis_server.url)) as other, serving(other) as second:
            with running.http(secret) as a, second.http(secret) as b:
                assert asked(a, 2) + asked(b, 2) == [200, 200, 200, 429]
                counted = "".join(redis_server.cli("KEYS", "carryover:rate*").split())
                assert secret[:12] not in counted
            servers.stop(redis_server.folder)
            with running.http(secret) as a:
                assert asked(a, 4) == [200] * 3 + [429]
