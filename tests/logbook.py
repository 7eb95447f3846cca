"""The log of one store, for tests: appending and reading in a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from carryover.core.scope import Scope
from carryover.core.session import Append, Appended, Draft, Session, Turn
from carryover.log import read
from carryover.log.append import Limits, Log, append, open_log
from carryover.store.store import Store

ACME = Scope("acme")


@dataclass
class Book:
    store: Store
    limits: Limits = field(default_factory=Limits)
    scope: Scope = ACME
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        self.log = open_log(self.store, self.limits)

    def append(self, session: str, *drafts: Draft | str, scope: Scope | None = None, **about: Any) -> Appended:
        given = tuple(draft if isinstance(draft, Draft) else Draft("user", draft) for draft in drafts)
        return append(self.log, scope or self.scope, Append(session, given, **about), self.limits)

    def session(self, session: str, agent: str = "default") -> Session:
        return read.session(self.store, self.scope, agent, session)

    def turns(self, session: str, agent: str = "default") -> list[Turn]:
        head = self.session(session, agent)
        return list(read.every(self.store, self.scope, agent, session, head.version))
