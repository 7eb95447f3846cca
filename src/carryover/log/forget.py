"""Erasing: what a selection names goes, with all that was made of it, and a signed receipt says so.

It goes in batches, each a transaction; the erasure itself is a row that says how far it has come, so that whoever
comes upon one that was broken off finishes it. Keys are dropped after the rows are gone: what is left then, in pages
that were not overwritten yet and in backups, opens no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from carryover.core.erasure import Doomed, ErasureKey, Preview, Receipt, Selection
from carryover.core.errors import Conflict, Forbidden, NotFound, StoreUnavailable
from carryover.core.event import Action
from carryover.core.job import Job, subject_of
from carryover.core.scope import Right, Scope
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.store import audit, erasure, erasures, events, holds, queue, selected, sessions, subjects, tombstones
from carryover.store.codes_kept import Codes
from carryover.store.erasures import Progress
from carryover.store.sessions import Head
from carryover.store.store import Store, Tx
from carryover.store.vacuum import vacuum

KIND = "erase"
SUBJECT = "erasures//"  # ids hold no slash, so it is never a session's
STREAM = "erasures"  # of what is erased beside single sessions: no agent's own
LATE_MS = 60_000  # after so long nobody is at it any more who had begun it
_BATCH = 20  # sessions of one transaction
_SHOWN = 20  # sessions that a preview names


@dataclass(frozen=True, slots=True)
class Means:
    """Where everything lies that an erasure reaches; without codes, what is sealed for users keeps its key."""

    store: Store
    codes: Codes | None = None


def preview(means: Means, scope: Scope, asked: Selection) -> Preview:
    """What `erase` would take of this selection now, and which legal holds forbid it.

    Raises Forbidden, Invalid, or NotFound where nothing is selected.
    """
    asked = _allowed(scope, asked, "read")
    with means.store.read(scope) as tx:
        found, users = selected.count(tx, asked)
        counts, turns, some = Counter[str](), 0, list[Doomed]()
        for agent, session in selected.keys(tx, asked, limit=found):
            head = sessions.get(tx, agent, session, lock=False)
            seqs = _turns_of(tx, asked, head)
            turns += head.version if seqs is None else len(seqs)
            counts.update(erasure.counted(tx, agent, session) if seqs is None else {"turns": len(seqs)})
            if len(some) < _SHOWN:
                said = head.version if seqs is None else len(seqs)
                some.append(Doomed(agent, session, head.user, said, seqs is None, head.updated_at))
        if not found:
            _require_known(tx, asked)
        kept = tuple(holds.hold_of(row) for row in selected.holding(tx, asked))
        return Preview(found, turns, users, dict(counts), tuple(some), kept)


def erase(means: Means, scope: Scope, asked: Selection) -> Receipt:
    """What the selection names is gone, with all that was made of it; what was erased before counts zeros.

    One of the same that was broken off is finished, and its receipt answered. Raises Forbidden, Invalid, Conflict for
    turns of a session that was read out of logs, Held where a legal hold forbids any of it, and NotFound for what never
    was there: then nothing has changed.
    """
    asked = _allowed(scope, asked, "write")

    def begin(tx: Tx) -> str:
        holds.lock(tx)
        kept = selected.holding(tx, asked)
        if kept:
            raise holds.refusal(kept[0])
        found, begun = selected.keys(tx, asked, limit=1), erasures.under_way(tx, asked)
        # One that was broken off answers whoever asks again, unless there is something that it does not reach any more.
        if begun is not None and (begun.state == erasures.PENDING or not (found or _is_beside(tx, asked))):
            return begun.id
        if not found:
            _require_known(tx, asked)
        owner = [head.user for head in sessions.find(tx, found).values()] if asked.session_id is not None else []
        progress = erasures.begin(tx, asked, owner=next(iter(owner), None))
        queue.arm(tx, [(KIND, SUBJECT, tx.now + LATE_MS)], push=False)
        _batch(tx, progress)
        return progress.id

    begun = means.store.transact(scope, begin)
    try:
        return finish(means, scope, begun, asked)
    except StoreUnavailable as away:
        raise StoreUnavailable(
            "the erasure has begun, and then the database did not answer; a worker finishes it in a minute or two",
            retry_after=1,
            unknown=True,
        ) from away


def finish(means: Means, scope: Scope, id: str, asked: Selection | None = None) -> Receipt:
    """The erasure is done, however far it had come; its receipt, which names what was `asked` also where another ended
    it meanwhile. Raises NotFound for one that never was.
    """
    store = means.store

    def some(tx: Tx) -> Progress | None:
        progress = erasures.held(tx, id)
        if progress is not None and progress.state == erasures.PENDING:
            holds.lock(tx)
            _batch(tx, progress)
        return progress

    while (progress := store.transact(scope, some)) is not None and progress.state == erasures.PENDING:
        pass
    if progress is None:
        with store.read(scope) as tx:
            return erasures.receipt(tx, id, asked)
    keys, left = _drop(means, scope, progress)

    def end(tx: Tx) -> Receipt:
        now = erasures.held(tx, id)
        if now is None:
            return erasures.receipt(tx, id, asked)
        made = erasures.end(tx, now, keys, left)
        if not erasures.unfinished(tx):
            queue.cancel(tx, SUBJECT)
        audit.note(tx, action="erase", subject=id, detail=f"{made.sessions} sessions, {made.turns} turns, {keys} keys")
        return made

    made = store.transact(scope, end)
    store.settle()  # what the last transaction took out of the row of the erasure itself, too
    return made


def receipt(store: Store, scope: Scope, id: str) -> Receipt:
    """What is kept of the receipt: all but the names of what was erased. Raises Forbidden or NotFound."""
    scope.require("read")
    with store.read(scope) as tx:
        return erasures.receipt(tx, id)


def public_key(store: Store, scope: Scope) -> ErasureKey:
    """The key that receipts are checked with. Raises Forbidden."""
    scope.require("read")
    return store.transact(scope, erasures.public_key)


def expire(tx: Tx, head: Head) -> None:
    """The session is gone because its time had come; a job drops its key. The session must not be held."""
    progress = erasures.begin(tx, Selection(head.agent, head.session), quiet=True)
    _whole(tx, progress, head, "expire")
    progress.state = erasures.ERASED
    erasures.put(tx, progress)
    queue.arm(tx, [(KIND, SUBJECT, tx.now)])


def forgetting(means: Means) -> Derivation[Scope, None]:
    """The job of a tenant that finishes what was broken off, and drops the keys of what has expired."""

    def load(tx: Tx, job: Job) -> Scope | None:
        return job.scope if erasures.unfinished(tx) else None

    def think(scope: Scope) -> tuple[None, Usage]:
        with means.store.read(scope) as tx:
            left = erasures.unfinished(tx)
        for id in left:
            with suppress(NotFound):  # another finished it meanwhile, and it was to leave no receipt
                finish(means, scope, id)
        return None, Usage()

    return Derivation(KIND, load, think, lambda _tx, _job, _work, _made: None, overdue=_overdue)


def _overdue(tx: Tx) -> Iterator[tuple[str, str]]:
    return ((tenant, SUBJECT) for tenant in erasures.tenants_unfinished(tx))


def _allowed(scope: Scope, asked: Selection, right: Right) -> Selection:
    """What is asked for, where the scope may erase it. Raises Forbidden, NotFound or Invalid."""
    asked = asked.checked()
    scope.require(right)
    if asked.agent_id is None and asked.user_id is None:
        scope.require("admin")
    for own, named, what in ((scope.agent, asked.agent_id, "agent"), (scope.user, asked.user_id, "user")):
        if own is None or own == named:
            continue
        if named is not None:
            raise NotFound(f"{what} {named!r} does not exist here; check the id")
        if asked.session_id is None:
            raise Forbidden(f"this key is narrowed to one {what}, and this is of all; use one that is not")
    return asked


def _require_known(tx: Tx, asked: Selection) -> None:
    """Raises NotFound unless something is kept of what is asked for, or was until it was erased."""
    if _is_beside(tx, asked) or erasures.was_asked(tx, asked):
        return
    if asked.session_id is not None:
        _require_turns(asked, sessions.get(tx, asked.agent_id or "", asked.session_id, lock=False))
        if asked.is_of_turns:
            return  # they say nothing any more
    raise NotFound("nothing here is such; check the ids and the times")


def _is_beside(tx: Tx, asked: Selection) -> bool:
    """Whether anything is kept of the user or the agent that is named, beside their sessions."""
    return subjects.exists(tx, agent=asked.of_agent, user=asked.of_user)


def _require_turns(asked: Selection, head: Head) -> None:
    """Raises NotFound where a run of turns goes beyond the session."""
    if asked.last is not None and asked.last > head.version:
        raise NotFound(
            f"session {head.session!r} has the turns 1 to {head.version}, and no turn {asked.last}; name some of those"
        )


def _batch(tx: Tx, progress: Progress) -> None:
    """Some sessions more are erased; after the last of them, what else there is of a user or an agent."""
    asked = progress.asked
    found = selected.keys(tx, asked, limit=_BATCH)
    for agent, session in found:
        head = sessions.get(tx, agent, session)
        seqs = _turns_of(tx, asked, head)
        if seqs is not None:
            _runs(tx, progress, head, seqs)
        elif asked.session_id is not None:
            _whole(tx, progress, head, "delete")
        else:
            _whole(tx, progress, head, None)  # what says so of all of them names none
    if len(found) == _BATCH:
        erasures.put(tx, progress)
        return
    progress.holds = tuple(row.id for row in selected.holding(tx, asked))  # placed since it began
    # What there is beside sessions tells of those that are held, too: then it stays with them.
    if asked.of_user is not None and not progress.holds:
        progress.took(subjects.erase_user(tx, asked.of_user))
    if asked.of_agent is not None and not progress.holds:
        progress.took(subjects.erase_agent(tx, asked.of_agent))
    progress.state = erasures.ERASED
    erasures.put(tx, progress)
    if asked.session_id is None:
        detail = {"sessions": progress.sessions, "turns": progress.turns}
        events.add(tx, [("forget", STREAM, progress.id, None, detail)])


def _turns_of(tx: Tx, asked: Selection, head: Head) -> list[int] | None:
    """The turns of the session that are to go; None: all of it is.

    Raises Conflict for a run of turns of a session that was read out of logs: those are archived as they are.
    """
    if not asked.is_of_turns:
        return None
    _require_turns(asked, head)
    ingested = selected.is_ingested(tx, head.agent, head.session)
    if ingested and asked.is_a_run:
        raise Conflict(
            f"session {head.session!r} was read out of logs, which are kept whole; "
            f"erase all of it with `carryover forget --session {head.session} --agent {head.agent}`"
        )
    seqs = selected.turns_of(tx, asked, head.agent, head.session)
    if ingested or (not asked.is_a_run and selected.is_all(tx, head, seqs)):
        return None
    return seqs


def _whole(tx: Tx, progress: Progress, head: Head, action: Action | None) -> None:
    newest = events.last_id(tx, head.agent)
    counts = erasure.erase(tx, head.agent, head.session)
    holds.clear(tx, agent=head.agent, session=head.session, user=None)
    progress.took(counts)
    progress.sessions += 1
    progress.turns += counts["turns"]
    progress.logs += counts["pieces"]
    _note_key(progress, head)
    if counts["preferences"]:
        subjects.refit(tx)
    if action is not None:
        # Ids of events are never used twice: it stands above those that went.
        events.add(tx, [(action, head.agent, head.session, head.user, {"turns": head.version})], above=newest)


def _runs(tx: Tx, progress: Progress, head: Head, seqs: list[int]) -> None:
    counts = erasure.unmake(tx, head.agent, head.session, seqs)
    tombstones.bury(tx, head, seqs)
    progress.took(counts | {"turns": len(seqs), "bodies": len(seqs)})
    progress.turns += len(seqs)
    _note_key(progress, head)
    if counts["preferences"]:
        subjects.refit(tx)
    subject = subject_of(head.agent, head.session)
    armed = [("consolidate", subject, max(tx.now, head.active_until)), ("index", subject, tx.now)]
    queue.arm(tx, armed if head.expires_at is None else [*armed, ("expire", subject, head.expires_at)])
    detail = {"turns": len(seqs), "first": seqs[0], "last": seqs[-1]}
    events.add(tx, [("forget", head.agent, head.session, head.user, detail)])


def _note_key(progress: Progress, head: Head) -> None:
    if head.key is None:
        progress.readable += 1
    else:
        progress.keys.add(head.key)


def _drop(means: Means, scope: Scope, progress: Progress) -> tuple[int, tuple[str, ...]]:
    """The keys are gone, and no file holds what was erased in the clear; how many keys, and what remains where."""
    store, keys = means.store, 0
    if progress.keys and store.sealing is not None:
        keys = store.sealing.drop(progress.keys)
    user = progress.asked.of_user
    if user is not None and not progress.holds and means.codes is not None and store.sealing is not None:
        with store.write(scope) as tx:
            means.codes.drop(tx, user)
        keys += int(store.sealing.vault.drop(scope.tenant, user))
    remains = ("an event of the stream says that it was erased", "usage stays on the account and names no session")
    named = progress.asked.of_user is not None or progress.asked.of_agent is not None  # ids are never sealed
    if (progress.readable or named) and not progress.quiet:
        remains += vacuum(store, progress.counts)
    return keys, remains
