"""A session of the log as the OpenAI Agents SDK keeps one: items are added, read as they were, and taken back.

Everything here waits for the log; `openai_agents` calls it from threads.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from carryover.core.errors import Invalid, NotFound, StoreUnavailable, VersionConflict
from carryover.core.ids import new_id
from carryover.core.paging import PAGE
from carryover.core.scope import DEFAULT
from carryover.core.session import Append, Appended, Draft, Session, Turn, live, retraction, to_json
from carryover.core.strategy import Item
from carryover.core.text import digest
from carryover.integrations.openai_agents_view import Native, Shown
from carryover.memories import Memory
from carryover.strategies.formats import catalog
from carryover.strategies.resolve import resolve

SPARE = 16  # turns that are read beyond those asked for: some of them may have been taken back
PAUSES_S = (0.1, 0.4, 1.6)  # before an append whose outcome is unknown is sent again
TRIES = 100  # of taking back the newest item while others add or take back


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose session it is; `user` is set by its first turn and never changes."""

    agent: str = DEFAULT
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log at a version: its live turns, and the items that each of them holds."""

    version: int
    turns: tuple[Turn, ...]
    items: tuple[tuple[Native, ...], ...]

    def last(self, n: int | None) -> list[Native]:
        every = [item for own in self.items for item in own]
        return every if n is None else every[len(every) - min(n, len(every)) :]


class ItemLog:
    """The items of one session; every method may be called from several threads at once."""

    def __init__(self, memory: Memory, session_id: str) -> None:
        self.memory = memory
        self.session_id = session_id
        self._lock = threading.Lock()
        self._unknown: dict[tuple[str, str], str] = {}  # batches that may be in the log or not, and their keys
        self._known: set[Whose] = set()

    def add(self, whose: Whose, items: Sequence[Mapping[str, Any]]) -> None:
        """All items are in the log, once and in order, or none is.

        One that failed without an outcome is known again when the same items are added next. Raises Invalid,
        TooLarge or StoreUnavailable.
        """
        drafts = catalog.drafts_of("openai", items)
        if not drafts:
            return
        batch = whose.agent, digest(*(to_json(draft.content) for draft in drafts))
        with self._lock:
            key = self._unknown.pop(batch, None) or new_id("k")
        try:
            self._append(whose, [replace(draft, idempotency_key=f"{key}:{n}") for n, draft in enumerate(drafts)])
        except StoreUnavailable:
            with self._lock:
                self._unknown[batch] = key
            raise
        with self._lock:
            self._unknown.clear()  # whoever goes on with other items has given up on those

    def last(self, whose: Whose, n: int | None) -> list[Native]:
        """The newest `n` live items in their order (None: all), each exactly as it was added."""
        return self._tail(whose, n).last(n)

    def pop(self, whose: Whose) -> Native | None:
        """The newest live item, which is taken back; None where there is none. Each is given to one caller."""
        for attempt in range(TRIES):
            tail = self._tail(whose, 1)
            found = next((n for n in reversed(range(len(tail.items))) if tail.items[n]), None)
            if found is None:
                return None
            taken = retraction(tail.turns[found].seq, tail.turns[-1].seq)
            try:
                self._append(whose, [replace(taken, idempotency_key=new_id("k"))], tail.version)
            except VersionConflict:
                time.sleep(random.random() * 0.002 * attempt)  # somebody else went on; look again
                continue
            return tail.items[found][-1]
        raise VersionConflict(
            f"session {self.session_id!r} changed {TRIES} times while its newest item was taken back; try again"
        )

    def clear(self, whose: Whose) -> None:
        """All items that are there now are taken back; they stay in the log, as everything does."""
        found = self._window(whose, 1)
        if found is None:
            return
        session, turns = found
        newest = turns[-1]
        if newest.retracts != (1, newest.seq - 1):
            self._append(whose, [replace(retraction(1, session.version), idempotency_key=new_id("k"))])

    def shown(self, whose: Whose, strategy: Mapping[str, Any] | None) -> Shown:
        """What the strategy in force, with these fields on top of it, shows of the session."""
        self._admit(whose)
        try:
            view = self.memory.strategies.view(self.session_id, agent=whose.agent, strategy=strategy)
        except NotFound:
            inherited = self.memory.strategies.agent(whose.agent).stored
            return Shown((), resolve(strategy or {}, {}, inherited)[0], 0)
        inserted = any(told.get("about") for told in view.items)
        items = [_item(told) for told in view.items] if inserted or view.strategy.mode != "none" else ()
        return Shown(items, view.strategy, view.version)

    def _append(self, whose: Whose, drafts: Sequence[Draft], expected: int | None = None) -> Appended:
        """Sent until its outcome is known: its keys make that harmless."""
        request = Append(self.session_id, tuple(drafts), whose.agent, whose.user, expected)
        for pause in PAUSES_S:
            try:
                return self.memory.append(request)
            except StoreUnavailable:
                time.sleep(pause)
        return self.memory.append(request)

    def _tail(self, whose: Whose, n: int | None) -> Tail:
        """As much of the log's end as holds `n` live items, or all of it."""
        most = PAGE if n is None else min(n + SPARE, PAGE)
        found = self._window(whose, most)
        if found is None:
            return Tail(0, (), ())
        session, turns = found
        first = turns[0].seq if len(turns) == most else 1
        while first > 1 and not _is_cleared(turns):
            if n is not None and len((tail := _told(session.version, turns)).last(None)) >= n:
                return tail
            size = PAGE if n is None else session.version - first + 1
            turns, first = self._before(whose, first, size) + turns, first - size
        return _told(session.version, turns)

    def _before(self, whose: Whose, seq: int, most: int) -> list[Turn]:
        """The turns before `seq`, at most so many."""
        found: list[Turn] = []
        while most > 0 and seq > 1:
            size = min(most, PAGE, seq - 1)
            _, turns = self.memory.turns(self.session_id, agent=whose.agent, after=seq - 1 - size, limit=size)
            # Where turns were erased, as many as were asked for reach beyond those that are there already.
            found, most, seq = [turn for turn in turns if turn.seq < seq] + found, most - size, seq - size
        return found

    def _window(self, whose: Whose, n: int) -> tuple[Session, list[Turn]] | None:
        """The session and its newest turns; None where nothing was ever added."""
        try:
            session, turns = self.memory.window(self.session_id, agent=whose.agent, last_n=n)
        except NotFound:
            return None
        if not turns:
            return None
        self._check(whose, session)
        seen = {turn.idempotency_key for turn in turns}
        with self._lock:
            for batch in [batch for batch, key in self._unknown.items() if f"{key}:0" in seen]:
                del self._unknown[batch]  # it is there: what comes next is something else
        return session, turns

    def _admit(self, whose: Whose) -> None:
        if whose.user is None or whose in self._known:
            return
        try:
            session = self.memory.session(self.session_id, agent=whose.agent)
        except NotFound:
            return
        self._check(whose, session)
        self._known.add(whose)

    def _check(self, whose: Whose, session: Session) -> None:
        """Raises Invalid where the session is another user's."""
        if whose.user is not None and session.user_id != whose.user:
            raise Invalid(
                f"session {self.session_id!r} does not belong to {whose.user!r}; use another session", field="user_id"
            )


def _told(version: int, turns: Sequence[Turn]) -> Tail:
    shown = live(turns)
    return Tail(version, tuple(shown), tuple(tuple(catalog.native_of("openai", [turn])) for turn in shown))


def _is_cleared(turns: Sequence[Turn]) -> bool:
    """Whether nothing before these turns is live, because one of them takes back all that was there."""
    before = turns[0].seq - 1
    return any(turn.retracts is not None and turn.retracts[0] == 1 and turn.retracts[1] >= before for turn in turns)


def _item(told: Mapping[str, Any]) -> Item:
    """An item of a generic view, as it was before it was written."""
    return Item(
        role=told["role"],
        kind=told["kind"],
        body=to_json(told["content"]),
        tokens=0,
        seq=told.get("seq"),
        name=told.get("name"),
        call_id=told.get("call_id"),
        format=told.get("format"),
        replaced=bool(told.get("replaced")),
        about=told.get("about"),
    )
