"""Detection and the catalog: what recurs stands there as a candidate, with its counts as they are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from carryover.coding.patterns import curate
from carryover.coding.patterns.detect import detected
from carryover.core.clock import Time
from carryover.core.digest import Digest
from carryover.core.errors import Invalid
from carryover.core.pattern import LEAST, Pattern
from carryover.core.scope import Scope
from carryover.core.step import FLAVORS, Flavor
from carryover.store import digests, patterns
from carryover.store.store import Store, Tx


def detect(
    store: Store,
    scope: Scope,
    *,
    min_frequency: int = LEAST,
    repo: str | None = None,
    flavor: Flavor | None = None,
    since: Time | None = None,
) -> list[Pattern]:
    """Patterns that at least so many sessions of this repository and flavor show since then, best first.

    Each is told with these sessions' counts, and as it stands in the catalog. The catalog itself counts all sessions:
    new candidates are in it, and undecided ones have their counts of now. One that no session shows any more is gone;
    what was decided stays. Raises Forbidden or Invalid.
    """
    curate.require(scope, "write")
    if min_frequency < 1:
        raise Invalid(f"min_frequency is {min_frequency}; use 1 or more", field="min_frequency")
    if flavor is not None and flavor not in FLAVORS:
        raise Invalid(f"flavor {flavor!r} is none of {', '.join(FLAVORS)}; name one of them", field="flavor")

    def wanted(one: Digest) -> bool:
        return (
            (repo is None or one.repo == repo)
            and (flavor is None or one.flavor == flavor)
            and (since is None or (one.ended_at or one.started_at or 0) >= since)
        )

    with store.read(scope) as tx:
        every = list(digests.every(tx))
        keys = _keys(patterns.listed(tx))
    found = detected(every, keys, least=1)
    catalog = store.transact(scope, lambda tx: _settle(tx, found, min_frequency))
    if repo is not None or flavor is not None or since is not None:
        found = detected(every, _keys([*catalog.values()]), least=min_frequency, wanted=wanted)
    return [_as_it_stands(one, catalog[one.id]) for one in found if one.total.sessions >= min_frequency]


def _keys(known: Sequence[Pattern]) -> dict[str, list[str]]:
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for pattern in known:
        keys[pattern.signal].append(pattern.key)
    return keys


def _settle(tx: Tx, found: Sequence[Pattern], least: int) -> dict[str, Pattern]:
    """The catalog after detection, by id: candidates are new, as they are now, or gone."""
    catalog = {pattern.id: pattern for pattern in patterns.listed(tx)}
    left = digests.sessions_with(tx)  # what was erased since the digests were read is quoted no more
    shown = {
        pattern.id: replace(
            pattern, evidence=tuple(one for one in pattern.evidence if (one.agent_id, one.session_id) in left)
        )
        for pattern in found
    }
    for id, old in list(catalog.items()):
        if old.state == "candidate" and id not in shown:
            patterns.drop(tx, id)
            del catalog[id]
    for id, new in shown.items():
        old = catalog.get(id)
        if old is None and new.total.sessions >= least:
            catalog[id] = replace(new, version=1, at=tx.now)
            patterns.put(tx, catalog[id])
        elif old is not None and old.state == "candidate":
            now = replace(_as_it_stands(new, old), version=old.version + 1, by="detect", at=tx.now, reason=new.reason)
            if replace(now, version=old.version, by=old.by, at=old.at, reason=old.reason) != old:
                patterns.put(tx, now)
                patterns.thin(tx, now)
                catalog[id] = now
    return catalog


def _as_it_stands(counted: Pattern, known: Pattern) -> Pattern:
    """The pattern of the catalog with these counts: its words are settled once, and nobody's edit is undone."""
    return replace(
        counted,
        version=known.version,
        state=known.state,
        title=known.title,
        lesson=known.lesson,
        by=known.by,
        at=known.at,
        reason=known.reason,
    )
