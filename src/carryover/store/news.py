"""News of commits: what wakes those who wait for events or for work, in this process and in others.

It says where to look, never what is there: readers find out in the database, and those who miss a word of it look
there from time to time anyway.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MOST_STREAMS = 1_000  # told in one entry; beyond that everybody is woken
REST_S = 0.002  # commits that follow each other faster share an entry
LOOK_S = 1.0  # how often a channel that is away is looked for


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit set in motion: the streams (tenant, agent) that went on, and the kinds of jobs to run now.

    `unknown`: something may have happened anywhere.
    """

    streams: frozenset[tuple[str, str]] = frozenset()
    due: frozenset[str] = frozenset()
    unknown: bool = False

    def __bool__(self) -> bool:
        return bool(self.streams or self.due or self.unknown)

    def __or__(self, other: Change) -> Change:
        return Change(self.streams | other.streams, self.due | other.due, self.unknown or other.unknown)


UNKNOWN = Change(unknown=True)

Hearer = Callable[[Change], None]


class News(Protocol):
    """A way for processes to tell each other of their commits. Close it."""

    @property
    def prompt(self) -> bool:
        """Whether commits of other processes are heard of as well, within milliseconds, as things are now."""
        ...

    def publish(self, change: Change) -> None:
        """Those who listen here hear it before this returns, those in other processes soon after.

        Called after each commit, by any thread: it does not wait for anything and does not fail.
        """
        ...

    def listen(self, hear: Hearer) -> Callable[[], None]:
        """`hear` is told of every change from now on, in some thread; what is returned ends that.

        It must be quick and not raise.
        """
        ...

    def close(self) -> None:
        """What was published is on its way, and nobody hears anything any more."""
        ...


class LocalNews:
    """News of this process alone."""

    prompt = False

    def __init__(self) -> None:
        self._hearers: tuple[Hearer, ...] = ()
        self._changing = threading.Lock()

    def publish(self, change: Change) -> None:
        if change:
            for hear in self._hearers:
                hear(change)

    def listen(self, hear: Hearer) -> Callable[[], None]:
        with self._changing:
            self._hearers = (*self._hearers, hear)

        def leave() -> None:
            with self._changing:
                self._hearers = tuple(other for other in self._hearers if other is not hear)

        return leave

    def close(self) -> None:
        self._hearers = ()


class Channel(Protocol):
    """A way to other processes, which may be away: all of them tell and hear on it."""

    @property
    def away(self) -> bool:
        """Whether nothing can be told just now."""
        ...

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What `join` and `heard` raise when the channel breaks."""
        ...

    def tell(self, entry: bytes) -> bool:
        """Whether those who have joined will hear it. Called by one thread."""
        ...

    def join(self) -> None:
        """From here on `heard` answers what is told. Called by one thread, as are `heard` and `failed`."""
        ...

    def heard(self) -> list[bytes]:
        """What was told since it was asked last, in order; waits for something for a fraction of a second."""
        ...

    def failed(self, cause: Exception) -> None:
        """The channel broke; `join` will be tried again."""
        ...

    def close(self) -> None:
        """Nothing is told or heard any more."""
        ...


class SharedNews:
    """News through a channel: one thread tells, another one hears.

    Nothing is missed while the channel holds. While there is none entries may be lost, so that whenever it breaks or is
    made again everybody is woken.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._origin = uuid.uuid4().hex  # what this process tells, it has heard already
        self._here = LocalNews()
        self._pending = Change()
        self._changing = threading.Lock()
        self._told = threading.Event()
        self._closing = threading.Event()
        self._joined = False
        self._teller: threading.Thread | None = None
        self._hearer: threading.Thread | None = None

    @property
    def prompt(self) -> bool:
        return self._joined and not self._channel.away

    def publish(self, change: Change) -> None:
        self._here.publish(change)
        if not change:
            return
        with self._changing:
            self._pending |= change
            if self._teller is None and not self._closing.is_set():
                self._teller = threading.Thread(target=self._tell, name="news-tell", daemon=True)
                self._teller.start()
        self._told.set()

    def listen(self, hear: Hearer) -> Callable[[], None]:
        leave = self._here.listen(hear)
        with self._changing:
            if self._hearer is None and not self._closing.is_set():
                self._hearer = threading.Thread(target=self._hear, name="news-hear", daemon=True)
                self._hearer.start()
        return leave

    def close(self) -> None:
        with self._changing:
            self._closing.set()
            threads = [thread for thread in (self._teller, self._hearer) if thread is not None]
        self._told.set()
        for thread in threads:
            thread.join()
        self._here.close()
        self._channel.close()

    def _tell(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            with self._changing:
                change, self._pending = self._pending, Change()
            done = not change or self._channel.tell(_to_bytes(self._origin, change))
            if self._closing.wait(REST_S if done else LOOK_S):
                if not (done and self._pending):
                    return
                self._told.set()  # once more, for what came in just before
            elif not done:
                # Others must look everywhere: what happened meanwhile is not kept.
                with self._changing:
                    self._pending = UNKNOWN
                self._told.set()

    def _hear(self) -> None:
        while not self._closing.is_set():
            try:
                if not self._joined:
                    self._channel.join()
                    self._joined = True
                    self._here.publish(UNKNOWN)
                for entry in self._channel.heard():
                    origin, change = _from_bytes(entry)
                    if origin != self._origin:
                        self._here.publish(change)
            except self._channel.failures as cause:
                self._channel.failed(cause)
                if self._joined:
                    self._joined = False
                    self._here.publish(UNKNOWN)
                self._closing.wait(LOOK_S)


def _to_bytes(origin: str, change: Change) -> bytes:
    unknown = change.unknown or len(change.streams) > MOST_STREAMS
    streams = [] if unknown else sorted(change.streams)
    return json.dumps([origin, streams, sorted(change.due), unknown]).encode()


def _from_bytes(data: bytes) -> tuple[str, Change]:
    origin, streams, due, unknown = json.loads(data)
    return origin, Change(frozenset((tenant, agent) for tenant, agent in streams), frozenset(due), unknown)
