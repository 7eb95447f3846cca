"""What can be asked of personas and profiles, and decided about them, as one scope sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carryover.core.clock import Time
from carryover.core.errors import Forbidden, Invalid
from carryover.core.event import PROFILES
from carryover.core.persona import (
    Choice,
    Code,
    Fitted,
    LabelCount,
    Link,
    Overview,
    Persona,
    Polarity,
    Preference,
    Profile,
)
from carryover.core.scope import DEFAULT, Right, Scope
from carryover.jobs.worker import Worker
from carryover.persona import fitting, links, told
from carryover.persona.book import Codebook
from carryover.persona.decode import lines_of
from carryover.persona.edits import Asked, edited, labelled
from carryover.persona.encode import code_of
from carryover.persona.profile import offered, own_lines, profile
from carryover.persona.told import Parts
from carryover.store import audit, events, holds, preferences, profiles, subjects
from carryover.store.profiles import Head
from carryover.store.store import Tx

PATH = "/profile"
WAIT_S = 300.0
MOST_COUNTED = 2_000  # profiles that an overview looks at


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of a user, and what it comes to."""

    said: Sequence[Preference]
    book: Codebook
    code: Code

    def shown(self, head: Head) -> Profile:
        return profile(head.user, head.version, head.edits, self.code, self.book, self.said)


