"""What can be asked of erasures and legal holds, as one scope sees them."""

from __future__ import annotations

from carryover.core.clock import Time
from carryover.core.erasure import ErasureKey, LegalHold, Preview, Receipt, Selection
from carryover.core.scope import Scope
from carryover.log import forget, legal
from carryover.log.forget import Means
from carryover.store.store import Store


class Erasures:
    """Erasures in this process; both clients have the same verbs, word for word.

    What is selected lies in all that is named: `turns` are the first and the last of a run in one session, `since` and
    `until` are when turns were said. A session without an agent is one of the agent `default`.
    """

    def __init__(self, means: Means, scope: Scope) -> None:
        self._means, self._scope = means, scope

    def preview(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        turns: tuple[int, int] | None = None,
    ) -> Preview:
        """What `erase` would take now, by table, and which legal holds forbid it; nothing is changed.

        Raises Forbidden, Invalid, or NotFound where nothing is selected.
        """
        first, last = turns or (None, None)
        asked = Selection(agent, session, user, since, until, first, last)
        return forget.preview(self._means, self._scope, asked)

    def erase(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        turns: tuple[int, int] | None = None,
    ) -> Receipt:
        """What is selected is gone, with all that was made of it; the signed receipt says how much that was.

        Erasing again counts zeros. Raises Forbidden, Invalid, Held where a legal hold forbids any of it, Conflict for
        turns of a session that was read out of logs, and NotFound for what never was there: then nothing has changed.
        """
        first, last = turns or (None, None)
        asked = Selection(agent, session, user, since, until, first, last)
        return forget.erase(self._means, self._scope, asked)

    def receipt(self, id: str) -> Receipt:
        """What is kept of a receipt: all but the names of what was erased. Raises Forbidden or NotFound."""
        return forget.receipt(self._means.store, self._scope, id)

    def key(self) -> ErasureKey:
        """The public key that receipts are checked with. Raises Forbidden."""
        return forget.public_key(self._means.store, self._scope)


class Holds:
    """Legal holds in this process; both clients have the same verbs, word for word."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store, self._scope = store, scope

    def place(
        self, reason: str, *, session: str | None = None, agent: str | None = None, user: str | None = None
    ) -> LegalHold:
        """What lies in all that is named may not be erased from now on, by anybody and by no expiry.

        Raises Forbidden or Invalid.
        """
        return legal.place(self._store, self._scope, session=session, agent=agent, user=user, reason=reason)

    def list(self, *, released: bool = False) -> list[LegalHold]:
        """The holds in force, the newest first; with `released` also those of before. Raises Forbidden."""
        return legal.listed(self._store, self._scope, released=released)

    def release(self, id: str) -> LegalHold:
        """The hold keeps nothing any more. Raises Forbidden or NotFound."""
        return legal.release(self._store, self._scope, id)
