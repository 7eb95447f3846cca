"""Which extractor a tenant's memory is made with: the promoted one, until the configured one has taken its place.

Where the promoted one can no longer be had (another version of carryover, a model that the settings cannot open), the
one that can takes over, and says so: memory never stands still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from carryover.core.errors import Conflict, Forbidden, Invalid, NotFound
from carryover.core.extractor import Decision, ExtractorState, Standing
from carryover.core.ports import Extractor
from carryover.core.scope import Scope
from carryover.jobs.logger import logger_for
from carryover.store import audit, extractors, queue
from carryover.store.store import Store, Tx

logger = logger_for(__name__)

DECISIONS = get_args(Decision)
PROMOTE = "promote"  # the kind of job that compares; its subject is the candidate


def _none(_id: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Extractors:
    """The extractor that the settings name, and how to have an earlier one by its id.

    What `earlier` returns may be another version of the one asked for: the nearest that this program has.
    """

    configured: Extractor
    earlier: Callable[[str], Extractor | None] = _none

    def nearest(self, id: str) -> Extractor:
        """The one of this id, or the one that has to take over."""
        return self.configured if id == self.configured.id else self.earlier(id) or self.configured


@dataclass(frozen=True, slots=True)
class Choice:
    """What a run extracts with; `instead_of` is the promoted one where that one is not it."""

    extractor: Extractor
    instead_of: str | None = None


def choose(tx: Tx, known: Extractors) -> Choice:
    """What the tenant's next snapshot is made with."""
    standing = extractors.promoted(tx)
    if standing is None or standing.name == known.configured.id:
        return Choice(known.configured)
    if _is(tx, known.configured.id, "away"):
        return Choice(known.configured, standing.name)
    extractor = known.nearest(standing.name)
    return Choice(extractor, None if extractor.id == standing.name else standing.name)


def settle(tx: Tx, known: Extractors, choice: Choice) -> None:
    """The first extractor, or the one that had to take over, is promoted; one that is configured but not promoted
    will be compared with it, unless it was and is refused.
    """
    standing, used, candidate = extractors.promoted(tx), choice.extractor.id, known.configured.id
    promotes = standing is None or standing.name == choice.instead_of
    now = used if promotes or standing is None else standing.name
    compares = candidate != now and _is_new(tx, candidate, now)
    if candidate != now and (compares or _is(tx, candidate, "candidate")) and queue.get(tx, PROMOTE, candidate) is None:
        # One that is dead, or backs off, is left as it is: each snapshot would wake it again.
        queue.arm(tx, [(PROMOTE, candidate, tx.now)])
    if not promotes and not compares:
        return
    extractors.lock(tx)  # after the jobs, as everywhere
    if promotes and extractors.promoted(tx) == standing:
        _take_over(tx, used, choice.instead_of)
    if compares and _is_new(tx, candidate, now):
        extractors.compare(tx, candidate, now)


def _is_new(tx: Tx, candidate: str, promoted: str) -> bool:
    """Whether it was never compared with the one that is promoted."""
    state = extractors.find(tx, candidate)
    return state is None or state.state == "former" or state.against != promoted


def _is(tx: Tx, name: str, standing: Standing) -> bool:
    state = extractors.find(tx, name)
    return state is not None and state.state == standing


def _take_over(tx: Tx, used: str, instead_of: str | None) -> None:
    if instead_of is None:
        extractors.promote(tx, used, "none was promoted before it")
    elif _is(tx, used, "away"):
        extractors.promote(tx, used, f"it can be had again, and took its place back from {instead_of}")
    else:
        reason = f"it took over from {instead_of}, which cannot be had any more; the two were not compared"
        extractors.promote(tx, used, reason, away=instead_of)
        logger.warning("extractor took over", extractor=used, instead_of=instead_of)


def listed(store: Store, scope: Scope) -> list[ExtractorState]:
    """How the tenant's extractors stand, the promoted one first. Raises Forbidden."""
    _require(scope)
    with store.read(scope) as tx:
        found = extractors.listed(tx)
    audit.record(store, scope, action="extractor.list", subject="extractors")
    return found


def decide(store: Store, scope: Scope, known: Extractors, name: str, decision: Decision) -> ExtractorState:
    """The extractor is promoted or refused by hand, or (`try`) compared anew by the next worker.

    Raises Forbidden, NotFound for one that the tenant does not know, Invalid for one that the settings cannot have,
    Conflict where there is nothing to decide.
    """
    _require(scope)
    if decision not in DECISIONS:
        raise Invalid(f"decision {decision!r} is none of {', '.join(DECISIONS)}; name one of them", field="decision")
    with store.write(scope) as tx:
        if decision == "try":
            queue.arm(tx, [(PROMOTE, name, tx.now)])
        extractors.lock(tx)  # after the jobs, as everywhere
        if extractors.find(tx, name) is None and name != known.configured.id:
            raise NotFound(f"extractor {name!r} is not known here; list them with `carryover extractors`")
        promoted = extractors.promoted(tx)
        if decision != "refuse" and known.nearest(name).id != name:
            raise Invalid(f"extractor {name!r} cannot be had with these settings; name its model in `llm`")
        if promoted is not None and promoted.name == name:
            raise Conflict(f"extractor {name!r} is promoted already; to have another, promote that one")
        if decision == "promote":
            extractors.promote(tx, name, "it was promoted by hand")
            if promoted is not None:  # or it would be compared again while the settings name it
                extractors.refuse(tx, promoted.name, name, f"{name} was promoted by hand in its place")
        elif promoted is None:
            raise Conflict("no snapshot was made yet, so there is nothing to compare with; consolidate a session first")
        elif decision == "refuse":
            extractors.compare(tx, name, promoted.name)
            extractors.refuse(tx, name, promoted.name, "it was refused by hand")
        elif name != known.configured.id:
            raise Invalid(f"extractor {name!r} is not the configured one; name its model in `llm` to try it")
        else:
            extractors.compare(tx, name, promoted.name)
        decided = extractors.find(tx, name)
        assert decided is not None
        audit.note(tx, action=f"extractor.{decision}", subject=f"extractor {name}")
        return decided


def _require(scope: Scope) -> None:
    scope.require("admin")
    if scope.agent is not None or scope.user is not None:
        raise Forbidden("this key is narrowed, and extractors are the whole tenant's; use one that is not")
