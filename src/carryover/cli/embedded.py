"""The log of the embedded store without the rest of carryover, for verbs that should answer at once."""

from __future__ import annotations

from carryover.core.event import Filter, Page
from carryover.core.scope import DEFAULT, Scope
from carryover.core.session import Append, Appended, Session, Turn
from carryover.log import append as appending
from carryover.log import read, stream
from carryover.opening import limits_of, open_store
from carryover.settings import Settings


class EmbeddedLog:
    """The log, open. Close it, or leave its `with`. Its verbs are those of `Carryover`."""

    def __init__(self, settings: Settings) -> None:
        """Raises Invalid when the home cannot be made, StoreUnavailable when the database cannot be opened."""
        self._scope = Scope(settings.tenant)
        self._store = open_store(settings)
        self._limits = limits_of(settings)
        self._log = appending.open_log(self._store, self._limits)

    def append(self, request: Append) -> Appended:
        return appending.append(self._log, self._scope, request, self._limits)

    def window(self, session_id: str, *, agent: str = DEFAULT, last_n: int = 10) -> tuple[Session, list[Turn]]:
        return read.window(self._store, self._scope, agent, session_id, last_n)

    def sessions(
        self, *, agent: str = DEFAULT, user: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Session], str | None]:
        return read.listed(self._store, self._scope, agent, user_id=user, limit=limit, cursor=cursor)

    def events(
        self, *, agent: str = DEFAULT, want: Filter | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        return stream.newest(self._store, self._scope, agent, want, limit=limit, cursor=cursor)

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> EmbeddedLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
