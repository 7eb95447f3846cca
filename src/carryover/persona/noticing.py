"""Noticing: when a session has ended, what its user said of how they want to be served becomes preferences.

The job follows the session's consolidation. It reads the turns that it has not read yet, places what was noticed in
the tenant's codebook, and works out the user's code anew, so that the next session opens with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from carryover.core import telemetry
from carryover.core.clock import Time
from carryover.core.ids import new_id
from carryover.core.job import Job, subject_of
from carryover.core.persona import Code, Noticed, Preference, Quote
from carryover.core.ports import Embedder
from carryover.core.session import Turn, live
from carryover.core.usage import Usage
from carryover.guard.redact import longest_clean
from carryover.jobs.derivation import Derivation
from carryover.persona import fitting, told
from carryover.persona.book import Codebook, assign
from carryover.persona.edits import moved
from carryover.persona.encode import code_of
from carryover.persona.told import Parts
from carryover.store import noticed, personas_shown, preferences, profiles, queue, sessions, turns
from carryover.store.sessions import Head
from carryover.store.store import Tx

KIND = "notice"
MOST_TURNS = 2_000  # of one run; the job arms itself again for the rest
PAGE_TURNS = 100
MOST_UNREAD = 500  # sessions of before there were personas, that one look arms


class Noticer(Protocol):
    """Reads preferences out of a user's turns. `told` is what we ourselves put into the session."""

    id: str

    def estimate(self, turns: Sequence[Turn]) -> Usage:
        """An upper bound on what `notice` will consume."""
        ...

    def notice(self, turns: Sequence[Turn], told: Sequence[str] = ()) -> tuple[list[Noticed], Usage]: ...


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to think about: the user's `turns` up to `through`, and what is known of the user."""

    tenant: str
    head: Head
    user: str
    turns: tuple[Turn, ...]
    through: int
    taken_back: tuple[tuple[int, int], ...]  # runs of turns that a retraction takes back
    told: tuple[str, ...]
    known: tuple[Preference, ...]
    version: int  # of the user's profile
    book: Codebook


@dataclass(frozen=True, slots=True)
class Made:
    """The new preferences, earlier ones that fall under a label by now, and the user's code with both."""

    new: tuple[Preference, ...]
    placed: tuple[Preference, ...]
    code: Code


@dataclass(frozen=True, slots=True)
class Means:
    """What noticing works with; `enabled` is whether it shall work at all. Each tenant may have facets of its own."""

    parts: Parts
    noticer: Callable[[str], Noticer]
    embedder: Embedder | None
    enabled: bool = True


def noticing(means: Means) -> Derivation[Work, Made]:
    """The job that keeps personas up with what users say. What a model raises goes through: the job is tried again."""
    return Derivation(
        kind=KIND,
        load=partial(_load, means),
        think=partial(_think, means),
        save=partial(_save, means),
        estimate=lambda work: means.noticer(work.tenant).estimate(work.turns) if work.turns else Usage(),
        overdue=_unread if means.enabled else lambda _tx: (),
    )


def _unread(tx: Tx) -> Iterator[tuple[str, str]]:
    for tenant, agent, session in noticed.unread(tx, MOST_UNREAD):
        yield tenant, subject_of(agent, session)


def _load(means: Means, tx: Tx, job: Job) -> Work | None:
    head = sessions.find(tx, [(job.agent_id, job.session_id)]).get((job.agent_id, job.session_id))
    if head is None or head.user is None or not means.enabled:
        return None
    mark = noticed.get(tx, head.agent, head.session)
    if mark.through >= head.version:
        return None
    said, through = _since(tx, head, mark.through)
    vault = means.parts.vault
    shown = personas_shown.get(tx, vault, head.agent, head.session)
    return Work(
        tx.tenant,
        head,
        head.user,
        said,
        through,
        tuple(turns.retractions(tx, head.agent, head.session, mark.through)),
        () if shown is None or not shown.text else (shown.text,),
        tuple(preferences.of_user(tx, vault, head.user)),
        profiles.get(tx, vault, head.user).version,
        means.parts.books.newest(tx),
    )


def _since(tx: Tx, head: Head, through: int) -> tuple[tuple[Turn, ...], int]:
    """The user's live turns of the next run, and the last turn that it has read."""
    found: list[Turn] = []
    read = 0
    while read < MOST_TURNS:
        page = turns.after(tx, head.agent, head.session, through, min(PAGE_TURNS, MOST_TURNS - read))
        if not page:
            through = head.version  # what follows was erased
            break
        found += page
        read += len(page)
        through = page[-1].seq
    later = turns.retractions(tx, head.agent, head.session, through) if through < head.version else ()
    return tuple(turn for turn in live(found, later) if turn.role == "user"), through


