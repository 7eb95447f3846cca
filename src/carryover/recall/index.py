"""Turns, findings and digests to chunks: a job outside of the append that follows a session's log by a watermark.

Search works at any point of this: by words as soon as a chunk is there, by meaning as soon as it has a vector
(`embed.py`). Where a watermark is set back, what is indexed is compared with the log, and only what differs changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from carryover.core.chunk import Chunk
from carryover.core.job import Job
from carryover.core.session import Turn, live
from carryover.core.snapshot import Finding
from carryover.core.step import is_told
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.recall import embed, index_coding
from carryover.recall.embed import Models
from carryover.recall.words import terms
from carryover.store import chunks, damage, queue, sessions, snapshots, turns
from carryover.store.chunks import Watermark
from carryover.store.store import Tx

INDEX = damage.INDEX
TURNS = 2_000  # of one run; what remains is the next run's
_READ, CHARACTERS = 50, 8_000_000  # turns read at a time; a run stops reading once it has this much text

# A part is what about 90 English words need: small enough that one topic fills it, well inside of what the
# embedding model reads.
PART = 560
# How much of one turn is indexed, in characters: its beginning (three quarters) and its end. Nothing is lost from
# the log; words in the middle of a longer turn are not found by search.
MOST = {"user": 64_000, "system": 16_000, "assistant": 32_000, "tool": 8_000}
_MOST_OTHER = 8_000  # of reasoning and tool calls, whoever made them

_BREAK = re.compile(r"\n|[.!?](?=\s)|[。！？]")


@dataclass(frozen=True, slots=True)
class IndexWork:
    """What a session has beyond its watermark: the live turns, and the findings that are to be found from now on."""

    agent: str
    session: str
    user: str | None
    before: Watermark
    after: Watermark
    turns: tuple[Turn, ...]
    findings: tuple[Finding, ...] | None  # None: those that are indexed are still right
    more: bool
    digest: tuple[Chunk, ...] | None = None  # None: what is indexed of it is still right
    taken: tuple[tuple[int, int], ...] = ()  # runs of turns that were taken back since


def indexing(models: Models | None = None) -> Derivation[IndexWork, list[Chunk]]:
    """The job of a session (`agent/session`) that puts its new turns and its live findings into the text index.

    With `models`, the `embed` jobs of the spaces that are to hold the new chunks are armed.
    """

    def save(tx: Tx, job: Job, work: IndexWork, made: list[Chunk]) -> None:
        if chunks.watermark(tx, work.agent, work.session) == work.before:  # else another run was faster
            spaces = embed.wanted(tx, models) if made and models is not None else []
            if _save_chunks(tx, work, made):
                queue.arm(tx, [(embed.EMBED, space, tx.now) for space in spaces], push=False)
        if work.more:
            queue.arm(tx, [(INDEX, job.subject, tx.now)], push=False)

    return Derivation(
        INDEX, _load_turns, lambda work: (_chunks_of(work), Usage()), save, overdue=damage.sessions_behind
    )


def spoken_date(at: int) -> str:
    """`8 May 2023`: a date as questions name it."""
    day = datetime.fromtimestamp(at / 1000, UTC)
    return f"{day.day} {day:%B} {day.year}"


def cut(text: str, most: int = PART) -> list[str]:
    """The text in parts of at most `most` characters, each a piece of it verbatim.

    A part ends with a line or a sentence where one ends in its second half, else between words, else anywhere.
    """
    parts: list[str] = []
    start = 0
    while start < len(text):
        end = start + most
        if end < len(text):
            window = text[start:end]
            ends = [match.end() for match in _BREAK.finditer(window, most // 2)]
            space = window.rfind(" ", most // 2)
            end = start + (ends[-1] if ends else space if space > 0 else most)
        if part := text[start:end].strip():
            parts.append(part)
        start = end
    return parts


def _load_turns(tx: Tx, job: Job) -> IndexWork | None:
    agent, session = job.agent_id, job.session_id
    head = sessions.find(tx, [(agent, session)]).get((agent, session))
    if head is None:
        return None
    before = chunks.watermark(tx, agent, session)
    new: list[Turn] = []
    size, reached = 0, before.through
    while len(new) < TURNS and size < CHARACTERS and reached < head.version:
        read = turns.after(tx, agent, session, reached, _READ)
        if not read:
            reached = head.version  # what follows was erased
            break
        new += read
        size += sum(len(turn.body) for turn in read)
        reached = read[-1].seq
    snapshot = snapshots.latest(tx, agent, session)
    version = 0 if snapshot is None else snapshot.version
    findings = tuple(snapshots.live(tx, [(agent, session)])) if version != before.snapshot else None
    digest = index_coding.changed(tx, head)
    if reached == before.through and findings is None and digest is None:
        return None
    after, more = Watermark(reached, version), reached < head.version
    taken = [turn.retracts for turn in new if turn.retracts is not None]
    taken += turns.retractions(tx, agent, session, reached) if more else []
    said = tuple(live(new, taken))
    return IndexWork(agent, session, head.user, before, after, said, findings, more, digest, tuple(taken))


def _chunks_of(work: IndexWork) -> list[Chunk]:
    told = (turn for turn in work.turns if not turn.is_injected and is_told(turn.role, turn.kind, turn.metadata))
    made = [chunk for turn in told for chunk in _of_turn(work, turn)]
    return [*made, *(_of_finding(work, finding) for finding in work.findings or ()), *(work.digest or ())]


def _of_turn(work: IndexWork, turn: Turn) -> Iterator[Chunk]:
    most = MOST[turn.role] if turn.kind == "message" else _MOST_OTHER
    text = turn.text
    kept = [text] if len(text) <= most else [text[: most * 3 // 4], text[-(most // 4) :]]
    parts = [part for piece in kept for part in cut(piece)]
    for i, part in enumerate(parts):
        chunk = Chunk(
            n=0,
            kind="turn",
            ref=turn.id,
            agent_id=work.agent,
            session_id=work.session,
            user_id=work.user,
            first=turn.seq,
            last=turn.seq,
            part=i,
            role=turn.role,
            name=turn.name,
            text=part,
            created_at=turn.created_at,
            parts=len(parts),
        )
        yield replace(chunk, terms=" ".join(terms_of(chunk)))


def terms_of(chunk: Chunk) -> list[str]:
    """The terms that a part of a turn is found by, read out of it: what it keeps of them may be hashes, or nothing.

    Name and date are part of them: questions name them as often as what was said.
    """
    return [*terms(f"{spoken_date(chunk.created_at)} {chunk.name or ''}"), *terms(chunk.text)]


def _of_finding(work: IndexWork, finding: Finding) -> Chunk:
    return Chunk(
        n=0,
        kind=finding.kind,
        ref=finding.id,
        agent_id=work.agent,
        session_id=work.session,
        user_id=work.user,
        first=finding.sources[0].first,
        last=finding.sources[0].last,
        part=0,
        role="user",
        name=None,
        text=finding.text,
        created_at=finding.learned_at,
        terms=" ".join(terms(f"{spoken_date(finding.learned_at)} {finding.text}")),
    )


def _save_chunks(tx: Tx, work: IndexWork, made: Sequence[Chunk]) -> bool:
    """Whether there was anything to embed in it."""
    chunks.lock(tx)  # what is compared stays as it is
    made = chunks.worded(tx, made)
    last = work.after.through if work.more else None
    known = chunks.of_turns(tx, work.agent, work.session, work.before.through + 1, last)
    gone = [(first, min(end, work.before.through)) for first, end in work.taken if first <= work.before.through]
    known += {c.n: c for run in gone for c in chunks.of_turns(tx, work.agent, work.session, *run)}.values()
    if work.findings is not None or work.digest is not None:
        others = chunks.of_session(tx, work.agent, work.session, findings_only=True)
        known += [c for c in others if (work.digest if c.kind == "digest" else work.findings) is not None]
    # Mostly nothing is known of new turns; after a watermark was set back, all of it is.
    wanted = {_said(chunk): chunk.terms for chunk in made}
    chunks.remove(tx, [chunk for chunk in known if _said(chunk) not in wanted])
    stays = {_said(chunk): chunk for chunk in known if _said(chunk) in wanted}
    chunks.reword(tx, [(chunk, wanted[said]) for said, chunk in stays.items() if chunk.terms != wanted[said]])
    new = [chunk for chunk in made if _said(chunk) not in stays]
    chunks.add(tx, new)
    chunks.mark(tx, work.agent, work.session, work.after)
    return bool(new)


def _said(chunk: Chunk) -> tuple[str, int, int, str]:
    """What makes a chunk that is indexed the one that the log calls for, whatever words find it."""
    return chunk.ref, chunk.part, chunk.parts, chunk.text
