"""Every route with every parameter that carries an id, asked by whoever may not: what it tells, and tells apart.

The routes and their parameters are those of the OpenAPI document of the application: a new route is tried without a
line here, and a parameter or a member of a body of a new name fails until it is said what it carries.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import sqlalchemy as sa

from carryover.core.scope import Right
from carryover.server.profile_page import ASSETS
from carryover.store.store import Store
from policy import POLICY
from serving import Running
from walled import CANARY, SUFFIX, Tenant

PAGES = ("/docs", "/openapi.json", *(f"/profile/{name}" for name in ASSETS))  # not in the document
ACME, ZETA = "acme", "zeta"
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
# The same of bodies. `name` is whoever speaks in a turn, `turns` is "2-5" or turns; idempotency keys and calls count
# within their session; `pins`, `removed` and `weights` name lines of one user; folders are those that settings name.
PLAIN_IN_BODIES = {
    "since", "until", "query", "as_of", "name", "turns", "idempotency_key", "call_id", "pins", "removed", "weights",
    "repos", "files", "skill", "kinds", "content", "metadata", "created_at", "message", "instructions", "tools",
    "memory_strategy", "texts", "by", "reason", "title", "lesson", "flavor", "summarizer_model", "summary_prefix",
    "compact_exclude_tools", "compact_include_tools", "placeholder",
}  # fmt: skip
PLACES = ("cursor", "event")  # kinds that say where a list begins
FILLED = {"version": "1", "a": "1", "b": "1", "seq": "1", "decision": "try"}
# The longest first: what is drawn anew may begin with as many digits as a number has.
VOLATILE = re.compile(
    r"[\w+/=-]{40,}|\b[a-z]+_[0-9a-z]{16,}|\b[0-9a-f]{16,}|\d{4}-\d\d-\d\dT[\d:.]+Z|\d{6,}"
)  # fmt: skip
_OWN_TENANT = re.compile(r"(?:\b\w+\.)?\btenant = (\?|%\(\w+\)s)(?:::\w+)?")


@dataclass(frozen=True)
class Route:
    """One route, and what its parameters carry: (where they are, name, kind)."""

    method: str
    path: str
    right: Right | None
    body: dict[str, Any] | None
    carries: tuple[tuple[str, str, str], ...]

    def variants(self, strange: Mapping[str, str], own: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """What parameters say: all of them something strange, and each of them alone beside what is one's own.

        Where a list begins somewhere, it is asked for from its beginning too: that parameter is left out first.
        """
        if any(kind in PLACES for *_, kind in self.carries):
            yield {name: strange[kind] for _, name, kind in self.carries if kind not in PLACES}
        yield {name: strange[kind] for _, name, kind in self.carries}
        if len(self.carries) > 1:
            for _, name, kind in self.carries:
                yield {other: own.get(of, strange[of]) for _, other, of in self.carries} | {name: strange[kind]}


@dataclass
class Tally:
    """What was tried, and what was wrong with the answers."""

    probes: int = 0
    credentials: set[str] = field(default_factory=set[str])
    routes: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    parameters: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    leaks: list[str] = field(default_factory=list[str])
    differences: list[str] = field(default_factory=list[str])
    opened: list[str] = field(default_factory=list[str])  # doors that should have stayed shut
    failures: list[str] = field(default_factory=list[str])

    def add(self, other: Tally) -> None:
        self.probes += other.probes
        for name in ("credentials", "routes", "parameters"):
            getattr(self, name).update(getattr(other, name))
        for name in ("leaks", "differences", "opened", "failures"):
            getattr(self, name).extend(getattr(other, name))

    def __str__(self) -> str:
        return (
            f"{len(self.routes)} routes, {len(self.parameters)} parameters that carry ids, "
            f"{len(self.credentials)} credentials, {self.probes} probes; cross-tenant leaks: {len(self.leaks)}, "
            f"answers that tell what others have from what nobody has: {len(self.differences)}, "
            f"doors opened without their right: {len(self.opened)}, 5xx: {len(self.failures)}"
        )


@dataclass(frozen=True)
class Caller:
    """Somebody with a credential, and ids that are their own; what they ask is counted."""

    name: str
    http: httpx.Client
    own: Mapping[str, str]
    tally: Tally = field(default_factory=Tally)
    wrote: set[str] = field(default_factory=set[str])  # names that it gave to things of its own

    def ask(self, route: Route, said: Mapping[str, str]) -> tuple[int, str]:
        """The status, and all that was answered."""
        self.tally.probes += 1
        self.tally.credentials.add(self.name)
        self.tally.routes.add((route.method, route.path))
        self.tally.parameters.update((route.method, route.path, place, name) for place, name, _ in route.carries)
        path, query, headers = route.path, dict[str, str](), dict[str, str]()
        body = None if route.body is None else dict(route.body)
        for place, name in ((place, name) for place, name, _ in route.carries if name in said):
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


def routes_of(document: dict[str, Any]) -> list[Route]:
    rights = {(method, path): (right, body) for method, path, right, body in POLICY}
    found: list[Route] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            right, body = rights[method.upper(), path]
            given = [(one["in"], one["name"]) for one in operation.get("parameters", [])]
            carries = [(place, name, kind_of(path, place, name)) for place, name in given]
            carries += [("body", name, kind) for name, kind in sorted(members_of(document, path, operation).items())]
            known = tuple((place, name, kind) for place, name, kind in carries if kind is not None)
            found.append(Route(method.upper(), path, right, body, known))
    return sorted(found, key=lambda route: route.method != "GET")  # before anything was written by who asks


def kind_of(path: str, place: str, name: str) -> str | None:
    if name == "id" and place == "path":
        words = path.partition("{id}")[0].split("/")
        return OF_ID[words[-2]]
    if name in CARRIES:
        return CARRIES[name]
    assert name in PLAIN, f"{name} of {path} is a new parameter: say in this file whether it names what somebody has"
    return None


def members_of(document: dict[str, Any], path: str, operation: dict[str, Any]) -> dict[str, str]:
    """The members of the body that carry ids, with their kinds; those of what it holds have to be known too."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return {}
    schemas = document["components"]["schemas"]
    first, seen = _properties(schemas, content["schema"]), list[dict[str, Any]]()
    within = [first]
    while within:
        members = within.pop()
        seen.append(members)
        within += [more for one in members.values() if (more := _properties(schemas, one)) and more not in seen]
    names = {name for members in seen for name, one in members.items() if _can_name(one)}
    unknown = names - PLAIN_IN_BODIES - CARRIES.keys()
    assert not unknown, f"{unknown} are new in the body of {path}: say in this file whether they name what somebody has"
    return {name: CARRIES[name] for name in first if name in names - PLAIN_IN_BODIES}