def _think(means: Means, work: Work) -> tuple[Made, Usage]:
    heard, usage = means.noticer(work.tenant).notice(work.turns, work.told) if work.turns else ([], Usage())
    at = {turn.seq: turn.received_at for turn in work.turns}
    new = _embedded([_preference(work, one, at[one.seq]) for one in heard], means.embedder)
    known = [one for one in work.known if not _is_taken_back(work, one)]
    # What no label stood for is looked at again whenever the user was here: the codebook may have grown.
    far = [one for one in known if one.label is None]
    book = work.book
    both = _placed(book, [*new, *far])
    if any(one.label is None for one in both):
        book = _with_vectors(means, work)
        both = _placed(book, [*new, *far])
    new, placed = both[: len(new)], [one for one in both[len(new) :] if one.label is not None]
    moved = {one.id: one for one in placed}
    code = code_of([*(moved.get(one.id, one) for one in known), *new], book)
    return Made(tuple(new), tuple(placed), code), replace(usage, turns_covered=len(work.turns))


def _with_vectors(means: Means, work: Work) -> Codebook:
    """The tenant's codebook; before the first fit the shipped labels, whose vectors take a while to make."""
    book, books = work.book, means.parts.books
    if book.space or means.embedder is None or books.strategy != "facets":
        return book
    return books.starter(work.tenant, means.embedder)


def _preference(work: Work, one: Noticed, at: Time) -> Preference:
    return Preference(
        id=new_id("pr"),
        user_id=work.user,
        facet=one.facet,
        value=one.value,
        polarity=one.polarity,
        explicit=one.explicit,
        correction=one.correction,
        weight=one.weight,
        quote=Quote(work.head.agent, work.head.session, one.seq, longest_clean(one.quote)),
        said_at=at,
    )


def _embedded(new: list[Preference], embedder: Embedder | None) -> list[Preference]:
    """The preferences with the vectors of their values."""
    if not new or embedder is None:
        return new
    values = list(dict.fromkeys(one.value for one in new))
    vectors = dict(zip(values, embedder.embed(values), strict=True))
    return [replace(one, vector=np.asarray(vectors[one.value], "<f4").tobytes(), space=embedder.name) for one in new]


def _placed(book: Codebook, said: Sequence[Preference]) -> list[Preference]:
    """The preferences with the labels that stand for them."""
    placed: list[Preference] = []
    for one in said:
        facet, label = assign(book, one.facet, one.value, one.vector if one.space == book.space else None)
        placed.append(replace(one, facet=facet, label=label))
    return placed


def _is_taken_back(work: Work, one: Preference) -> bool:
    here = (one.quote.agent_id, one.quote.session_id) == (work.head.agent, work.head.session)
    return here and any(first <= one.quote.seq <= last for first, last in work.taken_back)


def _save(means: Means, tx: Tx, job: Job, work: Work, made: Made) -> None:
    head, vault = work.head, means.parts.vault
    # Not locked: an append holds its session while it waits for this job's row.
    sessions.get(tx, head.agent, head.session, lock=False)
    before = profiles.locked(tx, work.user)
    if before == 0 and work.version > 0:  # the user was erased meanwhile: what was said before stays forgotten
        noticed.put(tx, head.agent, head.session, work.through)
        return
    gone = [one.id for one in work.known if _is_taken_back(work, one)]
    noticed.put(tx, head.agent, head.session, work.through)
    if made.new or made.placed or gone:
        mine = profiles.held(tx, vault, work.user)
        preferences.drop(tx, gone)
        if gone:
            profiles.unsettle(tx, work.user)
        preferences.add(tx, vault, made.new)
        preferences.relabel(tx, vault, [one for one in made.placed if one.id not in gone])
        said = {one.id: one for one in (*work.known, *made.placed, *made.new)}
        profiles.edit(tx, vault, work.user, moved(mine.edits, said.values()), None)
        version = profiles.touch(tx, work.user)
        if mine.version == work.version:  # else another session of the user ended meanwhile: who asks next works it out
            told.keep(means.parts, tx, work.user, version, made.code)
        fitting.arm(tx)
    if work.through < head.version:
        queue.arm(tx, [(KIND, job.subject, tx.now)])
    telemetry.count("preferences_noticed", by=len(made.new))
