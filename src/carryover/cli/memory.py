"""What a verb acts on: the server that the settings name, or the embedded store."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from carryover.core.errors import Invalid
from carryover.core.scope import Caller, Scope
from carryover.settings import Settings, load

if TYPE_CHECKING:
    from carryover.cli.embedded import EmbeddedLog
    from carryover.client.client import Client
    from carryover.runtime import Carryover


@contextmanager
def memory() -> Generator[Carryover | Client]:
    """Every verb of carryover, on the server or embedded; closed at the end."""
    settings = load().settings
    logged(settings)
    with server(settings) if settings.url else embedded(settings) as opened:
        yield opened


@contextmanager
def log() -> Generator[EmbeddedLog | Client]:
    """The verbs of the log alone, on the server or embedded: that opens in half the time of `memory`."""
    settings = load().settings
    with server(settings) if settings.url else _late("carryover.cli.embedded").EmbeddedLog(settings) as opened:
        yield opened


def server(settings: Settings) -> Client:
    """The server that the settings name."""
    key = settings.api_key
    return _late("carryover.client.client").Client(settings.url, api_key=key.get_secret_value() if key else None)


def embedded(settings: Settings, *, work: bool = False, threads: int = 1) -> Carryover:
    """The embedded memory; with `work`, it runs background jobs in so many threads while it is open."""
    opened = _late("carryover.runtime").Carryover.open(settings, work=work, threads=threads)
    return opened.seen_by(scope(settings))


def scope(settings: Settings) -> Scope:
    """Whoever is at this machine's command line, as the audit log names them."""
    return Scope(settings.tenant, by=Caller(via="cli"))


def local(verb: str) -> Settings:
    """The settings, for a verb that acts on the database itself. Raises Invalid where they name a server."""
    settings = load().settings
    if settings.url:
        raise Invalid(
            f"`carryover {verb}` acts on the database itself, and the settings name a server ({settings.url}); "
            "unset CARRYOVER_URL, or run this where the server runs",
            field="url",
        )
    logged(settings)
    return settings


def logged(settings: Settings) -> None:
    """The process's own log goes to standard error, from the level that is set: results stay alone on the output."""
    _late("carryover.jobs.logger").to_stderr(settings.log_level, settings.log_format)


def _late(module: str) -> Any:
    # The database layer and the HTTP client take longer to load than all else: only the one that is used is loaded.
    return importlib.import_module(module)
