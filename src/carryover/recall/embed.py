"""Chunks to vectors: the job that fills a vector space, switches searches over to it, and clears the one it replaced.

Which space answers is the tenant's own affair (`store/spaces.py`); a query is embedded with the model of that space,
and vectors of two spaces never meet.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from carryover.core.chunk import Chunk
from carryover.core.clock import Time
from carryover.core.errors import ProviderUnavailable
from carryover.core.job import Job
from carryover.core.ports import Embedder, Vector
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.store import chunks, queue, spaces, vectors
from carryover.store.store import Tx

EMBED = spaces.JOB
VECTORS = 256  # of one run
CLEARED = 2_000  # vectors that one run takes away
_DUE = 8  # jobs of a tenant that are looked at

logger = logging.getLogger(__name__)


class Models:
    """The embedding models of a process: the one that its settings name, and those of spaces that it did not choose.

    `reopen` opens the model of another space, or says None where it cannot be had. `since` is when the process began
    to want its own space for every tenant; one that never does takes the spaces as they are.
    """

    def __init__(
        self, embedder: Embedder | None = None, reopen: Callable[[str], Embedder | None] = lambda _space: None
    ) -> None:
        self.embedder = embedder
        self.since: Time | None = None
        self._reopen = reopen
        self._opening = threading.Lock()
        self._others: dict[str, Embedder | None] = {}

    @property
    def space(self) -> str | None:
        """The space of the model that the settings name."""
        return None if self.embedder is None else self.embedder.name

    def of(self, space: str) -> Embedder | None:
        """The model that made the space's vectors; None where this process cannot have it, or shall have none."""
        if self.embedder is None or self.embedder.name == space:
            return self.embedder
        with self._opening:
            if space not in self._others:
                self._others[space] = self._reopen(space)
                if self._others[space] is None:
                    logger.warning(
                        "vectors are of %s, whose model cannot be had here: searching by words until %s is filled",
                        space,
                        self.space,
                    )
            return self._others[space]

    def close(self) -> None:
        """Their memory and connections are given back."""
        with self._opening:
            others = list(self._others.values())
        for model in filter(None, (self.embedder, *others)):
            model.close()


@dataclass(frozen=True, slots=True)
class Embedding:
    """What a run does: `chunks` get their vectors, or it is settled what becomes of a space that nobody fills."""

    model: Embedder | None
    chunks: tuple[Chunk, ...] = ()


def answering(tx: Tx, models: Models) -> Embedder | None:
    """The model of the space that answers the tenant's searches; None where words have to do."""
    space = None if models.embedder is None else spaces.serving(tx)
    return None if space is None else models.of(space)


def progress(tx: Tx, models: Models) -> str | None:
    """How far re-embedding has come, and what answers meanwhile; None where nothing is re-embedded."""
    filling = None if models.space is None else spaces.filling(tx)
    if filling is None:
        return None
    answers = filling.serving if filling.serving is not None and models.of(filling.serving) else None
    return f"re-embedding for {filling.space}: {filling.done:,} of {filling.of:,} chunks, search answers " + (
        f"from {answers}" if answers else "by words"
    )


def nearly(tx: Tx, most: int) -> list[str]:
    """The spaces that lack vectors of `most` chunks at most, and whose jobs are due."""
    due = queue.subjects(tx, EMBED, limit=_DUE)
    there = [space for space in spaces.known(tx) if space.state != "leaving"] if due else []
    return [
        space.name
        for space in there
        if space.name in due and len(chunks.unembedded(tx, space.name, most + 1, space.through)) <= most
    ]


def wanted(tx: Tx, models: Models) -> list[str]:
    """The spaces in which this process gives new chunks their vectors; its own is among them where it may be."""
    if models.space is None:
        return []
    if spaces.is_wanted(tx, models.space, models.since):
        spaces.want(tx, models.space, models.since)
    there = (space for space in spaces.known(tx) if space.state != "leaving")
    return [space.name for space in there if models.of(space.name) is not None]


def embedding(models: Models) -> Derivation[Embedding, Sequence[Vector]]:
    """The job of a vector space (its name): its chunks have vectors and then it serves, or it leaves and is cleared.

    Armed for every tenant that has another space than the one this process wants, whether anything is written to it
    or not.
    """

    def load(tx: Tx, job: Job) -> Embedding | None:
        space = spaces.find(tx, job.subject)
        mine = job.subject == models.space
        if (space is not None and space.state == "leaving") or (
            mine and (space is None or spaces.is_wanted(tx, job.subject, models.since))
        ):
            return Embedding(None)
        model = models.of(job.subject)
        if space is None or model is None:
            raise ProviderUnavailable(
                f"the model of the vectors {job.subject!r} cannot be had in this process; "
                "run a worker whose settings name it"
            )
        left = chunks.unembedded(tx, space.name, VECTORS, space.through)
        if not left or (space.state == "filling" and len(left) < VECTORS):
            left = chunks.unembedded(tx, space.name, VECTORS)
        return Embedding(model, tuple(left)) if left or space.state == "filling" else None

    def think(work: Embedding) -> tuple[Sequence[Vector], Usage]:
        return (work.model.embed([chunk.text for chunk in work.chunks]) if work.model else []), Usage()

    def save(tx: Tx, job: Job, work: Embedding, made: Sequence[Vector]) -> None:
        space = spaces.find(tx, job.subject)
        if work.model is None:
            _settle(tx, job.subject, models)
        elif space is not None and space.state != "leaving":
            _fill(tx, space, work.chunks, made)

    def overdue(tx: Tx) -> Iterator[tuple[str, str]]:
        if models.space is None or models.since is None:
            return iter(())
        return spaces.overdue(tx, models.space, models.since)

    return Derivation(EMBED, load, think, save, overdue=overdue)


def _settle(tx: Tx, space: str, models: Models) -> None:
    """A space that nobody fills is wanted from now on, or has fewer vectors."""
    if space == models.space and spaces.want(tx, space, models.since):
        return
    if spaces.clear(tx, space, CLEARED):
        queue.arm(tx, [(EMBED, space, tx.now)], push=False)


def _fill(tx: Tx, space: spaces.Space, filled: Sequence[Chunk], made: Sequence[Vector]) -> None:
    vectors.add(tx, space.name, [(chunk.n, vector) for chunk, vector in zip(filled, made, strict=True)])
    through = filled[-1].n if filled else space.through
    spaces.reach(tx, space.name, through)
    filling = space.state == "filling"
    if len(filled) == VECTORS or (filling and chunks.unembedded(tx, space.name, 1, max(through, space.through))):
        queue.arm(tx, [(EMBED, space.name, tx.now)], push=False)
    elif filling:
        spaces.serve(tx, space.name)
        logger.info("searches of tenant %r are answered from %s from now on", tx.tenant, space.name)
