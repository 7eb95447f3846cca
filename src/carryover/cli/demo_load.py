"""Clients that append while the demo breaks the cluster, and keep what they were told."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from carryover.client.client import Client
from carryover.core.errors import CarryoverError, StoreUnavailable, TooMany
from carryover.core.session import Append, Appended, Draft

_CLIENTS = 4
_PAUSE_S, _AGAIN_S, _END_S = 0.04, 0.2, 30
_TIMEOUT_S = 5.0
_FLOWING = 10  # appends a second


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told of one append; `tries` is how often it had to ask."""

    session: str
    key: str
    seq: int
    at: float
    tries: int


@dataclass
class Load:
    """All that was acknowledged so far, by any client."""

    agent: str
    told: list[Told] = field(default_factory=list[Told])
    failures: list[CarryoverError] = field(default_factory=list[CarryoverError])

    def since(self, at: float) -> int:
        """How many appends were acknowledged after the moment."""
        return sum(one.at > at for one in list(self.told))

    def flows(self) -> bool:
        """Whether several are acknowledged each second, as they should be."""
        return self.since(time.monotonic() - 1) > _FLOWING

    def silence(self, since: float) -> float:
        """The longest time without any acknowledgement after the moment, in seconds."""
        times = sorted(one.at for one in list(self.told))
        before = max((at for at in times if at <= since), default=since)
        return max(b - a for a, b in pairwise([before, *(at for at in times if at > since), time.monotonic()]))


@contextmanager
def loading(urls: Sequence[str], api_key: str | None, agent: str) -> Generator[Load]:
    """Inside the block clients append, each to a session of its own; on leaving it all of them have ended."""
    load, stop = Load(agent), threading.Event()
    threads = [
        threading.Thread(target=_run, args=(load, stop, urls, api_key, f"load-{n}"), daemon=True)
        for n in range(1, _CLIENTS + 1)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(_END_S)
    if load.failures:
        raise load.failures[0]


def _append(clients: Sequence[Client], request: Append) -> tuple[Appended, int]:
    """What it was answered, by whichever of the servers does, and after how many tries."""
    tries = 0
    while True:
        tries += 1
        try:
            return clients[tries % len(clients)].append(request), tries
        except (StoreUnavailable, TooMany):
            # Saved or not: the idempotency key makes it once.
            time.sleep(_AGAIN_S)


def _run(load: Load, stop: threading.Event, urls: Sequence[str], api_key: str | None, session: str) -> None:
    clients = [Client(url, api_key, _TIMEOUT_S) for url in urls]
    version = 0
    try:
        while not stop.wait(_PAUSE_S):
            draft = Draft("user", f"turn {version + 1} of {session}", idempotency_key=f"{session}.{version + 1}")
            asked = Append(session, (draft,), load.agent, expected_version=version)
            answer, tries = _append(clients, asked)
            version = answer.version
            seq = answer.turns[0].seq
            load.told.append(Told(session, draft.idempotency_key or "", seq, time.monotonic(), tries))
    except CarryoverError as failure:
        load.failures.append(failure)
    finally:
        for client in clients:
            client.close()
