"""Everything wired together: the embedded `Carryover`, which the server and the command line use too."""

from __future__ import annotations

import time
from collections.abc import Iterator

from carryover.coding.verbs import Coding
from carryover.core.audit import AuditFilter, AuditPage
from carryover.core.chunk import Hit, Hits, Query
from carryover.core.clock import DAY_MS, EARLIEST
from carryover.core.context import Context, Reach, Wanted
from carryover.core.erasure import Receipt
from carryover.core.errors import Conflict, Forbidden
from carryover.core.event import Event
from carryover.core.extractor import Decision, ExtractorState
from carryover.core.health import Health
from carryover.core.job import subject_of
from carryover.core.ports import Clock
from carryover.core.scope import DEFAULT, Scope
from carryover.core.session import Append, Appended, Content, Draft, Place, Role, Session, Turn
from carryover.core.snapshot import Diff, FindingDetail, Snapshot
from carryover.core.trace import Trace
from carryover.core.usage import Group, UsageReport
from carryover.engine import Engine, caught_up
from carryover.log import append as appending
from carryover.log import auditing, lifecycle, read, stream
from carryover.log.erasing import Erasures, Holds
from carryover.memory import again as reconsolidate
from carryover.memory import choice, consolidate, history, trace
from carryover.persona.verbs import Profiles
from carryover.recall import context as contexts
from carryover.recall import embed, reindex, search
from carryover.recall.context_kept import Shelf
from carryover.settings import Settings
from carryover.store import queue, snapshots, usages
from carryover.strategies.verbs import Strategies

WAIT_S = 300.0


