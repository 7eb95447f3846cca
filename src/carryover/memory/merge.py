"""Merging: the findings of a new snapshot, out of those of the last one and what an extractor proposes.

A statement replaces an earlier one only where both have the same kind and the same subject; every change says why,
with the turn that brought it, and the older states stay in the snapshots before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from carryover.core.session import Source, Turn
from carryover.core.snapshot import Closed, Extraction, Finding, FindingKind, FindingStatus, Found, Snapshot
from carryover.memory.ground import atoms
from carryover.memory.speech import normal, shorten
from carryover.memory.words import content
from carryover.store.snapshots import Link

MOST_LIVE = 400  # live findings of a snapshot
MOST_SOURCES = 5  # of one finding; a statement repeated more often than that gains nothing

_FIRST: dict[FindingKind, FindingStatus] = {"decision": "active", "fact": "active", "task": "open"}
_LAST: dict[FindingKind, FindingStatus] = {"decision": "superseded", "fact": "superseded", "task": "done"}
_NEGATION = re.compile(r"\b(?:not|never|no|without|stop|avoid|none)\b|n['’]t\b", re.IGNORECASE)
_LONGEST_REASON = 200
_SAID_IN = re.compile(r"(?:said again in )?turn (\d{1,15}): ")


@dataclass(frozen=True, slots=True)
class Merged:
    """All live findings of the session and those that ended in this version; `links` end findings kept elsewhere."""

    findings: tuple[Finding, ...]
    links: tuple[Link, ...]


def merge(
    last: Snapshot,
    others: Sequence[Finding],
    extraction: Extraction,
    turns: Sequence[Turn],
    *,
    now: int,
    new_id: Callable[[], str],
    ended: frozenset[str] = frozenset(),
) -> Merged:
    """The findings of the snapshot that follows `last`, in order of time; the same input gives the same output.

    `others` are live findings that this session may continue and its last snapshot does not hold: they are never
    changed, only linked as ended. What ended in `last` leaves.
    """
    said = {turn.seq: min(turn.created_at, now) for turn in turns}
    users = frozenset(turn.seq for turn in turns if turn.role == "user")
    state = _State(last.agent_id, last.session_id, extraction.by, said, now, new_id, ended, users)
    for finding in last.findings:
        if finding.live:
            state.keep(finding)
    for finding in others:
        state.others.setdefault(finding.id, finding)
    steps: list[tuple[int, int, int, Found | Closed]] = [
        *((found.last, 0, n, found) for n, found in enumerate(extraction.found)),
        *((closed.last, 1, n, closed) for n, closed in enumerate(extraction.closed)),
    ]
    for _, _, n, step in sorted(steps, key=lambda step: step[:3]):
        if isinstance(step, Found):
            state.add(n, step)
        else:
            state.close(step)
    return Merged(_ordered(state.findings.values()), tuple(state.links.values()))


def bounded(findings: Sequence[Finding], most: int) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Those that a snapshot of at most `most` live findings keeps, and those that leave it, both in order of time.

    The least salient leave first, the older before the newer; open tasks leave after all others, wishes last.
    """
    live = sorted(
        (f for f in findings if f.live), key=lambda f: (f.pinned, f.kind == "task", f.salience, f.learned_at, f.id)
    )
    surplus = {f.id for f in live[: max(0, len(live) - most)]}
    return tuple(f for f in findings if f.id not in surplus), tuple(f for f in findings if f.id in surplus)


