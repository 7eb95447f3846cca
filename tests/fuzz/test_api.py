"""Requests made from the API's own document, alone and in sequence, with keys of every kind: no 5xx, no surprise."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.stateful import run_state_machine_as_test

from carryover.core.scope import EVERY_TENANT
from carryover.store.tables import keys as keys_table
from fuzz.api import OPEN, Asked, checked, run, schema_of
from fuzz.campaign import say
from serving import Running, open_memory, serving

LONG = os.environ.get("CARRYOVER_FUZZ") == "long"
pytestmark = pytest.mark.timeout(1_800 if LONG else 120)
EXAMPLES, SEQUENCES, STEPS = (60, 150, 25) if LONG else (2, 3, 12)
SAID = "We decided to use PostgreSQL for the ledger. Please answer in short sentences."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With keys, so that it asks for one; and with a session to find."""
    home: Path = tmp_path_factory.mktemp("home")
    with open_memory(home) as memory, serving(memory, open_door=False) as running:
        with running.http(running.key("admin")) as http:
            http.post("/sessions/s/turns", json={"role": "user", "content": SAID, "user_id": "u"}).raise_for_status()
            http.post("/sessions/s/consolidate", json={"wait": True}).raise_for_status()
        yield running


def document(server: Running) -> dict[str, Any]:
    with server.http(server.key("read")) as http:
        return http.get("/openapi.json").json()


def asked_of_every_operation(server: Running, key: str, examples: int) -> Asked:
    asked = Asked(server.url, key)
    for found in schema_of(document(server)).get_all_operations():

        @given(case=found.ok().as_strategy())
        @run(examples)
        def holds(case: Any) -> None:
            asked.send(case)

        holds()
    return asked


def told(what: str, statuses: Counter[int]) -> None:
    failures = sum(count for status, count in statuses.items() if status >= 500)
    say(f"\n{what}: {statuses.total()} requests, {failures} of 5xx, {dict(statuses)}")


@pytest.mark.parametrize("narrow", [{}, {"agent": "default"}, {"user": "u"}], ids=["whole", "one agent", "one user"])
def test_no_request_meets_a_failure_of_the_server(server: Running, narrow: dict[str, str]) -> None:
    asked = asked_of_every_operation(server, server.key("admin", **narrow), EXAMPLES)
    told(f"key of {narrow or 'a tenant'}", asked.statuses)
    assert max(asked.statuses) < 500
    assert any(status < 300 for status in asked.statuses)


def test_without_a_right_nothing_is_done(server: Running) -> None:
    asked = asked_of_every_operation(server, server.key("read"), EXAMPLES)
    told("key that may read", asked.statuses)
    assert max(asked.statuses) < 500


def expired(server: Running) -> str:
    secret = server.key("admin", user="former")
    with server.memory.engine.store.write(EVERY_TENANT) as tx:
        ended = keys_table.update().where(keys_table.c.user == "former").values(expires_at=1)
        tx.conn.execute(ended)
    return secret


@pytest.mark.parametrize("kind", ["none", "unknown", "expired"])
def test_without_a_key_that_holds_no_operation_answers(server: Running, kind: str) -> None:
    secret = {"none": None, "unknown": "co_nobodys", "expired": expired(server)}[kind]
    asked = Asked(server.url, secret)
    for found in schema_of(document(server)).get_all_operations():
        operation = found.ok()
        if operation.path not in OPEN:

            @given(case=operation.as_strategy())
            @run(EXAMPLES)
            def holds(case: Any) -> None:
                asked.refused(case)

            holds()
    told(f"key: {kind}", asked.statuses)
    assert asked.statuses[401] > 0.7 * asked.statuses.total()


def test_sequences_that_use_what_came_before_hold(server: Running) -> None:
    """Each sequence is of a tenant of its own: what others left behind must not decide what comes next."""
    statuses: Counter[int] = Counter()
    tenants = count()

    class Sequences(schema_of(document(server)).as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.asked = Asked(server.url, server.key("admin", tenant=f"sequence{next(tenants)}"))

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": server.url, "headers": self.asked.headers}

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            statuses[response.status_code] += 1
            case.validate_response(response, checks=checked(), headers=self.asked.headers)

    run_state_machine_as_test(Sequences, settings=run(SEQUENCES, steps=STEPS))
    told("sequences", statuses)
    assert max(statuses) < 500
    assert statuses[200] + statuses[201] > 0
