"""Nobody where they don't belong: every route with every parameter that carries an id, tried by all who may not.

On each engine; `pytest -s` prints what was tried and what leaked in a line for each.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT, RIGHTS, Right, Scope
from carryover.server.app import create_app
from carryover.store.tables import keys as key_rows
from carryover.store.tables import sessions
from fakes.issuer import Issuer
from policy import POLICY, TURN
from serving import Running, open_memory, serving
from walled import CANARY, Tenant, fill
from walls import (
    ACME,
    KINDS,
    PAGES,
    ZETA,
    Caller,
    Route,
    Tally,
    assert_none,
    everything,
    forgetful,
    kind_of,
    leaks_in,
    members_of,
    probe,
    routes_of,
)

# What a narrowed key may see besides its own: an agent is told how each of its users likes to be served.
OF_ALL = {"agent": ("/persona",)}
OWN = {"agent": "own-agent", "session": "own-session", "user": "own-user"}


@pytest.fixture(scope="module")
def totals() -> Iterator[dict[str, Tally]]:
    """What all tests here tried, by engine."""
    found: dict[str, Tally] = {}
    yield found
    for engine, tally in found.items():
        sys.stdout.write(f"\nwalls over {engine}: {tally}\n")


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
def running(tmp_path: Path, issuer: Issuer, database_url: str) -> Iterator[Running]:
    with open_memory(tmp_path, oidc=issuer.oidc, database_url=database_url) as memory, serving(memory) as server:
        yield server


@pytest.fixture
def tally(running: Running, totals: dict[str, Tally]) -> Iterator[Tally]:
    counted = Tally()
    yield counted
    totals.setdefault(running.memory.engine.store.dialect.name, Tally()).add(counted)


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    with open_memory(tmp_path_factory.mktemp("document")) as memory:
        return routes_of(create_app(memory, open_door=True).openapi())


@pytest.fixture
def acme(running: Running) -> Tenant:
    return fill(running.memory.seen_by(Scope(ACME)))


@pytest.fixture
def zeta(running: Running) -> Mapping[str, str]:
    """Ids of the other tenant, of whom less is known."""
    memory = running.memory.seen_by(Scope(ZETA))
    memory.log_turn(OWN["session"], "user", "We decided to use chalk.", agent=OWN["agent"], user=OWN["user"])
    memory.close_session(OWN["session"], agent=OWN["agent"])
    memory.consolidate(OWN["session"], agent=OWN["agent"])
    return OWN


def test_another_tenant_s_ids_lead_nowhere(
    running: Running, issuer: Issuer, routes: list[Route], acme: Tenant, zeta: Mapping[str, str], tally: Tally
) -> None:
    before = everything(running, routes, acme)
    assert [kind for kind in KINDS if not before[kind]] == []
    token = issuer.token(tenant=ZETA, scope="carryover:admin")
    wrote = set[str]()
    for name, secret in (("key", running.key("admin", tenant=ZETA)), ("token", token)):
        with running.http(secret) as http:
            caller = Caller(f"{name} of another tenant", http, zeta, tally, wrote)
            for route in routes:
                probe(caller, route, acme, compares=True)
    assert_none(tally, "key and token of another tenant")
    assert {name: count > 0 for name, count in everything(running, routes, acme).items()} == {
        name: count > 0 for name, count in before.items()
    }


@pytest.mark.parametrize("narrow", [{"agent": "own-agent"}, {"user": "own-user"}])
def test_a_narrowed_key_of_the_same_tenant_sees_nothing_beside_its_own(
    running: Running, routes: list[Route], acme: Tenant, narrow: dict[str, str], tally: Tally
) -> None:
    before = everything(running, routes, acme)
    with running.http(running.key("admin", tenant=ACME, **narrow)) as http:
        caller = Caller(f"key narrowed to {narrow}", http, OWN, tally)
        for route in routes:
            if route.path in OF_ALL.get(next(iter(narrow)), ()):
                continue
            # Where a name is taken, one of its own cannot be begun: only what is asked for has to look the same.
            probe(caller, route, acme, compares=route.method == "GET")
    assert_none(tally, caller.name)
    assert {name: count > 0 for name, count in everything(running, routes, acme).items()} == {
        name: count > 0 for name, count in before.items()
    }


def test_a_link_opens_one_profile_and_nothing_else(
    running: Running, routes: list[Route], acme: Tenant, tally: Tally
) -> None:
    for tenant, user in ((ZETA, acme.own["user"]), (ACME, "own-user")):
        link = running.memory.seen_by(Scope(tenant)).profiles.link(user).token
        with running.http(link) as http:
            caller = Caller(f"link of {user} in {tenant}", http, {"user": user}, tally)
            for route in routes:
                probe(caller, route, acme, compares=False)
                if not route.path.startswith("/profile") and route.right is not None:
                    status, answer = caller.ask(route, next(route.variants(acme.own, {})))
                    tally.opened += [] if status == 401 else [f"{caller.name}: {route} {status} {answer}"]
    assert_none(tally, "links")
    profile = running.memory.seen_by(Scope(ACME)).profiles.show(acme.own["user"])
    assert CANARY in str(profile)


def test_what_is_no_credential_opens_no_route(
    running: Running, issuer: Issuer, routes: list[Route], acme: Tenant, tally: Tally
) -> None:
    dead = {
        "none": "",
        "expired key": running.key("admin", tenant=ACME),
        "revoked key": running.key("admin", tenant=ACME),
        "unknown key": "co_" + "x" * 43,
        "expired token": issuer.token(tenant=ACME, scope="carryover:admin", exp=int(time.time()) - 60),
        "token for others": issuer.token(tenant=ACME, scope="carryover:admin", aud="others"),
        "forged token": issuer.token(tenant=ACME, scope="carryover:admin")[:-8] + "AAAAAAAA",
    }
    with running.memory.engine.store.write(EVERY_TENANT) as tx:
        for name, column in (("expired key", "expires_at"), ("revoked key", "revoked_at")):
            mine = key_rows.update().where(key_rows.c.tenant == ACME, key_rows.c.id == dead[name][:12])
            tx.conn.execute(mine.values({column: tx.now}))
    for name, secret in dead.items():
        with running.http(secret or None) as http:
            caller = Caller(name, http, {}, tally)
            for route in routes:
                said = next(route.variants(acme.own, {}))
                status, answer = caller.ask(route, said)
                tally.leaks += leaks_in(answer, set(said.values()), acme)
                if (status == 401) != (route.right is not None):
                    tally.opened.append(f"{name}: {route} {status} {answer}")
    assert_none(tally, "no valid credential")


@pytest.mark.parametrize("held", [(), ("read",), ("read", "write")])
def test_no_right_is_had_that_was_not_given(
    running: Running, issuer: Issuer, routes: list[Route], acme: Tenant, held: tuple[Right, ...], tally: Tally
) -> None:
    before = everything(running, routes, acme)
    token = issuer.token(tenant=ACME, scope=[f"carryover:{right}" for right in held])
    for kind, secret in (("token", token), *([("key", running.key(*held, tenant=ACME))] if held else [])):
        with running.http(secret) as http:
            caller = Caller(f"{kind} that holds {held}", http, {}, tally)
            for route in routes:
                if route.right is not None and RIGHTS.index(route.right) >= len(held):
                    status, answer = caller.ask(route, next(route.variants(acme.own, {})))
                    tally.opened += [] if status == 403 else [f"{caller.name}: {route} {status} {answer}"]
    assert_none(tally, f"rights {held}")
    assert everything(running, routes, acme) == before


def test_an_idempotency_key_counts_in_its_own_tenant(running: Running, acme: Tenant) -> None:
    """A session of the same name elsewhere, and a turn that was sent with the same key: it is another turn."""
    where = f"/sessions/{acme.own['session']}/turns?agent_id={acme.own['agent']}"
    with running.http(running.key("write", tenant=ACME)) as mine:
        assert mine.post(where, json={**TURN, "idempotency_key": "once"}).status_code == 201
        assert mine.post(where, json={**TURN, "content": "Else.", "idempotency_key": "once"}).status_code == 422
    with running.http(running.key("write", tenant=ZETA)) as theirs:
        got = theirs.post(where, json={**TURN, "content": "Else.", "idempotency_key": "once"})
        assert (got.status_code, got.json()["turns"][0]["seq"]) == (201, 1), got.text


def test_with_the_first_wall_gone_the_others_stand_and_the_probes_see_what_they_do_not_hold(
    running: Running, routes: list[Route], acme: Tenant, zeta: Mapping[str, str]
) -> None:
    """No statement chooses its rows by their tenant any more.

    PostgreSQL tells nothing all the same; SQLite, which has no second wall, names, but no word that is sealed.
    """
    before = everything(running, routes, acme)
    store, tally = running.memory.engine.store, Tally()
    secured = store.dialect.name == "postgresql"
    asked = routes if secured else [route for route in routes if route.method == "GET"]
    with running.http(running.key("admin", tenant=ZETA)) as http, forgetful(store):
        caller = Caller("key of another tenant, first wall gone", http, zeta, tally)
        with store.read(Scope(ZETA)) as tx:  # it is gone indeed
            found = tx.conn.execute(sa.select(sessions.c.tenant).where(sessions.c.tenant == tx.tenant)).scalars()
            assert set(found) == ({ZETA} if secured else {ACME, ZETA})
        for route in asked:
            probe(caller, route, acme, compares=False)
    if secured:
        assert_none(tally, "row-level security alone")
        assert {name: count > 0 for name, count in everything(running, routes, acme).items()} == {
            name: count > 0 for name, count in before.items()
        }
    else:
        leaking = {route.path for route in asked for leak in tally.leaks if f" {route.method} {route.path} " in leak}
        sys.stdout.write(f"without any wall the probes see leaks on {len(leaking)} routes: {sorted(leaking)}\n")
        assert len(leaking) > 5
        assert [leak for leak in tally.leaks if "We decided" in leak] == []


def test_a_parameter_of_a_new_name_does_not_go_by(routes: list[Route]) -> None:
    documented = {(method, path) for method, path, *_ in POLICY} - {("GET", path) for path in PAGES}
    assert {(route.method, route.path) for route in routes} == documented
    with pytest.raises(AssertionError, match="is a new parameter"):
        kind_of("/things/{thing_id}", "path", "thing_id")
    with pytest.raises(KeyError):
        kind_of("/things/{id}", "path", "id")


def test_a_member_of_a_body_of_a_new_name_does_not_go_by_however_deep_it_is() -> None:
    thing = {"properties": {"size": {"type": "integer"}, "thing_id": {"type": "string"}}}
    inner = {"properties": {"agent_id": {"type": "string"}, "turns": {"items": {"$ref": "#/x/Thing"}}}}
    body = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/x/Inner"}}}}}
    with pytest.raises(AssertionError, match=r"thing_id.*are new in the body"):
        members_of({"components": {"schemas": {"Thing": thing, "Inner": inner}}}, "/things", body)
    del thing["properties"]["thing_id"]
    assert members_of({"components": {"schemas": {"Thing": thing, "Inner": inner}}}, "/things", body) == {
        "agent_id": "agent"
    }


def test_what_the_document_says_of_bodies_is_looked_at(routes: list[Route]) -> None:
    of = {(route.method, route.path): {name for place, name, _ in route.carries if place == "body"} for route in routes}
    assert of["POST", "/memory/search"] == {"agent_id", "session_id", "user_id"}
    assert {"agent_id", "user_id"} <= of["POST", "/sessions/{id}/turns"]
    assert json.dumps(sorted({kind for route in routes for *_, kind in route.carries})).count(",") >= 9
