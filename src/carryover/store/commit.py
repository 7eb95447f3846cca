"""Group commit: requests that arrive together share one transaction, and one flush to the disk.

(DeWitt et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984, section 5.2.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from carryover.core import telemetry
from carryover.core.errors import CarryoverError, StoreUnavailable, TooMany
from carryover.core.scope import Scope
from carryover.store.store import Store, Tx


@dataclass(slots=True)
class _Member:
    """A request in the queue; `wake` is set when its answer is there, or when its thread should lead."""

    scope: Scope
    request: Any
    future: Future[Any]
    wake: threading.Event | None = None


@dataclass(slots=True)
class _Line:
    """Those who wait for the same commit, and the right to lead it."""

    name: str
    waiting: list[_Member] = field(default_factory=list[_Member])
    leading: threading.Lock = field(default_factory=threading.Lock)


Request = TypeVar("Request")
Answer = TypeVar("Answer")

MOST = 512  # requests in one commit: bounds how long the first of them waits
WAITING = 4096  # requests of one line that wait for their commit; who comes then is sent away
LONGEST_NAP_S = 1.0  # should the thread that was to lead be interrupted just then, another one looks after it


class GroupCommit(Generic[Request, Answer]):
    """Requests in, answers out once they are on disk.

    Whoever comes while no commit is under way leads: it makes one for all that have queued up, and then hands the
    lead to one of those that have queued up since. So a lone caller pays no thread switch, and a crowd shares each
    flush. Where the database takes several writers, each tenant has a line of its own: they commit at the same time,
    and a busy tenant keeps nobody waiting.

    `handle` answers each request of one scope with its answer or with the error that is its own; an exception
    out of it means that nothing of the batch was saved, and every caller of the batch gets it. It may be run again
    from its beginning (`Store.transact`). `told` hears the answers of each commit.
    """

    def __init__(
        self,
        store: Store,
        handle: Callable[[Tx, Sequence[Request]], Sequence[Answer | CarryoverError]],
        told: Callable[[Sequence[Answer | CarryoverError]], None] | None = None,
    ) -> None:
        self._store = store
        self._handle = handle
        self._told = told
        self._lines: dict[str, _Line] = {}
        self._queue = threading.Lock()
        self.commits = 0
        self.requests = 0

    def line_of(self, scope: Scope) -> str:
        """The name of the line in which the scope's requests wait."""
        return scope.tenant if self._store.dialect.concurrent else ""

    def submit(self, scope: Scope, request: Request) -> Future[Answer]:
        """The request is queued; someone must call `flush` for its line afterwards. Raises TooMany."""
        return self._enqueue(scope, request)[1].future

    def run(self, scope: Scope, request: Request) -> Answer:
        """The answer, after its commit. Raises TooMany when too many wait already."""
        line, member = self._enqueue(scope, request)
        while not member.future.done():
            if line.leading.acquire(blocking=False):
                self._lead(line)
            elif member.wake is None:
                # From here on whoever leads sees that this thread can be woken; so look once more, then sleep.
                member.wake = threading.Event()
                member.future.add_done_callback(partial(_wake, member.wake))
            else:
                member.wake.wait(LONGEST_NAP_S)
                member.wake.clear()
        return member.future.result()

    def flush(self, name: str) -> None:
        """At most `MOST` of the line's requests that were queued before the call, the oldest first, are answered."""
        with self._queue:
            line = self._lines.get(name)
        if line is not None:
            line.leading.acquire()
            self._lead(line)

    def _enqueue(self, scope: Scope, request: Request) -> tuple[_Line, _Member]:
        member = _Member(scope, request, Future())
        with self._queue:
            name = self.line_of(scope)
            line = self._lines.setdefault(name, _Line(name))
            if len(line.waiting) >= WAITING:
                raise TooMany(
                    f"{WAITING} appends wait for the database already; wait a second and retry with the same "
                    "idempotency key",
                    retry_after=1,
                )
            line.waiting.append(member)
        return line, member

    def _lead(self, line: _Line) -> None:
        """One commit; the lead, which the caller has, goes to the thread that waits longest."""
        try:
            with self._queue:
                batch, line.waiting = line.waiting[:MOST], line.waiting[MOST:]
            # A caller may have given up while its request was queued; from here on none can.
            batch = [member for member in batch if member.future.set_running_or_notify_cancel()]
            if batch:
                self._commit(batch)
        finally:
            line.leading.release()
            with self._queue:
                next_one = next((member.wake for member in line.waiting if member.wake), None)
                if not line.waiting:
                    self._lines.pop(line.name, None)
            if next_one is not None:
                next_one.set()

    def _commit(self, batch: Sequence[_Member]) -> None:
        by_scope: dict[Scope, list[_Member]] = {}
        for member in batch:
            by_scope.setdefault(member.scope, []).append(member)

        def answered(tx: Tx) -> list[tuple[Future[Any], Any]]:
            given: list[tuple[Future[Any], Any]] = []
            for scope, members in by_scope.items():
                answers = self._handle(tx.within(scope), [member.request for member in members])
                given += zip((member.future for member in members), answers, strict=True)
            return given

        try:
            with telemetry.span("commit", requests=len(batch)):
                answers = self._store.transact(batch[0].scope, answered)
        except BaseException as cause:
            if isinstance(cause, Exception):
                _refuse(batch, cause)
                return
            # The leading thread is being ended, by Ctrl-C for one: that is its own affair, not its followers'.
            _refuse(batch, StoreUnavailable("the commit was interrupted; retry with the same idempotency key"))
            raise
        self.commits += 1
        self.requests += len(batch)
        if self._told is not None:
            self._told([answer for _, answer in answers])
        for future, answer in answers:
            if isinstance(answer, CarryoverError):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _refuse(batch: Sequence[_Member], cause: Exception) -> None:
    for member in batch:
        member.future.set_exception(cause)


def _wake(event: threading.Event, _: object) -> None:
    event.set()
