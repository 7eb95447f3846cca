"""Reconsolidation: a session's log is read from turn 1 once more, by the extractor that is promoted now.

What comes of it is the next snapshot only if it answers no less than the newest one; else nothing is saved but an
event that says so. The snapshots before stay as they are either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from carryover.core.errors import Conflict
from carryover.core.event import Filter
from carryover.core.extractor import Tally
from carryover.core.job import Job, subject_of
from carryover.core.ports import Extractor
from carryover.core.scope import Scope
from carryover.core.session import Turn, genuine
from carryover.core.snapshot import Finding, Snapshot, nothing
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.memory import score
from carryover.memory.choice import Choice, Extractors, choose, settle
from carryover.memory.consolidate import Made, follow, keep, others_of
from carryover.memory.merge import MOST_LIVE, replaces
from carryover.memory.questions import probes
from carryover.memory.words import content
from carryover.store import events, queue, sessions, snapshots, turns
from carryover.store.store import Store, Tx

KIND = "reconsolidate"
FORCED = "reconsolidate-anyway"  # saved whatever it answers
QUESTIONS = 100
PAGE_TURNS = 200
ALIKE = 0.5  # so large a share of a finding's words in another of the same turns, and both are one


@dataclass(frozen=True, slots=True)
class Work:
    """The turns that the newest snapshot covers and that are live, and what other sessions have said of the same."""

    turns: tuple[Turn, ...]
    last: Snapshot
    others: tuple[Finding, ...]
    now: int
    choice: Choice


@dataclass(frozen=True, slots=True)
class Anew:
    """The snapshot made anew, and how it compares with the one before."""

    made: Made
    before: Tally
    after: Tally

    @property
    def loses(self) -> bool:
        return bool(score.invented(self.before, self.after)) or score.loses([(self.before, self.after)])

    @property
    def said(self) -> str:
        """How the two compare, without what becomes of it: `snapshot 7 answers 94 %, 6 answered 97 %`."""
        new, old, version = self.after, self.before, self.made.snapshot.version
        invented = score.invented(old, new)
        if not new.asked:
            return f"snapshot {version} keeps {new.kept} of {new.said} details, {version - 1} kept {old.kept}{invented}"
        answers, answered = score.percent((new.score, old.score))
        return f"snapshot {version} answers {answers}, {version - 1} answered {answered}{invented}"


def reconsolidation(known: Extractors, kind: str, most_live: int = MOST_LIVE) -> Derivation[Work, Anew]:
    """The job that makes a session's newest snapshot anew."""
    return Derivation(
        kind=kind,
        load=partial(_load, known),
        think=partial(_think, most_live),
        save=partial(_save, known),
        estimate=lambda work: work.choice.extractor.estimate(work.turns, ()),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A session that is due to be read anew, and the last event before that."""

    agent_id: str
    session_id: str
    kind: str
    event: int

    @property
    def subject(self) -> str:
        return subject_of(self.agent_id, self.session_id)


def ask(store: Store, scope: Scope, agent_id: str, session_id: str, *, force: bool) -> Asked:
    """The session is due to be read anew, by a worker or whoever asked.

    Raises Forbidden, NotFound, or Conflict for a session that has no snapshot yet.
    """
    scope.require("write")
    with store.write(scope) as tx:
        sessions.get(tx, agent_id, session_id)
        if not snapshots.listed(tx, agent_id, session_id, limit=1):
            raise Conflict(f"session {session_id!r} has no snapshot yet; consolidate it first")
        asked = Asked(agent_id, session_id, FORCED if force else KIND, events.last_id(tx, agent_id))
        queue.arm(tx, [(asked.kind, asked.subject, tx.now)])
        return asked


def outcome(store: Store, scope: Scope, asked: Asked) -> Snapshot:
    """What came of it, once its job is over: the snapshot.

    Raises Conflict where it was not kept, or the session is gone.
    """
    with store.read(scope) as tx:
        want = Filter(action=KIND, session=asked.session_id)
        made = events.after(tx, asked.agent_id, want, id=asked.event, limit=1)
        if not made:
            raise Conflict(f"session {asked.session_id!r} went away while it was read; look whether it was deleted")
        said = made[0].detail
        if said["kept"]:
            return snapshots.get(tx, asked.agent_id, asked.session_id, said["version"])
    raise Conflict(f"{said['reason']}; the one before stays, unless you ask with `force`")


def afresh(
    extractor: Extractor, known: Snapshot, said: Sequence[Turn], *, now: int, most_live: int
) -> tuple[Made, Usage]:
    """The snapshot after `known` as the extractor makes it of these turns alone."""
    blank = replace(nothing(known.agent_id, known.session_id), version=known.version)
    return follow(extractor, blank, said, now=now, most_live=most_live)


def _load(known: Extractors, tx: Tx, job: Job) -> Work | None:
    head = sessions.find(tx, [(job.agent_id, job.session_id)]).get((job.agent_id, job.session_id))
    last = None if head is None else snapshots.latest(tx, head.agent, head.session)
    if head is None or last is None:
        return None
    said: list[Turn] = []
    while page := turns.after(tx, head.agent, head.session, said[-1].seq if said else 0, PAGE_TURNS):
        said += (turn for turn in page if turn.seq <= last.through)
        if page[-1].seq >= last.through:
            break
    later = turns.retractions(tx, head.agent, head.session, last.through)
    return Work(tuple(genuine(said, later)), last, others_of(tx, head), tx.now, choose(tx, known)) if said else None


def _think(most_live: int, work: Work) -> tuple[Anew, Usage]:
    made, usage = afresh(work.choice.extractor, work.last, work.turns, now=work.now, most_live=most_live)
    made = replace(made, snapshot=replace(made.snapshot, through=work.last.through))
    questions = probes(work.turns, most=QUESTIONS, agent_id=work.last.agent_id, session_id=work.last.session_id)
    before, after = (score.tally(one, work.turns, questions) for one in (work.last, made.snapshot))
    return Anew(replace(made, snapshot=_continued(made.snapshot, work)), before, after), usage


def _continued(snapshot: Snapshot, work: Work) -> Snapshot:
    """A finding that was known keeps its id, and so whatever other sessions have made of it since; what a later
    session had replaced before this one found it is replaced.
    """
    ids: dict[str, str] = {}
    for finding in snapshot.findings:
        heir = next((old for old in work.last.findings if old.id not in ids.values() and _alike(old, finding)), None)
        if heir is not None:
            ids[finding.id] = heir.id
    kept: list[Finding] = []
    for finding in snapshot.findings:
        by = finding.superseded_by
        one = replace(finding, id=ids.get(finding.id, finding.id), superseded_by=ids.get(by, by) if by else None)
        later = (o for o in work.others if o.learned_at > one.learned_at and replaces(o, one))
        other = next(later, None) if one.live and finding.id not in ids else None
        if other is not None:
            reason = "another session says otherwise later"
            one = replace(one, status="superseded", superseded_by=other.id, reason=reason)
        kept.append(one)
    return replace(snapshot, findings=tuple(kept))


def _alike(old: Finding, new: Finding) -> bool:
    """Whether both are one statement: of one kind, about the same turns, largely in the same words."""
    same_turns = any(a.first <= b.last and b.first <= a.last for a in old.sources for b in new.sources)
    words = set(content(old.text))
    return old.kind == new.kind and same_turns and len(words & set(content(new.text))) >= ALIKE * len(words)


def _save(known: Extractors, tx: Tx, job: Job, work: Work, anew: Anew) -> None:
    head = sessions.get(tx, job.agent_id, job.session_id, lock=False)
    kept = job.kind == FORCED or not anew.loses
    verdict = "not promoted" if not kept else "promoted by force" if anew.loses else "promoted"
    detail = {
        "version": anew.made.snapshot.version,
        "by": anew.made.snapshot.by,
        "kept": kept,
        "questions": anew.after.asked,
        "answered": anew.after.answered,
        "answered_before": anew.before.answered,
        "reason": f"{anew.said}: {verdict}",
    }
    if kept:
        keep(tx, head, anew.made)
    events.add(tx, [(KIND, head.agent, head.session, head.user, detail)])
    if kept:
        settle(tx, known, work.choice)
