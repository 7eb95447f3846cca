"""What is to be erased, what went, and what may not go: selections, receipts and legal holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from carryover.core.clock import Time
from carryover.core.errors import Invalid
from carryover.core.ids import check_id, check_session_id
from carryover.core.scope import DEFAULT

_RUN = re.compile(r"([0-9]{1,15})(?:\.\.([0-9]{1,15}))?")


@dataclass(frozen=True, slots=True)
class Selection:
    """What lies in all that is named here; what is None does not narrow it.

    `since` and `until` are when turns were said; `first` and `last` are turns of one session.
    """

    agent_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    since: Time | None = None
    until: Time | None = None
    first: int | None = None
    last: int | None = None

    @property
    def is_of_turns(self) -> bool:
        """Whether it may take single turns out of a session."""
        return self.is_a_run or self.since is not None or self.until is not None

    @property
    def is_a_run(self) -> bool:
        return self.first is not None

    @property
    def of_user(self) -> str | None:
        """The user of whom all goes: also what is known of them beside their sessions."""
        alone = self.agent_id is None and self.session_id is None and not self.is_of_turns
        return self.user_id if alone else None

    @property
    def of_agent(self) -> str | None:
        """The agent of which all goes: also what is set for it beside its sessions."""
        alone = self.user_id is None and self.session_id is None and not self.is_of_turns
        return self.agent_id if alone else None

    def checked(self) -> Selection:
        """The same, with the agent that a session has where none is named. Raises Invalid for what cannot be."""
        if self == Selection():
            raise Invalid("nothing is selected; name a session, an agent, a user or a time", field="session_id")
        for name in ("agent_id", "user_id"):
            if (id := getattr(self, name)) is not None:
                check_id(id, name)
        if self.session_id is not None:
            check_session_id(self.session_id)
        run = [seq for seq in (self.first, self.last) if seq is not None]
        if len(run) == 1 or run != sorted(run) or min(run, default=1) < 1:
            raise Invalid("turns is no run of turns; write first..last, like 3..9", field="turns")
        if self.is_a_run and self.session_id is None:
            raise Invalid("turns are of one session, and none is named; name the session", field="turns")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise Invalid("nothing lies between since and until; since has to be earlier", field="since")
        return replace(self, agent_id=DEFAULT) if self.session_id is not None and self.agent_id is None else self


def run_of(text: str | None) -> tuple[int, int] | None:
    """`3..9` as 3 and 9, `3` as 3 and 3. Raises Invalid for anything else."""
    if text is None:
        return None
    found = _RUN.fullmatch(text)
    if found is None:
        raise Invalid(f"turns {text[:40]!r} is no run of turns; write first..last, like 3..9", field="turns")
    return int(found[1]), int(found[2] or found[1])


@dataclass(frozen=True, slots=True)
class LegalHold:
    """What may not be erased: a session, all of an agent, all of a user; what is None does not narrow it."""

    id: str
    reason: str
    placed_by: str
    placed_at: Time
    agent_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    released_by: str | None = None
    released_at: Time | None = None


@dataclass(frozen=True, slots=True)
class Doomed:
    """A session that an erasure would reach: how many of its turns would go, and whether all of it would."""

    agent_id: str
    session_id: str
    user_id: str | None
    turns: int
    whole: bool
    updated_at: Time


@dataclass(frozen=True, slots=True)
class Preview:
    """What an erasure would take: rows by table, the first sessions of them, and which holds are in its way."""

    sessions: int
    turns: int
    users: int
    counts: dict[str, int]
    some: tuple[Doomed, ...] = ()
    holds: tuple[LegalHold, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure removed, signed: what was asked, when, and how many rows went by table.

    `subject` is a keyed hash of what was asked: all that is kept of it here. `signature` is Ed25519 in base64, over
    the other members as canonical JSON, made with the key whose public half has the id `key_id`.
    """

    agent_id: str | None
    session_id: str | None
    erased_at: Time
    counts: dict[str, int] = field(default_factory=dict[str, int])
    user_id: str | None = None
    since: Time | None = None
    until: Time | None = None
    first: int | None = None
    last: int | None = None
    id: str = ""
    subject: str = ""
    sessions: int = 0  # that went whole
    turns: int = 0
    keys: int = 0  # data keys that were dropped
    holds: tuple[str, ...] = ()  # placed while it ran: what they name was left
    backups: str = ""
    remains: tuple[str, ...] = ()
    key_id: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class ErasureKey:
    """The public key that receipts are checked with: 32 bytes of Ed25519 in base64."""

    key_id: str
    public_key: str
    algorithm: str = "Ed25519"
