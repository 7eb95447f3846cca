"""The job that keeps a tenant's codebook up with what its users say: it looks how far that has moved, and then fits.

Nothing of any user is changed by it: preferences keep the labels that they have, and those that no label stood for are
looked at again when their user comes back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from carryover.core import telemetry
from carryover.core.errors import Conflict
from carryover.core.job import Job
from carryover.core.persona import Fitted, Preference
from carryover.core.ports import Embedder
from carryover.core.scope import Scope
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.jobs.logger import logger_for
from carryover.jobs.worker import Worker
from carryover.persona import plain
from carryover.persona.book import Codebook, packed, resown, seeded, unpacked
from carryover.persona.books import Books
from carryover.persona.drift import Need, drift, need
from carryover.persona.fit import grown, refitted, shrunk
from carryover.persona.phrases import Phrases, embedded, gathered
from carryover.persona.plain import Pooled
from carryover.persona.starter import seeds
from carryover.store import audit, codebooks, preferences, queue
from carryover.store.store import Store, Tx
from carryover.store.vault import Vault

logger = logger_for(__name__)

KIND = "fit"
SUBJECT = "persona//"  # ids hold no slash, so it is never a session's
ASKED = "persona//asked"  # somebody wants a full fit
EVERY_MS = 3_600_000  # how often it looks at most
PAGE = 200  # users whose preferences are read at once
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Means:
    """What fitting works with; a label needs `floor` distinct users."""

    books: Books
    embedder: Embedder | None
    floor: int


@dataclass(frozen=True, slots=True)
class Work:
    """What is said in the tenant, and the newest codebook; None where only the shipped labels are there."""

    tenant: str
    book: Codebook | None
    asked: bool
    phrases: Phrases | None = None
    users: dict[str, Pooled] | None = None  # where the strategy is the plain one


def fitting(means: Means) -> Derivation[Work, Codebook | None]:
    """The job of a tenant that makes the next version of its codebook, where one is needed."""
    return Derivation(KIND, partial(_load, means), partial(_think, means), partial(_save, means))


def arm(tx: Tx) -> None:
    """Within the hour, the tenant's codebook will be held against what is said by now."""
    queue.arm(tx, [(KIND, SUBJECT, tx.now + EVERY_MS)], push=False)


def ask(store: Store, scope: Scope) -> int:
    """The tenant's codebook will be fitted anew, now; the version that it is at. Raises Forbidden."""
    scope.require("admin")
    with store.write(scope) as tx:
        queue.arm(tx, [(KIND, ASKED, tx.now)])
        audit.note(tx, action="profile.refit", subject="codebook")
        return codebooks.newest_version(tx)


def refit(store: Store, vault: Vault, scope: Scope, worker: Worker, timeout_s: float) -> Fitted | None:
    """The tenant's codebook is fitted anew, by this thread or a worker: what came of it; None when nobody waits.

    Raises Forbidden, KeyLost, or Conflict when the job fails or takes longer than `timeout_s`.
    """
    before = ask(store, scope)
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        worker.run_one((KIND,), tenant=scope.tenant, subject=ASKED)
        with store.read(scope) as tx:
            job = queue.get(tx, KIND, ASKED)
            if job is None:
                return _outcome(tx, vault, before)
        if job.lease is None and job.reason is not None:
            raise Conflict(f"the codebook is not fitted yet ({job.reason}); ask again later")
        time.sleep(_LOOK_S)
    if timeout_s:
        raise Conflict("the codebook is still being fitted; ask again later")
    return None


def _outcome(tx: Tx, vault: Vault, before: int) -> Fitted:
    found = codebooks.newest(tx, vault)
    if found is None:
        return Fitted(0, None, 0, 0, 0, 0, 0, 0.0)
    book = unpacked(found[1])
    return fitted_of(book, changed=book.version > before)


def fitted_of(book: Codebook, *, changed: bool = True) -> Fitted:
    """What a version came to."""
    labels = book.labels.values()
    return Fitted(
        version=book.version,
        why=book.why if changed else None,
        labels=sum(label.retired is None for label in labels),
        new=sum(label.since == book.version for label in labels) if changed else 0,
        retired=sum(label.retired == book.version for label in labels) if changed else 0,
        preferences=book.preferences,
        users=book.users,
        far=book.far,
    )


