"""Verification: every live finding is checked against the turns that it cites, whoever extracted it and whenever.

What does not hold is flagged by a verdict beside it. The finding itself stays as it was, as snapshots do. A verdict is
about one state of a finding: it is checked again when the finding has changed, or the check has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from carryover.core import telemetry
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.session import Source, Turn
from carryover.core.snapshot import Finding
from carryover.core.usage import Usage
from carryover.core.verdict import Verdict
from carryover.core.voice import unmarked
from carryover.guard.redact import unmasked
from carryover.jobs.derivation import Derivation
from carryover.memory import dates, ground
from carryover.memory.rules import Rules
from carryover.memory.words import STOP, words
from carryover.store import queue, sessions, turns, verdicts
from carryover.store.store import Store, Tx

KIND = "verify"
CHECKER = 1  # raise it when the check becomes another one: everything is then checked anew
BATCH = 100  # findings of one run; the job arms itself again for the rest
SWEEP = 1_000  # sessions that are armed at a time
OVERLAP = 0.5  # of the words of a text that its turns have to say
WIDEST = 2_000  # turns that one source may cite: no extractor reads more at a time
_NEAR = 20  # turns between two that are cited, up to which both are read in one go

Cited = Mapping[Source, Sequence[Turn]]


@dataclass(frozen=True, slots=True)
class Work:
    """Findings, the turns that they cite as far as there are any to read, and how many turns each session has."""

    findings: tuple[Finding, ...]
    cited: Cited
    versions: Mapping[str, int]
    now: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A finding and the verdict on it."""

    finding: Finding
    verdict: Verdict


def verification() -> Derivation[Work, list[Checked]]:
    """The job of a session (`agent/session`) that checks those of its live findings that were not checked yet."""
    return Derivation(
        KIND,
        _load,
        lambda work: (_checked(work), Usage()),
        _save,
        overdue=lambda tx: verdicts.overdue(tx, CHECKER, SWEEP),
    )


def verify(store: Store, scope: Scope, agent_id: str, session_id: str) -> list[Checked]:
    """All live findings of the session are checked now, checked before or not. Raises NotFound."""
    scope.require("write")
    with store.read(scope) as tx:
        sessions.get(tx, agent_id, session_id)
        live = verdicts.live(tx, agent_id, session_id)
    checked: list[Checked] = []
    for start in range(0, len(live), BATCH):
        with store.read(scope) as tx:
            work = _work(tx, live[start : start + BATCH])
        made = _checked(work)
        with store.write(scope) as tx:
            sessions.get(tx, agent_id, session_id)  # raises where it was erased meanwhile
            verdicts.put(tx, [(one.finding, one.verdict) for one in made])
        checked += made
    return checked


def judge(finding: Finding, work: Work) -> Verdict:
    """Whether the finding's quotes stand in its turns, and what its text says: details, words, and its day."""
    faults: list[str] = []
    gone: list[str] = []
    for source in finding.sources:
        cited = work.cited[source]
        if not _fits(source) or source.last > work.versions.get(source.session_id, 0):
            faults.append(f"{_place(source)} cannot be cited")
        elif len(cited) <= source.last - source.first:
            gone.append(f"the content of {_place(source)} is gone")
        elif not ground.holds(source.quote, cited, source.first, source.last):
            faults.append(f"{_place(source)} does not say {source.quote!r}")
    if gone and not faults:
        return Verdict("unknown", work.now, CHECKER, tuple(gone))
    said = [turn for source in finding.sources for turn in work.cited[source]]
    text = unmasked(unmarked(finding.text))
    strays = ground.strays(text, said)
    missing = ground.unsupported(text, said)
    if finding.by == Rules.name:  # its words are those that were spoken
        missing |= strays
    if missing:
        faults.append(f"not in its turns: {', '.join(sorted(missing))}")
    carrying = {word for word in words(text) if word not in STOP}
    if len(carrying - strays) < OVERLAP * len(carrying):
        faults.append("its turns say less than half of its words")
    if finding.valid_from is not None and not _is_named(finding.valid_from, text, said):
        faults.append("its turns do not name the day since which it is valid")
    return Verdict("fails" if faults else "holds", work.now, CHECKER, tuple(faults), tuple(sorted(missing)))


def _load(tx: Tx, job: Job) -> Work | None:
    live = verdicts.live(tx, job.agent_id, job.session_id)
    due = verdicts.unchecked(tx, {f.id: verdicts.state_of(f) for f in live}, CHECKER)
    waiting = [f for f in live if f.id in due]
    return _work(tx, waiting[:BATCH], more=len(waiting) > BATCH) if waiting else None


def _checked(work: Work) -> list[Checked]:
    made = [Checked(f, judge(f, work)) for f in work.findings]
    for one in made:
        telemetry.count("findings_checked", outcome=one.verdict.outcome)
    return made


def _save(tx: Tx, job: Job, work: Work, made: Sequence[Checked]) -> None:
    verdicts.put(tx, [(one.finding, one.verdict) for one in made])
    if work.more:
        queue.arm(tx, [(KIND, job.subject, tx.now)], push=False)


def _work(tx: Tx, findings: Sequence[Finding], *, more: bool = False) -> Work:
    """The findings of one session with what they cite, there or in another session of the agent."""
    agent = findings[0].agent_id
    by_session: dict[str, set[Source]] = {}
    for source in (source for f in findings for source in f.sources):
        by_session.setdefault(source.session_id, set()).add(source)
    heads = sessions.find(tx, [(agent, session) for session in by_session])
    cited: dict[Source, Sequence[Turn]] = {}
    for session, sources in by_session.items():
        read = _read(tx, agent, session, sources)
        cited |= {s: [read[n] for n in range(s.first, s.last + 1) if n in read] if _fits(s) else [] for s in sources}
    versions = {session: head.version for (_, session), head in heads.items()}
    return Work(tuple(findings), cited, versions, tx.now, more)


def _read(tx: Tx, agent: str, session: str, sources: Iterable[Source]) -> dict[int, Turn]:
    read: dict[int, Turn] = {}
    runs: list[tuple[int, int]] = []
    for first, last in sorted((s.first, s.last) for s in sources if _fits(s)):
        if runs and first <= runs[-1][1] + _NEAR:
            runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
        else:
            runs.append((first, last))
    for first, last in runs:
        read |= {turn.seq: turn for turn in turns.between(tx, agent, session, first, last)}
    return read


def _fits(source: Source) -> bool:
    return 1 <= source.first <= source.last < source.first + WIDEST


def _place(source: Source) -> str:
    turn = f"turn {source.first}" if source.first == source.last else f"turns {source.first} to {source.last}"
    return f"{turn} of {source.session_id!r}"


def _is_named(day: int, text: str, said: Sequence[Turn]) -> bool:
    return any(
        day in dates.named(told, turn.created_at) for turn in said for told in (text, " ".join(turn.text.split()))
    )
