"""The verb that seals what was kept readable so far."""

from __future__ import annotations

from carryover.cli import memory, show
from carryover.cli.options import AsJson
from carryover.core.errors import Invalid
from carryover.opening import open_store
from carryover.store import audit, rekeying, sessions_sealed


def seal(as_json: AsJson = False) -> None:
    """Seal every session with a key of its own, those to come as well, while everything else goes on.

    A database that was made by carryover 0.1 or later seals from its start; this is for those that are older, or were
    made with `encryption` off. Upgrade all servers and workers first: older programs cannot read what is sealed, and
    are refused from now on. What was broken off goes on when it is started again.
    """
    settings = memory.local("keys seal")
    if not settings.encryption:
        raise Invalid("encryption is off in the settings; set it to true, or unset it", field="encryption")
    with open_store(settings) as store:
        sessions_sealed.begins(store)
        with show.progress("sessions sealed", len(sessions_sealed.unsealed(store))) as advance:
            done = rekeying.seal(store, advance)
        audit.record(store, memory.scope(settings), action="key.seal", subject="all sessions")
    if as_json:
        show.as_json({"sessions": done})
    else:
        show.out(f"{show.counted(done, 'session')} sealed; those to come are sealed from their start")
