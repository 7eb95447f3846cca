"""The verb that brings sessions over from the tables of the OpenAI Agents SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AGENT, Agent, AsJson, User, example
from carryover.core.errors import Invalid, NotFound
from carryover.core.ids import is_id
from carryover.core.session import Append, Draft
from carryover.core.text import digest
from carryover.store import agent_sessions
from carryover.store.agent_sessions import AgentSessions, Kept, Row
from carryover.strategies.formats import catalog

if TYPE_CHECKING:
    from carryover.client.client import Client
    from carryover.runtime import Carryover

    Memory = Carryover | Client

app = typer.Typer(rich_markup_mode=None)

BATCH_ROWS, BATCH_BYTES = 500, 4 << 20  # of one append
_NOTE = "agent_messages"  # in a session's metadata: how far its rows were read
_TOLD = 20  # rows that are named where they cannot be read


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is no item, or that the log refuses, and why."""

    session_id: str
    row: int
    reason: str


@dataclass(slots=True)
class Imported:
    """What an import came to."""

    table: str
    sessions: int = 0
    rows: int = 0
    new: int = 0
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    unreadable: list[Unreadable] = field(default_factory=list[Unreadable])


@app.command(
    "import-sessions",
    epilog=example(
        "carryover import-sessions conversations.db --agent support",
        "carryover import-sessions postgresql://app@db/app --agent support --table sdk_agent_session_messages",
    ),
)
def import_sessions(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="A SQLite file, or a URL as SQLAlchemy has it.")],
    agent: Agent = AGENT,
    user: User = None,
    table: Annotated[
        str | None, typer.Option(help="The table of the items, if it is neither of the two that are known.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the sessions of OpenAI's Agents SDK from its tables.

    Reads what SQLiteSession and SQLAlchemySession wrote, and changes nothing there. Items stay exactly as they are,
    with their times. What is here already is not imported twice, so a broken import can be repeated, and another one
    brings only what is new. Rows that cannot be read are told, and left out.
    """
    with agent_sessions.opened(database, table) as source, memory() as opened:
        found = source.sessions()
        done = Imported(source.table)
        with show.progress("import", sum(kept.rows for kept in found)) as advance:
            for kept in found:
                _bring(opened, source, kept, (agent, user), done)
                advance(kept.rows)
    if as_json:
        show.as_json(
            {
                "table": done.table,
                "sessions": done.sessions,
                "rows": done.rows,
                "new_turns": done.new,
                "renamed": done.renamed,
                "unreadable": [{"session_id": u.session_id, "row": u.row, "reason": u.reason} for u in done.unreadable],
            }
        )
        return
    new = show.counted(done.new, "new turn")
    show.note(f"imported {show.counted(done.sessions, 'session')} with {show.counted(done.rows, 'item')}, {new}")
    for old, name in done.renamed.items():
        show.note(f"session {old!r} is called {name!r} here")
    for one in done.unreadable[:_TOLD]:
        show.note(f"left out row {one.row} of session {one.session_id!r}: {one.reason}")
    if len(done.unreadable) > _TOLD:
        show.note(f"left out {len(done.unreadable)} rows in all; --json names each of them")


def _bring(opened: Memory, source: AgentSessions, kept: Kept, whose: tuple[str, str | None], done: Imported) -> None:
    """All items of the session that can be are in the log, after those that were there."""
    session, (agent, user) = _named(kept.session_id), whose
    if session != kept.session_id:
        done.renamed[kept.session_id] = session
    done.sessions, done.rows = done.sessions + 1, done.rows + kept.rows
    version, through = _known(opened, agent, session, source.table)
    if through == kept.last:
        return
    before = len(done.unreadable)
    reading = _Reading(source.table, kept.session_id, done.unreadable)
    for batch, is_last in reading.batches(source.rows(kept.session_id, after=through)):
        # Only what was read whole need not be looked at again.
        whole = is_last and len(done.unreadable) == before
        note = {_NOTE: {"table": source.table, "session_id": kept.session_id, "through": kept.last}} if whole else None
        request = Append(session, tuple(draft for _, draft in batch), agent, user, metadata=note)
        done.new += _append(opened, request, [row for row, _ in batch], version, reading)


def _append(opened: Memory, request: Append, rows: list[int], version: int, reading: _Reading) -> int:
    """How many turns are new; a turn that the log refuses is told by its row, and left out."""
    try:
        return sum(place.seq > version for place in opened.append(request).turns)
    except Invalid as refusal:
        if not str(refusal.facts.get("field", "")).startswith("turns"):
            raise
        if len(rows) == 1:
            reading.leave_out(rows[0], refusal.message)
            return 0
    half = len(rows) // 2
    parts = (request.drafts[:half], rows[:half]), (request.drafts[half:], rows[half:])
    return sum(_append(opened, replace(request, drafts=d, metadata=None), r, version, reading) for d, r in parts)


@dataclass(slots=True)
class _Reading:
    """The rows of one session on their way to drafts."""

    table: str
    session_id: str
    unreadable: list[Unreadable]

    def leave_out(self, row: int, reason: str) -> None:
        self.unreadable.append(Unreadable(self.session_id, row, reason))

    def batches(self, rows: Iterator[Row]) -> Iterator[tuple[list[tuple[int, Draft]], bool]]:
        """What goes into one append each, and whether it is the last."""
        batch: list[tuple[int, Draft]] = []
        size = 0
        for row in rows:
            draft = self._draft(row)
            if draft is None:
                continue
            if batch and (len(batch) == BATCH_ROWS or size + len(row.data) > BATCH_BYTES):
                yield batch, False
                batch, size = [], 0
            batch.append((row.id, draft))
            size += len(row.data)
        if batch:
            yield batch, True

    def _draft(self, row: Row) -> Draft | None:
        try:
            item = _item(row.data)
        except (ValueError, RecursionError) as cause:
            self.leave_out(row.id, str(cause))
            return None
        draft = catalog.drafts_of("openai", [item])[0]
        key = digest(self.table, self.session_id, str(row.id), row.data)
        return replace(draft, created_at=row.created_at, idempotency_key=f"row:{key[3:]}")


def _known(opened: Memory, agent: str, session: str, table: str) -> tuple[int, int]:
    """The session's version here, and the row through which it was read."""
    try:
        known = opened.session(session, agent=agent)
    except NotFound:
        return 0, 0
    note = known.metadata.get(_NOTE, {})
    return known.version, note["through"] if note.get("table") == table else 0


def _named(session_id: str) -> str:
    """The session's id as the log takes it; what it does not take is told apart by its hash."""
    if is_id(session_id):
        return session_id
    return f"{re.sub(r'[^A-Za-z0-9._:@-]+', '-', session_id)[:100]}-{digest(session_id)[-8:]}"


def _item(data: str) -> dict[str, Any]:
    """The item that a row holds. Raises ValueError with the reason where it holds none."""
    item: Any = json.loads(data, parse_constant=_no_constant)
    if not isinstance(item, dict):
        raise ValueError("it is no JSON object")
    if "__enc__" in item:
        raise ValueError("it is encrypted; read it with an EncryptedSession, and add it to a new session")
    return cast("dict[str, Any]", item)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
