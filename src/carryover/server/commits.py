"""Appends from the event loop: all that arrive while a commit is under way share the next one."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from carryover.core.scope import Scope
from carryover.core.session import Appended
from carryover.log.append import Log, Prepared

THREADS = 8  # commits under way at the same time, where the database takes several

# Turns of the event loop that a commit waits, so that requests which have arrived already share it.
GATHER = 8

Waiting = tuple[Future[Appended], "asyncio.Future[Appended]"]


class Commits:
    """Brings appends to the log's group commit. Close it once no request is left."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: dict[str, list[Waiting]] = {}  # by the line of the log in which they wait
        self._running: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(THREADS, "commit")

    async def append(self, scope: Scope, prepared: Prepared) -> Appended:
        """What the log answers, once it is on disk. Raises what the log raises."""
        line, answer = self._log.line_of(scope), asyncio.get_running_loop().create_future()
        submitted = self._log.submit(scope, prepared)
        if line not in self._waiting:
            self._waiting[line] = []
            task = asyncio.create_task(self._run(line))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        self._waiting[line].append((submitted, answer))
        return await answer

    def close(self) -> None:
        self._threads.shutdown()

    async def _run(self, line: str) -> None:
        # One hand-over to the thread and one back for a whole batch, however large.
        try:
            while self._waiting[line]:
                for _ in range(GATHER):
                    await asyncio.sleep(0)
                batch, self._waiting[line] = self._waiting[line], []
                try:
                    await asyncio.get_running_loop().run_in_executor(self._threads, self._log.flush, line)
                finally:
                    self._waiting[line][:0] = [pair for pair in batch if not _delivered(*pair)]
        finally:
            del self._waiting[line]


def _delivered(done: Future[Appended], answer: asyncio.Future[Appended]) -> bool:
    if not done.done():
        return False
    if answer.cancelled():
        done.exception()
    elif (failure := done.exception()) is not None:
        answer.set_exception(failure)
    else:
        answer.set_result(done.result())
    return True
