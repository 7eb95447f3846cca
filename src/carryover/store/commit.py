"""Group commit: requests that arrive together share one transaction, and one flush to the disk.

(DeWitt et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984, section 5.2.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from carryover.core.errors import CarryoverError, StoreUnavailable
from carryover.core.scope import Scope
from carryover.store.store import Store, Tx


@dataclass(slots=True)
class _Member:
    """A request in the queue; `wake` is set when its answer is there, or when its thread should lead."""

    scope: Scope
    request: Any
    future: Future[Any]
    wake: threading.Event | None = None


Request = TypeVar("Request")
Answer = TypeVar("Answer")

MOST = 512  # requests in one commit: bounds how long the first of them waits
LONGEST_NAP_S = 1.0  # should the thread that was to lead be interrupted just then, another one looks after it


class GroupCommit(Generic[Request, Answer]):
    """Requests in, answers out once they are on disk.

    Whoever comes while no commit is under way leads: it makes one for all that have queued up, and then hands the
    lead to one of those that have queued up since. So a lone caller pays no thread switch, and a crowd shares each
    flush.

    `handle` answers each request of one scope with its answer or with the error that is its own; an exception
    out of it means that nothing of the batch was saved, and every caller of the batch gets it.
    """

    def __init__(
        self, store: Store, handle: Callable[[Tx, Sequence[Request]], Sequence[Answer | CarryoverError]]
    ) -> None:
        self._store = store
        self._handle = handle
        self._waiting: list[_Member] = []
        self._queue = threading.Lock()
        self._leading = threading.Lock()
        self.commits = 0
        self.requests = 0

    def submit(self, scope: Scope, request: Request) -> Future[Answer]:
        """The request is queued; someone must call `flush` afterwards."""
        return self._enqueue(scope, request).future

    def run(self, scope: Scope, request: Request) -> Answer:
        """The answer, after its commit."""
        member = self._enqueue(scope, request)
        while not member.future.done():
            if self._leading.acquire(blocking=False):
                self._lead()
            elif member.wake is None:
                # From here on whoever leads sees that this thread can be woken; so look once more, then sleep.
                member.wake = threading.Event()
                member.future.add_done_callback(partial(_wake, member.wake))
            else:
                member.wake.wait(LONGEST_NAP_S)
                member.wake.clear()
        return member.future.result()

    def flush(self) -> None:
        """At most `MOST` of the requests that were queued before the call, the oldest first, are answered."""
        self._leading.acquire()
        self._lead()

    def _enqueue(self, scope: Scope, request: Request) -> _Member:
        member = _Member(scope, request, Future())
        with self._queue:
            self._waiting.append(member)
        return member

    def _lead(self) -> None:
        """One commit; the lead, which the caller has, goes to the thread that waits longest."""
        try:
            with self._queue:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            # A caller may have given up while its request was queued; from here on none can.
            batch = [member for member in batch if member.future.set_running_or_notify_cancel()]
            if batch:
                self._commit(batch)
        finally:
            self._leading.release()
            with self._queue:
                next_one = next((member.wake for member in self._waiting if member.wake), None)
            if next_one is not None:
                next_one.set()

    def _commit(self, batch: Sequence[_Member]) -> None:
        by_scope: dict[Scope, list[_Member]] = {}
        for member in batch:
            by_scope.setdefault(member.scope, []).append(member)
        answered: list[tuple[Future[Any], Any]] = []
        try:
            with self._store.write(batch[0].scope) as tx:
                for scope, members in by_scope.items():
                    answers = self._handle(tx.within(scope), [member.request for member in members])
                    answered += zip((member.future for member in members), answers, strict=True)
        except BaseException as cause:
            if isinstance(cause, Exception):
                _refuse(batch, cause)
                return
            # The leading thread is being ended, by Ctrl-C for one: that is its own affair, not its followers'.
            _refuse(batch, StoreUnavailable("the commit was interrupted; retry with the same idempotency key"))
            raise
        self.commits += 1
        self.requests += len(batch)
        for future, answer in answered:
            if isinstance(answer, CarryoverError):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _refuse(batch: Sequence[_Member], cause: Exception) -> None:
    for member in batch:
        member.future.set_exception(cause)


def _wake(event: threading.Event, _: object) -> None:
    event.set()
