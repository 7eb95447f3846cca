"""Opening the embedded log as the settings describe it, for all that stand on it."""

from __future__ import annotations

from carryover.core.errors import Invalid
from carryover.core.ports import Clock
from carryover.log.append import Limits
from carryover.settings import Settings
from carryover.store.store import Store


def open_store(settings: Settings, *, clock: Clock | None = None) -> Store:
    """The store, made where there is none, its folder the owner's alone.

    Raises Invalid when the folder cannot be made, StoreUnavailable when the database cannot be opened.
    """
    folder = settings.folder
    if settings.database_url is None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as cause:
            raise Invalid(
                f"{folder} cannot be made ({cause.strerror}); set CARRYOVER_HOME to a folder you may write to",
                field="home",
            ) from cause
    return Store.open(settings.store_url, clock=clock)


def limits_of(settings: Settings) -> Limits:
    """What an append may be, and what it sets in motion."""
    return Limits(idle_ms=int(settings.idle_s * 1000), turn_bytes=settings.max_turn_bytes, ttl_s=settings.ttl_s)