def _load(means: Means, tx: Tx, job: Job) -> Work:
    books, asked = means.books, job.subject == ASKED
    found = codebooks.newest(tx, books.vault)
    book = None if found is None else unpacked(found[1])
    space = means.embedder.name if means.embedder is not None else "" if book is None else book.space
    said = _said(tx, books.vault)
    if books.strategy == "user-kmeans":
        return Work(tx.tenant, book, asked, users=plain.pooled(said, space))
    return Work(tx.tenant, book, asked, phrases=gathered(said, space))


def _said(tx: Tx, vault: Vault) -> Iterator[Preference]:
    """All preferences of the tenant, page by page."""
    after = ""
    while page := preferences.of_tenant(tx, vault, after=after, limit=PAGE):
        yield from page
        after = page[-1].user_id


def _think(means: Means, work: Work) -> tuple[Codebook | None, Usage]:
    with telemetry.span("fit", asked=work.asked) as told:
        made = _plain(means, work) if work.users is not None else _facets(means, work)
        told["why"] = "nothing" if made is None else made.why
    return made, Usage()


def _plain(means: Means, work: Work) -> Codebook | None:
    users = work.users or {}
    space = "" if means.embedder is None else means.embedder.name
    before = replace(work.book or plain.empty(space, means.books.facets.get(work.tenant)), space=space)
    made = plain.fitted(before, users, floor=means.floor)
    if made is before:
        logger.warning(plain.nothing_because(before) or "", users=len(users))
        return None
    count = sum(user.count for user in users.values())
    return replace(made, why="fit", preferences=count, users=len(users), far=0.0)


def _facets(means: Means, work: Work) -> Codebook | None:
    phrases, embedder = work.phrases, means.embedder
    if phrases is None:
        return None
    if embedder is None or not phrases.all:  # nothing is learned; what too few users are left of goes all the same
        made = work.book and shrunk(work.book, phrases, floor=means.floor)
        if made is None or made is work.book:
            return None
        count, users = (phrases.preferences, phrases.users) if phrases.all else (0, 0)
        return replace(made, why="growth", preferences=count, users=users)
    shipped = seeds(means.books.facets.get(work.tenant, {}))
    book, moved = work.book, False
    if book is None:
        book = means.books.starter(work.tenant, embedder)
    elif book.space != embedder.name or book.strategy != "facets":
        book, moved = resown(book, shipped, embedder), True
    else:
        book = seeded(book, shipped, embedder)
    phrases = embedded(phrases, embedder)
    found = drift(book, phrases, means.floor)
    telemetry.observe("persona_far_share", found.far)
    needed: Need = "fit" if work.asked or moved else need(book, found)
    if needed == "fit":
        made = replace(refitted(book, phrases, floor=means.floor), why="fit")
    else:
        # Also where nothing is far: labels that too few users are left of have to go.
        made = grown(book, phrases, floor=means.floor)
        if made is book:
            return None
        made = replace(made, why="growth")
    far = drift(made, phrases, means.floor).far
    return replace(made, preferences=phrases.preferences, users=phrases.users, far=far)


def _save(means: Means, tx: Tx, job: Job, work: Work, made: Codebook | None) -> None:
    if made is None:
        return
    at = 0 if work.book is None else work.book.version
    if codebooks.newest_version(tx) > max(at, made.version - 1):  # another fit was faster: this one starts again
        queue.arm(tx, [(KIND, job.subject, tx.now)])
        return
    _put(tx, means.books.vault, made)
    if work.book is not None and _forgets(work.book, made):
        codebooks.keep_newest(tx)
    telemetry.count("persona_fits", why=made.why)


def _forgets(before: Codebook, made: Codebook) -> bool:
    """Whether too few users say something by now that the book before could tell: then no version may."""
    names = {id for id, label in before.labels.items() if label.retired is None and made.labels[id].retired is not None}
    words = any(terms.keys() - made.learned.get(facet, {}).keys() for facet, terms in before.learned.items())
    return bool(names) or words


def _put(tx: Tx, vault: Vault, book: Codebook) -> None:
    content = packed(book)
    codebooks.put(tx, vault, book.version, content, space=book.space, strategy=book.strategy, why=book.why)
