"""Opening a memory, embedded or on a server, and the one that module functions share."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import Any

from carryover.client.client import Client
from carryover.core.chunk import Hit
from carryover.core.errors import Invalid
from carryover.core.scope import DEFAULT
from carryover.core.session import Content, Place, Role
from carryover.runtime import Carryover
from carryover.settings import Settings, load

Memory = Carryover | Client
_DATABASES = (".db", ".sqlite", ".sqlite3")


def open(path_or_url: str | os.PathLike[str] | None = None, *, work: bool = True, **settings: Any) -> Memory:
    """A memory to use and close: on a server if an `http(s)` address is given, else embedded in this process.

        with carryover.open("./memory") as memory:
            memory.log_turn("session-1", "user", "Let's use PostgreSQL for the ledger.")

    A path is a folder, or a SQLite file when it ends in `.db` or `.sqlite`; another URL names a database; nothing
    is what the settings say. Any setting may follow by name (`idle_s=60`, `api_key=...`). With `work`, a thread
    consolidates idle sessions and indexes while an embedded memory is open. Raises Invalid or StoreUnavailable.
    """
    given = {**_place(path_or_url), **settings}
    return connect(load(**{name: value for name, value in given.items() if value is not None}).settings, work=work)


def connect(settings: Settings, *, work: bool) -> Memory:
    """The memory that the settings name: the server at `url`, or the embedded one."""
    if not settings.url:
        return Carryover.open(settings, work=work)
    key = settings.api_key
    return Client(settings.url, api_key=key.get_secret_value() if key else None)


def log_turn(
    session_id: str,
    role: Role,
    content: Content,
    *,
    agent: str = DEFAULT,
    user: str | None = None,
    idempotency_key: str | None = None,
) -> Place:
    """The turn is on disk in the default memory; where in its session it stands.

        place = carryover.log_turn("session-1", "user", "Let's use PostgreSQL for the ledger.")
        assert place.seq == 1

    The default memory is the server that CARRYOVER_URL names, or else embedded in CARRYOVER_HOME.
    """
    return default().log_turn(session_id, role, content, agent=agent, user=user, idempotency_key=idempotency_key)


def get_context(
    session_id: str, *, agent: str = DEFAULT, user: str | None = None, max_tokens: int = 500, repo: str | None = None
) -> str:
    """Markdown to prepend to a session's system prompt: what the sessions before it settled, within the budget.

    prefix = carryover.get_context("session-2")
    messages = [{"role": "system", "content": prefix + instructions}]
    """
    return default().get_context(session_id, agent=agent, user=user, max_tokens=max_tokens, repo=repo)


def search_memory(query: str, *, k: int = 5, agent: str | None = None, user: str | None = None) -> list[Hit]:
    """The turns and findings that answer the query best, with the turns that they stand on.

    for hit in carryover.search_memory("which database?"):
        print(hit.text, hit.sources[0].session_id)
    """
    return default().search_memory(query, k=k, agent=agent, user=user)


def default() -> Memory:
    """The memory that the module's functions share: opened at the first call, closed when the process ends."""
    return _shared.get()


class _Shared:
    """One memory per process. After a fork the child opens its own and leaves its parent's connections alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory: Memory | None = None
        self._inherited: list[Memory] = []  # closing or collecting these would disturb the parent

    def get(self) -> Memory:
        with self._lock:
            if self._memory is None:
                self._memory = connect(load().settings, work=True)
            return self._memory

    def close(self) -> None:
        with self._lock:
            memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()

    def forked(self) -> None:
        self._lock = threading.Lock()
        if self._memory is not None:
            self._inherited.append(self._memory)
            self._memory = None


_shared = _Shared()
atexit.register(_shared.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.forked)


def _place(path_or_url: str | os.PathLike[str] | None) -> dict[str, Any]:
    if path_or_url is None:
        return {}
    text = os.fspath(path_or_url)
    if not text:
        raise Invalid("the path is empty; give a folder, a database or a server's address", field="path_or_url")
    if text.startswith(("http://", "https://")):
        return {"url": text}
    # What is named here is meant, whatever server the environment names.
    if "://" in text:
        return {"url": "", "database_url": text}
    path = Path(text).expanduser().absolute()
    if path.suffix in _DATABASES:
        return {"url": "", "database_url": f"sqlite:///{path}", "home": path.parent}
    return {"url": "", "home": path}
