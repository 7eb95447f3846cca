"""Appends from the event loop: all that arrive while a commit is under way share the next one."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from carryover.core.scope import Scope
from carryover.core.session import Appended
from carryover.log.append import Log, Prepared

Waiting = tuple[Future[Appended], "asyncio.Future[Appended]"]


class Commits:
    """Brings appends to the log's group commit. Close it once no request is left."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: list[Waiting] = []
        self._thread = ThreadPoolExecutor(1, "commit")
        self._running: asyncio.Task[None] | None = None

    async def append(self, scope: Scope, prepared: Prepared) -> Appended:
        """What the log answers, once it is on disk. Raises what the log raises."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((self._log.submit(scope, prepared), answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    def close(self) -> None:
        self._thread.shutdown()

    async def _run(self) -> None:
        # One hand-over to the thread and one back for a whole batch, however large.
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await asyncio.get_running_loop().run_in_executor(self._thread, self._log.flush)
                finally:
                    self._waiting[:0] = [pair for pair in batch if not _delivered(*pair)]
        finally:
            self._running = None


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
