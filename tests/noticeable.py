"""What tests of personas share: a memory of users who say how they want to be served, and sessions that end."""

from __future__ import annotations

from carryover.core.persona import Persona
from carryover.core.ports import Clock
from carryover.core.session import Append, Draft
from carryover.persona import noticing
from carryover.persona.told import persona as ask
from carryover.runtime import Carryover
from carryover.settings import Settings

BULLETS = "From now on, please always give me your answers as bullet points."
CASUAL = "I prefer a casual tone."
PYTHON = "I work with Python every day."
NO_EMOJIS = "Please never use emojis."


def open_memory(home: object, url: str | None = None, *, clock: Clock | None = None, **more: object) -> Carryover:
    """A memory without background work and without an embedding model: labels go by their names."""
    named: dict[str, object] = {"home": home, "database_url": url, "embedder": "none", **more}
    return Carryover.open(Settings(**named), clock=clock, work=False)  # pyright: ignore[reportArgumentType]


def say(memory: Carryover, session: str, *said: str, user: str | None = "ada", agent: str = "default") -> int:
    """The user says these, and is answered; the version of the session."""
    drafts = [draft for text in said for draft in (Draft("user", text), Draft("assistant", "All right."))]
    return memory.append(Append(session, tuple(drafts), agent, user)).version


def end(memory: Carryover, session: str, *, agent: str = "default") -> None:
    """The session has ended: it is consolidated, and read for preferences."""
    assert memory.consolidate(session, agent=agent) is not None
    notice(memory)


def notice(memory: Carryover) -> int:
    """Sessions that have ended are read for preferences; how many."""
    done = 0
    while memory.engine.worker.run_one((noticing.KIND,), tenant=memory.scope.tenant):
        done += 1
    return done


def talked(memory: Carryover, session: str, *said: str, user: str | None = "ada", agent: str = "default") -> None:
    """A whole session in which the user says these."""
    say(memory, session, *said, user=user, agent=agent)
    end(memory, session, agent=agent)


def told(memory: Carryover, user: str = "ada", **where: str) -> list[str]:
    """The lines of the user's persona."""
    return persona(memory, user, **where).text.split("\n")[1:]


def persona(memory: Carryover, user: str = "ada", **where: str) -> Persona:

    return ask(memory.engine.personas, memory.scope, user, **where)
