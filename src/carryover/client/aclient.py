"""The HTTP client for async programs: the twin of `client`, word for word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager

import httpx

from carryover.client import audits, wire
from carryover.client.chat import AsyncChat
from carryover.client.coding import AsyncCoding
from carryover.client.erasures import AsyncErasures, AsyncHolds
from carryover.client.events import Following
from carryover.client.profiles import AsyncProfiles
from carryover.client.strategies import AsyncStrategies
from carryover.client.wire import Answer, Call
from carryover.core.audit import AuditFilter, AuditPage
from carryover.core.chunk import Hit, Hits, Query
from carryover.core.context import Context, Reach, Wanted
from carryover.core.erasure import Receipt
from carryover.core.errors import StoreUnavailable
from carryover.core.event import Event, Filter, Page
from carryover.core.extractor import Decision, ExtractorState
from carryover.core.health import Health
from carryover.core.scope import DEFAULT
from carryover.core.session import Append, Appended, Content, Place, Role, Session, Turn
from carryover.core.snapshot import Diff, FindingDetail, Snapshot
from carryover.core.trace import Trace
from carryover.core.usage import Group, UsageReport


class AsyncClient:
    """Session memory on a carryover server, as the key's scope sees it. Close it, or leave its `async with`.

    Every verb raises what the embedded memory raises, and StoreUnavailable when the server does not answer.
    What does no harm when it is done twice is tried twice.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout_s: float = wire.TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(base_url=self.url, headers=wire.headers_of(api_key), timeout=timeout_s)
        self.coding = AsyncCoding(self._do)
        self.strategies = AsyncStrategies(self._do)
        self.profiles = AsyncProfiles(self._do)
        self.erasures = AsyncErasures(self._do)
        self.holds = AsyncHolds(self._do)
        self.chat = AsyncChat(self.url, self._do, self._lines)

    async def close(self) -> None:
        """All connections are closed."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # The log

    async def log_turn(
        self,
        session_id: str,
        role: Role,
        content: Content,
        *,
        agent: str = DEFAULT,
        user: str | None = None,
        idempotency_key: str | None = None,
    ) -> Place:
        """The turn is on the server's disk, once; where in the log it stands."""
        return await self._do(
            wire.log_turn(session_id, role, content, agent=agent, user=user, idempotency_key=idempotency_key)
        )

    async def append(self, request: Append) -> Appended:
        """All turns of the request are on disk, in order, or none is; tried twice if all have idempotency keys."""
        return await self._do(wire.append(request))

    async def session(self, session_id: str, *, agent: str = DEFAULT) -> Session:
        """The session without its turns. Raises NotFound."""
        return await self._do(wire.session(session_id, agent=agent))

    async def turns(
        self, session_id: str, *, agent: str = DEFAULT, after: int = 0, limit: int = 100
    ) -> tuple[Session, list[Turn]]:
        """The session and at most `limit` turns that follow `after`. Raises NotFound."""
        return await self._do(wire.turns(session_id, agent=agent, after=after, limit=limit))

    async def window(self, session_id: str, *, agent: str = DEFAULT, last_n: int = 10) -> tuple[Session, list[Turn]]:
        """The session and its last turns, in order. Raises NotFound."""
        return await self._do(wire.window(session_id, agent=agent, last_n=last_n))

    async def sessions(
        self, *, agent: str = DEFAULT, user: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Session], str | None]:
        """Sessions of an agent, newest first, and the cursor of the next page."""
        return await self._do(wire.sessions(agent=agent, user=user, limit=limit, cursor=cursor))

    async def close_session(self, session_id: str, *, agent: str = DEFAULT) -> Session:
        """The conversation is over; its consolidation is due now. Raises NotFound."""
        return await self._do(wire.close_session(session_id, agent=agent))

    async def hold_session(self, session_id: str, *, agent: str = DEFAULT, seconds: int = 600) -> Session:
        """No consolidation before then. Raises NotFound or Invalid."""
        return await self._do(wire.hold_session(session_id, agent=agent, seconds=seconds))

    async def set_ttl(self, session_id: str, seconds: int | None, *, agent: str = DEFAULT) -> Session:
        """The session erases itself when it has been silent for so long. Raises NotFound or Invalid."""
        return await self._do(wire.set_ttl(session_id, seconds, agent=agent))

    async def delete_session(self, session_id: str, *, agent: str = DEFAULT) -> Receipt:
        """The session and all that was derived from it is gone. Raises NotFound."""
        return await self._do(wire.delete_session(session_id, agent=agent))

    async def events(
        self, *, agent: str = DEFAULT, want: Filter | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """The activity stream, newest first."""
        return await self._do(wire.events(agent=agent, want=want, limit=limit, cursor=cursor))

    async def follow(
        self, *, agent: str = DEFAULT, want: Filter | None = None, after: int | None = None, poll_s: float = 0.5
    ) -> AsyncIterator[Event]:
        """Events as they happen, from now on or after the one with the id `after`; ends only when it is closed.

        A line that breaks is taken up again after `poll_s`, where it broke.
        """
        following = Following(wire.follow(agent=agent, want=want), after)
        while True:
            try:
                async for event in self._stream(following):
                    yield event
            except (httpx.TransportError, StoreUnavailable) as cause:
                if not following.began:
                    raise wire.unreachable(self.url, cause) from cause
            following.broken()
            await asyncio.sleep(poll_s)

    # Memory

    async def get_context(
        self,
        session_id: str,
        *,
        agent: str = DEFAULT,
        user: str | None = None,
        max_tokens: int = 500,
        repo: str | None = None,
    ) -> str:
        """Markdown to prepend to the session's system prompt, within the budget; `repo` is a coding agent's."""
        wanted = Wanted(session_id, agent, user, max_tokens=max_tokens, repos=(repo,) if repo else ())
        return (await self._do(wire.context(wanted))).markdown

    async def context(
        self,
        session_id: str,
        *,
        agent: str = DEFAULT,
        user: str | None = None,
        reach: Reach = "agent",
        max_tokens: int = 500,
        query: str | None = None,
        as_of: int | None = None,
    ) -> Context:
        """What the session should know of those before it; with `as_of`, what it could have known at that time.

        Raises Invalid for a budget that is too small.
        """
        return await self._do(wire.context(Wanted(session_id, agent, user, reach, max_tokens, query, as_of)))

    async def search_memory(
        self, query: str, *, k: int = 5, agent: str | None = None, user: str | None = None
    ) -> list[Hit]:
        """The turns and findings that answer the query best, with their sources."""
        return await self._do(wire.search_memory(query, k=k, agent=agent, user=user))

    async def search(self, query: Query) -> Hits:
        """The answer, and whether vectors took part in it. Raises Invalid for a filter that cannot be."""
        return await self._do(wire.search(query))

    async def consolidate(
        self,
        session_id: str,
        *,
        agent: str = DEFAULT,
        wait: bool = True,
        timeout_s: float = wire.WAIT_S,
        again: bool = False,
        force: bool = False,
    ) -> Snapshot | None:
        """The session is consolidated now: its snapshot, or None when nobody waits. Raises NotFound or Conflict.

        With `again` its turns are read anew from the first one; what comes of it is kept if it answers no less than
        the snapshot before, or with `force` whatever it answers.
        """
        return await self._do(
            wire.consolidate(session_id, agent=agent, wait=wait, timeout_s=timeout_s, again=again, force=force)
        )

    async def snapshots(self, session_id: str, *, agent: str = DEFAULT, limit: int = 100) -> list[Snapshot]:
        """All snapshots of the session, newest first, without their findings. Raises NotFound."""
        return await self._do(wire.snapshots(session_id, agent=agent, limit=limit))

    async def snapshot(self, session_id: str, version: int, *, agent: str = DEFAULT) -> Snapshot:
        """One snapshot with its findings. Raises NotFound."""
        return await self._do(wire.snapshot(session_id, version, agent=agent))

    async def diff(self, session_id: str, a: int, b: int, *, agent: str = DEFAULT) -> Diff:
        """What changed from one snapshot to another, and why. Raises NotFound."""
        return await self._do(wire.diff(session_id, a, b, agent=agent))

    async def finding(self, id: str) -> FindingDetail:
        """A finding with its quotes, what it replaced and what replaced it. Raises NotFound."""
        return await self._do(wire.finding(id))

    async def trace(self, session_id: str, seq: int, *, agent: str = DEFAULT) -> Trace:
        """Everything that was derived from the turn. Raises NotFound."""
        return await self._do(wire.trace(session_id, seq, agent=agent))

    async def extractors(self) -> list[ExtractorState]:
        """How the tenant's extractors stand, the promoted one first. Raises Forbidden."""
        return await self._do(wire.extractors())

    async def decide_extractor(self, name: str, decision: Decision) -> ExtractorState:
        """The extractor is promoted, refused, or (`try`) compared anew. Raises NotFound, Invalid or Conflict."""
        return await self._do(wire.decide_extractor(name, decision))

    async def usage(
        self, *, since: int | None = None, until: int | None = None, group: Group = "tenant"
    ) -> UsageReport:
        """What the tenant consumed in the period (default: the last 30 days), and how it stands with its caps."""
        return await self._do(wire.usage(since=since, until=until, group=group))

    async def audit(self, want: AuditFilter | None = None, *, limit: int = 100, cursor: str | None = None) -> AuditPage:
        """Lines of the tenant's audit log, newest first, and the cursor of the next page. Raises Forbidden."""
        return await self._do(audits.lines(want, limit=limit, cursor=cursor))

    async def health(self) -> Health:
        """How the store and the queue are. Raises StoreUnavailable when the store does not answer."""
        return await self._do(wire.health())

    async def _do(self, call: Call[Answer]) -> Answer:
        try:
            return await self._try(call)
        except StoreUnavailable as first:
            if not call.again:
                raise
            await asyncio.sleep(wire.pause_s(first))
            try:
                return await self._try(call)
            except StoreUnavailable as second:
                raise wire.of_both(first, second) from second

    async def _try(self, call: Call[Answer]) -> Answer:
        try:
            got = await self._http.request(
                call.method, call.path, params=call.params, content=call.body, timeout=self._timeout_s + call.wait_s
            )
        except httpx.TransportError as cause:
            sent = not isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            raise wire.unreachable(self.url, cause, sent=sent) from cause
        return wire.answer(call, got.status_code, got.content)

    def _lines(self, call: Call[None]) -> AbstractAsyncContextManager[httpx.Response]:
        return self._http.stream(call.method, call.path, content=call.body, timeout=self._timeout_s + call.wait_s)

    async def _stream(self, following: Following) -> AsyncGenerator[Event]:
        call = following.call
        async with self._http.stream(
            call.method,
            call.path,
            params=call.params,
            headers=following.headers,
            timeout=self._timeout_s + call.wait_s,
        ) as got:
            if got.status_code >= 400:
                raise wire.refusal(got.status_code, await got.aread())
            following.began = True
            async for line in got.aiter_lines():
                if (event := following.heard(line)) is not None:
                    yield event