class Carryover:
    """Session memory in this process, as one scope sees it. Close it, or leave its `with`."""

    def __init__(self, engine: Engine, scope: Scope) -> None:
        self.engine, self.scope = engine, scope
        self.strategies = Strategies(engine.store, scope, engine.kept, engine.settings.summarizers)
        self.profiles = Profiles(engine.personas, scope, engine.worker, engine.settings.persona.floor)
        self.erasures = Erasures(engine.erasures, scope)
        self.holds = Holds(engine.store, scope)
        self.coding = Coding(engine.store, scope, engine.settings.coding.repos)

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None, work: bool = True, threads: int = 1) -> Carryover:
        """The memory that the settings describe; with `work`, threads consolidate idle sessions and index."""
        engine = Engine.open(settings, clock=clock)
        if work:
            engine.start_working(threads)
        return cls(engine, Scope(settings.tenant))

    def seen_by(self, scope: Scope) -> Carryover:
        """The same memory in another scope; closing either closes both."""
        return Carryover(self.engine, scope)

    def close(self) -> None:
        """The worker has ended its job, and the database is closed."""
        self.engine.closing.close()

    def __enter__(self) -> Carryover:
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
        """The turn is on disk; where in the log it stands."""
        draft = Draft(role, content, idempotency_key=idempotency_key)
        return self.append(Append(session_id, (draft,), agent, user)).turns[0]

    def append(self, request: Append) -> Appended:
        """All turns of the request are on disk, in order, or none is.

        Raises Invalid, TooLarge, NotFound or VersionConflict.
        """
        return appending.append(self.engine.log, self.scope, request, self.engine.limits)

    def session(self, session_id: str, *, agent: str = DEFAULT) -> Session:
        """The session without its turns. Raises NotFound."""
        return read.session(self.engine.store, self.scope, agent, session_id)

    def turns(
        self, session_id: str, *, agent: str = DEFAULT, after: int = 0, limit: int = 100
    ) -> tuple[Session, list[Turn]]:
        """The session and at most `limit` turns that follow `after`. Raises NotFound."""
        return read.page(self.engine.store, self.scope, agent, session_id, after=after, limit=limit)

    def window(self, session_id: str, *, agent: str = DEFAULT, last_n: int = 10) -> tuple[Session, list[Turn]]:
        """The session and its last turns, in order. Raises NotFound."""
        return read.window(self.engine.store, self.scope, agent, session_id, last_n)

    def sessions(
        self, *, agent: str = DEFAULT, user: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Session], str | None]:
        """Sessions of an agent, newest first, and the cursor of the next page."""
        return read.listed(self.engine.store, self.scope, agent, user_id=user, limit=limit, cursor=cursor)

    def close_session(self, session_id: str, *, agent: str = DEFAULT) -> Session:
        """The conversation is over; its consolidation is due now. Raises NotFound."""
        return lifecycle.close(self.engine.store, self.scope, agent, session_id)

    def hold_session(self, session_id: str, *, agent: str = DEFAULT, seconds: int = 600) -> Session:
        """No consolidation before then. Raises NotFound or Invalid."""
        return lifecycle.hold(self.engine.store, self.scope, agent, session_id, seconds)

    def set_ttl(self, session_id: str, seconds: int | None, *, agent: str = DEFAULT) -> Session:
        """The session erases itself when it has been silent for so long. Raises NotFound or Invalid."""
        return lifecycle.set_ttl(self.engine.store, self.scope, agent, session_id, seconds)

    def delete_session(self, session_id: str, *, agent: str = DEFAULT) -> Receipt:
        """The session and all that was derived from it is gone. Raises NotFound."""
        return lifecycle.delete(self.engine.store, self.scope, agent, session_id)

    def events(
        self,
        *,
        agent: str = DEFAULT,
        want: stream.Filter | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> stream.Page:
        """The activity stream, newest first."""
        return stream.newest(self.engine.store, self.scope, agent, want, limit=limit, cursor=cursor)

    def follow(
        self, *, agent: str = DEFAULT, want: stream.Filter | None = None, after: int | None = None, poll_s: float = 0.5
    ) -> Iterator[Event]:
        """Events as they happen, from now on or after the one with the id `after`; ends only when it is closed."""
        seen = stream.now(self.engine.store, self.scope, agent) if after is None else after
        while True:
            found = stream.after(self.engine.store, self.scope, agent, seen, want)
            yield from found
            if found:
                seen = found[-1].id
            else:
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
        return told(self, wanted).markdown

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
        return told(self, Wanted(session_id, agent, user, reach, max_tokens, query, as_of))

    def search_memory(self, query: str, *, k: int = 5, agent: str | None = None, user: str | None = None) -> list[Hit]:
        """The turns and findings that answer the query best, with their sources."""
        return list(self.search(Query(query, k, agent_id=agent, user_id=user)).results)

    def search(self, query: Query) -> Hits:
        """The answer, and whether vectors took part in it. Raises Invalid for a filter that cannot be."""
        self.scope.require("read")
        embedder = caught_up(self.engine, self.scope)
        return search.search(self.engine.store, self.scope, query, embedder=embedder)

    def consolidate(
        self,
        session_id: str,
        *,
        agent: str = DEFAULT,
        wait: bool = True,
        timeout_s: float = WAIT_S,
        again: bool = False,
        force: bool = False,
    ) -> Snapshot | None:
        """The session is consolidated now, in conversation or not: its snapshot, or None when nobody waits.

        With `again` its turns are read anew from the first one, and what comes of it is kept if it answers no less
        than the snapshot before, or with `force` whatever it answers. Raises NotFound, Conflict when the job waits
        for a cap, is dead or takes longer than `timeout_s`, or when a snapshot made anew is not kept.
        """
        if again or force:
            return self._reconsolidate(session_id, agent, force=force, timeout_s=timeout_s if wait else 0)
        wanted = consolidate.ask(self.engine.store, self.scope, agent, session_id).version
        end = time.monotonic() + timeout_s
        while wait and time.monotonic() < end:
            subject = subject_of(agent, session_id)
            self.engine.worker.run_one((consolidate.KIND,), tenant=self.scope.tenant, subject=subject)
            with self.engine.store.read(self.scope) as tx:
                newest = snapshots.latest(tx, agent, session_id)
                job = queue.get(tx, consolidate.KIND, subject)
            if newest is not None and newest.through >= wanted:
                return newest
            if job is not None and job.lease is None and job.reason is not None:
                raise Conflict(f"session {session_id!r} is not consolidated yet ({job.reason}); ask again later")
            if job is None or job.due > self.engine.store.clock.now():
                consolidate.ask(self.engine.store, self.scope, agent, session_id)  # a turn came in between
            time.sleep(0.02)
        if wait:
            raise Conflict(f"session {session_id!r} is still being consolidated; ask for its snapshots later")
        return None

    def _reconsolidate(self, session_id: str, agent: str, *, force: bool, timeout_s: float) -> Snapshot | None:
        asked = reconsolidate.ask(self.engine.store, self.scope, agent, session_id, force=force)
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self.engine.worker.run_one((asked.kind,), tenant=self.scope.tenant, subject=asked.subject)
            with self.engine.store.read(self.scope) as tx:
                job = queue.get(tx, asked.kind, asked.subject)
            if job is None:
                return reconsolidate.outcome(self.engine.store, self.scope, asked)
            if job.lease is None and job.reason is not None:
                raise Conflict(f"session {session_id!r} is not read anew yet ({job.reason}); ask again later")
            time.sleep(0.02)
        if timeout_s:
            raise Conflict(f"session {session_id!r} is still being read anew; ask for its snapshots later")
        return None

    def snapshots(self, session_id: str, *, agent: str = DEFAULT, limit: int = 100) -> list[Snapshot]:
        """All snapshots of the session, newest first, without their findings. Raises NotFound."""
        return history.snapshots(self.engine.store, self.scope, agent, session_id, limit=limit)[0]

    def snapshot(self, session_id: str, version: int, *, agent: str = DEFAULT) -> Snapshot:
        """One snapshot with its findings. Raises NotFound."""
        return history.snapshot(self.engine.store, self.scope, agent, session_id, version)

    def diff(self, session_id: str, a: int, b: int, *, agent: str = DEFAULT) -> Diff:
        """What changed from one snapshot to another, and why. Raises NotFound."""
        return history.diff(self.engine.store, self.scope, agent, session_id, a, b)

    def finding(self, id: str) -> FindingDetail:
        """A finding with its quotes, what it replaced and what replaced it. Raises NotFound."""
        return history.finding(self.engine.store, self.scope, id)

    def trace(self, session_id: str, seq: int, *, agent: str = DEFAULT) -> Trace:
        """Everything that was derived from the turn. Raises NotFound."""
        return trace.trace(self.engine.store, self.scope, agent, session_id, seq)

    def extractors(self) -> list[ExtractorState]:
        """How the tenant's extractors stand, the promoted one first. Raises Forbidden."""
        return choice.listed(self.engine.store, self.scope)

    def decide_extractor(self, name: str, decision: Decision) -> ExtractorState:
        """The extractor is promoted, refused, or (`try`) will be compared anew by the next worker.

        Raises Forbidden, NotFound, Invalid for one that cannot be had, Conflict where there is nothing to decide.
        """
        return choice.decide(self.engine.store, self.scope, self.engine.extractors, name, decision)

    def usage(self, *, since: int | None = None, until: int | None = None, group: Group = "tenant") -> UsageReport:
        """What the tenant consumed in a period, by default the last 30 days, and how it stands with its caps.

        Raises Forbidden for a scope that is narrowed to one user: usage is not kept by user.
        """
        self.scope.require("read")
        if self.scope.user is not None:
            raise Forbidden("this key is narrowed to one user and may not read usage; use one that is not")
        with self.engine.store.read(self.scope) as tx:
            until = tx.now + 1 if until is None else until
            since = max(until - 30 * DAY_MS, EARLIEST) if since is None else since
            totals, waiting = tuple(usages.totals(tx, since, until, group)), usages.waiting(tx)
            spent, reserved = usages.spent(tx, tx.now), usages.reserved(tx, tx.now)
            return UsageReport(since, until, totals, spent, reserved, self.engine.settings.cap, waiting)

    def audit(self, want: AuditFilter | None = None, *, limit: int = 100, cursor: str | None = None) -> AuditPage:
        """Lines of the tenant's audit log, newest first, and the cursor of the next page. Raises Forbidden."""
        return auditing.lines(self.engine.store, self.scope, want, limit=limit, cursor=cursor)

    def health(self) -> Health:
        """How the store and the queue are. Raises StoreUnavailable when the store does not answer."""
        with self.engine.store.read(self.scope) as tx:
            status = "degraded" if (counts := queue.counts(tx))["dead"] else "ok"
            notes = embed.progress(tx, self.engine.models), reindex.progress(tx)
            return Health(status, tx.dialect.name, counts, tuple(note for note in notes if note))


def told(memory: Carryover, wanted: Wanted) -> Context:
    """The context that is asked for, out of the memory as its scope sees it. Raises as `Carryover.context` does."""
    shelf = Shelf(memory.engine.cache, memory.engine.settings.cache_ttl_s)
    return contexts.context(memory.engine.store, memory.scope, wanted, search=memory.search, shelf=shelf)