@dataclass(slots=True)
class _State:
    """The merge under way: `placed` maps places in the extraction to ids."""

    agent_id: str
    session_id: str
    by: str
    said: dict[int, int]
    now: int
    new_id: Callable[[], str]
    ended: frozenset[str]  # by other sessions: said again, they are news
    users: frozenset[int]  # turns of the user: what they want is replaced by no other
    findings: dict[str, Finding] = field(default_factory=dict[str, Finding])
    others: dict[str, Finding] = field(default_factory=dict[str, Finding])
    links: dict[str, Link] = field(default_factory=dict[str, Link])
    placed: dict[int, str] = field(default_factory=dict[int, str])

    def keep(self, finding: Finding) -> None:
        self.findings[finding.id] = finding

    def add(self, n: int, found: Found) -> None:
        """`found` is a source more of a finding that says the same, or a new finding that ends what it replaces."""
        source = Source(self.session_id, found.first, found.last, found.quote)
        twin = next((f for f in self.findings.values() if f.live and f.id not in self.ended and same(found, f)), None)
        if twin is not None:
            self.placed[n] = twin.id
            known = source in twin.sources or len(twin.sources) >= MOST_SOURCES
            sources = twin.sources if known else (*twin.sources, source)
            self.keep(replace(twin, sources=sources, pinned=twin.pinned or found.pinned))
            return
        finding = self._new(found, source)
        self.placed[n] = finding.id
        self.keep(self._against_others(finding, found))
        for older in [f for f in self.findings.values() if f.live and replaces(finding, f)]:
            if older.pinned and found.last not in self.users:
                continue
            self._end(older, "superseded", finding, _reason(found.last, found.quote))

    def close(self, closed: Closed) -> None:
        """The finding that `closed` names is ended, here or by a link; one that is unknown or ended stays as it is."""
        id = closed.finding_id or (self.placed.get(closed.found, "") if closed.found is not None else "")
        by = self.findings.get(self.placed.get(closed.replaced_by, "")) if closed.replaced_by is not None else None
        reason = closed.reason
        if said_in(reason) != closed.last:
            reason = _reason(closed.last, closed.quote) + (f" ({reason})" if reason else "")
        target = self.findings.get(id)
        if target is not None and target.live and target is not by:
            self._end(target, _LAST[target.kind], by, reason, at=self.said.get(closed.last, self.now))
        elif id in self.others:
            self._link(self.others[id], by, reason)

    def _new(self, found: Found, source: Source) -> Finding:
        return Finding(
            id=self.new_id(),
            kind=found.kind,
            text=found.text,
            status=_FIRST[found.kind],
            learned_at=self.said.get(found.last, self.now),
            sources=(source,),
            by=self.by,
            agent_id=self.agent_id,
            session_id=self.session_id,
            subject=found.subject,
            salience=found.salience,
            pinned=found.pinned,
            valid_from=found.valid_from,
        )

    def _against_others(self, finding: Finding, found: Found) -> Finding:
        """`finding`, ended at once where another session knows better by now; what it ends there is linked."""
        for other in [f for f in self.others.values() if f.id not in self.links]:
            if other.pinned and found.last not in self.users:
                continue
            if same(found, other):
                self._link(other, finding, f"said again in {_reason(found.last, found.quote)}")
                finding = replace(finding, pinned=finding.pinned or other.pinned)
            elif replaces(finding, other):
                self._link(other, finding, _reason(found.last, found.quote))
            elif replaces(other, finding) and other.learned_at > finding.learned_at:
                finding = replace(
                    finding, status="superseded", superseded_by=other.id, reason="another session says otherwise later"
                )
        return finding

    def _end(self, f: Finding, status: FindingStatus, by: Finding | None, reason: str, at: int | None = None) -> None:
        until = (by.valid_from or by.learned_at) if by else at
        self.keep(replace(f, status=status, superseded_by=by.id if by else None, reason=reason, valid_to=until))

    def _link(self, other: Finding, by: Finding | None, reason: str) -> None:
        self.links.setdefault(other.id, Link(other.id, _LAST[other.kind], by.id if by else None, reason))


def same(found: Found, finding: Finding) -> bool:
    """Whether both say the same: the same words, or the same subject with the same details."""
    if found.kind != finding.kind:
        return False
    one, other = form(found.text), form(finding.text)
    if one.text == other.text:
        return True
    if one.negated != other.negated:
        return False
    if found.subject and found.subject == finding.subject:
        return bool(one.details) and one.details == other.details
    return len(one.words) > 3 and one.words == other.words


@dataclass(frozen=True, slots=True)
class Form:
    """A text as its words that carry content, its atoms, and whether it denies something."""

    text: str
    words: frozenset[str]
    details: frozenset[str]
    negated: bool


@lru_cache(maxsize=4096)
def form(text: str) -> Form:
    """What the text says, for comparing."""
    return Form(normal(text), frozenset(content(text)), atoms(text), _NEGATION.search(text) is not None)


def said_in(reason: str) -> int | None:
    """The turn that a reason, as merging gives them, says to have brought the change."""
    told = _SAID_IN.match(reason)
    return int(told[1]) if told else None


def replaces(newer: Finding, older: Finding) -> bool:
    """The same kind and subject, said later; two statements of one turn stand side by side."""
    if newer.id == older.id or newer.kind != older.kind or not newer.subject or newer.subject != older.subject:
        return False
    if newer.kind == "task" or not newer.live:
        return False
    if newer.session_id == older.session_id and newer.agent_id == older.agent_id:
        return newer.sources[-1].last > max(source.last for source in older.sources)
    return newer.learned_at >= older.learned_at


def _reason(seq: int, quote: str) -> str:
    return f'turn {seq}: "{shorten(" ".join(quote.split()), _LONGEST_REASON)}"'


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda f: (f.learned_at, f.sources[0].first, f.id)))
