"""What a model is told of a user: the persona as of now, or as a session was opened with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from carryover.core.errors import Invalid, NotFound
from carryover.core.ids import check_id, check_session_id
from carryover.core.persona import Code, Persona
from carryover.core.scope import DEFAULT, Scope
from carryover.persona.book import Codebook
from carryover.persona.books import Books
from carryover.persona.decode import decoded, persona_of, tail_of
from carryover.persona.encode import code_of
from carryover.persona.plain import nothing_because
from carryover.store import noticed, personas_shown, preferences, profiles, sessions
from carryover.store.codes_kept import Codes
from carryover.store.personas_shown import Shown
from carryover.store.store import Store, Tx
from carryover.store.vault import Vault

_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Code)


@dataclass(frozen=True, slots=True)
class Parts:
    """What personas are made of, in one process."""

    store: Store
    vault: Vault
    codes: Codes
    books: Books


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a user: their profile's head, their code, and the codebook that it is told by."""

    head: profiles.Head
    code: Code
    book: Codebook

    def persona(self, agent: str | None = None) -> Persona:
        head = self.head
        made = decoded(self.code, self.book.labels, head.edits, user=head.user, version=head.version, agent=agent)
        why = nothing_because(self.book)
        return made if why is None else replace(made, warnings=(*made.warnings, why))


def persona(parts: Parts, scope: Scope, user: str, *, agent: str = DEFAULT, session: str | None = None) -> Persona:
    """What a model is told of the user.

    For a session it is what it was opened with: that stays as it is until the session has ended and was consolidated,
    and `tail` tells what the user has changed in their profile since. Raises Forbidden, Invalid, NotFound or KeyLost.
    """
    admit(scope, user)
    if session is None:
        found = known(parts, scope, user)
        return persona_of(user, 0, "") if found is None else found.persona(scope.agent)
    check_session_id(session)
    check_id(agent, "agent_id")
    scope.require_inside(agent, user, f"session {session!r}")
    with parts.store.read(scope) as tx:
        _require_theirs(tx, agent, session, user)
        head = profiles.get(tx, parts.vault, user)
        shown = personas_shown.get(tx, parts.vault, agent, session)
        if shown is not None and (shown.user != user or noticed.get(tx, agent, session).at > shown.shown_at):
            shown = None
    before = "" if shown is None else shown.text if scope.agent is None or shown.own is None else shown.own
    if shown is not None and shown.edited >= head.edited:
        return persona_of(user, shown.version, before)
    found = known(parts, scope, user)
    if shown is not None:
        now = "" if found is None else found.persona(scope.agent).text
        return persona_of(user, shown.version, before, tail=tail_of(before, now))
    # Where nothing is known that is kept as well, else what other sessions teach would come into a running one.
    version, edited = (0, 0) if found is None else (found.head.version, found.head.edited)
    none = persona_of(user, 0, "")
    whole, own = (none, none) if found is None else (found.persona(), found.persona(agent))
    with parts.store.write(scope) as tx:
        # A profile's version only grows, unless the user was erased meanwhile: then this is told to nobody.
        if profiles.locked(tx, user) < version:
            return none
        personas_shown.put(tx, parts.vault, agent, session, Shown(user, whole.text, version, edited, 0, own.text))
    return whole if scope.agent is None else own


def known(parts: Parts, scope: Scope, user: str) -> Known | None:
    """What is known of the user; None where nothing is. What had to be worked out is kept for the next time."""
    with parts.store.read(scope) as tx:
        head = profiles.get(tx, parts.vault, user)
        if head.version == 0:
            return None
        book = parts.books.newest(tx)
        kept = parts.codes.get(tx, user, head.version)
        code = None if kept is None else _DECODER.decode(kept)
        if code is not None and code.book_version == book.version:
            return Known(head, code, book)
        code = code_of(preferences.of_user(tx, parts.vault, user), book)
    with parts.store.write(scope) as tx:
        if profiles.locked(tx, user) == head.version:
            keep(parts, tx, user, head.version, code)
    return Known(head, code, book)


def keep(parts: Parts, tx: Tx, user: str, version: int, code: Code) -> None:
    """The code is the user's at this version of their profile, as long as it is kept."""
    parts.codes.put(tx, user, version, _ENCODER.encode(code))


def admit(scope: Scope, user: str) -> None:
    """Raises Forbidden without the right to read, Invalid for what is no id, NotFound for a user outside the scope."""
    scope.require("read")
    require_user(scope, user)


def require_user(scope: Scope, user: str) -> None:
    """Raises Invalid for what is no id, NotFound for a user outside the scope."""
    check_id(user, "user_id")
    if scope.user not in (None, user):
        raise NotFound(f"user {user!r} does not exist here; check the id")


def _require_theirs(tx: Tx, agent: str, session: str, user: str) -> None:
    """Raises Invalid where the session is known to be another user's; it need not have begun."""
    head = sessions.find(tx, [(agent, session)]).get((agent, session))
    if head is not None and head.user != user:
        raise Invalid(f"session {session!r} is not of user {user!r}; name the user whose it is", field="user_id")
