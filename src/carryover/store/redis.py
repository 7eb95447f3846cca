"""A Redis, which may be away at any moment: whoever asks it then goes without, at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from carryover.core.errors import Invalid
from carryover.store.seal import Seal

logger = logging.getLogger(__name__)

TIMEOUT_S = 0.1  # what a question may take
LOOK_S = 1.0  # how often one that is away is looked for, by a thread of its own

Answer = TypeVar("Answer")


class Redis:
    """One Redis, as far as it answers. Close it."""

    def __init__(self, url: str, seal: Seal) -> None:
        self.seal = seal
        self._url = url
        self._client = self.client(TIMEOUT_S)
        self._failures: tuple[type[Exception], ...] = (_library().RedisError, OSError)
        self._refusals: tuple[type[Exception], ...] = (_library().ResponseError,)
        self._refused: set[str] = set()
        self._changing = threading.Lock()
        self._closed = threading.Event()
        self._looking: threading.Thread | None = None  # there is one while Redis is away

    @property
    def away(self) -> bool:
        return self._looking is not None

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What asking it may raise."""
        return self._failures

    def ask(self, question: Callable[[Any], Answer]) -> Answer | None:
        """What the question comes to; None when Redis is away, goes away meanwhile, or refuses."""
        if self._looking is not None:
            return None
        try:
            return question(self._client)
        except self._failures as cause:
            self.failed(cause)
            return None

    def failed(self, cause: Exception) -> None:
        """A question came to nothing: unless Redis answered with a refusal, nobody asks until it is back."""
        if isinstance(cause, self._refusals):
            self._note_refusal(cause)
            return
        with self._changing:
            if self._looking is not None or self._closed.is_set():
                return
            self._looking = threading.Thread(target=self._look, name="redis-look", daemon=True)
            self._looking.start()
        logger.warning("Redis is away, carryover goes on without it: %s", cause)

    def client(self, timeout_s: float) -> Any:
        """Another client of the same Redis, not connected yet: it asks once and waits no longer than this."""
        library = _library()
        once = library.retry.Retry(library.backoff.NoBackoff(), 0)
        try:
            return library.Redis.from_url(self._url, **_options(timeout_s, once))
        except ValueError:
            raise _no_url() from None  # what the library says may quote the password

    def pool(self) -> Any:
        """Connections of an event loop to the same Redis, for a library that brings a client of its own."""
        library = _library()
        once = library.asyncio.retry.Retry(library.backoff.NoBackoff(), 0)
        return library.asyncio.ConnectionPool.from_url(self._url, **_options(TIMEOUT_S, once))

    def close(self) -> None:
        """All connections are closed, and nobody looks for it any more."""
        self._closed.set()
        with self._changing:
            looking = self._looking
        if looking is not None:
            looking.join()
        self._client.close()

    def _look(self) -> None:
        while not self._closed.wait(LOOK_S):
            try:
                self._client.ping()
            except self._failures:
                continue
            with self._changing:
                self._looking = None
            logger.warning("Redis is back")
            return

    def _note_refusal(self, cause: Exception) -> None:
        # Out of memory, read only, not permitted...: each is said once, for it may be so for every request.
        said = str(cause).partition(" ")[0]
        if said not in self._refused:
            self._refused.add(said)
            logger.warning("Redis refuses, carryover goes on without what it was asked for: %s", cause)


def _library() -> Any:
    try:
        import redis
    except ImportError as cause:
        raise Invalid(
            "redis_url is set, and the library for Redis is not installed; "
            "run `pip install 'carryover-memory[redis]'`, or unset redis_url",
            field="redis_url",
        ) from cause
    return redis


def _options(timeout_s: float, once: Any) -> dict[str, Any]:
    return {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "retry": once, "protocol": 2}


def _no_url() -> Invalid:
    return Invalid("redis_url is no URL of a Redis; write it as redis://host:6379/0", field="redis_url")
