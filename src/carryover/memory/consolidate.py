"""Consolidation: the turns since the last snapshot become the next one.

A session in conversation is never consolidated: its job is not due, and where an append raced the claim the job is
armed again and makes nothing. To consolidate at once, `ask` ends the conversation as of now (the next append
resumes it) and arms the same job, so that there is still one row, one lease and one snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from carryover.core.ids import new_id
from carryover.core.job import Job, subject_of
from carryover.core.ports import Extractor
from carryover.core.scope import Scope
from carryover.core.session import Session, Turn, genuine
from carryover.core.snapshot import Extraction, Finding, Snapshot, nothing
from carryover.core.text import estimate_tokens
from carryover.core.usage import Usage
from carryover.guard import ours
from carryover.guard.findings import guarded
from carryover.guard.redact import redact
from carryover.jobs.derivation import Derivation
from carryover.memory import evict
from carryover.memory.choice import Choice, Extractors, choose, settle
from carryover.memory.merge import MOST_LIVE, bounded, merge
from carryover.memory.rules import heard
from carryover.memory.themes import themes
from carryover.store import events, queue, sessions, snapshots, tiers, turns
from carryover.store.sessions import Head
from carryover.store.snapshots import Link
from carryover.store.store import Store, Tx

KIND = "consolidate"
MOST_TURNS = 2_000  # of one run; the job arms itself again for the rest
MOST_TOKENS = 400_000
PAGE_TURNS = 100
OTHER_SESSIONS = 50  # the newest ones of the same user, whose findings these turns may close
OTHER_FINDINGS = 300
SUMMARY_CHARS = 700


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to think about: `turns`, the live ones up to `through`.

    If that is where the last snapshot is, the session is in conversation, and there is nothing to think.
    """

    head: Head
    turns: tuple[Turn, ...]
    through: int
    last: Snapshot
    others: tuple[Finding, ...]
    now: int
    choice: Choice
    ended: frozenset[str] = frozenset()  # live in `last`, and ended by another session since

    @property
    def live(self) -> tuple[Finding, ...]:
        return _live(self.last, self.others, self.ended)


@dataclass(frozen=True, slots=True)
class Made:
    """The next snapshot, which findings elsewhere it closes, and which it has no room for."""

    snapshot: Snapshot
    links: tuple[Link, ...]
    left: tuple[Finding, ...] = ()


def consolidation(known: Extractors, most_live: int = MOST_LIVE) -> Derivation[Work, Made | None]:
    """The job that keeps memory up with the log. What an extractor raises goes through: the job is tried again.

    A snapshot holds at most `most_live` live findings; those that leave it are told by the gists of their months.
    """
    return Derivation(
        kind=KIND,
        load=partial(_load, known),
        think=partial(_think, most_live),
        save=partial(_save, known),
        estimate=_estimate,
    )


def ask(store: Store, scope: Scope, agent_id: str, session_id: str) -> Session:
    """The session's consolidation is due now, whether it is in conversation, held, or its last try failed.

    A worker then makes it, or whoever asked runs it with `Worker.run_one(["consolidate"], tenant=...,
    subject=subject_of(agent_id, session_id))`. Raises Forbidden or NotFound.
    """
    scope.require("write")
    with store.write(scope) as tx:
        head = sessions.get(tx, agent_id, session_id)
        head = replace(head, active_until=min(head.active_until, tx.now))
        sessions.put(tx, [head])
        queue.arm(tx, [(KIND, subject_of(agent_id, session_id), tx.now)])
        return sessions.shown(head, tx.now)


def _load(known: Extractors, tx: Tx, job: Job) -> Work | None:
    head = sessions.find(tx, [(job.agent_id, job.session_id)]).get((job.agent_id, job.session_id))
    if head is None:
        return None
    choice = choose(tx, known)
    if _in_conversation(head, tx.now):
        return Work(head, (), 0, nothing(head.agent, head.session), (), tx.now, choice)
    last = snapshots.latest(tx, head.agent, head.session) or nothing(head.agent, head.session)
    new, through = _since(tx, head, last.through)
    ended = snapshots.ended_elsewhere(tx, [f.id for f in last.findings if f.live])
    if through == last.through:
        return None
    return Work(head, new, through, last, others_of(tx, head), tx.now, choice, ended)


def _live(last: Snapshot, others: Sequence[Finding], ended: frozenset[str]) -> tuple[Finding, ...]:
    return (*others, *(f for f in last.findings if f.live and f.id not in ended))


def _in_conversation(head: Head, now: int) -> bool:
    return head.closed_at is None and head.active_until > now


def _since(tx: Tx, head: Head, through: int) -> tuple[tuple[Turn, ...], int]:
    """The live turns of the next run, and the last turn that it has read."""
    found: list[Turn] = []
    tokens = 0
    while len(found) < MOST_TURNS and tokens < MOST_TOKENS:
        page = turns.after(tx, head.agent, head.session, through, min(PAGE_TURNS, MOST_TURNS - len(found)))
        if not page:
            through = head.version  # what follows was erased
            break
        found += page
        tokens += sum(turn.tokens for turn in page)
        through = page[-1].seq
    later = turns.retractions(tx, head.agent, head.session, through) if through < head.version else ()
    return tuple(genuine(found, later)), through


