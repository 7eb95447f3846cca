"""The life of a session after it is opened: hold, close, time to live, delete."""

from __future__ import annotations

from dataclasses import replace

from carryover.core.erasure import Receipt, Selection
from carryover.core.errors import Invalid
from carryover.core.job import Job, subject_of
from carryover.core.scope import Scope
from carryover.core.session import Session
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.log import forget
from carryover.store import erasures, events, holds, queue, selected, sessions
from carryover.store.store import Store, Tx

LONGEST_HOLD_S = 30 * 86_400
LONGEST_TTL_S = 100 * 366 * 86_400
HELD_MS = 3_600_000  # how often an expired session that a legal hold keeps is looked at again


def close(store: Store, scope: Scope, agent_id: str, session_id: str) -> Session:
    """The conversation is over: its consolidation is due now. Closing twice is closing once. Raises NotFound."""
    scope.require("write")
    with store.write(scope) as tx:
        head = sessions.get(tx, agent_id, session_id)
        if head.closed_at is None:
            head = replace(head, closed_at=tx.now, active_until=tx.now, updated_at=tx.now)
            sessions.put(tx, [head])
            queue.arm(tx, [("consolidate", subject_of(agent_id, session_id), tx.now)])
            events.add(tx, [("close", agent_id, session_id, head.user, {"version": head.version})])
        return sessions.shown(head, tx.now)


def hold(store: Store, scope: Scope, agent_id: str, session_id: str, seconds: int) -> Session:
    """No consolidation before `seconds` have passed, unless a later append or close says otherwise.

    Raises NotFound, or Invalid for a hold of less than a second or more than 30 days.
    """
    scope.require("write")
    if not 1 <= seconds <= LONGEST_HOLD_S:
        raise Invalid(f"seconds is {seconds}; use 1 to {LONGEST_HOLD_S}", field="seconds")
    with store.write(scope) as tx:
        head = sessions.get(tx, agent_id, session_id)
        until = tx.now + seconds * 1000
        head = replace(head, active_until=until)
        sessions.put(tx, [head])
        queue.postpone(tx, "consolidate", subject_of(agent_id, session_id), until)
        events.add(tx, [("hold", agent_id, session_id, head.user, {"seconds": seconds})])
        return sessions.shown(head, tx.now)


def set_ttl(store: Store, scope: Scope, agent_id: str, session_id: str, seconds: int | None) -> Session:
    """The session erases itself `seconds` after its last append (None: never); counted from now until then.

    Raises NotFound, or Invalid for less than a second or more than 100 years.
    """
    scope.require("write")
    if seconds is not None and not 1 <= seconds <= LONGEST_TTL_S:
        raise Invalid(f"seconds is {seconds}; use 1 to {LONGEST_TTL_S}, or null for never", field="seconds")
    with store.write(scope) as tx:
        head = sessions.get(tx, agent_id, session_id)
        expires_at = None if seconds is None else tx.now + seconds * 1000
        head = replace(head, ttl_s=seconds, expires_at=expires_at)
        sessions.put(tx, [head])
        if expires_at is not None:
            queue.arm(tx, [("expire", subject_of(agent_id, session_id), expires_at)])
        return sessions.shown(head, tx.now)


def delete(store: Store, scope: Scope, agent_id: str, session_id: str) -> Receipt:
    """The session and everything derived from it is gone; only the event that says so stays.

    Raises NotFound, also for one that was deleted before, and Held where a legal hold forbids it. An erasure that was
    broken off is finished.
    """
    scope.require("write")
    asked = Selection(agent_id, session_id)
    with store.read(scope) as tx:
        if erasures.under_way(tx, asked) is None:
            sessions.get(tx, agent_id, session_id)
    return forget.erase(forget.Means(store), scope, asked)


def expiry() -> Derivation[int, None]:
    """The job that erases a session whose time to live has passed."""
    return Derivation(kind="expire", load=_expired, think=_nothing_to_think, save=_expire)


def _expired(tx: Tx, job: Job) -> int | None:
    head = sessions.find(tx, [(job.agent_id, job.session_id)]).get((job.agent_id, job.session_id))
    # A clock that was set back since the job was claimed does not take its due time back.
    now = max(tx.now, job.due)
    return head.version if head and head.expires_at is not None and head.expires_at <= now else None


def _nothing_to_think(_: int) -> tuple[None, Usage]:
    return None, Usage()


def _expire(tx: Tx, job: Job, _version: int, _made: None) -> None:
    # An append between load and here has moved the expiry and armed the job again: then nothing is erased.
    if _expired(tx, job) is None:
        return
    head = sessions.get(tx, job.agent_id, job.session_id)
    holds.lock(tx)
    if selected.holding(tx, Selection(head.agent, head.session)):
        queue.arm(tx, [("expire", job.subject, tx.now + HELD_MS)])  # a legal hold keeps it: it is looked at again
        return
    forget.expire(tx, head)