class Profiles:
    """Personas and profiles in this process; both clients have the same verbs, word for word.

    Where no user is named, the one is meant whom the key is narrowed to.
    """

    def __init__(self, parts: Parts, scope: Scope, worker: Worker, floor: int) -> None:
        """`floor` is how many users have to share what others may be told of them."""
        self._parts, self._scope, self._worker, self._floor = parts, scope, worker, floor

    def persona(self, user: str | None = None, *, session_id: str | None = None, agent: str = DEFAULT) -> Persona:
        """What a model is told of the user; in a session it stays as it was when the session began.

        Raises Forbidden, NotFound, Invalid, or KeyLost.
        """
        return told.persona(self._parts, self._scope, self._named(user), agent=agent, session=session_id)

    def show(self, user: str | None = None) -> Profile:
        """Everything that is known of the user, where it was said, and what they decided about it.

        Raises Forbidden, NotFound, Invalid, or KeyLost.
        """
        user = self._own("read", user)
        with self._parts.store.read(self._scope) as tx:
            found = self._found(tx, user).shown(profiles.get(tx, self._parts.vault, user))
        if self._scope.user is None:  # it is not their own
            audit.record(self._parts.store, self._scope, action="profile.read", subject=f"user {user}")
        return found

    def choices(self) -> list[Choice]:
        """Lines that a user may pin though nothing was noticed. Raises Forbidden or KeyLost."""
        self._scope.require("read")
        with self._parts.store.read(self._scope) as tx:
            return offered(self._parts.books.newest(tx))

    def edit(
        self,
        user: str | None = None,
        *,
        weights: Mapping[str, float | None] | None = None,
        pins: Sequence[str] | None = None,
        removed: Sequence[str] | None = None,
        texts: Sequence[str] | None = None,
        expected_version: int | None = None,
    ) -> Profile:
        """These are the user's decisions from now on: lists replace, weights merge, and None clears one.

        They hold whatever is noticed or fitted later. Raises Forbidden, NotFound, Invalid, KeyLost, or
        VersionConflict where the profile is at another version than was expected; then nothing has changed.
        """
        user = self._own("write", user)
        asked = Asked(weights, pins, removed, texts)
        with self._parts.store.write(self._scope) as tx:
            before = profiles.held(tx, self._parts.vault, user)
            profiles.expect(before, expected_version)
            found = self._found(tx, user)
            now = edited(before.edits, asked, found.book.labels, own_lines(found.code))
            head = profiles.edit(tx, self._parts.vault, user, now, expected_version)
            if self._scope.user is None:
                audit.note(tx, action="profile.edit", subject=f"user {user}", detail=f"version {head.version}")
            return found.shown(head)

    def erase(self, user: str | None = None) -> dict[str, int]:
        """Nothing is left of what was noticed of the user and what they decided: how many rows went, by table.

        Their key is dropped, so no backup can be read either. What they said stays in their sessions, and is not
        noticed again. A second call finds nothing. Raises Forbidden, NotFound, Invalid, or Held by a legal hold.
        """
        user = self._own("write", user)
        with self._parts.store.write(self._scope) as tx:
            holds.require_free(tx, user)
            counts = profiles.erase(tx, user)
            self._parts.codes.drop(tx, user)
            if any(counts.values()):
                events.add(tx, [("forget", PROFILES, user, user, counts)])
                subjects.refit(tx)  # what fewer users share now than the floor demands is told no more
            said = ", ".join(f"{count} {table}" for table, count in counts.items())
            audit.note(tx, action="profile.erase", subject=f"user {user}", detail=said)
            # Last, and before the commit: whatever fails or is killed here, what is left of the rows opens no more,
            # and the next call takes it away.
            counts["keys"] = int(self._parts.vault.drop(tx.tenant, user))
        self._parts.store.settle()
        return counts

    def refit(self, *, wait: bool = True, timeout_s: float = WAIT_S) -> Fitted | None:
        """The tenant's codebook is fitted anew, now: what came of it, or None when nobody waits.

        Raises Forbidden, or Conflict when the job waits for a cap, is dead or takes longer than `timeout_s`.
        """
        self._whole("refit the codebook")
        return fitting.refit(self._parts.store, self._parts.vault, self._scope, self._worker, timeout_s if wait else 0)

    def overview(self) -> Overview:
        """Which labels how many users' personas tell, and no number below the floor. Raises Forbidden or KeyLost.

        The newest 2,000 profiles are looked at: a second or two where their codes are kept, more after a refit.
        """
        self._whole("see the overview")
        with self._parts.store.read(self._scope) as tx:
            users, known = profiles.users(tx, MOST_COUNTED), profiles.count(tx)
            book = self._parts.books.newest(tx)
        told_by: Counter[tuple[int, Polarity]] = Counter()
        for user in users:
            found = told.known(self._parts, self._scope, user)
            lines = () if found is None else lines_of(found.code, book.labels, found.head.edits)
            told_by.update(label for line in lines if line.shown and (label := labelled(line.id)) is not None)
        audit.record(self._parts.store, self._scope, action="profile.overview", subject="all users")
        floor = self._floor
        shown = [
            LabelCount(book.labels[id].facet, book.labels[id].name, polarity, count)
            for (id, polarity), count in sorted(told_by.items(), key=lambda one: (-one[1], one[0]))
            if count >= floor and id in book.labels
        ]
        enough = known >= floor
        return Overview(
            users=known if enough else None,
            counted=len(users) if enough else None,
            floor=floor,
            book_version=book.version,
            labels=tuple(shown),
            hidden=len(told_by) - len(shown),
        )

    def link(self, user: str | None = None, *, ttl_s: int = links.USUAL_S, write: bool = True) -> Link:
        """A link that opens the user's profile, and nothing else, for `ttl_s` seconds; with `write` they may edit.

        It may do no more than the scope that makes it, and ends when the profile is erased. Raises Forbidden,
        NotFound, Invalid, or KeyLost.
        """
        user = self._own("write" if write else "read", user)
        if type(ttl_s) is not int or not links.SHORTEST_S <= ttl_s <= links.LONGEST_S:
            raise Invalid(
                f"ttl_s is {str(ttl_s)[:20]}; use a whole number from {links.SHORTEST_S} to {links.LONGEST_S}",
                field="ttl_s",
            )
        store = self._parts.store
        until: Time = store.clock.now() + ttl_s * 1000
        claims = links.Claims(self._scope.tenant, user, until, write)
        token = links.made(self._parts.vault, links.secret_of(store), claims)
        audit.record(store, self._scope, action="profile.link", subject=f"user {user}")
        # Behind the fragment sign, so that it reaches no server's log and no other site.
        return Link(user, token, f"{PATH}#{token}", until)

    def _found(self, tx: Tx, user: str) -> _Found:
        said = preferences.of_user(tx, self._parts.vault, user)
        book = self._parts.books.newest(tx)
        return _Found(said, book, code_of(said, book))

    def _named(self, user: str | None) -> str:
        """The user that is meant. Raises Invalid where none is, and NotFound outside the scope."""
        named = self._scope.user if user is None else user
        if named is None:
            raise Invalid("no user is named, and this key is nobody's own; name the user", field="user_id")
        told.require_user(self._scope, named)
        return named

    def _own(self, right: Right, user: str | None) -> str:
        """As `_named`, for a profile: it holds what was said to all agents. Raises Forbidden as well."""
        self._scope.require(right)
        named = self._named(user)
        if self._scope.agent is not None:
            raise Forbidden("this key is narrowed to one agent, and a profile is of all; use one that is not")
        return named

    def _whole(self, what: str) -> None:
        self._scope.require("admin")
        if self._scope.agent is not None or self._scope.user is not None:
            raise Forbidden(f"this key is narrowed and may not {what}; use one that is not")
