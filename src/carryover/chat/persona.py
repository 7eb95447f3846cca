"""What a chat tells its model of the user: the persona in the head, and what the user changes of it at the end.

The head stays as it is for the whole session, so that the provider's cache keeps it. A change of the profile is told
once, in a turn of the log behind the user's own, where every later view of the session shows it again.
"""

from __future__ import annotations

from carryover.core.chat import ChatRequest
from carryover.core.errors import KeyLost
from carryover.core.headings import CHANGES_OVER
from carryover.core.persona import Persona
from carryover.core.session import INJECTED, Draft
from carryover.core.strategy import View
from carryover.runtime import Carryover
from carryover.store import runs, turns
from carryover.store.store import Tx

PERSONA = "persona"


def persona_of(memory: Carryover, request: ChatRequest, user: str | None) -> tuple[Persona | None, tuple[str, ...]]:
    """The persona that the session was opened with, and warnings; None where there is none to tell."""
    if user is None or not request.persona or not memory.engine.settings.persona.enabled:
        return None, ()
    try:
        persona = memory.profiles.persona(user, session_id=request.session_id, agent=request.agent_id)
    except KeyLost as lost:
        return None, (f"the model is told nothing of the user: {lost.message}",)
    return persona, persona.warnings


def untold(memory: Carryover, persona: Persona, view: View) -> Draft | None:
    """A turn that tells what the user changed; None where the view tells that already."""
    with memory.engine.store.read(memory.scope) as tx:
        before = _told(tx, view)
    text = due(before, persona.tail)
    return Draft("system", text, metadata={INJECTED: PERSONA}) if text else None


def due(before: str, tail: str) -> str:
    """What is to be told of the user's changes where models see the text `before` of them; "" where that says it."""
    outdated = before.removeprefix(CHANGES_OVER).strip()
    if outdated == tail:
        return ""
    return "\n".join(part for part in (CHANGES_OVER if outdated else "", tail) if part)


def _told(tx: Tx, view: View) -> str:
    """The newest of these turns, if the view shows it."""
    agent, session = view.agent_id, view.session_id
    told = runs.newest(tx, agent, session, "persona")
    if told is None or told.seq is None or told.seq < view.cut_seq:
        return ""
    if any(first <= told.seq <= last for first, last in turns.retractions(tx, agent, session, told.seq)):
        return ""
    found = turns.between(tx, agent, session, told.seq, told.seq)
    return found[0].text if found else ""  # it was erased
