"""Promotion: a candidate makes the newest sessions' snapshots anew, nobody sees them, and it is promoted for the tenant
if they answer no less than those that there are.

One running of the job compares one session and arms the next: what a killed worker loses is one session, and a cap
that is reached is waited for in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

from carryover.core.extractor import Comparison, Standing, Tally
from carryover.core.job import Job
from carryover.core.ports import Extractor
from carryover.core.session import Turn, genuine
from carryover.core.snapshot import Snapshot
from carryover.core.text import digest
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.jobs.logger import logger_for
from carryover.memory import score
from carryover.memory.again import afresh
from carryover.memory.choice import PROMOTE, Extractors
from carryover.memory.merge import MOST_LIVE
from carryover.memory.questions import probes
from carryover.store import extractors, queue, snapshots, turns
from carryover.store.extractors import Compared
from carryover.store.store import Tx

logger = logger_for(__name__)

SESSIONS = 30  # of a comparison, the newest that memory has
TOKENS = 300_000  # of their turns, after which no further session is begun
SESSION_TOKENS = 60_000  # of one session, unless its first snapshot covers more
QUESTIONS = 20  # about one session
PAGE_TURNS = 200


@dataclass(frozen=True, slots=True)
class Case:
    """A session to compare: its live turns, and the snapshot that is known of them."""

    mark: str
    turns: tuple[Turn, ...]
    known: Snapshot


@dataclass(frozen=True, slots=True)
class Work:
    """A comparison under way; without a case it has come to its end."""

    against: str
    done: tuple[Compared, ...]
    case: Case | None
    now: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the candidate, and the sentence that says why."""

    state: Standing
    reason: str


def promotion(known: Extractors, most_live: int = MOST_LIVE) -> Derivation[Work, Compared | None]:
    """The job that compares the configured extractor with the one that is promoted."""
    candidate = known.configured
    return Derivation(
        kind=PROMOTE,
        load=partial(_load, candidate.id),
        think=partial(_think, candidate, most_live),
        save=partial(_save, candidate.id),
        estimate=lambda work: Usage() if work.case is None else candidate.estimate(work.case.turns, ()),
    )


def judge(candidate: str, against: str, done: Sequence[Compared]) -> Verdict:
    """Promoted, unless its snapshots answer fewer questions, or hold details that their turns lack.

    Where there is nothing to ask, the details that they keep decide. What loses on so little that it may be chance
    stays a candidate, and is compared over the sessions that are still to come.
    """
    total, pairs = total_of(done), [(one.before, one.after) for one in done]
    invented = score.invented(total.before, total.after)
    said = f"{score.found(candidate, against, total)}{invented}"
    if not invented and not score.loses(pairs):
        return Verdict("promoted", f"{said}: promoted")
    if not invented and score.few(pairs) and not _is_full(done):
        return Verdict("candidate", f"{said}: not promoted as long as there is no more to go by")
    return Verdict("refused", f"{said}: not promoted")


def total_of(done: Sequence[Compared]) -> Comparison:
    """All sessions of a comparison together."""
    before = reduce(Tally.plus, (one.before for one in done), Tally())
    return Comparison(len(done), before, reduce(Tally.plus, (one.after for one in done), Tally()))


def _load(candidate: str, tx: Tx, job: Job) -> Work | None:
    state, promoted = extractors.find(tx, candidate), extractors.promoted(tx)
    # Where several processes are configured differently, one that is not the candidate's leaves it to the next
    # snapshot that one of the others makes.
    if job.subject != candidate or state is None or state.state != "candidate" or promoted is None:
        return None
    done = tuple(extractors.compared(tx, candidate)) if state.against == promoted.name else ()
    return Work(promoted.name, done, _next(tx, candidate, done), tx.now)


def _is_full(done: Sequence[Compared]) -> bool:
    return len(done) >= SESSIONS or sum(one.tokens for one in done) >= TOKENS


def _next(tx: Tx, candidate: str, done: Sequence[Compared]) -> Case | None:
    if _is_full(done):
        return None
    marks = {one.mark for one in done}
    for agent, session, *_ in snapshots.newest_of(tx, agent=None, user=None, any_user=True, limit=2 * SESSIONS):
        mark = digest(agent, session)
        if mark in marks:
            continue
        case = _case(tx, mark, agent, session, candidate)
        if case is not None:
            return case
    return None


def _case(tx: Tx, mark: str, agent: str, session: str, candidate: str) -> Case | None:
    """The newest snapshot of the session whose turns are few enough, else its first, with these turns.

    None where the candidate made it: that is no one to compare with.
    """
    newest_first = snapshots.listed(tx, agent, session, limit=1_000)
    if not newest_first or newest_first[0].extractor == candidate:
        return None
    said: list[Turn] = []
    tokens, least, last = 0, newest_first[-1].through, newest_first[0].through
    while not said or said[-1].seq < (last if tokens < SESSION_TOKENS else least):
        page = turns.after(tx, agent, session, said[-1].seq if said else 0, PAGE_TURNS)
        if not page:
            break
        said += page
        tokens += sum(turn.tokens for turn in page)
    if not said:
        return None
    head = next((one for one in newest_first if one.through <= said[-1].seq), newest_first[-1])
    known = snapshots.get(tx, agent, session, head.version)
    later = turns.retractions(tx, agent, session, known.through)
    return Case(mark, tuple(genuine((turn for turn in said if turn.seq <= known.through), later)), known)


def _think(candidate: Extractor, most_live: int, work: Work) -> tuple[Compared | None, Usage]:
    if work.case is None:
        return None, Usage()
    case = work.case
    questions = probes(case.turns, most=QUESTIONS, agent_id=case.known.agent_id, session_id=case.known.session_id)
    made, usage = afresh(candidate, case.known, case.turns, now=work.now, most_live=most_live)
    before, after = (score.tally(one, case.turns, questions) for one in (case.known, made.snapshot))
    return Compared(case.mark, before, after, sum(turn.tokens for turn in case.turns)), usage


def _save(candidate: str, tx: Tx, job: Job, work: Work, made: Compared | None) -> None:
    done = work.done if made is None else (*work.done, made)
    if made is not None:
        queue.arm(tx, [(PROMOTE, job.subject, tx.now)])
    extractors.lock(tx)  # after the jobs, as everywhere
    state, promoted = extractors.find(tx, candidate), extractors.promoted(tx)
    if state is None or state.state != "candidate" or promoted is None or promoted.name != work.against:
        return  # somebody decided meanwhile
    if state.against != work.against:
        extractors.compare(tx, candidate, work.against)
    verdict = None if made is not None else judge(candidate, work.against, done)
    over = verdict is not None and verdict.state != "candidate"
    extractors.note(tx, candidate, total_of(done), () if over else done, verdict.reason if verdict else state.reason)
    if verdict is None:
        return
    logger.info(verdict.reason)
    if verdict.state == "promoted":
        extractors.promote(tx, candidate, verdict.reason)
    elif verdict.state == "refused":
        extractors.refuse(tx, candidate, work.against, verdict.reason)
