"""Who may come in, and what every route shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from carryover.core import telemetry
from carryover.core.clock import parse_time
from carryover.core.errors import Forbidden, Unauthorized
from carryover.core.scope import DEFAULT, EVERY_TENANT, Caller, Right, Scope
from carryover.jobs.logger import logger_for
from carryover.persona import links
from carryover.runtime import Carryover
from carryover.server.tokens import Issuer
from carryover.store import keys

logger = logger_for(__name__)

KNOWN_S = 0.5  # for so long a key that was looked up is taken to be unrevoked
_MOST = 10_000
_TOLD_EVERY_S = 60.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Said in the document only: what an illegal id names does not exist, over HTTP as embedded.
_ID: dict[str, Any] = {"pattern": "^[A-Za-z0-9._:@-]{1,128}$"}

AgentId = Annotated[str, Path(json_schema_extra=_ID, description="an agent of the tenant")]
UserId = Annotated[str, Path(json_schema_extra=_ID, description="a user of the tenant")]
SessionId = Annotated[str, Path(json_schema_extra=_ID, description="a session of the agent")]
Id = Annotated[str, Path(alias="id", json_schema_extra=_ID, description="a session")]
OfAgent = Annotated[
    str | None, Query(alias="agent_id", json_schema_extra=_ID, description="whose session it is; default: `default`")
]
OfUser = Annotated[str | None, Query(alias="user_id", json_schema_extra=_ID, description="only of this user")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")]
When = Annotated[str | None, Query(description="an RFC 3339 time")]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a credential opens: its scope, and the rate that it has of its own."""

    scope: Scope
    rate: str | None
    until: float  # it need not be looked up again before, on the monotonic clock


class Doors:
    """Finds out for each request whose scope it has; keys are looked up at most every half second."""

    def __init__(self, memory: Carryover, *, open_door: bool) -> None:
        oidc = memory.engine.settings.oidc
        self._memory = memory
        self._open_door = open_door and oidc is None
        self._open_until = 0.0
        self._known: dict[str, Entry] = {}
        self._signs_links: bytes | None = None
        self._issuer = None if oidc is None else Issuer(oidc)
        self._token_rate = None if oidc is None else oidc.rate_limit
        self._refusals = _Refusals()

    @property
    def known(self) -> int:
        """How many keys are cached."""
        return len(self._known)

    async def close(self) -> None:
        """Nothing is asked of the issuer of tokens any more."""
        if self._issuer is not None:
            await self._issuer.close()

    async def scope(self, request: Request, *, by_link: bool = False) -> Scope:
        """The scope of the request's key or token, or `by_link` of its link; in open local mode the local tenant's.

        Raises Unauthorized, and Forbidden for a page of another site that reaches into open local mode.
        """
        return (await self.entry(request, by_link=by_link)).scope

    async def entry(self, request: Request, *, by_link: bool = False) -> Entry:
        """The same, with the rate that goes with it."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if kind.lower() == "bearer" and secret:
            known = self._known.get(secret)
            if known is not None and time.monotonic() < known.until:
                return known
            return await self._admitted(secret, by_link)
        if not self._open_door:
            raise Unauthorized()
        if time.monotonic() >= self._open_until:
            await run_in_threadpool(self._look_whether_open)
        _refuse_other_sites(request)
        return Entry(self._memory.scope, None, 0)

    def tenant_of(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Whose request this seems to be, at no cost: to share out the server, not to let anybody in."""
        for name, value in headers:
            if name == b"authorization":
                known = self._known.get(value[7:].decode("latin-1").strip())
                return "" if known is None else known.scope.tenant
        return ""  # a line for all without a key: a crowd of strangers takes no place of a tenant's

    async def _admitted(self, secret: str, by_link: bool) -> Entry:
        kind = "link" if secret.startswith(links.PREFIX) else "token" if self._is_token(secret) else "key"
        try:
            if kind == "link":
                return Entry(await run_in_threadpool(self._open_link, secret, by_link), None, 0)
            if kind == "token" and self._issuer is not None:
                scope, seconds = await self._issuer.admitted(secret)
                return self._keep(secret, Entry(scope, self._token_rate, time.monotonic() + seconds))
            return self._keep(secret, await run_in_threadpool(self._look_up, secret))
        except Unauthorized:
            self._known.pop(secret, None)
            self._refusals.add(kind)
            raise

    def _is_token(self, secret: str) -> bool:
        return self._issuer is not None and not secret.startswith(keys.PREFIX) and secret.count(".") == 2

    def _keep(self, secret: str, entry: Entry) -> Entry:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[secret] = entry
        return entry

    def _look_up(self, secret: str) -> Entry:
        store = self._memory.engine.store
        key = keys.admitted(store, secret)
        keys.used(store, key, secret)
        left_s = KNOWN_S if key.expires_at is None else min(KNOWN_S, (key.expires_at - store.clock.now()) / 1000)
        return Entry(key.scope, key.rate, time.monotonic() + left_s)

    def _open_link(self, token: str, by_link: bool) -> Scope:
        if not by_link:
            raise Unauthorized("this is a link, which opens a profile and nothing else; send an API key")
        engine = self._memory.engine
        if self._signs_links is None:
            self._signs_links = links.secret_of(engine.store)
        return links.opened(engine.vault, self._signs_links, token, engine.store.clock.now()).scope

    def _look_whether_open(self) -> None:
        with self._memory.engine.store.read(EVERY_TENANT) as tx:
            if keys.exist(tx):
                raise Unauthorized()
        self._open_until = time.monotonic() + KNOWN_S


