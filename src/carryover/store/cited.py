"""Whose words findings stand on, out of the turns that they cite: of those too that were found before anybody asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from carryover.core.session import Source
from carryover.core.snapshot import Finding
from carryover.core.voice import Voice, is_marked, is_outside, most_trusted, voice_of
from carryover.store import turns as log
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import sources, turns

_BY_RULES = "rules"  # they read what people and agents say, whatever else lies between two turns of a source
_READ = 64  # turns of a source whose words are compared


def voices(tx: Tx, found: Sequence[Finding]) -> dict[str, Voice]:
    """By its id, whose each of these findings is; one whose turns are gone is left out.

    Where turns of several voices are cited it is the one that says the quote, and of those the most trusted.
    """
    speaking = _speaking(tx, [finding.id for finding in found])
    told: dict[str, Voice] = {}
    for finding in found:
        said = speaking.get(finding.id, set())
        if is_marked(finding.text):
            told[finding.id] = "tool"
        elif len(said) > 1 and finding.by != _BY_RULES and any(map(is_outside, said)):
            told[finding.id] = most_trusted(_quoted(tx, finding, source) for source in finding.sources)
        elif said:
            told[finding.id] = most_trusted(said)
    return told


def speakers(tx: Tx, places: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str, int], Voice]:
    """Who speaks in each turn, by (agent, session, seq)."""
    place = sa.tuple_(turns.c.agent, turns.c.session, turns.c.seq)
    columns = [turns.c[name] for name in ("agent", "session", "seq", "role", "kind", "name")]
    said: sa.Select[*tuple[Any, ...]] = sa.select(*columns).where(turns.c.tenant == tx.tenant)
    found: dict[tuple[str, str, int], Voice] = {}
    for part in parts(list(dict.fromkeys(places))):
        for agent, session, seq, role, kind, name in tx.conn.execute(said.where(place.in_(part))):
            found[agent, session, seq] = voice_of(role, kind, name)
    return found


def _speaking(tx: Tx, ids: Sequence[str]) -> dict[str, set[Voice]]:
    here = [sources.c[name] == turns.c[name] for name in ("tenant", "agent", "session")]
    cited = sa.select(sources.c.finding, turns.c.role, turns.c.kind, turns.c.name).distinct()
    cited = cited.join_from(sources, turns, sa.and_(*here, turns.c.seq.between(sources.c.first, sources.c.last)))
    said: dict[str, set[Voice]] = {}
    for part in parts(ids):
        rows = tx.conn.execute(cited.where(sources.c.tenant == tx.tenant, sources.c.finding.in_(part)))
        for id, role, kind, name in rows:
            said.setdefault(id, set()).add(voice_of(role, kind, name))
    return said


def _quoted(tx: Tx, finding: Finding, source: Source) -> Voice:
    last = min(source.last, source.first + _READ)
    cited = log.between(tx, finding.agent_id, source.session_id, source.first, last)
    saying = [turn for turn in cited if source.quote and source.quote in turn.text] or cited
    return most_trusted(voice_of(turn.role, turn.kind, turn.name) for turn in saying)
