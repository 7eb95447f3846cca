"""Request bodies about erasures and legal holds."""

from __future__ import annotations

from msgspec import Struct

from carryover.core.clock import parse_time
from carryover.core.erasure import Selection, run_of


class Erase(Struct, forbid_unknown_fields=True):
    """What is to be erased: what lies in all that is named. `turns` is a run of turns of one session, like `3..9`."""

    agent_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    since: str | None = None
    until: str | None = None
    turns: str | None = None

    @property
    def selection(self) -> Selection:
        """The selection. Raises Invalid for a time or a run that cannot be read."""
        since, until = (
            None if text is None else parse_time(text, name)
            for name, text in (("since", self.since), ("until", self.until))
        )
        first, last = run_of(self.turns) or (None, None)
        return Selection(self.agent_id, self.session_id, self.user_id, since, until, first, last)


class PlaceHold(Struct, forbid_unknown_fields=True):
    """What may not be erased from now on, and why."""

    reason: str
    agent_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