def others_of(tx: Tx, head: Head) -> tuple[Finding, ...]:
    """Live findings of the same user's other sessions (where none is named, of the agent's that name none), and those
    of any session that gists tell.
    """
    agent = head.agent if head.user is None else None
    newest = snapshots.newest_of(tx, agent=agent, user=head.user, limit=OTHER_SESSIONS + 1)
    keys = [(row[0], row[1]) for row in newest if (row[0], row[1]) != (head.agent, head.session)]
    return tuple(snapshots.closable(tx, keys[:OTHER_SESSIONS], agent=agent, user=head.user)[-OTHER_FINDINGS:])


def _estimate(work: Work) -> Usage:
    return work.choice.extractor.estimate(work.turns, work.live) if work.turns else Usage()


def _think(most_live: int, work: Work) -> tuple[Made | None, Usage]:
    if work.through == work.last.through:
        return None, Usage()
    made, usage = follow(
        work.choice.extractor,
        work.last,
        work.turns,
        others=work.others,
        ended=work.ended,
        now=work.now,
        most_live=most_live,
    )
    made = replace(made, snapshot=replace(made.snapshot, through=work.through))
    covered = sum(turn.tokens for turn in work.turns)
    saved = max(covered - (_tokens(made.snapshot) - _tokens(work.last)), 0)
    return made, replace(usage, turns_covered=len(work.turns), tokens_saved=saved)


def follow(
    extractor: Extractor,
    last: Snapshot,
    turns: Sequence[Turn],
    *,
    now: int,
    others: Sequence[Finding] = (),
    ended: frozenset[str] = frozenset(),
    most_live: int = MOST_LIVE,
) -> tuple[Made, Usage]:
    """The snapshot that follows `last`, once the extractor has read these turns; it is through with the last of them.

    Where there are none, because all were taken back, nobody is asked.
    """
    known = _live(last, others, ended)
    turns = ours.said(turns)
    extraction, usage = extractor.extract(turns, known) if turns else (Extraction(by=last.by), Usage())
    extraction = guarded(extraction, turns, known)
    merged = merge(last, others, extraction, turns, now=now, ended=ended, new_id=lambda: new_id("f"))
    kept, left = bounded(merged.findings, most_live)
    snapshot = Snapshot(
        session_id=last.session_id,
        agent_id=last.agent_id,
        version=last.version + 1,
        through=turns[-1].seq if turns else last.through,
        created_at=now,
        by=extraction.by,
        summary=_still_true(_summary(last.summary, extraction.summary), kept),
        findings=kept,
        extractor=extractor.id,
        themes=tuple(theme for theme in themes(last.themes, heard(turns)) if redact(theme.text) is theme.text),
    )
    return Made(snapshot, merged.links, left), usage


def _save(known: Extractors, tx: Tx, job: Job, work: Work, made: Made | None) -> None:
    # Erasing a session takes its jobs too: then the lease was lost before this, and nothing is saved.
    # Not locked: an append holds its session while it waits for this job's row.
    head = sessions.get(tx, job.agent_id, job.session_id, lock=False)
    if made is not None:
        snapshot = keep(tx, head, made, work.others)
        detail = {
            "version": snapshot.version,
            "through": snapshot.through,
            "findings": len(snapshot.findings),
            "by": snapshot.by,
        }
        events.add(tx, [(KIND, head.agent, head.session, head.user, detail)])
    if made is None or made.snapshot.through < work.head.version:
        due = head.active_until if _in_conversation(head, tx.now) else tx.now
        queue.arm(tx, [(KIND, job.subject, due)])
    if made is not None:
        settle(tx, known, work.choice)


def keep(tx: Tx, head: Head, made: Made, others: Sequence[Finding] = ()) -> Snapshot:
    """The snapshot is the session's newest; what is told, found and checked of the session will follow it."""
    snapshot = replace(made.snapshot, created_at=tx.now)
    snapshots.add(tx, snapshot, user=head.user, links_made=made.links, left=made.left)
    closed = {link.finding_id for link in made.links}
    tiers.retell(tx, {(f.agent_id, f.session_id) for f in others if f.id in closed})
    evict.summarise(tx, made.left, user=head.user)
    evict.arm(tx, head.agent, head.user)
    subject = subject_of(head.agent, head.session)
    queue.arm(tx, [(kind, subject, tx.now) for kind in ("index", "verify", "notice")], push=False)
    return snapshot


def _tokens(snapshot: Snapshot) -> int:
    return estimate_tokens("\n".join((snapshot.summary, *(finding.text for finding in snapshot.findings))))


def _still_true(summary: str, findings: Sequence[Finding]) -> str:
    """Without the sentences that a finding quoted and a later turn has replaced."""
    for finding in findings:
        if finding.status == "superseded":
            for source in finding.sources:
                summary = summary.replace(source.quote, "") if source.quote else summary
    return " ".join(summary.split())


def _summary(before: str, new: str) -> str:
    """Both in order, shortened from the front: where the session stands now counts most."""
    if not new or not before or new.startswith(before):
        return new or before
    joined = f"{before} {new}"
    while len(joined) > SUMMARY_CHARS and ". " in joined[: -len(new)]:
        joined = joined.partition(". ")[2]
    return joined if len(joined) <= SUMMARY_CHARS else new
