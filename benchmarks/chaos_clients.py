"""Clients that append while the cluster breaks, and write down every request and every answer.

They do what the documents tell users: an idempotency key for each turn, the other API process when one does not answer,
the same key until there is an answer, and a new decision after a conflict.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from carryover.client import wire
from carryover.core.errors import CarryoverError, NotFound, StoreUnavailable, TooMany, VersionConflict
from carryover.core.session import Append, Draft

AGENTS = ("planner", "writer", "critic")
_TIMEOUTS_S = (4.0, 15.0)  # some give up before the server does, and leave requests behind that are still under way
_AGAIN_S = 0.2
_FULL = 40  # turns of a session, then another one begins
_MATE = 0.3  # how often a client appends to a session of its mate
_SAID = (
    "We will use PostgreSQL for ledger {n}.",
    "The deadline of step {n} is 14 March.",
    "TODO: call the auditors about invoice {n}.",
    "Step {n} is done, and nothing else changed.",
)


@dataclass(frozen=True)
class Request:
    """One turn that a client wants in a log, as it was first sent."""

    key: str
    tenant: str
    agent: str
    session: str
    text: str
    expected: int


@dataclass
class Outcome:
    """What a client was told about its request. Times are seconds since 1970."""

    request: Request
    client: str
    sent_at: float
    ended_at: float | None = None
    seq: int | None = None  # where it was acknowledged
    version: int | None = None
    replayed: bool = False  # acknowledged as having been there already
    refused: bool = False  # it was told of a conflict: nothing may be saved
    failures: int = 0
    unknown: int = 0  # failures after which it might have been saved
    odd: list[str] = field(default_factory=list[str])  # answers that no client should get


class Client:
    """One thread that appends to its sessions, and now and then to those of its mate: they meet in conflicts."""

    def __init__(self, name: str, mate: str, keys: dict[str, str], urls: list[str], records: Path, seed: int) -> None:
        self._name, self._mate, self._keys, self._records = name, mate, keys, records
        self._random = random.Random(f"{seed} {name}")
        timeout_s = self._random.choice(_TIMEOUTS_S)
        self._http = [httpx.Client(base_url=url, timeout=timeout_s) for url in urls]
        self._at = self._random.randrange(len(urls))
        self._versions: dict[tuple[str, str, str], int] = {}
        self._numbers: dict[str, int] = {}
        self._sent = 0

    def run(self, stop: threading.Event, pause_s: float) -> None:
        """Appends until told to stop; the last request is brought to its end."""
        with self._records.open("a", encoding="utf-8", buffering=1) as file:
            while not stop.wait(pause_s * self._random.uniform(0.5, 1.5)):
                place = self._place()
                self._sent += 1
                text = self._random.choice(_SAID).format(n=self._sent)
                key = f"{self._name}.{self._sent}"
                asked = Request(key, *place, text, self._versions.get(place, 0))
                version = self._append(asked, file)
                self._versions[place] = version
                self._close_when_full(place, version)
        for http in self._http:
            http.close()

    def _place(self) -> tuple[str, str, str]:
        """Tenant, agent and session of the next turn."""
        who = self._mate if self._random.random() < _MATE else self._name
        tenants = sorted(self._keys)
        number = int(who.rpartition("-")[2])
        session = f"{who}.{self._numbers.setdefault(who, 1)}"
        return tenants[number % len(tenants)], AGENTS[number % len(AGENTS)], session

    def _append(self, asked: Request, file: Any) -> int:
        """The version that the session is known to have afterwards."""
        draft = Draft("user", asked.text, idempotency_key=asked.key)
        call = wire.append(Append(asked.session, (draft,), asked.agent, expected_version=asked.expected))
        self._note(file, "send", asked.key, **{k: v for k, v in vars(asked).items() if k != "key"})
        while True:
            try:
                answer = self._ask(call, asked.tenant)
            except VersionConflict as conflict:
                self._note(file, "conflict", asked.key, current=conflict.facts["current_version"])
                return conflict.facts["current_version"]
            except CarryoverError as failure:
                unknown = bool(failure.facts.get("unknown")) or failure.facts.get("lost", False)
                odd = "" if isinstance(failure, (StoreUnavailable, TooMany)) else type(failure).__name__
                self._note(file, "failed", asked.key, reason=failure.message, unknown=unknown, odd=odd)
                self._at += 1
                time.sleep(_AGAIN_S)
                continue
            seq = answer.turns[0].seq
            self._note(file, "ack", asked.key, seq=seq, version=answer.version, replayed=not answer.saved)
            return max(answer.version, seq)

    def _close_when_full(self, place: tuple[str, str, str], version: int) -> None:
        """A full session is closed, which has a worker consolidate it, and the next turn begins another one."""
        tenant, agent, session = place
        if version < _FULL:
            return
        self._numbers[session.rpartition(".")[0]] += 1
        with suppress(NotFound):
            while True:
                try:
                    self._ask(wire.close_session(session, agent=agent), tenant)
                    return
                except (StoreUnavailable, TooMany):
                    self._at += 1
                    time.sleep(_AGAIN_S)

    def _ask(self, call: wire.Call[Any], tenant: str) -> Any:
        http = self._http[self._at % len(self._http)]
        headers = {"Authorization": f"Bearer {self._keys[tenant]}"}
        try:
            got = http.request(call.method, call.path, params=call.params, content=call.body, headers=headers)
        except httpx.TransportError as cause:
            # Where no connection was made, nothing was sent.
            raise StoreUnavailable(repr(cause), lost=not isinstance(cause, httpx.ConnectError)) from cause
        return wire.answer(call, got.status_code, got.content)

    def _note(self, file: Any, what: str, key: str, **more: Any) -> None:
        file.write(json.dumps({"at": time.time(), "client": self._name, "what": what, "key": key, **more}) + "\n")


def begin(
    count: int, keys: dict[str, str], urls: list[str], folder: Path, *, seed: int, pause_s: float
) -> tuple[list[threading.Thread], threading.Event]:
    """So many clients append, each a thread, until the event is set."""
    folder.mkdir(parents=True)
    stop, threads = threading.Event(), list[threading.Thread]()
    for n in range(count):
        name, mate = f"client-{n}", f"client-{(n + 1) % count}"
        client = Client(name, mate, keys, urls, folder / f"{name}.jsonl", seed)
        threads.append(threading.Thread(target=client.run, args=(stop, pause_s), name=name, daemon=True))
    for thread in threads:
        thread.start()
    return threads, stop


def read(folder: Path) -> list[Outcome]:
    """What the clients wrote down, a request each."""
    found: dict[str, Outcome] = {}
    for line in _lines(folder):
        if line["what"] == "send":
            asked = Request(*(line[name] for name in Request.__dataclass_fields__))
            found[line["key"]] = Outcome(asked, line["client"], line["at"])
            continue
        outcome = found[line["key"]]
        if line["what"] == "failed":
            outcome.failures += 1
            outcome.unknown += line["unknown"]
            outcome.odd += [f"{line['odd']}: {line['reason']}"] if line["odd"] else []
            continue
        outcome.ended_at = line["at"]
        if line["what"] == "conflict":
            outcome.refused = True
        else:
            outcome.seq, outcome.version, outcome.replayed = line["seq"], line["version"], line["replayed"]
    return list(found.values())


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)
