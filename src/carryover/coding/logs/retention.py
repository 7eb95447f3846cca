"""The archive stays within its budget: what the plan says goes, piece by piece, as long as there is too much.

Each transaction looks again whether the log may lose anything, takes a few pieces, and says so in the activity stream;
killed anywhere, what is left is whole, and the next run goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from carryover.coding.logs import archive, thin
from carryover.coding.logs.archive import TIGHT, packer, segment
from carryover.core.budget import TIERS, Budget, Drop, Evicted, Eviction, Tier, plan
from carryover.core.clock import Time
from carryover.core.errors import DataLoss
from carryover.core.scope import Scope
from carryover.jobs.logger import logger_for
from carryover.store import archive as vault
from carryover.store import budgets, digests, events, sessions
from carryover.store.archive import Kept, Segment
from carryover.store.store import Store, Tx

logger = logger_for(__name__)

_THINNED, _DROPPED = 8, 64  # pieces that one transaction takes: of those that are read, as many MiB are held at most
_RUNS = 3  # of a plan, where logs that grow meanwhile keep what it had counted on


def evict(store: Store, scope: Scope, budget: Budget, now: Time | None = None) -> Evicted:
    """The archive takes no more than the hard cap, and no more than the soft one unless that would lose data.

    No byte goes of a log of which a session has no digest of all that was read, but where the hard cap is reached.
    `now` is what the age of logs is counted from (default: the store's clock).
    """
    done = Evicted()
    for _ in range(_RUNS):
        with store.read(scope) as tx:
            done.final_usage = vault.size(tx)
            over = done.final_usage > budget.raw_soft_cap_bytes
            held = budgets.held(tx) if over or budget.raw_max_age_days is not None else []
        for drop in plan(held, budget, store.clock.now() if now is None else now):
            target = budget.target(drop.within)
            if target is None or done.final_usage > target:
                _carry_out(store, scope, drop, target, done)
        if done.final_usage <= budget.raw_hard_cap_bytes:
            break
    if done.freed:
        store.shrink()
    with store.read(scope) as tx:
        done.final_usage = vault.size(tx)
        distilled = digests.size(tx) + budgets.logged(tx)
    _alarm(done, budget, distilled)
    return done


def _alarm(done: Evicted, budget: Budget, distilled: int) -> None:
    if budget.distilled_cap_bytes is not None and distilled > budget.distilled_cap_bytes:
        done.alarms.append(
            f"digests and turns of coding sessions take about {distilled} bytes, more than distilled_cap_bytes "
            f"({budget.distilled_cap_bytes}); raise it, or forget sessions"
        )
    if done.final_usage > budget.raw_soft_cap_bytes:
        done.alarms.append(
            f"the archive takes {done.final_usage} bytes, more than raw_soft_cap_bytes ({budget.raw_soft_cap_bytes}), "
            "and all that was digested is gone; let `carryover worker` digest the rest, or raise the cap"
        )
    for alarm in done.alarms:
        logger.warning("coding budget", alarm=alarm)


def _carry_out(store: Store, scope: Scope, drop: Drop, target: int | None, done: Evicted) -> None:
    log = drop.log
    if drop.tier not in ("tight", "gone") and not thin.takes(log.flavor, drop.tier):
        return
    with store.read(scope) as tx:
        found = [piece for piece in vault.kept(tx, log.path, log.generation) if _is_fuller(piece, drop.tier)]
    pieces = freed = 0
    for some in _batches(found, _DROPPED if drop.tier == "gone" else _THINNED):
        if target is not None and done.final_usage <= target:
            break
        less = [(piece, _less(store, scope, piece, drop)) for piece in some]
        most = None if target is None else done.final_usage - target
        took, came = store.transact(scope, lambda tx, less=less, most=most: _save(tx, drop, less, most))
        pieces, freed = pieces + took, freed + came
        done.final_usage -= came
        done.freed += came
    if drop.tier == "tight" or not pieces:
        return
    eviction = Eviction(log.path, log.generation, drop.tier, drop.reason, pieces, freed)
    done.evictions.setdefault(drop.within, []).append(eviction)
    if drop.loses:
        done.data_loss.append(eviction)
    told = logger.error if drop.loses else logger.info
    told("log thinned", path=log.path, tier=drop.tier, reason=drop.reason, pieces=pieces, bytes=freed, lost=drop.loses)


def _is_fuller(piece: Kept, tier: Tier) -> bool:
    return TIERS.index(piece.tier) < TIERS.index(tier)


def _batches(found: Sequence[Kept], most: int) -> Iterator[Sequence[Kept]]:
    return (found[at : at + most] for at in range(0, len(found), most))


def _less(store: Store, scope: Scope, piece: Kept, drop: Drop) -> Segment | None:
    """What is to be left of the piece: None for nothing, without a body for all of it.

    Of a damaged one nothing is taken, for a backup to mend.
    """
    if drop.tier == "gone":
        return None
    whole = Segment(piece.hash, piece.length, b"")
    try:
        with store.read(scope) as tx:
            plain = archive.unpacked(tx, piece)
    except DataLoss:
        return whole
    left = plain if drop.tier == "tight" else thin.thinned(plain, drop.log.flavor, drop.tier)
    made = segment(left, packer(TIGHT))
    return made if len(made.body) < piece.packed else whole


def _save(tx: Tx, drop: Drop, less: Sequence[tuple[Kept, Segment | None]], most: int | None) -> tuple[int, int]:
    """Of how many of the pieces less is left now, and how many bytes that freed; it stops once `most` came free.

    Nothing goes where the log has sessions that were not digested since it was looked at, unless it is to lose those.
    """
    if drop.tier != "tight" and not drop.loses and not budgets.is_digested(tx, drop.log.path):
        return 0, 0
    pieces = freed = 0
    for piece, left in less:
        if most is not None and freed >= most:
            break
        came = _replace(tx, piece, left, drop.tier)
        freed += came
        pieces += left is None or bool(left.body)
    if drop.log.superseded and drop.tier == "gone":
        vault.forget(tx, drop.log.path, drop.log.generation)
    if pieces and drop.tier != "tight":
        _tell(tx, drop, pieces, freed)
    return pieces, freed


def _replace(tx: Tx, piece: Kept, left: Segment | None, tier: Tier) -> int:
    """The piece is kept as what is left of it, unless it has changed meanwhile; how many bytes that freed."""
    hash = "" if left is None else left.hash
    if left is not None and hash != piece.hash:
        vault.add(tx, [left])
    if not vault.replace(tx, piece, hash, tier):
        vault.release(tx, [hash])
        return 0
    if left is not None and hash == piece.hash:
        return vault.repack(tx, hash, left.body) if left.body else 0
    return vault.release(tx, [piece.hash]) - (0 if left is None else len(left.body))


def _tell(tx: Tx, drop: Drop, pieces: int, freed: int) -> None:
    found = budgets.sessions_of(tx, drop.log.path)
    heads = sessions.find(tx, found, lock=False)
    detail = {
        "path": drop.log.path,
        "kept": drop.tier,
        "reason": drop.reason,
        "pieces": pieces,
        "bytes": freed,
        "lost": drop.loses,
    }
    events.add(tx, [("ingest", *key, heads[key].user if key in heads else None, detail) for key in found])