class _Refusals:
    """Failed authentications: counted each, and told in the log once a minute, however many there are."""

    def __init__(self) -> None:
        self._since = 0
        self._tell_at = 0.0

    def add(self, kind: str) -> None:
        telemetry.count("authentications_failed", kind=kind)
        self._since += 1
        if time.monotonic() >= self._tell_at:
            logger.warning("authentication failed", kind=kind, times=self._since)
            self._since, self._tell_at = 0, time.monotonic() + _TOLD_EVERY_S


async def enter(request: Request, right: Right, *, limited: bool = True, by_link: bool = False) -> Carryover:
    """The memory as the request's scope sees it. Raises Unauthorized, Forbidden, or TooMany beyond the rate."""
    state = request.app.state
    entry: Entry = await state.doors.entry(request, by_link=by_link)
    known = entry.scope
    if limited:
        await state.limits.admit(known.tenant, known.by.who, entry.rate)
    by = Caller(known.by.who, "http", request.scope.get("request_id"))
    scope = Scope(known.tenant, known.agent, known.user, known.rights, by)
    scope.require(right)
    return state.memory.seen_by(scope)


def allowed(right: Right, *, by_link: bool = False) -> Callable[[Request], Coroutine[Any, Any, Carryover]]:
    """A dependency: the memory, for callers that hold the right; a user's own link may do where it says so."""

    async def door(request: Request) -> Carryover:
        return await enter(request, right, by_link=by_link)

    return door


Reader = Annotated[Carryover, Depends(allowed("read"))]
Writer = Annotated[Carryover, Depends(allowed("write"))]
Admin = Annotated[Carryover, Depends(allowed("admin"))]
OwnReader = Annotated[Carryover, Depends(allowed("read", by_link=True))]
OwnWriter = Annotated[Carryover, Depends(allowed("write", by_link=True))]


def moment(text: str | None, field: str) -> int | None:
    return None if text is None else parse_time(text, field)


def named(in_body: str | None, in_query: str | None) -> str:
    """The agent that body or query names."""
    return next((name for name in (in_body, in_query) if name is not None), DEFAULT)


def _refuse_other_sites(request: Request) -> None:
    """In open local mode a browser must not become the way in for pages from elsewhere (DNS rebinding, CSRF)."""
    origin = request.headers.get("origin")
    host = _host(f"//{request.headers.get('host', '')}")
    if host not in _LOOPBACK or (origin is not None and _host(origin) not in _LOOPBACK):
        raise Forbidden(
            "without API keys only this machine's own programs are served; make a key with `carryover keys create`",
        )


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
