"""Nobody where they don't belong: every route with every parameter that carries an id, tried by all who may not.

The routes and their parameters are those of the OpenAPI document of the application: a new route is tried without a
line here, and a parameter of a new name fails until it is said what it carries.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from carryover.core.scope import EVERY_TENANT, RIGHTS, Right, Scope
from carryover.server.profile_page import ASSETS
from carryover.store.tables import keys as key_rows
from fakes.issuer import Issuer
from policy import POLICY
from serving import Running, open_memory, serving
from walled import CANARY, Tenant, fill

PAGES = ("/docs", "/openapi.json", *(f"/profile/{name}" for name in ASSETS))  # not in the document
ACME, ZETA = "acme", "zeta"
# What a narrowed key may see besides its own: an agent is told how each of its users likes to be served.
OF_ALL = {"agent": ("/persona",)}
# What the first word of a path says of the `{id}` in it.
OF_ID = {
    "sessions": "session", "conversations": "session", "digests": "session", "findings": "finding",
    "patterns": "pattern", "erasures": "erasure", "holds": "hold",
}  # fmt: skip
# Parameters and members of bodies that name something which somebody has.
CARRIES = {
    "agent_id": "agent", "session_id": "session", "user_id": "user", "run": "run", "name": "extractor", "repo": "repo",
    "who": "who", "subject": "subject", "cursor": "cursor", "after": "event", "last-event-id": "event",
}  # fmt: skip
# Those that name nothing of anybody's.
PLAIN = {
    "limit", "since", "until", "version", "a", "b", "seq", "turns", "state", "flavor", "outcome", "group", "action",
    "decision", "last_n", "scope", "max_tokens", "query", "as_of", "released", "If-Match", "If-None-Match",
}  # fmt: skip
FILLED = {"version": "1", "a": "1", "b": "1", "seq": "1", "decision": "try"}
# `name` is that of an extractor in a path, and of whoever speaks in a turn.
PLAIN_IN_BODIES = {"name"}
VOLATILE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\d{6,}|\b[a-z]+_[0-9a-z]{16,}|[0-9a-f]{16,}|[\w+/=-]{40,}")


@dataclass(frozen=True)
class Route:
    """One route, and what its parameters carry: (where they are, name, kind)."""

    method: str
    path: str
    right: Right | None
    body: dict[str, Any] | None
    carries: tuple[tuple[str, str, str], ...]

    def variants(self, strange: Mapping[str, str], own: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """What parameters say: all of them something strange, and each of them alone beside what is one's own."""
        yield {name: strange[kind] for _, name, kind in self.carries}
        if len(self.carries) > 1:
            for _, name, kind in self.carries:
                yield {other: own.get(of, strange[of]) for _, other, of in self.carries} | {name: strange[kind]}


@dataclass
class Tally:
    """How many answers were looked at, and what was wrong with them."""

    probes: int = 0
    leaks: list[str] = field(default_factory=list[str])
    differences: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Caller:
    """Somebody with a credential, and ids that are their own."""

    name: str
    http: httpx.Client
    own: Mapping[str, str]
    wrote: set[str] = field(default_factory=set[str])  # names that it gave to things of its own

    def ask(self, route: Route, said: Mapping[str, str]) -> tuple[int, str]:
        """The status, and all that was answered."""
        path, query, headers = route.path, dict[str, str](), dict[str, str]()
        body = None if route.body is None else dict(route.body)
        for place, name, _ in route.carries:
            if place == "path":
                path = path.replace("{" + name + "}", said[name])
            elif place == "query":
                query[name] = said[name]
            elif place == "header":
                headers[name] = said[name]
            else:
                body = {**(body or {}), name: said[name]}
        if route.method != "GET":
            self.wrote.update(said.values())
        path = re.sub(r"\{(\w+)\}", lambda found: FILLED[found[1]], path)
        sent = self.http.build_request(route.method, path, params=query or None, headers=headers, json=body)
        if not path.endswith("/live"):
            got = self.http.send(sent)
            return got.status_code, f"{got.text}\n{[*got.headers.items()]}"
        return self._heard(sent)

    def _heard(self, sent: httpx.Request) -> tuple[int, str]:
        """What a stream tells at once: it would go on for ever."""
        heard = ""
        sent.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), 0.25)
        try:
            got = self.http.send(sent, stream=True)
        except httpx.ReadTimeout:
            return 200, heard
        try:
            for piece in got.iter_text():
                heard += piece
        except httpx.ReadTimeout:
            pass
        finally:
            got.close()
        return got.status_code, heard


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
def running(tmp_path: Path, issuer: Issuer) -> Iterator[Running]:
    with open_memory(tmp_path, oidc=issuer.oidc) as memory, serving(memory) as server:
        yield server


