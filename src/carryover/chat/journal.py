"""What a run leaves behind: its turns, its events and its usage, each step in one transaction.

So the log never has a call without its result, and what a run says that it logged is logged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from carryover.chat import runs as reading
from carryover.core.chat import ChatAnswer, ChatRequest, RunEventType
from carryover.core.errors import CarryoverError, Conflict
from carryover.core.ids import new_id
from carryover.core.job import Job, subject_of
from carryover.core.session import Append, Appended, Draft, Place
from carryover.core.usage import Usage
from carryover.core.wire import decode
from carryover.log import append as appending
from carryover.runtime import Carryover
from carryover.store import runs, sessions, turns, usages
from carryover.store.runs import Span
from carryover.store.store import Tx

KIND = "chat"  # of usage
RUN = "run"  # of the metadata of a turn
# Its type, which of the turns that are written with it it is about, and what there is to say, or how that follows from
# where those turns came to stand.
Happened = tuple[RunEventType, int | None, Any]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a model call consumed, in the place of what was reserved for it."""

    reservation: str
    usage: Usage
    saved: bool = True


@dataclass(slots=True)
class Journal:
    """A run that is being written. `user` is whose session it is, `born` when that began.

    `head_at` and `quiet_since` tell of the run before: as of when its context was read, and when it ended.
    """

    memory: Carryover
    request: ChatRequest
    run_id: str
    user: str | None
    born: int
    head_at: int | None
    quiet_since: int | None
    places: list[Place]
    started_at: int
    n: int = 2
    over: bool = field(default=False)

    def note(
        self, happened: Sequence[Happened], drafts: Sequence[Draft] = (), settled: Settled | None = None
    ) -> tuple[Place, ...]:
        """The turns are in the log and the events in the run; an event names its turn by its place in `drafts`.

        Raises NotFound once the session was erased, for nothing is written to another one of that id; and Conflict
        where this run was taken for dead, and another one has begun.
        """
        memory, request, n = self.memory, self.request, self.n
        prepared = None
        if drafts:
            asked = Append(request.session_id, tuple(map(self._marked, drafts)), request.agent_id)
            prepared = appending.prepare(memory.scope, asked, memory.engine.limits)

        def work(tx: Tx) -> Appended | None:
            self._check_mine(tx)
            appended = None if prepared is None else _append(tx, memory, prepared)
            places = () if appended is None else appended.turns
            rows: list[Happened] = [
                (type, None if at is None else places[at].seq, told(places) if callable(told) else told)
                for type, at, told in happened
            ]
            runs.add(tx, request.agent_id, request.session_id, self.run_id, n, rows)
            if settled is not None:
                job = _job(tx, request)
                usages.record(tx, job, settled.usage, reservation=settled.reservation, saved=settled.saved)
            return appended

        appended = memory.engine.store.transact(memory.scope, work)
        self.n += len(happened)
        if appended is None:
            return ()
        appending.tell([appended])
        self.places += appended.turns
        return appended.turns

    def _check_mine(self, tx: Tx) -> None:
        agent, session = self.request.agent_id, self.request.session_id
        if sessions.get(tx, agent, session).created_at != self.born:
            raise sessions.missing(agent, session)
        (newest,) = runs.listed(tx, agent, session, limit=1)
        if newest.run_id != self.run_id:
            raise Conflict(
                f"run {self.run_id!r} was silent for so long that run {newest.run_id!r} began; read the session again",
                run_id=newest.run_id,
            )

    def _marked(self, draft: Draft) -> Draft:
        """The turn says which run it is of."""
        return replace(draft, metadata={**cast("dict[str, Any]", draft.metadata or {}), RUN: self.run_id})

    def ask(self, happened: Sequence[Happened], estimate: Usage) -> str:
        """The events are in the run, and the estimate is held against the caps; its reservation.

        Raises OverBudget, and as `note` does.
        """
        memory, request, n = self.memory, self.request, self.n

        def work(tx: Tx) -> str:
            self._check_mine(tx)
            runs.add(tx, request.agent_id, request.session_id, self.run_id, n, happened)
            return usages.reserve(tx, _job(tx, request), estimate, memory.engine.settings.cap)

        reservation = memory.engine.store.transact(memory.scope, work)
        self.n += len(happened)
        return reservation


