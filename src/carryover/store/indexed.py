"""Whether what search finds of turns is what they say: no chunk says anything else, and none is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from carryover.core.session import INJECTED
from carryover.core.step import is_told
from carryover.store import chunks as chunk_store
from carryover.store import openable
from carryover.store import turns as turn_store
from carryover.store.logged import Entry, Key
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import chunks, turns

_COLUMNS = tuple(chunks.c[name] for name in ("agent", "session", "ref", "part", "first", "text"))


class Indexed:
    """Compares the chunks of a tenant with its turns, which it is handed page by page."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._doubtful: set[Key] = set()
        self._key: Key = ("", "")
        self._through = 0
        self._taken: list[tuple[int, int]] = []  # the runs that the session takes back: these have no chunks
        self._retracting = _retracting(tx)

    def take(self, page: Sequence[Entry]) -> None:
        said: dict[tuple[str, str, int], list[tuple[str, str]]] = {}
        for run in _runs(page):
            for row, (text,) in openable.those(self._tx, chunks, _chunks(self._tx, run)):
                said.setdefault((row.agent, row.session, row.first), []).append((row.ref, text))
        for entry in page:
            if entry.key != self._key:
                self._enter(entry.key)
            if entry.link.seq > self._through or self._key in self._doubtful:
                continue  # it is compared with its log by the job that indexes it
            text = entry.text
            if text is None:
                continue
            found = said.get((*entry.key, entry.link.seq))
            if found is None:
                wrong = bool(text.strip()) and self._is_to_be_found(entry)
            else:
                wrong = any(ref != entry.link.row["id"] or part not in text for ref, part in found)
            if wrong:
                self._doubtful.add(self._key)

    def end(self) -> set[Key]:
        """The sessions that are not indexed as their logs say."""
        return self._doubtful

    def _enter(self, key: Key) -> None:
        self._key = key
        self._through = chunk_store.watermark(self._tx, *key).through
        self._taken = turn_store.retractions(self._tx, *key) if key in self._retracting else []

    def _is_to_be_found(self, entry: Entry) -> bool:
        seq, row = entry.link.seq, entry.link.row
        if row["kind"] == "retraction" or any(first <= seq <= last for first, last in self._taken):
            return False
        metadata = row["metadata"]
        return is_told(row["role"], row["kind"], metadata) and f'"{INJECTED}"' not in (metadata or "")


@dataclass(frozen=True, slots=True)
class _Run:
    """Sessions of one agent that a page holds from end to end, or the turns that it holds of one (`last` not 0)."""

    agent: str
    sessions: tuple[str, ...]
    first: int = 0
    last: int = 0


def _runs(page: Sequence[Entry]) -> Iterator[_Run]:
    """What the page holds, in few runs: only its first and its last session may go on beyond it."""
    held: list[_Run] = []
    for (agent, session), entries in groupby(page, key=lambda entry: entry.key):
        seqs = [entry.link.seq for entry in entries]
        held.append(_Run(agent, (session,), seqs[0], seqs[-1]))
    yield held[0]
    for agent, between in groupby(held[1:-1], key=lambda run: run.agent):
        for part in parts([run.sessions[0] for run in between]):
            yield _Run(agent, tuple(part))
    if len(held) > 1:
        yield held[-1]


def _chunks(tx: Tx, run: _Run) -> Sequence[Any]:
    wanted = sa.select(*_COLUMNS).where(
        chunks.c.tenant == tx.tenant, chunks.c.agent == run.agent, chunks.c.session.in_(run.sessions)
    )
    if run.last:
        wanted = wanted.where(chunks.c.first.between(run.first, run.last))
    return tx.conn.execute(wanted.where(chunks.c.kind == "turn")).all()


def _retracting(tx: Tx) -> set[Key]:
    """The sessions with retractions."""
    wanted = sa.select(turns.c.agent, turns.c.session).distinct()
    rows = tx.conn.execute(wanted.where(turns.c.tenant == tx.tenant, turns.c.kind == "retraction"))
    return {(row[0], row[1]) for row in rows}