@pytest.fixture
def routes(running: Running) -> list[Route]:
    with running.http(running.key("read")) as http:
        return routes_of(http.get("/openapi.json").json())


@pytest.fixture
def acme(running: Running) -> Tenant:
    return fill(running.memory.seen_by(Scope(ACME)))


@pytest.fixture
def zeta(running: Running) -> Mapping[str, str]:
    """Ids of the other tenant, of whom less is known."""
    own = {"agent": "own-agent", "session": "own-session", "user": "own-user"}
    memory = running.memory.seen_by(Scope(ZETA))
    memory.log_turn(own["session"], "user", "We decided to use chalk.", agent=own["agent"], user=own["user"])
    memory.close_session(own["session"], agent=own["agent"])
    memory.consolidate(own["session"], agent=own["agent"])
    return own


def routes_of(document: dict[str, Any]) -> list[Route]:
    rights = {(method, path): (right, body) for method, path, right, body in POLICY}
    found: list[Route] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            right, body = rights[method.upper(), path]
            given = [(one["in"], one["name"]) for one in operation.get("parameters", [])]
            members = {("body", name) for name in members_of(document, operation)}
            carries = [(place, name, kind_of(path, place, name)) for place, name in [*given, *sorted(members)]]
            known = tuple((place, name, kind) for place, name, kind in carries if kind is not None)
            found.append(Route(method.upper(), path, right, body, known))
    return sorted(found, key=lambda route: route.method != "GET")  # before anything was written by who asks