def _properties(schemas: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The members of an object, or of the objects in a list, or of what may be null."""
    found = dict(schema.get("properties", {}))
    for inner in (schema.get("items"), *schema.get("anyOf", []), *schema.get("allOf", [])):
        found |= _properties(schemas, inner) if inner else {}
    if "$ref" in schema:
        found |= _properties(schemas, schemas[schema["$ref"].rpartition("/")[2]])
    return found


def _can_name(schema: dict[str, Any]) -> bool:
    """Whether a value of this schema could be an id: all but numbers, truth values, and words from a list."""
    kinds: set[str | None] = set()
    for one in schema.get("anyOf", [schema]):
        kind = "enum" if "enum" in one else one.get("type")
        kinds.update(kind if isinstance(kind, list) else [kind])
    return not kinds <= {"integer", "number", "boolean", "null", "enum"}


def leaks_in(answer: str, known: set[str], whose: Tenant) -> list[str]:
    """What of the tenant is in the answer, besides names that whoever asks has used."""
    for id in sorted(known, key=len, reverse=True):
        answer = answer.replace(id, "") if id else answer
    names = [id for kind, id in whose.own.items() if len(id) > 8 and kind not in (*PLACES, "subject")]
    return [word for word in (CANARY, SUFFIX, *names) if word in answer]


def plain(answer: str, said: Mapping[str, str], whose: Tenant) -> str:
    """An answer without names, times, and what is drawn anew for each."""
    names = [*said.values(), *whose.own.values(), *whose.ghost.values()]
    for name in sorted(filter(None, names), key=len, reverse=True):
        answer = answer.replace(name, "NAME") if len(name) > 8 else answer
    return VOLATILE.sub("#", answer.partition("\n[")[0])


def probe(caller: Caller, route: Route, whose: Tenant, *, compares: bool) -> None:
    """The caller asks for what the tenant has, and for what nobody has: no word of it, and no difference."""
    ghosts = route.variants(whose.ghost, caller.own)
    for said, ghost in zip(route.variants(whose.own, caller.own), ghosts, strict=True):
        status, answer = caller.ask(route, said)
        where = f"{caller.name}: {route.method} {route.path} {said}"
        caller.tally.failures += [f"{where}: {status} {answer}"] if status >= 500 else []
        caller.tally.leaks += [
            f"{where}: {status} tells {word}: {answer}"
            for word in leaks_in(answer, {*said.values(), *caller.wrote}, whose)
        ]
        if compares and is_told_by_name(route, said):
            other, likewise = caller.ask(route, ghost)
            if (status, plain(answer, said, whose)) != (other, plain(likewise, ghost, whose)):
                caller.tally.differences.append(f"{where}: {status} {answer}\n  {other} {likewise}")


def is_told_by_name(route: Route, said: Mapping[str, str]) -> bool:
    """Whether an answer depends on names alone: where in a list it begins is another place for another id."""
    return bool(said) and all(kind not in PLACES for _, name, kind in route.carries if name in said)


def assert_none(tally: Tally, said: str) -> None:
    sys.stdout.write(f"{said}: {tally}\n")
    for wrong in (tally.failures, tally.leaks, tally.differences, tally.opened):
        assert not wrong, "\n".join(wrong)


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


@contextmanager
def forgetful(store: Store) -> Generator[None]:
    """Inside the block no statement chooses its rows by their tenant: the first wall is gone."""
    typed = "({})::text" if store.dialect.name == "postgresql" else "{}"

    def forget(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> tuple[str, Any]:
        return _OWN_TENANT.sub(lambda found: f"{typed.format(found[1])} IS NOT NULL", statement), parameters

    sa.event.listen(store.engine, "before_cursor_execute", forget, retval=True)
    try:
        yield
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", forget)


# What must tell the canary to its own tenant, or probes would prove nothing.
KINDS = (
    "GET /sessions/{id}/turns", "GET /memory/{agent_id}/{session_id}", "GET /memory/{agent_id}/{session_id}/window",
    "GET /sessions/{id}/context", "GET /sessions/{id}/snapshots/{version}", "GET /findings/{id}",
    "GET /sessions/{id}/turns/{seq}/derived", "POST /memory/search", "GET /profile", "GET /persona",
    "GET /api/v1/conversations/{id}/memory", "GET /api/v1/agents/{agent_id}/memory", "GET /digests",
    "GET /digests/{id}",
    "GET /api/v1/conversations/{id}/runs", "GET /api/v1/conversations/{id}/runs/{run}", "GET /patterns",
    "GET /patterns/{id}", "GET /patterns/{id}/versions", "GET /holds",
)  # fmt: skip
