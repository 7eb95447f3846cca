"""Users of whom something is known, without a conversation in which it was noticed."""

from __future__ import annotations

from carryover.core.ids import new_id
from carryover.core.persona import EXPLICIT, PERSONAL, Polarity, Preference, Quote
from carryover.core.scope import Scope
from carryover.persona.book import assign
from carryover.runtime import Carryover
from carryover.store import preferences, profiles


def prefer(
    memory: Carryover,
    user: str,
    value: str,
    polarity: Polarity = "like",
    *,
    tenant: str | None = None,
    agent: str = "default",
    session: str = "s1",
) -> Preference:
    """The user said that they prefer it, or want to avoid it."""
    parts = memory.engine.personas
    with parts.store.write(Scope(tenant or memory.scope.tenant)) as tx:
        facet, label = assign(parts.books.newest(tx), PERSONAL, value, None)
        said = f"{'I prefer' if polarity == 'like' else 'Please avoid'} {value}"
        quote = Quote(agent, session, 1, said)
        one = Preference(
            new_id("pr"), user, facet, value, polarity, True, False, EXPLICIT, quote, tx.now, label
        )  # fmt: skip
        preferences.add(tx, parts.vault, [one])
        profiles.touch(tx, user)
    return one
