"""A client that appends, reads and asks for what is derived, at random, and writes all of it down."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from carryover.core.context import Context
from carryover.core.errors import CarryoverError, NotFound, StoreUnavailable, VersionConflict
from carryover.core.session import Append, Appended, Draft, Session, Turn
from carryover.core.snapshot import Snapshot
from torture.history import Op, Recorder

_LIMIT = 40  # turns that one read asks for
_SAID = (
    "We decided to use PostgreSQL for ledger {key}.",
    "The deadline of step {key} is 14 March 2027.",
    "TODO: call the auditors about invoice {key}.",
    "Remember: I always want report {key} in English.",
    "Step {key} is done, and nothing else changed.",
)
_KEY = re.compile(r"k\.[\w-]+\.\d+\.\d+")


class Memory(Protocol):
    """What the embedded memory and the client of a server have in common, as far as it is used here."""

    def append(self, request: Append) -> Appended: ...
    def turns(self, session_id: str, *, limit: int = 100) -> tuple[Session, list[Turn]]: ...
    def window(self, session_id: str, *, last_n: int = 10) -> tuple[Session, list[Turn]]: ...
    def sessions(self, *, limit: int = 50) -> tuple[list[Session], str | None]: ...
    def snapshots(self, session_id: str, *, limit: int = 100) -> list[Snapshot]: ...
    def context(self, session_id: str, *, max_tokens: int = 500) -> Context: ...
    def close_session(self, session_id: str) -> Session: ...
    def delete_session(self, session_id: str) -> Any: ...


@dataclass
class Talker:
    """One client, of a memory in its process or of a server."""

    memory: Memory
    recorder: Recorder
    chance: random.Random
    sessions: Sequence[str]
    passing: bool = True  # whether sessions of its own come and go
    tries: int = 1  # of an append whose outcome is unknown
    marked: Callable[[], int] | None = None  # what is noted with each acknowledgement
    known: dict[str, int] = field(default_factory=dict[str, int])  # the last version that it heard of
    _count: int = 0

    def step(self) -> None:
        """One operation, chosen at random; errors of ours are answers, any other is raised."""
        session, drawn = self.chance.choice(self.sessions), self.chance.random()
        if drawn < 0.62:
            expected = self.known.get(session) if self.chance.random() < 0.4 else None
            self.say(session, self.chance.choice((1, 1, 1, 2, 3)), expected)
        elif drawn < 0.78:
            self.read(session)
        elif drawn < 0.83:
            self.list()
        elif drawn < 0.89:
            self.snapshots(session)
        elif drawn < 0.94:
            self.context(session)
        elif drawn < 0.98:
            self.close(session)
        elif self.passing:
            self.pass_by()

    def say(self, session: str, turns: int = 1, expected: int | None = None) -> bool:
        """So many turns are appended together; whether they were acknowledged."""
        self._count += 1
        keys = [f"k.{self.recorder.process}.{self._count}.{n}" for n in range(turns)]
        return self.send(session, [(key, self.chance.choice(_SAID).format(key=key)) for key in keys], expected)

    def send(self, session: str, turns: Sequence[tuple[str, str]], expected: int | None) -> bool:
        """These turns are appended under these keys, by so many tries as it makes; whether they were acknowledged."""
        drafts = tuple(Draft("user", text, idempotency_key=key) for key, text in turns)
        request = Append(session, drafts, expected_version=expected)
        for _ in range(self.tries):
            id = self.recorder.began("append", session, turns=list(turns), expected=expected)
            try:
                done = self.memory.append(request)
            except CarryoverError as failure:
                if self._failed(id, failure) != "unknown":
                    self.known[session] = failure.facts.get("current_version", self.known.get(session, 0))
                    return False
                continue
            places = [(place.seq, place.id) for place in done.turns]
            noted = {} if self.marked is None else {"mark": self.marked()}
            self.recorder.ended(id, "ok", places=places, version=done.version, saved=done.saved, **noted)
            self.known[session] = done.version
            return True
        return False

    def again(self, op: Op) -> None:
        """What nobody heard of is sent once more, under the same keys."""
        self.send(op.session, op.turns, op.expected)

    def read(self, session: str) -> None:
        verb = self.chance.choice((self._page, self._window))

        def shown() -> dict[str, Any]:
            head, turns = verb(session)
            self.known[session] = head.version
            rows = [(turn.seq, turn.id, str(turn.content)) for turn in turns]
            return {"version": head.version, "rows": rows, "mark": _LIMIT}

        self._ask("read", session, shown)

    def list(self) -> None:
        def shown() -> dict[str, Any]:
            return {"versions": {one.session_id: one.version for one in self.memory.sessions(limit=100)[0]}}

        self._ask("list", "", shown)

    def snapshots(self, session: str) -> None:
        def shown() -> dict[str, Any]:
            return {"snapshots": [(one.version, one.through) for one in self.memory.snapshots(session)]}

        self._ask("snapshots", session, shown)

    def context(self, session: str) -> None:
        def shown() -> dict[str, Any]:
            return {"told": _KEY.findall(self.memory.context(session, max_tokens=800).markdown)}

        self._ask("context", session, shown)

    def close(self, session: str) -> None:
        """The session is consolidated soon; whether that was heard is of no importance."""
        try:
            self.memory.close_session(session)
        except (NotFound, StoreUnavailable):
            return

    def erase(self, session: str) -> None:
        """The session is gone; nobody may append to it afterwards."""
        self._ask("erase", session, lambda: self.memory.delete_session(session) and {})

    def pass_by(self) -> None:
        """A session of its own begins, and is erased."""
        session = f"gone-{self.recorder.process}-{self._count}"
        if self.say(session, 2):
            self.erase(session)

    def _page(self, session: str) -> tuple[Session, list[Turn]]:
        return self.memory.turns(session, limit=_LIMIT)

    def _window(self, session: str) -> tuple[Session, list[Turn]]:
        return self.memory.window(session, last_n=_LIMIT)

    def _ask(self, kind: Any, session: str, shown: Callable[[], dict[str, Any]]) -> None:
        id = self.recorder.began(kind, session)
        try:
            told = shown()
        except CarryoverError as failure:
            self._failed(id, failure)
        else:
            self.recorder.ended(id, "ok", **told)

    def _failed(self, id: str, failure: CarryoverError) -> str:
        outcome = "unknown" if failure.facts.get("unknown") else "failed"
        told = {"conflict": failure.facts["current_version"]} if isinstance(failure, VersionConflict) else {}
        self.recorder.ended(id, outcome, reason=f"{type(failure).__name__}: {failure.message}"[:300], **told)
        return outcome