def members_of(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    """The members of the body that carry ids, however deep the schema hides them."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return set()
    schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    return {name for name in schema.get("properties", {}) if name in CARRIES and name not in PLAIN_IN_BODIES}


def kind_of(path: str, place: str, name: str) -> str | None:
    if name == "id" and place == "path":
        words = path.partition("{id}")[0].split("/")
        return OF_ID[words[-2]]
    if name in CARRIES:
        return CARRIES[name]
    assert name in PLAIN, f"{name} of {path} is a new parameter: say in this file whether it names what somebody has"
    return None


def leaks_in(answer: str, known: set[str], whose: Tenant) -> list[str]:
    """What of the tenant is in the answer, besides names that whoever asks has used."""
    for id in sorted(known, key=len, reverse=True):
        answer = answer.replace(id, "") if id else answer
    names = [id for kind, id in whose.own.items() if len(id) > 8 and kind not in ("cursor", "event", "subject")]
    return [word for word in (CANARY, *names) if word in answer]


def plain(answer: str, said: Mapping[str, str], whose: Tenant) -> str:
    """An answer without names, times, and what is drawn anew for each."""
    names = [*said.values(), *whose.own.values(), *whose.ghost.values()]
    for name in sorted(filter(None, names), key=len, reverse=True):
        answer = answer.replace(name, "NAME") if len(name) > 8 else answer
    return VOLATILE.sub("#", answer.partition("\n[")[0])


def probe(caller: Caller, route: Route, whose: Tenant, tally: Tally, *, compares: bool) -> None:
    """The caller asks for what the tenant has, and for what nobody has: no word of it, and no difference."""
    ghosts = route.variants(whose.ghost, caller.own)
    for said, ghost in zip(route.variants(whose.own, caller.own), ghosts, strict=True):
        status, answer = caller.ask(route, said)
        tally.probes += 1
        where = f"{caller.name}: {route.method} {route.path} {said}"
        assert status < 500, f"{where}: {answer}"
        tally.leaks += [
            f"{where}: {status} tells {word}: {answer}"
            for word in leaks_in(answer, {*said.values(), *caller.wrote}, whose)
        ]
        if compares:
            other, likewise = caller.ask(route, ghost)
            tally.probes += 1
            if (status, plain(answer, said, whose)) != (other, plain(likewise, ghost, whose)):
                tally.differences.append(f"{where}: {status} {answer}\n  {other} {likewise}")


def is_told_by_name(route: Route) -> bool:
    """Whether an answer depends on names alone: where in a list it begins is another place for another id."""
    return bool(route.carries) and all(kind not in ("cursor", "event") for _, _, kind in route.carries)


def assert_none(tally: Tally, said: str) -> None:
    sys.stdout.write(f"cross-tenant leaks: {len(tally.leaks)} of {tally.probes} probes ({said})\n")
    assert not tally.leaks, "\n".join(tally.leaks)
    assert not tally.differences, "\n".join(tally.differences)


def everything(running: Running, routes: list[Route], acme: Tenant) -> dict[str, int]:
    """How often the canary is told where it may be: on which routes, by an admin of its own tenant."""
    told: dict[str, int] = {}
    with running.http(running.key("admin", tenant=ACME)) as http:
        for route in routes:
            search = (route.method, route.path) == ("POST", "/memory/search")
            if route.method == "GET" or search:
                body = {"query": CANARY} if search else route.body
                asked = Route(
                    route.method, route.path, route.right, body, tuple(c for c in route.carries if c[0] == "path")
                )
                said = {name: acme.own[kind] for _, name, kind in asked.carries}
                more = {"agent_id": acme.own["agent"], "user_id": acme.own["user"], "group": "agent"}
                narrowed = f"{asked.path}?" + "&".join(f"{k}={v}" for k, v in more.items())
                if not asked.path.endswith("/live") and not search:
                    asked = Route(route.method, narrowed, route.right, body, asked.carries)
                told[f"{route.method} {route.path}"] = Caller("acme", http, {}).ask(asked, said)[1].count(CANARY)
    return told


# What must tell the canary to its own tenant, or this test would prove nothing.
KINDS = (
    "GET /sessions/{id}/turns", "GET /memory/{agent_id}/{session_id}", "GET /memory/{agent_id}/{session_id}/window",
    "GET /sessions/{id}/context", "GET /sessions/{id}/snapshots/{version}", "GET /findings/{id}",
    "GET /sessions/{id}/turns/{seq}/derived", "POST /memory/search", "GET /profile", "GET /persona",
    "GET /api/v1/conversations/{id}/memory", "GET /api/v1/agents/{agent_id}/memory", "GET /digests",
    "GET /digests/{id}",
    "GET /api/v1/conversations/{id}/runs", "GET /api/v1/conversations/{id}/runs/{run}", "GET /patterns",
    "GET /patterns/{id}", "GET /patterns/{id}/versions", "GET /holds",
)  # fmt: skip


def test_another_tenant_s_ids_lead_nowhere(
    running: Running, issuer: Issuer, routes: list[Route], acme: Tenant, zeta: Mapping[str, str]
) -> None:
    before = everything(running, routes, acme)
    assert [kind for kind in KINDS if not before[kind]] == []
    token = issuer.token(tenant=ZETA, scope="carryover:admin")
    tally, wrote = Tally(), set[str]()
    for name, secret in (("key", running.key("admin", tenant=ZETA)), ("token", token)):
        with running.http(secret) as http:
            caller = Caller(name, http, zeta, wrote)
            for route in routes:
                probe(caller, route, acme, tally, compares=is_told_by_name(route))
    assert_none(tally, "key and token of another tenant")
    assert {name: count > 0 for name, count in everything(running, routes, acme).items()} == {
        name: count > 0 for name, count in before.items()
    }


@pytest.mark.parametrize("narrow", [{"agent": "own-agent"}, {"user": "own-user"}])
def test_a_narrowed_key_of_the_same_tenant_sees_nothing_beside_its_own(
    running: Running, routes: list[Route], acme: Tenant, narrow: dict[str, str]
) -> None:
    before = everything(running, routes, acme)
    tally, own = Tally(), {"agent": "own-agent", "session": "own-session", "user": "own-user"}
    with running.http(running.key("admin", tenant=ACME, **narrow)) as http:
        caller = Caller(f"narrowed to {narrow}", http, own)
        for route in routes:
            if route.path in OF_ALL.get(next(iter(narrow)), ()):
                continue
            # Where a name is taken, one of its own cannot be begun: only what is asked for has to look the same.
            probe(caller, route, acme, tally, compares=route.method == "GET" and is_told_by_name(route))
    assert_none(tally, f"key narrowed to {narrow}")
    assert {name: count > 0 for name, count in everything(running, routes, acme).items()} == {
        name: count > 0 for name, count in before.items()
    }


def test_a_link_opens_one_profile_and_nothing_else(running: Running, routes: list[Route], acme: Tenant) -> None:
    tally = Tally()
    for tenant, user in ((ZETA, acme.own["user"]), (ACME, "own-user")):
        link = running.memory.seen_by(Scope(tenant)).profiles.link(user).token
        with running.http(link) as http:
            caller = Caller(f"link of {user} in {tenant}", http, {"user": user})
            for route in routes:
                probe(caller, route, acme, tally, compares=False)
                if not route.path.startswith("/profile") and route.right is not None:
                    said = next(route.variants(acme.own, {}))
                    assert caller.ask(route, said)[0] == 401, route
    assert_none(tally, "links")
    profile = running.memory.seen_by(Scope(ACME)).profiles.show(acme.own["user"])
    assert CANARY in str(profile)


def test_what_is_no_credential_opens_no_route(
    running: Running, issuer: Issuer, routes: list[Route], acme: Tenant
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
    tally = Tally()
    for name, secret in dead.items():
        with running.http(secret or None) as http:
            caller = Caller(name, http, {})
            for route in routes:
                said = next(route.variants(acme.own, {}))
                status, answer = caller.ask(route, said)
                tally.probes += 1
                tally.leaks += leaks_in(answer, set(said.values()), acme)
                assert (status == 401) == (route.right is not None), f"{name}: {route} {status}"
    assert_none(tally, "no valid credential")


@pytest.mark.parametrize("held", [(), ("read",), ("read", "write")])
def test_no_right_is_had_that_was_not_given(
    running: Running, issuer: Issuer, routes: list[Route], acme: Tenant, held: tuple[Right, ...]
) -> None:
    before = everything(running, routes, acme)
    token = issuer.token(tenant=ACME, scope=[f"carryover:{right}" for right in held])
    probes = 0
    for secret in (token, *([running.key(*held, tenant=ACME)] if held else [])):
        with running.http(secret) as http:
            for route in routes:
                if route.right is not None and RIGHTS.index(route.right) >= len(held):
                    status, answer = Caller("", http, {}).ask(route, next(route.variants(acme.own, {})))
                    probes += 1
                    assert status == 403, f"{held}: {route} {status} {answer}"
    sys.stdout.write(f"rights that were not given: 0 of {probes} probes\n")
    assert everything(running, routes, acme) == before


def test_a_parameter_of_a_new_name_does_not_go_by(routes: list[Route]) -> None:
    documented = {(method, path) for method, path, *_ in POLICY} - {("GET", path) for path in PAGES}
    assert {(route.method, route.path) for route in routes} == documented
    with pytest.raises(AssertionError, match="is a new parameter"):
        kind_of("/things/{thing_id}", "path", "thing_id")
    with pytest.raises(KeyError):
        kind_of("/things/{id}", "path", "id")


def test_what_the_document_says_of_bodies_is_looked_at(routes: list[Route]) -> None:
    of = {(route.method, route.path): {name for place, name, _ in route.carries if place == "body"} for route in routes}
    assert of["POST", "/memory/search"] == {"agent_id", "session_id", "user_id"}
    assert {"agent_id", "user_id"} <= of["POST", "/sessions/{id}/turns"]
    assert json.dumps(sorted({kind for route in routes for *_, kind in route.carries})).count(",") >= 9