def begin(memory: Carryover, request: ChatRequest, model: str) -> Journal | ChatAnswer:
    """The user's turn is in the log, and its run begins; or the answer that the same request had before.

    Raises Conflict, and nothing is saved, while another run answers in the session.
    """
    memory.scope.require("write")
    draft = Draft("user", request.message, idempotency_key=request.idempotency_key)
    asked = Append(request.session_id, (draft,), request.agent_id, request.user_id)
    prepared = appending.prepare(memory.scope, asked, memory.engine.limits)
    run_id = new_id("run")

    def work(tx: Tx) -> Journal | ChatAnswer:
        agent, session = request.agent_id, request.session_id
        appended = _append(tx, memory, prepared)
        (place,) = appended.turns
        earlier = [] if appended.saved else runs.of_turn(tx, agent, session, place.seq)
        for span in earlier:
            if span.last.type == "run_finished":
                return decode(ChatAnswer, span.last.payload["answer"])
        _refuse_second(tx, request)
        taken_back = None if appended.saved else _take_back(tx, memory, request, place.seq, earlier)
        head = runs.newest(tx, agent, session, "head")
        whose = sessions.get(tx, agent, session)
        journal = Journal(
            memory=memory,
            request=request,
            run_id=run_id,
            user=whose.user,
            born=whose.created_at,
            head_at=None if head is None else head.payload["as_of"],
            quiet_since=runs.last_at(tx, agent, session),
            places=[place],
            started_at=tx.now,
        )
        told = {"model": model, "by": reading.me(), "turn": place.id, "context": request.context}
        told |= {"strategy": dict(request.strategy or {}), "tools": list(request.tools)}
        told |= {} if taken_back is None else {"taken_back": list(taken_back)}
        runs.add(tx, agent, session, run_id, 1, [("run_started", place.seq, told)])
        return journal

    begun = memory.engine.store.transact(memory.scope, work)
    if isinstance(begun, Journal):
        appending.tell([Appended(request.session_id, request.agent_id, begun.places[0].seq, tuple(begun.places))])
    return begun


def _append(tx: Tx, memory: Carryover, prepared: appending.Prepared) -> Appended:
    (answer,) = appending.append_all(tx, [prepared], memory.engine.limits)
    if isinstance(answer, CarryoverError):
        raise answer
    return answer


def _refuse_second(tx: Tx, request: ChatRequest) -> None:
    newest = runs.listed(tx, request.agent_id, request.session_id, limit=1)
    if newest and reading.status_of(newest[0], tx.now) == "running":
        raise Conflict(
            f"session {request.session_id!r} is being answered by run {newest[0].run_id!r}; wait until it has ended, "
            "or stop it, and send this again",
            run_id=newest[0].run_id,
        )


def _take_back(
    tx: Tx, memory: Carryover, request: ChatRequest, seq: int, earlier: Sequence[Span]
) -> tuple[int, int] | None:
    """What runs that failed had logged of their answer to the turn is taken back: it is answered from the beginning.

    Raises Conflict when the conversation has gone on since.
    """
    agent, session = request.agent_id, request.session_id
    version = sessions.get(tx, agent, session).version
    since = turns.between(tx, agent, session, seq + 1, version)
    theirs = {span.run_id for span in earlier}
    if any(json.loads(turn.metadata or "{}").get(RUN) not in theirs for turn in since):
        raise Conflict(
            f"turn {seq} of session {session!r} was not answered, and the conversation has gone on since; "
            "send it with a new idempotency_key",
            seq=seq,
        )
    if not since:
        return None
    first, last = seq + 1, version
    part = {"type": "retraction", "first": first, "last": last}
    told = Draft("system", [part], kind="retraction", metadata={RUN: earlier[0].run_id})
    asked = Append(session, (told,), agent)
    _append(tx, memory, appending.prepare(memory.scope, asked, memory.engine.limits))
    return first, last


def _job(tx: Tx, request: ChatRequest) -> Job:
    """A run as the account of usage knows it."""
    return Job(tx.tenant, KIND, subject_of(request.agent_id, request.session_id), due=tx.now, revision=0)
