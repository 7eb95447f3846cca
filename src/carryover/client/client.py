"""The HTTP client: a carryover server used like the embedded memory."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager

import httpx

from carryover.client import audits, wire
from carryover.client.chat import Chat
from carryover.client.coding import Coding
from carryover.client.erasures import Erasures, Holds
from carryover.client.events import Following
from carryover.client.profiles import Profiles
from carryover.client.strategies import Strategies
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


class Client:
    """Session memory on a carryover server, as the key's scope sees it. Close it, or leave its `with`.

    Every verb raises what the embedded memory raises, and StoreUnavailable when the server does not answer.
    What does no harm when it is done twice is tried twice.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout_s: float = wire.TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._http = httpx.Client(base_url=self.url, headers=wire.headers_of(api_key), timeout=timeout_s)
        self.coding = Coding(self._do)
        self.strategies = Strategies(self._do)
        self.profiles = Profiles(self._do)
        self.erasures = Erasures(self._do)
        self.holds = Holds(self._do)
        self.chat = Chat(self.url, self._do, self._lines)

    def close(self) -> None:
        """All connections are closed."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The log

    def log_turn(
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
        return self._do(
            wire.log_turn(session_id, role, content, agent=agent, user=user, idempotency_key=idempotency_key)
        )

    def append(self, request: Append) -> Appended:
        """All turns of the request are on disk, in order, or none is; tried twice if all have idempotency keys."""
        return self._do(wire.append(request))

    def session(self, session_id: str, *, agent: str = DEFAULT) -> Session:
        """The session without its turns. Raises NotFound."""
        return self._do(wire.session(session_id, agent=agent))

    def turns(
        self, session_id: str, *, agent: str = DEFAULT, after: int = 0, limit: int = 100
    ) -> tuple[Session, list[Turn]]:
        """The session and at most `limit` turns that follow `after`. Raises NotFound."""
        return self._do(wire.turns(session_id, agent=agent, after=after, limit=limit))

    def window(self, session_id: str, *, agent: str = DEFAULT, last_n: int = 10) -> tuple[Session, list[Turn]]:
        """The session and its last turns, in order. Raises NotFound."""
        return self._do(wire.window(session_id, agent=agent, last_n=last_n))

    def sessions(
        self, *, agent: str = DEFAULT, user: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Session], str | None]:
        """Sessions of an agent, newest first, and the cursor of the next page."""
        return self._do(wire.sessions(agent=agent, user=user, limit=limit, cursor=cursor))

    def close_session(self, session_id: str, *, agent: str = DEFAULT) -> Session:
        """The conversation is over; its consolidation is due now. Raises NotFound."""
        return self._do(wire.close_session(session_id, agent=agent))

    def hold_session(self, session_id: str, *, agent: str = DEFAULT, seconds: int = 600) -> Session:
        """No consolidation before then. Raises NotFound or Invalid."""
        return self._do(wire.hold_session(session_id, agent=agent, seconds=seconds))

    def set_ttl(self, session_id: str, seconds: int | None, *, agent: str = DEFAULT) -> Session:
        """The session erases itself when it has been silent for so long. Raises NotFound or Invalid."""
        return self._do(wire.set_ttl(session_id, seconds, agent=agent))

    def delete_session(self, session_id: str, *, agent: str = DEFAULT) -> Receipt:
        """The session and all that was derived from it is gone. Raises NotFound."""
        return self._do(wire.delete_session(session_id, agent=agent))

    def events(
        self, *, agent: str = DEFAULT, want: Filter | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """The activity stream, newest first."""
        return self._do(wire.events(agent=agent, want=want, limit=limit, cursor=cursor))

    def follow(
        self, *, agent: str = DEFAULT, want: Filter | None = None, after: int | None = None, poll_s: float = 0.5
    ) -> Iterator[Event]:
        """Events as they happen, from now on or after the one with the id `after`; ends only when it is closed.

        A line that breaks is taken up again after `poll_s`, where it broke.
        """
        following = Following(wire.follow(agent=agent, want=want), after)
        while True:
            try:
                yield from self._stream(following)
            except (httpx.TransportError, StoreUnavailable) as cause:
                if not following.began:
                    raise wire.unreachable(self.url, cause) from cause
            following.broken()
            time.sleep(poll_s)

    # Memory

    def get_context(
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
        return self._do(wire.context(wanted)).markdown

    def context(
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
        return self._do(wire.context(Wanted(session_id, agent, user, reach, max_tokens, query, as_of)))

    def search_memory(self, query: str, *, k: int = 5, agent: str | None = None, user: str | None = None) -> list[Hit]:
        """The turns and findings that answer the query best, with their sources."""
        return self._do(wire.search_memory(query, k=k, agent=agent, user=user))

    def search(self, query: Query) -> Hits:
        """The answer, and whether vectors took part in it. Raises Invalid for a filter that cannot be."""
        return self._do(wire.search(query))

    def consolidate(
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
        return self._do(
            wire.consolidate(session_id, agent=agent, wait=wait, timeout_s=timeout_s, again=again, force=force)
        )

    def snapshots(self, session_id: str, *, agent: str = DEFAULT, limit: int = 100) -> list[Snapshot]:
        """All snapshots of the session, newest first, without their findings. Raises NotFound."""
        return self._do(wire.snapshots(session_id, agent=agent, limit=limit))

    def snapshot(self, session_id: str, version: int, *, agent: str = DEFAULT) -> Snapshot:
        """One snapshot with its findings. Raises NotFound."""
        return self._do(wire.snapshot(session_id, version, agent=agent))

    def diff(self, session_id: str, a: int, b: int, *, agent: str = DEFAULT) -> Diff:
        """What changed from one snapshot to another, and why. Raises NotFound."""
        return self._do(wire.diff(session_id, a, b, agent=agent))

    def finding(self, id: str) -> FindingDetail:
        """A finding with its quotes, what it replaced and what replaced it. Raises NotFound."""
        return self._do(wire.finding(id))

    def trace(self, session_id: str, seq: int, *, agent: str = DEFAULT) -> Trace:
        """Everything that was derived from the turn. Raises NotFound."""
        return self._do(wire.trace(session_id, seq, agent=agent))

    def extractors(self) -> list[ExtractorState]:
        """How the tenant's extractors stand, the promoted one first. Raises Forbidden."""
        return self._do(wire.extractors())

    def decide_extractor(self, name: str, decision: Decision) -> ExtractorState:
        """The extractor is promoted, refused, or (`try`) compared anew. Raises NotFound, Invalid or Conflict."""
        return self._do(wire.decide_extractor(name, decision))

    def usage(self, *, since: int | None = None, until: int | None = None, group: Group = "tenant") -> UsageReport:
        """What the tenant consumed in the period (default: the last 30 days), and how it stands with its caps."""
        return self._do(wire.usage(since=since, until=until, group=group))

    def audit(self, want: AuditFilter | None = None, *, limit: int = 100, cursor: str | None = None) -> AuditPage:
        """Lines of the tenant's audit log, newest first, and the cursor of the next page. Raises Forbidden."""
        return self._do(audits.lines(want, limit=limit, cursor=cursor))

    def health(self) -> Health:
        """How the store and the queue are. Raises StoreUnavailable when the store does not answer."""
        return self._do(wire.health())

    def _do(self, call: Call[Answer]) -> Answer:
        try:
            return self._try(call)
        except StoreUnavailable as first:
            if not call.again:
                raise
            time.sleep(wire.pause_s(first))
            try:
                return self._try(call)
            except StoreUnavailable as second:
                raise wire.of_both(first, second) from second

    def _try(self, call: Call[Answer]) -> Answer:
        try:
            got = self._http.request(
                call.method, call.path, params=call.params, content=call.body, timeout=self._timeout_s + call.wait_s
            )
        except httpx.TransportError as cause:
            sent = not isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            raise wire.unreachable(self.url, cause, sent=sent) from cause
        return wire.answer(call, got.status_code, got.content)

    def _lines(self, call: Call[None]) -> AbstractContextManager[httpx.Response]:
        return self._http.stream(call.method, call.path, content=call.body, timeout=self._timeout_s + call.wait_s)

    def _stream(self, following: Following) -> Generator[Event]:
        call = following.call
        with self._http.stream(
            call.method,
            call.path,
            params=call.params,
            headers=following.headers,
            timeout=self._timeout_s + call.wait_s,
        ) as got:
            if got.status_code >= 400:
                raise wire.refusal(got.status_code, got.read())
            following.began = True
            for line in got.iter_lines():
                if (event := following.heard(line)) is not None:
                    yield event
