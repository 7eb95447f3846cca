"""What opening a session's persona takes, measured on a database of its own: fetch, decrypt, decode.

On the same database it is looked whether any file holds a planted preference: users' turns are not logged there, so
that what stands in a file was written by personas alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from carryover.core.persona import Edits
from carryover.core.scope import DEFAULT, Scope
from carryover.engine import Engine
from carryover.evals.metrics import quantile
from carryover.evals.persona_population import Heard, persona, placed
from carryover.persona import told
from carryover.persona.book import Codebook, packed
from carryover.persona.books import Books
from carryover.persona.told import Parts
from carryover.settings import Settings
from carryover.store import codebooks, preferences, profiles
from carryover.store.cache import RedisCache
from carryover.store.codes_kept import Codes

SCOPE = Scope("eval")
PLANTED = "quietly hums sea shanties"  # stands in a preference, its quote, an own text and a persona
_WARM = 20  # calls that do not count
_TTL_S = 3_600


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of each call; `cpu` is what of it this process computed, whatever else ran on the machine."""

    ms: tuple[float, ...]
    cpu: tuple[float, ...] = ()

    def at(self, share: float) -> float:
        return quantile(self.ms, share)

    def plus(self, other: Times) -> Times:
        return Times(self.ms + other.ms, self.cpu + other.cpu)


@dataclass(frozen=True, slots=True)
class Opening:
    """What was measured on one store, by what was done; and the size of what was told."""

    store: str
    times: Mapping[str, Times]
    users: int
    preferences: int  # of a user, on average
    bytes: float  # of a persona, on average
    tokens: float


def measured(name: str, settings: Settings, book: Codebook, heard: Sequence[Heard], rounds: int = 3) -> Opening:
    """Times over all these users, on the database that the settings name, which has to be an empty one."""
    with closing(_Opened(settings)) as opened:
        theirs = placed(book, heard)
        opened.write(book, theirs)
        users = [of.user.id for of in theirs]
        opened.each(users[:_WARM], opened.persona)
        anew = opened.each(users, opened.persona, before=opened.forget)
        kept = Times(())
        for _ in range(rounds):
            kept = kept.plus(opened.each(users, opened.persona))
        times = {
            "kept code: fetch, decrypt, decode": kept,
            "code folded anew": anew,
            "first of a session: the same, and frozen for it": opened.each(users, opened.session),
            "again in the session": opened.each(users, opened.session),
        }
        texts = [opened.persona(user) for user in users]
    many = sum(len(of.preferences) for of in theirs)
    return Opening(
        name,
        times,
        len(users),
        round(many / max(len(users), 1)),
        sum(len(text.encode()) for text in texts) / max(len(texts), 1),
        sum(persona(book, of).tokens for of in theirs) / max(len(theirs), 1),
    )


@dataclass(frozen=True, slots=True)
class Grep:
    """Files of a database and its keyring, and how many of them hold what was looked for."""

    files: int
    holding: int  # the planted preference
    control: int  # the user's id, which rows name: the search does find what is there


def grep(settings: Settings, book: Codebook, heard: Heard) -> Grep:
    """A preference is planted, told, edited and opened; then all files in the settings' home are searched."""
    said = [
        replace(one, value=PLANTED, quote=replace(one.quote, text=f"I like whoever {PLANTED}."), label=None)
        for one in heard.preferences
    ]
    with closing(_Opened(settings)) as opened:
        planted = Heard(heard.user, tuple(said))
        opened.write(book, [planted], Edits(texts=(PLANTED,)))
        text = opened.persona(heard.user.id)
        opened.session(heard.user.id)
        if PLANTED not in text:
            raise AssertionError(f"the planted preference is not told, so nothing was tested: {text!r}")
        files = [path.read_bytes() for path in sorted(settings.folder.rglob("*")) if path.is_file()]
    files += [path.read_bytes() for path in sorted(settings.folder.rglob("*")) if path.is_file()]
    control = sum(heard.user.id.encode() in content for content in files)
    return Grep(len(files), sum(_holds(content) for content in files), control)


def _holds(content: bytes) -> bool:
    return any(
        form in content for form in (PLANTED.encode(), PLANTED.encode("utf-16-le"), PLANTED.split()[-1].encode())
    )


def own(settings: Settings, home: Path, *, redis: bool = False) -> Settings:
    """The settings with a database and keys of their own under `home`; with the Redis that they name only if asked."""
    alone = {"home": home, "database_url": None, "keyring_url": None, "embedder": "none", "llm": "rules"}
    return settings.model_copy(update={**alone, **({} if redis else {"redis_url": None})})


class _Opened:
    """An engine with the parts of personas. Close it."""

    def __init__(self, settings: Settings) -> None:
        self._engine = Engine.open(settings)
        engine = self._engine
        self._codes = Codes(engine.vault, None if engine.redis is None else RedisCache(engine.redis), _TTL_S)
        self._parts = Parts(engine.store, engine.vault, self._codes, Books(engine.vault, {}))

    def close(self) -> None:
        self._engine.closing.close()

    def write(self, book: Codebook, heard: Sequence[Heard], edits: Edits | None = None) -> None:
        """All of it is stored, as if it had been noticed."""
        vault = self._engine.vault
        with self._engine.store.write(SCOPE) as tx:
            version = max(book.version, 1)
            codebooks.put(tx, vault, version, packed(book), space=book.space, strategy=book.strategy, why="starter")
            for of in heard:
                preferences.add(tx, vault, of.preferences)
                profiles.touch(tx, of.user.id)
                if edits is not None:
                    profiles.edit(tx, vault, of.user.id, edits, None)

    def persona(self, user: str) -> str:
        return told.persona(self._parts, SCOPE, user).text

    def session(self, user: str) -> str:
        return told.persona(self._parts, SCOPE, user, agent=DEFAULT, session=f"open-{user}").text

    def forget(self, user: str) -> None:
        with self._engine.store.write(SCOPE) as tx:
            self._codes.drop(tx, user)

    def each(
        self, users: Sequence[str], call: Callable[[str], str], before: Callable[[str], None] | None = None
    ) -> Times:
        """How long each call takes; `before` does not count."""
        taken: list[float] = []
        computed: list[float] = []
        for user in users:
            if before is not None:
                before(user)
            start, busy = time.perf_counter(), time.thread_time()
            call(user)
            computed.append(1000 * (time.thread_time() - busy))
            taken.append(1000 * (time.perf_counter() - start))
        return Times(tuple(taken), tuple(computed))
